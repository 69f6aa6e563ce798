"""The apps that may ask for tokens: registered, found and authenticated by client id and secret."""

from __future__ import annotations

import hashlib
import hmac
import secrets

from msgspec import Struct
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.identifiers import utc_now
from app.embedded.tables import apps, tenants


class AppCredentials(Struct, frozen=True, kw_only=True):
    """A newly registered app; the secret is known here only, and nowhere after."""

    client_id: str
    client_secret: str
    tenant_id: str | None
    """None spans all tenants."""
    scopes: tuple[str, ...]


class RegisteredApp(Struct, frozen=True, kw_only=True):
    """An app as the platform knows it."""

    client_id: str
    tenant_id: str | None
    tenant_slug: str | None
    scopes: tuple[str, ...]
    secret_hash: str

    def has_secret(self, secret: str) -> bool:
        """Whether this is the app's secret; compared in constant time."""
        return hmac.compare_digest(self.secret_hash, _hash(secret))


async def register_app(
    connection: AsyncConnection, tenant_id: str | None, scopes: tuple[str, ...], name: str
) -> AppCredentials:
    """Register an app with a new id and secret."""
    credentials = AppCredentials(
        client_id=f"app_{secrets.token_hex(12)}",
        client_secret=secrets.token_urlsafe(32),
        tenant_id=tenant_id,
        scopes=scopes,
    )
    values = {
        "client_id": credentials.client_id,
        "tenant_id": tenant_id,
        "name": name,
        "scopes": " ".join(scopes),
        "secret_hash": _hash(credentials.client_secret),
        "created_at": utc_now(),
    }
    await connection.execute(insert(apps).values(values))
    return credentials


async def find_app(connection: AsyncConnection, client_id: str) -> RegisteredApp | None:
    """The app of that id, if there is one."""
    statement = (
        select(apps.c.client_id, apps.c.tenant_id, tenants.c.slug, apps.c.scopes, apps.c.secret_hash)
        .select_from(apps.outerjoin(tenants, tenants.c.id == apps.c.tenant_id))
        .where(apps.c.client_id == client_id)
    )
    row = (await connection.execute(statement)).first()
    if row is None:
        return None
    return RegisteredApp(
        client_id=row.client_id,
        tenant_id=row.tenant_id,
        tenant_slug=row.slug,
        scopes=tuple(row.scopes.split()),
        secret_hash=row.secret_hash,
    )


def _hash(secret: str) -> str:
    """A plain SHA-256 suffices: the secrets are made here, of 256 random bits."""
    return hashlib.sha256(secret.encode()).hexdigest()
