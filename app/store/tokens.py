"""Bearer tokens of connections: made once, stored as a hash, checked on every request.

A secret is a prefix, here `scb_`, and 32 random bytes in base64url. It is stored as its SHA-256: salt and
slow hashing protect what people choose and reuse, while 256 random bits cannot be guessed however fast the
hash is, and a slow one would be paid on every request. For the same reason a secret that was made elsewhere
has to have this form: `given_digest` takes no other.
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

TOKEN = "scb_"  # noqa: S105 - how secrets begin, not one
CLIENT_SECRET = "scs_"  # noqa: S105
ACCESS_TOKEN = "sca_"  # noqa: S105
"""What each kind of secret begins with: one is never taken for the other."""

_RANDOM = re.compile(r"[A-Za-z0-9_-]{43}")
_USER_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
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
    user_id: str | None = None
    """The platform's id of the one user whom the token is for (`/Me`); None: all that the connection may."""

    def alive_at(self, now: datetime) -> bool:
        """Say whether the token is neither revoked nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class AccessToken(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of an access token; it authorizes as a token of its connection does."""

    id: str
    """`acc_` and 20 characters of [a-z0-9]; not secret."""
    connection_id: str
    secret_id: str | None
    """The client secret it was got by, None where an assertion was."""
    trust_id: str | None
    """The federation trust it was got by, None where a secret was."""
    created_at: datetime
    expires_at: datetime


class Authenticated(msgspec.Struct, frozen=True, kw_only=True):
    """A valid token and the connection it names."""

    token: Token | AccessToken
    connection: Connection

    @property
    def user_id(self) -> str | None:
        """The one user whom the token is for; None: all that the connection may."""
        return self.token.user_id if isinstance(self.token, Token) else None


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
        self,
        connection_id: str,
        label: str,
        expires_at: datetime | None = None,
        *,
        user_id: str | None = None,
    ) -> tuple[Token, str]:
        """Make a token; answer it with its secret, which cannot be had again.

        A connection may have several at a time, so that they can be changed without a gap. With `user_id` it
        is for that user only, who need not exist. Raises ConnectionNotFound, or InvalidRecord for a label
        that is too long, an expiry that is naive or past, or what cannot be a user's id.
        """
        check_expiry(expires_at, self._clock())
        secret = new_secret(self._secret_bytes)
        made = await self.register(connection_id, label, digest_of(secret), expires_at, user_id=user_id)
        return made, secret

    async def register(
        self,
        connection_id: str,
        label: str,
        digest: bytes,
        expires_at: datetime | None = None,
        *,
        user_id: str | None = None,
        within: Transaction | None = None,
    ) -> Token:
        """Store a token whose secret is known elsewhere; `digest` comes from `given_digest`.

        Raises ConnectionNotFound, or InvalidRecord for a label that is too long or a secret that some token
        has already, even one that no longer lives.
        """
        check_label(label)
        if user_id is not None and not _USER_ID.fullmatch(user_id):
            raise InvalidRecord(f"{user_id[:200]!r} cannot be a user's id")
        token = Token(
            id=self._ids("tok"),
            connection_id=connection_id,
            label=label,
            created_at=self._clock(),
            expires_at=expires_at,
            last_used_at=None,
            revoked_at=None,
            user_id=user_id,
        )
        try:
            async with self._db.write(within) as db:
                await hold_connection(db, connection_id)
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


async def hold_connection(db: Transaction, connection_id: str) -> None:
    """Keep a connection from being removed until the transaction ends. Raises ConnectionNotFound."""
    # FOR KEY SHARE: what belongs to the connection is there before somebody can remove it.
    found = select(connections.c.id).where(connections.c.id == connection_id)
    if await db.scalar(found.with_for_update(read=True, key_share=True)) is None:
        raise ConnectionNotFound(f"no connection has the id {connection_id!r}")


def well_formed(secret: str, kind: str = TOKEN) -> bool:
    """Say whether a text could be a secret of this kind at all."""
    return secret.startswith(kind) and _RANDOM.fullmatch(secret, len(kind)) is not None


def new_secret(secret_bytes: SecretBytes = secrets.token_bytes, kind: str = TOKEN) -> str:
    """Make a secret; it is nobody's until it is registered."""
    return kind + urlsafe_b64encode(secret_bytes(_SECRET_BYTES)).rstrip(b"=").decode()


def given_digest(secret: str, kind: str = TOKEN) -> bytes:
    """Answer the stored form of a secret that was made elsewhere.

    InvalidRecord, which does not repeat it, for one outside the form or one that nobody drew at random: the
    fast hash protects random secrets only.
    """
    if not well_formed(secret, kind):
        whose = "token" if kind == TOKEN else "client"
        raise InvalidRecord(
            f"a {whose}'s secret is {kind} and 43 characters of [A-Za-z0-9_-], 32 random bytes"
        )
    if len(set(secret.removeprefix(kind))) < _LEAST_VARIETY:
        raise InvalidRecord(f"the secret is not random: {kind} is followed by 32 random bytes in base64url")
    return digest_of(secret)


def check_label(label: str) -> None:
    """Raise InvalidRecord for a label outside its form."""
    if not label.isprintable() or len(label) > MAX_LABEL_LENGTH:
        raise InvalidRecord(f"a label has up to {MAX_LABEL_LENGTH} printable characters")


def check_expiry(expires_at: datetime | None, now: datetime) -> None:
    """Raise InvalidRecord for a moment that is naive or past."""
    if expires_at is not None and (expires_at.tzinfo is None or expires_at <= now):
        raise InvalidRecord("an expiry has a time zone and lies in the future")


def digest_of(secret: str) -> bytes:
    """Answer the form in which a well-formed secret is stored."""
    return hashlib.sha256(secret.encode("ascii")).digest()


def _decode_token(row: Sequence[Any]) -> Token:
    token_id, connection_id, label, created_at, expires_at, last_used_at, revoked_at, user_id = row
    return Token(
        id=token_id,
        connection_id=connection_id,
        label=label,
        created_at=created_at,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
        user_id=user_id,
    )
