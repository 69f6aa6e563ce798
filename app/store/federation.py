"""Federation trusts: whose signed assertions authenticate the client of a connection (RFC 7523 §2.2)."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import msgspec
from sqlalchemy import delete, insert, select
from sqlalchemy.exc import IntegrityError

from app.store.connections import Connection, decode_connection
from app.store.errors import InvalidRecord, TrustNotFound
from app.store.keys import is_storable
from app.store.session import Database, Transaction
from app.store.sources import Clock, Ids, new_id, utc_now
from app.store.tables import connections, federation_trusts
from app.store.tokens import hold_connection

MAX_ISSUER_LENGTH = 500
MAX_CLAIM_LENGTH = 255
MAX_URL_LENGTH = 2000


class Trust(msgspec.Struct, frozen=True, kw_only=True):
    """An issuer, subject and audience, all compared exactly; together they name one connection."""

    id: str
    """`fed_` and 20 characters of [a-z0-9]."""
    connection_id: str
    issuer: str
    subject: str
    audience: str
    jwks_url: str | None
    """Where the issuer's keys are; None: where its discovery document says (`jwks_uri`)."""
    created_at: datetime
    last_used_at: datetime | None
    """When an access token was last got by it."""


class Federations:
    """The trusts of all connections. `within` is a transaction under way, for several changes to be one."""

    def __init__(self, db: Database, clock: Clock = utc_now, ids: Ids = new_id) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids

    async def add(
        self,
        connection_id: str,
        *,
        issuer: str,
        subject: str,
        audience: str,
        jwks_url: str | None = None,
        within: Transaction | None = None,
    ) -> Trust:
        """Store a trust.

        Raises ConnectionNotFound, or InvalidRecord for a field outside its form, or where issuer, subject and
        audience name a connection already.
        """
        check_trust(issuer=issuer, subject=subject, audience=audience, jwks_url=jwks_url)
        trust = Trust(
            id=self._ids("fed"),
            connection_id=connection_id,
            issuer=issuer,
            subject=subject,
            audience=audience,
            jwks_url=jwks_url,
            created_at=self._clock(),
            last_used_at=None,
        )
        try:
            async with self._db.write(within) as db:
                await hold_connection(db, connection_id)
                await db.execute(insert(federation_trusts).values(**msgspec.structs.asdict(trust)))
        except IntegrityError as error:
            raise InvalidRecord("there is a trust of this issuer, subject and audience already") from error
        return trust

    async def remove(self, trust_id: str, *, within: Transaction | None = None) -> None:
        """Remove a trust with the access tokens got by it. Raises TrustNotFound."""
        async with self._db.write(within) as db:
            done = await db.execute(delete(federation_trusts).where(federation_trusts.c.id == trust_id))
        if not done.rowcount:
            raise TrustNotFound(f"no federation trust has the id {trust_id!r}")

    async def list(
        self, connection_id: str | None = None, *, within: Transaction | None = None
    ) -> Sequence[Trust]:
        """Answer the trusts of one connection or of all, oldest first."""
        statement = select(federation_trusts).order_by(federation_trusts.c.created_at, federation_trusts.c.id)
        if connection_id is not None:
            statement = statement.where(federation_trusts.c.connection_id == connection_id)
        async with self._db.read(within) as db:
            rows = await db.execute(statement)
        return [_decode(row) for row in rows]

    async def of_issuer(self, issuer: str) -> Trust | None:
        """Some trust of an issuer, whatever text that is: whoever has none gets nothing fetched."""
        if len(issuer) > MAX_ISSUER_LENGTH or not is_storable(issuer):
            return None
        statement = select(federation_trusts).where(federation_trusts.c.issuer == issuer)
        async with self._db.read() as db:
            row = (await db.execute(statement.order_by(federation_trusts.c.id).limit(1))).first()
        return None if row is None else _decode(row)

    async def find(
        self, issuer: str, subject: str, audiences: Collection[str]
    ) -> Sequence[tuple[Trust, Connection]]:
        """The trusts that fit an assertion, with their connections; more than one only for several audiences.

        The claims may be any text.
        """
        wanted = [a for a in audiences if len(a) <= MAX_CLAIM_LENGTH and is_storable(a)]
        if len(issuer) > MAX_ISSUER_LENGTH or len(subject) > MAX_CLAIM_LENGTH:
            return []
        if not (is_storable(issuer) and is_storable(subject) and wanted):
            return []
        statement = (
            select(*connections.c, *federation_trusts.c)
            .join(federation_trusts, federation_trusts.c.connection_id == connections.c.id)
            .where(
                federation_trusts.c.issuer == issuer,
                federation_trusts.c.subject == subject,
                federation_trusts.c.audience.in_(wanted),
            )
        )
        async with self._db.read() as db:
            rows = (await db.execute(statement)).all()
        return [(_decode(row[len(connections.c) :]), decode_connection(row)) for row in rows]


def check_trust(*, issuer: str, subject: str, audience: str, jwks_url: str | None) -> None:
    """Raise InvalidRecord for a field outside its form."""
    if len(issuer) > MAX_ISSUER_LENGTH or not is_safe_url(issuer) or "?" in issuer or "#" in issuer:
        raise InvalidRecord(
            f"issuer {issuer[:200]!r}: an https URL without query is needed; http only of the loopback"
        )
    for name, value in (("subject", subject), ("audience", audience)):
        if not value or len(value) > MAX_CLAIM_LENGTH or not (value.isascii() and value.isprintable()):
            raise InvalidRecord(f"{name}: 1 to {MAX_CLAIM_LENGTH} printable ASCII characters are needed")
    if jwks_url is not None and (len(jwks_url) > MAX_URL_LENGTH or not is_safe_url(jwks_url)):
        raise InvalidRecord(f"jwks_url {jwks_url[:200]!r}: an https URL is needed; http only of the loopback")


def is_safe_url(url: str) -> bool:
    """Whether keys may be had from a URL: https, or http of this machine itself."""
    if not url.isascii() or not url.isprintable() or " " in url:
        return False
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return False
    if not host or parts.username is not None or parts.password is not None:
        return False
    return parts.scheme == "https" or (parts.scheme == "http" and is_loopback(host))


def is_loopback(host: str) -> bool:
    """Whether a URL's host is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _decode(row: Sequence[Any]) -> Trust:
    trust_id, connection_id, issuer, subject, audience, jwks_url, created_at, last_used_at = row
    return Trust(
        id=trust_id,
        connection_id=connection_id,
        issuer=issuer,
        subject=subject,
        audience=audience,
        jwks_url=jwks_url,
        created_at=created_at,
        last_used_at=last_used_at,
    )
