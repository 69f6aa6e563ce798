"""OAuth clients of connections and their secrets (RFC 6749 §2.3.1).

A secret is made, stored and compared as a token is. A client has up to two that live, so that one can take
the place of the other without a gap.
"""

from __future__ import annotations

import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, bindparam, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from app.store.connections import Connection, decode_connection
from app.store.errors import ClientNotFound, InvalidRecord
from app.store.session import Database, Transaction
from app.store.sources import Clock, Ids, SecretBytes, new_id, utc_now
from app.store.tables import access_tokens, client_secrets, clients, connections
from app.store.tokens import (
    CLIENT_SECRET,
    check_expiry,
    check_label,
    digest_of,
    hold_connection,
    new_secret,
    well_formed,
)

MAX_SECRETS = 2
"""Live secrets of a client at most."""

_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")
_SECRET_COLUMNS = [column for column in client_secrets.c if column.name != "digest"]
_BY_DIGEST = (
    select(*connections.c, *_SECRET_COLUMNS, client_secrets.c.digest)
    .join(clients, clients.c.connection_id == connections.c.id)
    .join(client_secrets, client_secrets.c.client_id == clients.c.id)
    .where(client_secrets.c.digest == bindparam("digest"))
)


class Client(msgspec.Struct, frozen=True, kw_only=True):
    """An OAuth client, which speaks for one connection."""

    id: str
    """The `client_id`: unless chosen, `cli_` and 20 characters of [a-z0-9]; not secret."""
    connection_id: str
    label: str
    created_at: datetime


