"""Access tokens: what `/oauth/token` gives out, for an hour, good at every replica at one database."""

from __future__ import annotations

import hmac
import secrets
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from app.store.clients import ClientSecret
from app.store.connections import decode_connection
from app.store.federation import Trust
from app.store.session import Database
from app.store.sources import Clock, Ids, SecretBytes, new_id, utc_now
from app.store.tables import access_tokens, client_secrets, connections, federation_trusts
from app.store.tokens import ACCESS_TOKEN, AccessToken, Authenticated, digest_of, new_secret, well_formed

LIFETIME = timedelta(hours=1)

_CLEAN_EVERY_S = 60.0
_CLEANED_AT_ONCE = 1000
_COLUMNS = [column for column in access_tokens.c if column.name != "digest"]
_BY_DIGEST = (
    select(*connections.c, *_COLUMNS, access_tokens.c.digest)
    .join(access_tokens, access_tokens.c.connection_id == connections.c.id)
    .outerjoin(client_secrets, client_secrets.c.id == access_tokens.c.secret_id)
    # One that was being given out while its secret was removed.
    .where(access_tokens.c.digest == bindparam("digest"), client_secrets.c.revoked_at.is_(None))
)


class AccessTokens:
    """The access tokens of all connections."""

    def __init__(
        self,
        db: Database,
        clock: Clock = utc_now,
        ids: Ids = new_id,
        secret_bytes: SecretBytes = secrets.token_bytes,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`monotonic` measures the time between two clean-ups."""
        self._db = db
        self._clock = clock
        self._ids = ids
        self._secret_bytes = secret_bytes
        self._monotonic = monotonic
        self._clean_at_s = monotonic()

    async def issue(self, connection_id: str, by: ClientSecret | Trust) -> tuple[AccessToken, str] | None:
        """Give out an access token, and note the use of what it was got by.

        It lives for `LIFETIME`, or as long as the secret where that ends before. None where the secret, the
        trust or the connection was removed a moment ago.
        """
        now = self._clock()
        expires_at = now + LIFETIME
        if isinstance(by, ClientSecret) and by.expires_at is not None:
            expires_at = min(expires_at, by.expires_at)
        text = new_secret(self._secret_bytes, ACCESS_TOKEN)
        token = AccessToken(
            id=self._ids("acc"),
            connection_id=connection_id,
            secret_id=by.id if isinstance(by, ClientSecret) else None,
            trust_id=by.id if isinstance(by, Trust) else None,
            created_at=now,
            expires_at=expires_at,
        )
        used = client_secrets if isinstance(by, ClientSecret) else federation_trusts
        try:
            async with self._db.write() as db:
                await db.execute(
                    insert(access_tokens).values(**msgspec.structs.asdict(token), digest=digest_of(text))
                )
                await db.execute(update(used).where(used.c.id == by.id).values(last_used_at=now))
        except IntegrityError:
            # What it belongs to is no more.
            return None
        await self._clean(now)
        return token, text

    async def authenticate(self, secret: str) -> Authenticated | None:
        """Find the live access token with this text; unknown, expired and malformed are all None."""
        if not well_formed(secret, ACCESS_TOKEN):
            return None
        return await self.authenticate_digest(digest_of(secret))

    async def authenticate_digest(self, digest: bytes) -> Authenticated | None:
        """Like `authenticate`, by the text's SHA-256."""
        async with self._db.read() as db:
            row = (await db.execute(_BY_DIGEST, {"digest": digest})).first()
        if row is None or not hmac.compare_digest(row[-1], digest):
            return None
        token = _decode(row[len(connections.c) : -1])
        if self._clock() >= token.expires_at:
            return None
        return Authenticated(token=token, connection=decode_connection(row))

    async def _clean(self, now: datetime) -> None:
        """Delete a batch of what has expired, once a minute where tokens are given out."""
        if self._monotonic() < self._clean_at_s:
            return
        self._clean_at_s = self._monotonic() + _CLEAN_EVERY_S
        expired = (
            select(access_tokens.c.id)
            .where(access_tokens.c.expires_at <= now)
            .order_by(access_tokens.c.expires_at)
            .limit(_CLEANED_AT_ONCE)
            # Another replica that cleans at the same time takes others.
            .with_for_update(skip_locked=True)
        )
        async with self._db.write() as db:
            done = await db.execute(delete(access_tokens).where(access_tokens.c.id.in_(expired)))
        if done.rowcount == _CLEANED_AT_ONCE:
            # There are more: with the next token, not in a minute.
            self._clean_at_s = self._monotonic()


def _decode(row: Sequence[Any]) -> AccessToken:
    token_id, connection_id, secret_id, trust_id, created_at, expires_at = row
    return AccessToken(
        id=token_id,
        connection_id=connection_id,
        secret_id=secret_id,
        trust_id=trust_id,
        created_at=created_at,
        expires_at=expires_at,
    )
