"""A store that keeps nothing: reads are those of the database, writes stay in memory and go with it.

For rehearsals of requests: what a step before has written is found by the steps after it, as far as writes to
users and groups look. One serves one rehearsal, of one tenant.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any

from msgspec import UNSET, UnsetType
from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from app.store.deprovisionings import Counted, Deprovisionings, GuardLimits, SizeNeeded, Stopped, decide
from app.store.group_records import GroupRecord, GroupRecords, RecordChange
from app.store.index_records import IndexedUser, View
from app.store.journal import Journal
from app.store.journal_records import Entry
from app.store.links import LinkEntry, LinkKind, Links, stored_value
from app.store.rehearsed_groups import RehearsedLocalGroups
from app.store.session import Database
from app.store.sources import Ids
from app.store.store import Store
from app.store.tables import deprovisionings
from app.store.user_index import UserIndex

_UNSAVED = -1
"""Id of a view that there is not."""


def rehearsed(store: Store, ids: Ids) -> Store:
    """The same store but for what writes to users and groups change; `ids` makes those of groups."""
    twin = copy.copy(store)
    twin.journal = _Journal(store.db, ids)
    twin.links = links = _Links(store.db, hints=0)
    twin.index = _Index(store.db, links)
    twin.group_records = _GroupRecords(store.db)
    twin.local_groups = RehearsedLocalGroups(store.db, ids=ids)
    twin.deprovisionings = _Deprovisionings(store.db)
    return twin


class _Journal(Journal):
    """Finds what there is, and takes nothing up."""

    def new_id(self) -> str:
        """One that nobody has."""
        return "dry-run"

    async def begin(self, entry_id: str, **_: Any) -> None:
        """Nothing is begun."""

    async def advance(self, entry_id: str, owner: str, **_: Any) -> None:
        """Nothing has been begun."""

    async def leave(self, entry_id: str, owner: str, **_: Any) -> None:
        """Nothing is left to be done."""

    async def end(self, entry_ids: Iterable[str]) -> None:
        """What there is stays."""

    async def claim(self, entry_id: str, owner: str, lease_s: float) -> Entry | None:
        """An unfinished write stays in the way."""
        return None


class _Links(Links):
    """Finds by their names also users that were written to here."""

    def __init__(self, db: Database, *, hints: int) -> None:
        super().__init__(db, hints=hints)
        self._written: dict[tuple[str, str, str], dict[str, None]] = {}

    def write(self, user_id: str, entries: Iterable[LinkEntry]) -> None:
        """Note the names of a user; those it had before lead to it all the same, for nothing but a look."""
        for entry in entries:
            key = (entry.kind, stored_value(entry.kind, entry.value), entry.domain)
            self._written.setdefault(key, {})[user_id] = None

    async def find(
        self, tenant_id: str, kind: LinkKind, value: str, domain: str = "", *, fresh: bool = False
    ) -> tuple[str, ...]:
        """Those of the database first."""
        found = await super().find(tenant_id, kind, value, domain, fresh=True)
        written = self._written.get((kind, stored_value(kind, value), domain), {})
        return (*found, *(i for i in written if i not in found))


class _Index(UserIndex):
    """As it is: users that are marked are not read anew, and views are not made."""

    def __init__(self, db: Database, links: _Links) -> None:
        super().__init__(db, links)
        self._names_written = links
        self._hidden: dict[str, bool] = {}

    async def view(self, tenant_id: str, domain: str, mapping: str) -> View:
        """Find a view, or say that it is empty."""
        for view in await self.views(tenant_id):
            if (view.domain, view.mapping) == (domain, mapping):
                return view
        return View(id=_UNSAVED, tenant_id=tenant_id, domain=domain, mapping=mapping)

    async def record(
        self, view: View, user: IndexedUser, links: Iterable[LinkEntry], *, ends: Sequence[str] = ()
    ) -> None:
        """Note what has to be known of the user for steps that follow."""
        self._names_written.write(user.id, links)
        self._hidden[user.id] = user.hidden

    async def record_deleted(self, tenant_id: str, user_id: str) -> None:
        """Whoever looks for the user asks the platform."""

    async def confirm(
        self,
        view: View,
        read: Mapping[str, tuple[IndexedUser, Iterable[LinkEntry]] | None],
        revisions: Mapping[str, int],
    ) -> bool:
        """What reads show is not kept."""
        return False

    async def mark(self, tenant_id: str, ids: Iterable[str]) -> None:
        """Nothing has changed."""

    async def dirty(self, view_id: int, limit: int, *, after: str = "") -> tuple[tuple[str, int], ...]:
        """Nobody is read anew."""
        return ()

    async def hidden(self, tenant_id: str, ids: Iterable[str]) -> frozenset[str]:
        """With those that were hidden here."""
        ids = list(ids)
        found = await super().hidden(tenant_id, ids)
        return frozenset(i for i in ids if self._hidden.get(i, i in found))


class _GroupRecords(GroupRecords):
    """What there is, and on top of it what was written here."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._raised: dict[str, int] = {}
        self._external_ids: dict[str, str | None] = {}
        self._creators: dict[str, str] = {}
        self._forgotten: set[str] = set()

    async def settle(self, tenant_id: str, group_id: str, change: RecordChange) -> int:
        """The version that the group would have."""
        self._note(group_id, change.external_id, change.creator)
        return (await self.versions(tenant_id, [group_id]))[group_id]

    def make(self, db: Connection | None, tenant_id: str, group_id: str, change: RecordChange) -> int:
        """The same in what would be a transaction; 0, as nobody asks here."""
        self._note(group_id, change.external_id, change.creator)
        return 0

    def _note(self, group_id: str, external_id: str | UnsetType | None, creator: str | None) -> None:
        self._raised[group_id] = self._raised.get(group_id, 0) + 1
        if external_id is not UNSET:
            self._external_ids[group_id] = external_id
        if creator is not None:
            self._creators[group_id] = creator

    async def creator(self, tenant_id: str, group_id: str) -> str | None:
        """The connection that has made a group, or would have."""
        return self._creators.get(group_id) or await super().creator(tenant_id, group_id)

    async def raise_version(self, tenant_id: str, group_id: str) -> int:
        """The version that the group would have."""
        self._note(group_id, UNSET, None)
        return (await self.versions(tenant_id, [group_id]))[group_id]

    async def raise_versions(self, tenant_id: str, group_ids: Iterable[str]) -> None:
        """Count one change of each."""
        for group_id in set(group_ids):
            self._note(group_id, UNSET, None)

    async def versions(self, tenant_id: str, group_ids: Sequence[str]) -> dict[str, int]:
        """As they would be."""
        found = await super().versions(tenant_id, group_ids)
        return {i: self._version(i, version) for i, version in found.items()}

    async def records(self, tenant_id: str, domain: str, group_ids: Sequence[str]) -> dict[str, GroupRecord]:
        """As they would be."""
        found = await super().records(tenant_id, domain, group_ids)
        return {
            i: replace(
                record,
                version=self._version(i, record.version),
                external_id=self._external_ids.get(i, None if i in self._forgotten else record.external_id),
            )
            for i, record in found.items()
        }

    async def forget(self, tenant_id: str, group_id: str, *, ends: Sequence[str] = ()) -> None:
        """From now on nothing is known of the group."""
        self._forgotten.add(group_id)
        for told in (self._raised, self._external_ids, self._creators):
            told.pop(group_id, None)

    def _version(self, group_id: str, version: int) -> int:
        return (0 if group_id in self._forgotten else version) + self._raised.get(group_id, 0)