class ClientSecret(msgspec.Struct, frozen=True, kw_only=True):
    """What may be shown of a client's secret, which is not kept."""

    id: str
    """`sec_` and 20 characters of [a-z0-9]; not secret."""
    client_id: str
    label: str
    created_at: datetime
    expires_at: datetime | None
    """From this moment on the secret is refused; None: never."""
    last_used_at: datetime | None
    """When an access token was last got by it."""
    revoked_at: datetime | None

    def alive_at(self, now: datetime) -> bool:
        """Say whether the secret is neither removed nor expired."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class AuthenticatedClient(msgspec.Struct, frozen=True, kw_only=True):
    """A valid secret and the connection that its client speaks for."""

    secret: ClientSecret
    connection: Connection


class Clients:
    """The clients of all connections. `within` is a transaction under way, for several changes to be one."""

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

    async def add(
        self,
        connection_id: str,
        label: str = "",
        *,
        client_id: str | None = None,
        within: Transaction | None = None,
    ) -> Client:
        """Store a client, which has no secret yet.

        Raises ConnectionNotFound, or InvalidRecord for a label or an id outside its form or an id that is
        taken.
        """
        check_label(label)
        client = Client(
            id=self._ids("cli") if client_id is None else client_id,
            connection_id=connection_id,
            label=label,
            created_at=self._clock(),
        )
        check_client_id(client.id)
        try:
            async with self._db.write(within) as db:
                await hold_connection(db, connection_id)
                await db.execute(insert(clients).values(**msgspec.structs.asdict(client)))
        except IntegrityError as error:
            raise InvalidRecord(f"there is a client {client.id!r} already") from error
        return client

    async def relabel(self, client_id: str, label: str, *, within: Transaction | None = None) -> None:
        """Call a client otherwise. Raises ClientNotFound, or InvalidRecord for a label that is too long."""
        check_label(label)
        async with self._db.write(within) as db:
            done = await db.execute(update(clients).where(clients.c.id == client_id).values(label=label))
        if not done.rowcount:
            raise _no_client(client_id)

    async def remove(self, client_id: str, *, within: Transaction | None = None) -> None:
        """Remove a client with its secrets and their access tokens. Raises ClientNotFound."""
        async with self._db.write(within) as db:
            done = await db.execute(delete(clients).where(clients.c.id == client_id))
        if not done.rowcount:
            raise _no_client(client_id)

    async def list(
        self, connection_id: str | None = None, *, within: Transaction | None = None
    ) -> Sequence[Client]:
        """Answer the clients of one connection or of all, oldest first."""
        statement = select(clients).order_by(clients.c.created_at, clients.c.id)
        if connection_id is not None:
            statement = statement.where(clients.c.connection_id == connection_id)
        async with self._db.read(within) as db:
            rows = await db.execute(statement)
        return [Client(**row._mapping) for row in rows]

    async def secrets(self, *, within: Transaction | None = None) -> Sequence[ClientSecret]:
        """Answer the secrets of all clients, oldest first, with those no longer alive."""
        statement = select(*_SECRET_COLUMNS).order_by(client_secrets.c.created_at, client_secrets.c.id)
        async with self._db.read(within) as db:
            rows = await db.execute(statement)
        return [_decode(row) for row in rows]

    async def secrets_by_digest(
        self, digests: Collection[bytes], *, within: Transaction | None = None
    ) -> Mapping[bytes, ClientSecret]:
        """Find the secrets with these digests, of whatever client, alive or not."""
        statement = select(*_SECRET_COLUMNS, client_secrets.c.digest).where(
            client_secrets.c.digest.in_(digests)
        )
        async with self._db.read(within) as db:
            rows = await db.execute(statement)
        return {row[-1]: _decode(row[:-1]) for row in rows}

    async def add_secret(
        self,
        client_id: str,
        label: str = "",
        expires_at: datetime | None = None,
        *,
        within: Transaction | None = None,
    ) -> tuple[ClientSecret, str]:
        """Make a secret; answer it with its text, which cannot be had again.

        Raises ClientNotFound, or InvalidRecord where the client has `MAX_SECRETS` that live, for a label that
        is too long or an expiry that is naive or past.
        """
        check_expiry(expires_at, self._clock())
        text = new_secret(self._secret_bytes, CLIENT_SECRET)
        made = await self.register_secret(client_id, label, digest_of(text), expires_at, within=within)
        return made, text

    async def register_secret(
        self,
        client_id: str,
        label: str,
        digest: bytes,
        expires_at: datetime | None = None,
        *,
        within: Transaction | None = None,
    ) -> ClientSecret:
        """Store a secret whose text is known elsewhere; `digest` comes from `given_digest`.

        Raises what `add_secret` raises, and InvalidRecord for a secret that some client has or had.
        """
        check_label(label)
        secret = ClientSecret(
            id=self._ids("sec"),
            client_id=client_id,
            label=label,
            created_at=self._clock(),
            expires_at=expires_at,
            last_used_at=None,
            revoked_at=None,
        )
        try:
            async with self._db.write(within) as db:
                # FOR UPDATE: of two that add at once, the second counts the first one's secret.
                found = select(clients.c.id).where(clients.c.id == client_id).with_for_update()
                if await db.scalar(found) is None:
                    raise _no_client(client_id)
                living = select(func.count()).where(
                    client_secrets.c.client_id == client_id, self._alive(secret.created_at)
                )
                if (await db.execute(living)).scalar_one() >= MAX_SECRETS:
                    raise InvalidRecord(
                        f"the client {client_id!r} has {MAX_SECRETS} secrets that live: remove one first"
                    )
                await db.execute(
                    insert(client_secrets).values(**msgspec.structs.asdict(secret), digest=digest)
                )
        except IntegrityError as error:
            raise InvalidRecord(f"the secret of {label!r} is already that of a client") from error
        return secret

    async def relabel_secret(self, secret_id: str, label: str, *, within: Transaction | None = None) -> None:
        """Call a secret otherwise. Raises ClientNotFound, or InvalidRecord for a label that is too long."""
        check_label(label)
        this = client_secrets.c.id == secret_id
        async with self._db.write(within) as db:
            done = await db.execute(update(client_secrets).where(this).values(label=label))
        if not done.rowcount:
            raise _no_secret(secret_id)

    async def revoke_secret(self, secret_id: str, *, within: Transaction | None = None) -> ClientSecret:
        """Refuse a secret, and the access tokens got by it, from now on; answer it. Raises ClientNotFound."""
        this = client_secrets.c.id == secret_id
        async with self._db.write(within) as db:
            await db.execute(
                update(client_secrets)
                .where(this, client_secrets.c.revoked_at.is_(None))
                .values(revoked_at=self._clock())
            )
            await db.execute(delete(access_tokens).where(access_tokens.c.secret_id == secret_id))
            row = (await db.execute(select(*_SECRET_COLUMNS).where(this))).first()
        if row is None:
            raise _no_secret(secret_id)
        return _decode(row)

    async def authenticate(self, client_id: str, secret: str) -> AuthenticatedClient | None:
        """Find the live secret with this text, of this client; whatever is wrong, the answer is None.

        The client is never looked up by its id: how long it takes does not tell whether there is one.
        """
        if not well_formed(secret, CLIENT_SECRET):
            return None
        digest = digest_of(secret)
        async with self._db.read() as db:
            row = (await db.execute(_BY_DIGEST, {"digest": digest})).first()
        if row is None or not hmac.compare_digest(row[-1], digest):
            return None
        found = _decode(row[len(connections.c) : -1])
        if not hmac.compare_digest(found.client_id.encode(), client_id.encode("utf-8", "surrogatepass")):
            return None
        if not found.alive_at(self._clock()):
            return None
        return AuthenticatedClient(secret=found, connection=decode_connection(row))

    @staticmethod
    def _alive(now: datetime) -> ColumnElement[bool]:
        unexpired = or_(client_secrets.c.expires_at.is_(None), client_secrets.c.expires_at > now)
        return client_secrets.c.revoked_at.is_(None) & unexpired


def check_client_id(client_id: str) -> None:
    """Raise InvalidRecord for what cannot be a client's id."""
    if not _ID.fullmatch(client_id):
        raise InvalidRecord(f"a client's id matches {_ID.pattern}")


def _no_client(client_id: str) -> ClientNotFound:
    return ClientNotFound(f"there is no client {client_id!r}")


def _no_secret(secret_id: str) -> ClientNotFound:
    return ClientNotFound(f"no secret of a client has the id {secret_id!r}")


def _decode(row: Sequence[Any]) -> ClientSecret:
    secret_id, client_id, label, created_at, expires_at, last_used_at, revoked_at = row
    return ClientSecret(
        id=secret_id,
        client_id=client_id,
        label=label,
        created_at=created_at,
        expires_at=expires_at,
        last_used_at=last_used_at,
        revoked_at=revoked_at,
    )
