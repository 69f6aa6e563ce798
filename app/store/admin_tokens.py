"""Tokens of operators: they open the console, and nothing that is SCIM.

Like those of connections (see `tokens`) they are 32 random bytes, shown once and stored as their SHA-256.
Their secrets begin with `sca_`, so that one is never taken for the other.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from sqlalchemy import insert, select, update

from app.store.errors import InvalidRecord, TokenNotFound
from app.store.session import Database, Transaction
from app.store.sources import Clock, Ids, SecretBytes, new_id, utc_now
from app.store.tables import admin_tokens
from app.store.tokens import check_label, digest_of, new_secret

Role: TypeAlias = Literal["viewer", "admin"]
"""`viewer` reads, `admin` also changes."""

_PREFIX = "sca_"
_SECRET = re.compile(r"sca_[A-Za-z0-9_-]{43}")
_COLUMNS = [column for column in admin_tokens.c if column.name != "digest"]


class AdminToken(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of an operator's token; its secret is not kept."""

    id: str
    """`adm_` and 20 characters of [a-z0-9]; not secret."""
    label: str
    """Whose it is; need not be unique."""
    role: Role
    created_at: datetime
    expires_at: datetime | None
    """From this moment on the token is refused, and its sessions with it; None: never."""
    last_used_at: datetime | None
    """The last sign-in."""
    revoked_at: datetime | None

    def alive_at(self, now: datetime) -> bool:
        """Say whether the token is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class AdminTokens:
    """The tokens of all operators."""

    def __init__(
        self,
        db: Database,
        clock: Clock = utc_now,
        ids: Ids = new_id,
        secret_bytes: SecretBytes = secrets.token_bytes,
    ) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids
        self._secret_bytes = secret_bytes

    async def create(
        self, role: Role, label: str = "", expires_at: datetime | None = None
    ) -> tuple[AdminToken, str]:
        """Make a token; answer it with its secret, which cannot be had again.

        Raises InvalidRecord for a label that is too long or an expiry that is naive or past.
        """
        check_label(label)
        if expires_at is not None and (expires_at.tzinfo is None or expires_at <= self._clock()):
            raise InvalidRecord("a token's expiry has a time zone and lies in the future")
        secret = new_secret(self._secret_bytes, _PREFIX)
        token = AdminToken(
            id=self._ids("adm"),
            label=label,
            role=role,
            created_at=self._clock(),
            expires_at=expires_at,
            last_used_at=None,
            revoked_at=None,
        )
        async with self._db.write() as db:
            await db.execute(
                insert(admin_tokens).values(**msgspec.structs.asdict(token), digest=digest_of(secret))
            )
        return token, secret

    async def list(self) -> Sequence[AdminToken]:
        """Answer all tokens, oldest first, with those no longer alive."""
        statement = select(*_COLUMNS).order_by(admin_tokens.c.created_at, admin_tokens.c.id)
        async with self._db.read() as db:
            rows = await db.execute(statement)
        return [decode_admin_token(row) for row in rows]

    async def revoke(self, token_id: str) -> AdminToken:
        """Refuse a token and its sessions from now on; answer it. Raises TokenNotFound."""
        this = admin_tokens.c.id == token_id
        async with self._db.write() as db:
            await db.execute(
                update(admin_tokens)
                .where(this, admin_tokens.c.revoked_at.is_(None))
                .values(revoked_at=self._clock())
            )
            row = (await db.execute(select(*_COLUMNS).where(this))).first()
        if row is None:
            raise TokenNotFound(f"no admin token has the id {token_id!r}")
        return decode_admin_token(row)

    async def authenticate(self, secret: str) -> AdminToken | None:
        """Find the live token with this secret; unknown, expired, revoked and malformed are all None."""
        if _SECRET.fullmatch(secret) is None:
            return None
        digest = digest_of(secret)
        statement = select(*_COLUMNS, admin_tokens.c.digest).where(admin_tokens.c.digest == digest)
        async with self._db.read() as db:
            row = (await db.execute(statement)).first()
        # As for connections: the comparison that decides takes constant time.
        if row is None or not hmac.compare_digest(row[-1], digest):
            return None
        token = decode_admin_token(row[:-1])
        return token if token.alive_at(self._clock()) else None

    async def record_use(self, token_id: str, *, within: Transaction | None = None) -> None:
        """Note a sign-in."""
        async with self._db.write(within) as db:
            await db.execute(
                update(admin_tokens).where(admin_tokens.c.id == token_id).values(last_used_at=self._clock())
            )


def decode_admin_token(row: Sequence[Any]) -> AdminToken:
    """Build a token from a row of the columns of `admin_tokens`, in their order, without the digest."""
    token_id, label, role, created_at, expires_at, last_used_at, revoked_at = row
    return AdminToken(
        id=token_id,
        label=label,
        role="admin" if role == "admin" else "viewer",
        created_at=created_at,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )
