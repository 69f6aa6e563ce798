"""What the bridge remembers of groups, wherever they live: external ids, a version counter, who made them.

The platform has no place for any of it. The counter rises with every write through the bridge and every event
about the group; it makes the group's ETag.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import Connection, bindparam, delete, null, select, union_all

from app.store.journal import remove_entries
from app.store.keys import batches, bounded_key
from app.store.session import Database
from app.store.tables import group_creators, group_external_ids, group_versions

_BATCH = 5000
"""Ids a statement; drivers take some 32,000 parameters, and `records` gives each twice."""

_FIND = (
    select(group_external_ids.c.group_id)
    .where(*(group_external_ids.c[name] == bindparam(name) for name in ("tenant_id", "domain", "value")))
    .order_by(group_external_ids.c.group_id)
)
_EXTERNAL_IDS = select(
    group_external_ids.c.group_id, group_external_ids.c.value, group_external_ids.c.exact
).where(
    group_external_ids.c.tenant_id == bindparam("tenant_id"),
    group_external_ids.c.domain == bindparam("domain"),
    group_external_ids.c.group_id.in_(bindparam("group_ids", expanding=True)),
)
_VERSIONS = select(group_versions.c.group_id, group_versions.c.version).where(
    group_versions.c.tenant_id == bindparam("tenant_id"),
    group_versions.c.group_id.in_(bindparam("group_ids", expanding=True)),
)
_RECORDS = union_all(
    _EXTERNAL_IDS.add_columns(null()),
    _VERSIONS.with_only_columns(group_versions.c.group_id, null(), null(), group_versions.c.version),
)


class GroupRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of one group."""

    external_id: str | None = None
    """In the domain that was asked for."""
    version: int = 0
    """0 until the first write through the bridge."""


class RecordChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a write leaves in a group's record, beside the raised counter."""

    domain: str
    external_id: str | UnsetType | None = UNSET
    """None forgets it, UNSET leaves it."""
    creator: str | None = None
    """The connection that the write has made the group for; None where it was there before."""
    ends: tuple[str, ...] = ()
    """Entries of the journal that end with the write."""


class GroupRecords:
    """The records of all tenants' groups; a group need not be known to have one."""

    def __init__(self, db: Database) -> None:
        self._db = db

    async def settle(self, tenant_id: str, group_id: str, change: RecordChange) -> int:
        """Record what a write has changed; answer the group's new version, which no other call is given."""
        return await self._db.write_unit(lambda db: self.make(db, tenant_id, group_id, change))

    def make(self, db: Connection, tenant_id: str, group_id: str, change: RecordChange) -> int:
        """`settle` within a transaction of somebody else."""
        this = {"tenant_id": tenant_id, "domain": change.domain, "group_id": group_id}
        if change.external_id is None:
            columns = group_external_ids.c
            db.execute(delete(group_external_ids).where(*(columns[k] == v for k, v in this.items())))
        elif change.external_id is not UNSET:
            value = change.external_id
            key = bounded_key(value)
            row = {"value": key, "exact": None if key == value else value.encode("utf-8", "surrogatepass")}
            db.execute(
                self._db.insert(group_external_ids)
                .values(**this, **row)
                .on_conflict_do_update(index_elements=list(group_external_ids.primary_key), set_=row)
            )
        if change.creator is not None:
            created = {"tenant_id": tenant_id, "group_id": group_id, "connection_id": change.creator}
            db.execute(self._db.insert(group_creators).values(created).on_conflict_do_nothing())
        if change.ends:
            remove_entries(db, change.ends)
        raised = self._raise().returning(group_versions.c.version)
        return int(
            db.execute(raised, {"tenant_id": tenant_id, "group_id": group_id, "version": 1}).scalar_one()
        )

    async def external_ids(self, tenant_id: str, domain: str, group_ids: Iterable[str]) -> dict[str, str]:
        """Answer the `externalId` in a domain of those groups that have one."""
        found: dict[str, str] = {}
        async with self._db.read() as db:
            for batch in batches(group_ids, _BATCH):
                rows = await db.execute(
                    _EXTERNAL_IDS, {"tenant_id": tenant_id, "domain": domain, "group_ids": batch}
                )
                found |= {row[0]: _exact(row[1], row[2]) for row in rows}
        return found

    async def find_by_external_id(self, tenant_id: str, domain: str, value: str) -> tuple[str, ...]:
        """Answer the ids of the groups with this `externalId`, compared with case, in order."""
        async with self._db.read() as db:
            found = await db.scalars(
                _FIND, {"tenant_id": tenant_id, "domain": domain, "value": bounded_key(value)}
            )
        return tuple(found)

    async def creator(self, tenant_id: str, group_id: str) -> str | None:
        """Answer the id of the connection that has made a group; None where it was made elsewhere."""
        columns = group_creators.c
        statement = select(columns.connection_id).where(
            columns.tenant_id == tenant_id, columns.group_id == group_id
        )
        async with self._db.read() as db:
            found: str | None = await db.scalar(statement)
        return found

    async def raise_version(self, tenant_id: str, group_id: str) -> int:
        """Count one change of a group; answer its new version, which no other call is given."""
        async with self._db.write() as db:
            version = await db.scalar(
                self._raise().returning(group_versions.c.version),
                {"tenant_id": tenant_id, "group_id": group_id, "version": 1},
            )
        return int(version)

    async def raise_versions(self, tenant_id: str, group_ids: Iterable[str]) -> None:
        """Count one change of each group, all or none: what a deleted user leaves behind."""
        # In order, for two that raise the same groups not to wait for each other.
        rows = [
            {"tenant_id": tenant_id, "group_id": group_id, "version": 1}
            for group_id in sorted(set(group_ids))
        ]
        if rows:
            async with self._db.write() as db:
                await db.execute(self._raise(), rows)

    async def versions(self, tenant_id: str, group_ids: Sequence[str]) -> dict[str, int]:
        """Answer the version of each group, 0 where nothing was counted yet."""
        found = dict.fromkeys(group_ids, 0)
        async with self._db.read() as db:
            for batch in batches(group_ids, _BATCH):
                rows = await db.execute(_VERSIONS, {"tenant_id": tenant_id, "group_ids": batch})
                found |= {row[0]: row[1] for row in rows}
        return found

    async def records(self, tenant_id: str, domain: str, group_ids: Sequence[str]) -> dict[str, GroupRecord]:
        """Answer all that is remembered of each group, in one round trip for a page of them."""
        external_ids: dict[str, str] = {}
        versions: dict[str, int] = {}
        async with self._db.read() as db:
            for batch in batches(group_ids, _BATCH):
                rows = await db.execute(
                    _RECORDS, {"tenant_id": tenant_id, "domain": domain, "group_ids": batch}
                )
                for group_id, value, exact, version in rows:
                    if version is None:
                        external_ids[group_id] = _exact(value, exact)
                    else:
                        versions[group_id] = version
        return {
            group_id: GroupRecord(external_id=external_ids.get(group_id), version=versions.get(group_id, 0))
            for group_id in group_ids
        }

    async def forget(self, tenant_id: str, group_id: str, *, ends: Sequence[str] = ()) -> None:
        """Forget a group that is gone, in all domains, and its entries in the journal."""

        def make(db: Connection) -> None:
            for table in (group_external_ids, group_versions, group_creators):
                db.execute(delete(table).where(table.c.tenant_id == tenant_id, table.c.group_id == group_id))
            if ends:
                remove_entries(db, ends)

        await self._db.write_unit(make)

    def _raise(self) -> Any:
        return self._db.insert(group_versions).on_conflict_do_update(
            index_elements=list(group_versions.primary_key), set_={"version": group_versions.c.version + 1}
        )


def _exact(value: str, exact: bytes | None) -> str:
    return value if exact is None else exact.decode("utf-8", "surrogatepass")
