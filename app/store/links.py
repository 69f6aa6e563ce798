"""The link table: which users of a tenant have this `externalId`, `userName` or e-mail address.

It supplies candidates for matching filters, and the platform supplies the truth: every id found here is
confirmed by a GET. So a row too many costs a call and never a wrong answer; values are folded and shortened
in ways that may make two of them meet, never in ways that may keep equal ones apart.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Literal

import msgspec
from sqlalchemy import bindparam, select, update

from app.store.errors import InvalidRecord
from app.store.hints import Hints
from app.store.keys import batches, bounded_key
from app.store.link_changes import LinkAdditions, LinkChange, LinkRow
from app.store.session import Database
from app.store.sources import Clock, utc_now
from app.store.tables import link_state, links

LinkKind = Literal["externalId", "userName", "email"]
"""`externalId` is case-exact and belongs to a domain; the others ignore case and belong to the tenant."""

_BATCH = 1000
"""Rows a transaction of `add_missing`: other writers get their turn in between."""

_FIND_BY = ("tenant_id", "domain", "kind", "value")
_FIND = (
    select(links.c.resource_id)
    .where(*(links.c[name] == bindparam(name) for name in _FIND_BY))
    .order_by(links.c.first_seen_at, links.c.resource_id)
)


class LinkEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One value by which a user can be found."""

    kind: LinkKind
    value: str
    """As the user has it; folded and shortened by the store."""
    domain: str = ""
    """The provisioning domain of an `externalId`; empty for the other kinds."""


class LinkState(msgspec.Struct, frozen=True, kw_only=True):
    """How far the links of a tenant's domain have been filled."""

    complete_since: datetime | None
    """Since when every user of the tenant is in the table; None: not, or not any more."""
    scanned_users: int
    """Users seen by the last sweep."""
    updated_at: datetime


class Links:
    """The links of all tenants, with hints in front of them."""

    def __init__(
        self,
        db: Database,
        clock: Clock = utc_now,
        *,
        hints: int = 20_000,
        hint_ttl_s: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hints` is how many answers are kept in the process; 0 where several replicas share a database."""
        self._db = db
        self._clock = clock
        self._hints = Hints(hints, hint_ttl_s, monotonic)

    async def find(
        self, tenant_id: str, kind: LinkKind, value: str, domain: str = "", *, fresh: bool = False
    ) -> tuple[str, ...]:
        """Answer the ids of users that may have this value, the first seen first.

        `fresh` reads the table even where a hint is at hand. Raises InvalidRecord for an `externalId` without
        domain, or another kind with one.
        """
        row = _row_of(kind, value, domain)
        key = (tenant_id, *row)
        if not fresh:
            hint = self._hints.get(key)
            if hint is not None:
                return hint
        epoch = self._hints.epoch
        by = dict(zip(_FIND_BY, key, strict=True))
        ids = await self._db.read_unit(lambda db: tuple(db.scalars(_FIND, by)))
        self._hints.put(key, ids, epoch)
        return ids

    async def replace(
        self, tenant_id: str, resource_id: str, entries: Iterable[LinkEntry], *, domain: str | None = None
    ) -> bool:
        """Make `entries` the links of a user; say whether anything had to be written.

        With a `domain`, `externalId` links of other domains are left alone (and may not be among `entries`);
        without, `entries` are all the user has. Links that stay keep their place in the order.
        """
        change = self.change(tenant_id, resource_id, entries, domain=domain)
        if await self._db.read_unit(change.is_made):
            return False
        try:
            await self._db.write_unit(change.make)
        finally:
            # Also when the outcome of the commit is unknown.
            change.drop_hints()
        return True

    def change(
        self,
        tenant_id: str,
        resource_id: str,
        entries: Iterable[LinkEntry],
        *,
        domain: str | None = None,
    ) -> LinkChange:
        """What `replace` does, for a transaction that does more.

        Raises InvalidRecord as `replace` does.
        """
        wanted = {_row_of(entry.kind, entry.value, entry.domain) for entry in entries}
        if domain is not None and any(row[0] not in ("", domain) for row in wanted):
            raise InvalidRecord(f"links of another domain than {domain!r}")
        of = (tenant_id, resource_id, domain)
        return LinkChange(self._db, self._clock, self._hints, of, wanted)

    async def add_missing(self, tenant_id: str, many: Iterable[tuple[str, LinkEntry]]) -> None:
        """Add links, given as user id and entry, that are not there yet; remove none.

        Written in batches, each a transaction of its own: what was written before a failure stays.
        """
        for batch in batches(many, _BATCH):
            additions = self.additions(tenant_id, batch)
            try:
                await self._db.write_unit(additions.make)
            finally:
                additions.drop_hints()

    def additions(self, tenant_id: str, many: Iterable[tuple[str, LinkEntry]]) -> LinkAdditions:
        """What `add_missing` does, for a transaction that does more."""
        rows = {(user, _row_of(entry.kind, entry.value, entry.domain)) for user, entry in many}
        return LinkAdditions(self._db, self._clock, self._hints, tenant_id, rows)

    async def forget(self, tenant_id: str, resource_id: str) -> None:
        """Remove all links of a user, of every domain."""
        await self.replace(tenant_id, resource_id, ())

    async def state(self, tenant_id: str, domain: str) -> LinkState | None:
        """Answer how far a domain's links are filled, None if they never were."""
        statement = select(
            link_state.c.complete_since, link_state.c.scanned_users, link_state.c.updated_at
        ).where(link_state.c.tenant_id == tenant_id, link_state.c.domain == domain)
        async with self._db.read() as db:
            row = (await db.execute(statement)).first()
        if row is None:
            return None
        return LinkState(complete_since=row[0], scanned_users=row[1], updated_at=row[2])

    async def set_state(
        self, tenant_id: str, domain: str, *, complete_since: datetime | None, scanned_users: int
    ) -> LinkState:
        """Record how far a domain's links are filled; answer what was recorded."""
        state = LinkState(
            complete_since=complete_since, scanned_users=scanned_users, updated_at=self._clock()
        )
        values = msgspec.structs.asdict(state)
        statement = (
            self._db.insert(link_state)
            .values(tenant_id=tenant_id, domain=domain, **values)
            .on_conflict_do_update(index_elements=[link_state.c.tenant_id, link_state.c.domain], set_=values)
        )
        async with self._db.write() as db:
            await db.execute(statement)
        return state

    async def invalidate(self, tenant_id: str) -> None:
        """Declare the links of a tenant incomplete in every domain, and drop its hints; the rows stay."""
        statement = (
            update(link_state)
            .where(link_state.c.tenant_id == tenant_id)
            .values(complete_since=None, updated_at=self._clock())
        )
        try:
            async with self._db.write() as db:
                await db.execute(statement)
        finally:
            self._hints.drop_tenant(tenant_id)


def stored_value(kind: LinkKind, value: str) -> str:
    """Answer the form in which a value is stored and looked for.

    Case is folded except in an `externalId`; what is too long or cannot be stored becomes a digest.
    """
    return bounded_key(value if kind == "externalId" else value.casefold())


def _row_of(kind: LinkKind, value: str, domain: str) -> LinkRow:
    if (kind == "externalId") is not bool(domain):
        raise InvalidRecord("an externalId link belongs to a domain, the other kinds to none")
    return domain, kind, stored_value(kind, value)
