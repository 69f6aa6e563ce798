"""Sessions of the console, kept here so that all replicas share them.

What the browser holds is a secret of 32 random bytes; stored is its SHA-256. A session ends by signing out,
when it was idle for too long, when its time is up, and with the token it was opened with.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import delete, insert, or_, select, update

from app.store.admin_tokens import AdminToken, AdminTokens, decode_admin_token
from app.store.session import Database
from app.store.sources import Clock, SecretBytes, utc_now
from app.store.tables import admin_sessions, admin_tokens
from app.store.tokens import digest_of

SEEN_EVERY_S = 60.0
"""How often at most the last use of one session is written."""

_SECRET = re.compile(r"[A-Za-z0-9_-]{43}")
_SECRET_BYTES = 32
_TOKEN_COLUMNS = [column for column in admin_tokens.c if column.name != "digest"]


class AdminSession(msgspec.Struct, frozen=True, kw_only=True):
    """A session that is valid now."""

    token: AdminToken
    """Who signed in, and what they may do."""
    created_at: datetime
    expires_at: datetime
    """When it ends at the latest."""


class AdminSessions:
    """The sessions of all operators."""

    def __init__(
        self,
        db: Database,
        tokens: AdminTokens,
        clock: Clock = utc_now,
        secret_bytes: SecretBytes = secrets.token_bytes,
    ) -> None:
        self._db = db
        self._tokens = tokens
        self._clock = clock
        self._secret_bytes = secret_bytes

    async def open(self, token: AdminToken, *, idle_s: float, lifetime_s: float) -> str:
        """Open a session for a live token; its secret. Sessions that have ended are removed with it."""
        secret = urlsafe_b64encode(self._secret_bytes(_SECRET_BYTES)).rstrip(b"=").decode()
        now = self._clock()
        ended = or_(
            admin_sessions.c.expires_at <= now, admin_sessions.c.seen_at <= now - timedelta(seconds=idle_s)
        )
        async with self._db.write() as db:
            await db.execute(delete(admin_sessions).where(ended))
            await db.execute(
                insert(admin_sessions).values(
                    digest=digest_of(secret),
                    token_id=token.id,
                    created_at=now,
                    seen_at=now,
                    expires_at=now + timedelta(seconds=lifetime_s),
                )
            )
            await self._tokens.record_use(token.id, within=db)
        return secret

    async def find(self, secret: str, *, idle_s: float, uses: bool = True) -> AdminSession | None:
        """Find the session with this secret while it and its token are valid.

        `uses`: whether somebody is at the console; what a page asks by itself keeps no session alive.
        """
        if _SECRET.fullmatch(secret) is None:
            return None
        digest = digest_of(secret)
        statement = (
            select(
                *_TOKEN_COLUMNS,
                admin_sessions.c.created_at,
                admin_sessions.c.seen_at,
                admin_sessions.c.expires_at,
            )
            .join(admin_sessions, admin_sessions.c.token_id == admin_tokens.c.id)
            .where(admin_sessions.c.digest == digest)
        )
        async with self._db.read() as db:
            row = (await db.execute(statement)).first()
        if row is None:
            return None
        token = decode_admin_token(row[:-3])
        created_at, seen_at, expires_at = row[-3:]
        now = self._clock()
        if not token.alive_at(now) or now >= expires_at or now >= seen_at + timedelta(seconds=idle_s):
            return None
        if uses and now - seen_at >= timedelta(seconds=min(SEEN_EVERY_S, idle_s / 4)):
            async with self._db.write() as db:
                this = admin_sessions.c.digest == digest
                await db.execute(update(admin_sessions).where(this).values(seen_at=now))
        return AdminSession(token=token, created_at=created_at, expires_at=expires_at)

    async def close(self, secret: str) -> None:
        """End a session; one that is not there is no error."""
        if _SECRET.fullmatch(secret) is not None:
            async with self._db.write() as db:
                await db.execute(delete(admin_sessions).where(admin_sessions.c.digest == digest_of(secret)))