class _Deprovisionings(Deprovisionings):
    """Counts on from what is counted."""

    def __init__(self, db: Database) -> None:
        super().__init__(db)
        self._own: dict[str, bool] = {}
        """By user, whether it would be deleted."""
        self._stopped: Stopped | None = None

    async def count(
        self, connection_id: str, user_id: str, limits: GuardLimits, *, removes: bool, size: int | None
    ) -> Counted | Stopped | SizeNeeded:
        """What `Deprovisionings.count` would answer after all that was counted here."""
        now, columns = self._clock(), deprovisionings.c
        of_connection = columns.connection_id == connection_id
        async with self._db.read() as db:
            stop = await self._stop(db, connection_id)
            if stop is None:
                of_connection &= columns.at > now - timedelta(seconds=limits.window_s)
            numbers = select(
                func.count(),
                func.count().filter(columns.removes),
                func.count().filter(columns.user_id == user_id),
            )
            row = (await db.execute(numbers.select_from(deprovisionings).where(of_connection))).one()
        counted, removed, known = row
        if known or user_id in self._own:
            if user_id in self._own:
                self._own[user_id] |= removes
            return Counted(new=False)
        if (stop := stop or self._stopped) is not None:
            return stop
        decision = decide(limits, counted + len(self._own), removed + sum(self._own.values()), size, now)
        if isinstance(decision, Counted):
            self._own[user_id] = removes
        elif isinstance(decision, Stopped):
            self._stopped = decision
        return decision

    async def forget(self, connection_id: str, user_id: str) -> None:
        """Take a user out of the count."""
        self._own.pop(user_id, None)
        self._stopped = None
