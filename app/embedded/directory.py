"""Administration of an embedded platform without HTTP: tenants, apps, units, links and seeding."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.apps import AppCredentials, find_app, register_app
from app.embedded.events import SYSTEM
from app.embedded.identifiers import new_id
from app.embedded.identity_sources import link_identity
from app.embedded.platform import Platform
from app.embedded.schemas import IdentitySource, UserStatus
from app.embedded.seeding import SeedPlan, insert_users
from app.embedded.sending import require_url
from app.embedded.settings import PlatformSettings
from app.embedded.tables import ous, tenants, users
from app.embedded.users import find_user
from app.embedded.webhooks import Webhook, ensure_webhook, list_webhooks, remove_webhook

_FAILURES_UNTIL_LOCKED = 5


class Directory:
    """What an operator does to the platform from within; works beside a running server on the same file.

    Unknown ids raise LookupError.
    """

    def __init__(self, database: Path, settings: PlatformSettings = PlatformSettings()) -> None:  # noqa: B008  # frozen
        self._platform = Platform(database, settings)

    async def open(self) -> None:
        """Open the database; it is made when missing."""
        await self._platform.open()

    async def close(self) -> None:
        """Close the database."""
        await self._platform.close()

    async def __aenter__(self) -> Directory:
        await self.open()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def ensure_tenant(self, slug: str, name: str, partner_id: str | None = None) -> str:
        """The id of the tenant of that slug, made when there is none; an existing one stays as it is."""
        async with self._platform.database.write() as connection:
            known = (await connection.execute(select(tenants.c.id).where(tenants.c.slug == slug))).scalar()
            if known is not None:
                return str(known)
            tenant_id = new_id("tnt")
            values = {
                "id": tenant_id,
                "slug": slug,
                "name": name,
                "partner_id": partner_id,
                "created_at": self._platform.clock.now(),
            }
            await connection.execute(insert(tenants).values(values))
            return tenant_id

    async def create_app(self, tenant_id: str | None, scopes: tuple[str, ...], name: str) -> AppCredentials:
        """Register an app of one tenant, or with None of the whole platform; the secret is shown once."""
        if tenant_id is not None:
            await self._require_tenant(tenant_id)
        async with self._platform.database.write() as connection:
            return await register_app(connection, tenant_id, scopes, name)

    async def issue_token(self, client_id: str, ttl_s: int | None = None) -> str:
        """An access token with all scopes of the app, valid `ttl_s` seconds or as the settings say."""
        async with self._platform.database.read() as connection:
            app = await find_app(connection, client_id)
        if app is None:
            raise LookupError(f"no app {client_id}")
        return self._platform.tokens.issue(app.client_id, app.tenant_id, app.scopes, ttl_s=ttl_s)

    async def create_ou(self, tenant_id: str, name: str, parent_id: str | None = None) -> str:
        """A new organizational unit, at the top or within another; returns its id."""
        await self._require_tenant(tenant_id)
        async with self._platform.database.write() as connection:
            above = ""
            if parent_id is not None:
                parent = select(ous.c.path).where(ous.c.id == parent_id, ous.c.tenant_id == tenant_id)
                path = (await connection.execute(parent)).scalar()
                if path is None:
                    raise LookupError(f"no organizational unit {parent_id}")
                above = str(path)
            ou_id = new_id("ou")
            values = {
                "id": ou_id,
                "tenant_id": tenant_id,
                "parent_id": parent_id,
                "name": name,
                "path": f"{above}/{name}",
                "created_at": self._platform.clock.now(),
            }
            await connection.execute(insert(ous).values(values))
            return ou_id

    async def add_federated_identity(
        self, user_id: str, provider: IdentitySource, subject: str | None = None
    ) -> None:
        """Link a user to an account at an identity provider; its identity source stays what it is."""
        async with self._platform.database.write() as connection:
            await _require_user(connection, user_id)
            await link_identity(connection, user_id, provider, subject, self._platform.clock.now())

    async def record_sign_in(self, user_id: str, *, succeeded: bool) -> None:
        """Do to the user what a sign-in does: a success counts as the last one, the fifth failure locks.

        Webhooks are told of the lock only.
        """
        async with self._platform.write(SYSTEM) as changes:
            failed_attempts = await _require_user(changes.connection, user_id)
            values: dict[str, str | int]
            if succeeded:
                values = {"failed_attempts": 0, "last_login_at": self._platform.clock.now()}
            else:
                values = {"failed_attempts": failed_attempts + 1}
                if failed_attempts + 1 >= _FAILURES_UNTIL_LOCKED:
                    values |= {"status": UserStatus.LOCKED.value, "status_reason": "Too many failed sign-ins"}
            await changes.connection.execute(update(users).where(users.c.id == user_id).values(values))
            if "status" in values and (user := await find_user(changes.connection, user_id, None)):
                changes.user("user.updated", user)

    async def seed_users(
        self,
        tenant_id: str,
        count: int,
        plan: SeedPlan = SeedPlan(),  # noqa: B008  # frozen
    ) -> None:
        """Insert `count` users quickly: 100,000 in some seconds; webhooks are not told, as of a stock."""
        await self._require_tenant(tenant_id)
        await insert_users(self._platform.database, self._platform.clock, tenant_id, count, plan)

    async def add_webhook(self, url: str, secret: str, tenant_id: str | None = None) -> str:
        """Send the events of one tenant, or of all, to an endpoint, signed with the secret; returns its id.

        An endpoint at that URL is kept and takes the new secret and tenant. From now on every change is told,
        also those that a running server makes; delivery is a server's work. Raises ValueError for a URL that
        is not http(s) and for an empty secret.
        """
        require_url(url)
        if not secret:
            raise ValueError("a webhook needs a secret")
        if tenant_id is not None:
            await self._require_tenant(tenant_id)
        async with self._platform.database.write() as connection:
            return await ensure_webhook(connection, url, secret, tenant_id, self._platform.clock.now())

    async def webhooks(self) -> list[Webhook]:
        """All endpoints that events are sent to, oldest first."""
        async with self._platform.database.read() as connection:
            return await list_webhooks(connection)

    async def remove_webhook(self, url: str) -> bool:
        """Send nothing to that URL any more, nor what is on its way; whether there was such an endpoint."""
        async with self._platform.database.write() as connection:
            return await remove_webhook(connection, url)

    async def _require_tenant(self, tenant_id: str) -> None:
        if not await self._platform.has_tenant(tenant_id):
            raise LookupError(f"no tenant {tenant_id}")


async def _require_user(connection: AsyncConnection, user_id: str) -> int:
    """The user's failed sign-ins. Raises LookupError."""
    statement = select(users.c.failed_attempts).where(users.c.id == user_id, users.c.deleted_at.is_(None))
    failed_attempts = (await connection.execute(statement)).scalar()
    if failed_attempts is None:
        raise LookupError(f"no user {user_id}")
    return int(failed_attempts)
