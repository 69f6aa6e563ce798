"""Bearer tokens of connections: made once, stored as a hash, checked on every request.

A secret is `scb_` and 32 random bytes in base64url. It is stored as its SHA-256: salt and slow hashing
protect what people choose and reuse, while 256 random bits cannot be guessed however fast the hash is,
and a slow one would be paid on every request. For the same reason a secret that was made elsewhere has to
have this form: `given_digest` takes no other.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.store.connections import Connection, decode_connection
from app.store.errors import ConnectionNotFound, InvalidRecord, TokenNotFound
from app.store.session import Database, Transaction
from app.store.sources import Clock, Ids, SecretBytes, new_id, utc_now
from app.store.tables import connections, tokens

MAX_LABEL_LENGTH = 200

_SECRET = re.compile(r"scb_[A-Za-z0-9_-]{43}")
_SECRET_BYTES = 32
_LEAST_VARIETY = 16
"""Different characters in a given secret at least; of random ones, fewer than one in 10^13 has less."""

_TOKEN_COLUMNS = [column for column in tokens.c if column.name != "digest"]
_BY_DIGEST = (
    select(*connections.c, *_TOKEN_COLUMNS, tokens.c.digest)
    .join(tokens, tokens.c.connection_id == connections.c.id)
    .where(tokens.c.digest == bindparam("digest"))
)


class Token(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a token; its secret is not kept."""

    id: str
    """`tok_` and 20 characters of [a-z0-9]; not secret."""
    connection_id: str
    label: str
    """What the operator calls it; need not be unique."""
    created_at: datetime
    expires_at: datetime | None
    """From this moment on the token is refused; None: never."""
    last_used_at: datetime | None
    """Accurate to about a minute."""
    revoked_at: datetime | None

    def alive_at(self, now: datetime) -> bool:
        """Say whether the token is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """A valid token and the connection it names."""

    token: Token
    connection: Connection


class Tokens:
    """The tokens of all connections, always read from the database; `TokenCache` stands in front of it.

    `within` is a transaction under way, for several changes to be one.
    """

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
        self, connection_id: str, label: str, expires_at: datetime | None = None
    ) -> tuple[Token, str]:
        """Make a token; answer it with its secret, which cannot be had again.

        A connection may have several at a time, so that they can be changed without a gap. Raises
        ConnectionNotFound, or InvalidRecord for a label that is too long or an expiry that is naive or past.
        """
        if expires_at is not None and (expires_at.tzinfo is None or expires_at <= self._clock()):
            raise InvalidRecord("a token's expiry has a time zone and lies in the future")
        secret = new_secret(self._secret_bytes)
        return await self.register(connection_id, label, digest_of(secret), expires_at), secret

    async def register(
        self,
        connection_id: str,
        label: str,
        digest: bytes,
        expires_at: datetime | None = None,
        *,
        within: Transaction | None = None,
    ) -> Token:
        """Store a token whose secret is known elsewhere; `digest` comes from `given_digest`.

        Raises ConnectionNotFound, or InvalidRecord for a label that is too long or a secret that some token
        has already, even one that no longer lives.
        """
        check_label(label)
        token = Token(
            id=self._ids("tok"),
            connection_id=connection_id,
            label=label,
            created_at=self._clock(),
            expires_at=expires_at,
            last_used_at=None,
            revoked_at=None,
        )
        try:
            async with self._db.write(within) as db:
                # FOR KEY SHARE: the connection cannot be removed before the token is there.
                found = select(connections.c.id).where(connections.c.id == connection_id)
                if await db.scalar(found.with_for_update(read=True, key_share=True)) is None:
                    raise ConnectionNotFound(f"no connection has the id {connection_id!r}")
                await db.execute(insert(tokens).values(**msgspec.structs.asdict(token), digest=digest))
        except IntegrityError as error:
            raise InvalidRecord(f"the secret of {label!r} is already that of another token") from error
        return token

    async def relabel(self, token_id: str, label: str, *, within: Transaction | None = None) -> None:
        """Call a token otherwise. Raises TokenNotFound, or InvalidRecord for a label that is too long."""
        check_label(label)
        async with self._db.write(within) as db:
            done = await db.execute(update(tokens).where(tokens.c.id == token_id).values(label=label))
        if not done.rowcount:
            raise TokenNotFound(f"no token has the id {token_id!r}")

    async def by_digest(
        self, digests: Collection[bytes], *, within: Transaction | None = None
    ) -> Mapping[bytes, Token]:
        """Find the tokens with these secrets' digests, of whatever connection, alive or not."""
        statement = select(*_TOKEN_COLUMNS, tokens.c.digest).where(tokens.c.digest.in_(digests))
        async with self._db.read(within) as db:
            rows = await db.execute(statement)
        return {row[-1]: _decode_token(row[:-1]) for row in rows}

    async def list(
        self, connection_id: str | None = None, *, within: Transaction | None = None
    ) -> Sequence[Token]:
        """Answer the tokens of one connection or of all, oldest first, with those no longer alive."""
        statement = select(*_TOKEN_COLUMNS).order_by(tokens.c.created_at, tokens.c.id)
        if connection_id is not None:
            statement = statement.where(tokens.c.connection_id == connection_id)
        async with self._db.read(within) as db:
            rows = await db.execute(statement)
        return [_decode_token(row) for row in rows]

    async def revoke(self, token_id: str, *, within: Transaction | None = None) -> Token:
        """Refuse a token from now on; answer it. Revoking again changes nothing. Raises TokenNotFound."""
        this = tokens.c.id == token_id
        async with self._db.write(within) as db:
            await db.execute(
                update(tokens).where(this, tokens.c.revoked_at.is_(None)).values(revoked_at=self._clock())
            )
            row = (await db.execute(select(*_TOKEN_COLUMNS).where(this))).first()
        if row is None:
            raise TokenNotFound(f"no token has the id {token_id!r}")
        return _decode_token(row)

    async def authenticate(self, secret: str) -> Authenticated | None:
        """Find the live token with this secret; unknown, expired, revoked and malformed are all None."""
        if not well_formed(secret):
            return None
        return await self.authenticate_digest(digest_of(secret))

    async def authenticate_digest(self, digest: bytes) -> Authenticated | None:
        """Like `authenticate`, by the secret's SHA-256."""
        async with self._db.read() as db:
            row = (await db.execute(_BY_DIGEST, {"digest": digest})).first()
        # The search may take longer for a near miss, which tells about a hash and nothing about a secret;
        # the comparison that decides takes constant time.
        if row is None or not hmac.compare_digest(row[-1], digest):
            return None
        token = _decode_token(row[len(connections.c) : -1])
        if not token.alive_at(self._clock()):
            return None
        return Authenticated(token=token, connection=decode_connection(row))

    async def record_use(self, used: Mapping[str, datetime]) -> None:
        """Store the last use of each token id; an older time never replaces a newer one."""
        if not used:
            return
        newer = or_(tokens.c.last_used_at.is_(None), tokens.c.last_used_at < bindparam("used_at"))
        statement = (
            update(tokens)
            .where(tokens.c.id == bindparam("token_id"), newer)
            .values(last_used_at=bindparam("used_at"))
        )
        async with self._db.write() as db:
            await db.execute(statement, [{"token_id": key, "used_at": at} for key, at in used.items()])


def well_formed(secret: str) -> bool:
    """Say whether a text could be a secret at all."""
    return _SECRET.fullmatch(secret) is not None


def new_secret(secret_bytes: SecretBytes = secrets.token_bytes) -> str:
    """Make a secret; it is nobody's until it is registered."""
    return "scb_" + urlsafe_b64encode(secret_bytes(_SECRET_BYTES)).rstrip(b"=").decode()


def given_digest(secret: str) -> bytes:
    """Answer the stored form of a secret that was made elsewhere.

    InvalidRecord, which does not repeat it, for one outside the form or one that nobody drew at random: the
    fast hash protects random secrets only.
    """
    if not well_formed(secret):
        raise InvalidRecord("a token's secret is scb_ and 43 characters of [A-Za-z0-9_-], 32 random bytes")
    if len(set(secret.removeprefix("scb_"))) < _LEAST_VARIETY:
        raise InvalidRecord("the secret is not random: scb_ is followed by 32 random bytes in base64url")
    return digest_of(secret)


def check_label(label: str) -> None:
    """Raise InvalidRecord for a label outside its form."""
    if not label.isprintable() or len(label) > MAX_LABEL_LENGTH:
        raise InvalidRecord(f"a token's label has up to {MAX_LABEL_LENGTH} printable characters")


def digest_of(secret: str) -> bytes:
    """Answer the form in which a well-formed secret is stored."""
    return hashlib.sha256(secret.encode("ascii")).digest()


def _decode_token(row: Sequence[Any]) -> Token:
    token_id, connection_id, label, created_at, expires_at, last_used_at, revoked_at = row
    return Token(
        id=token_id,
        connection_id=connection_id,
        label=label,
        created_at=created_at,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )
