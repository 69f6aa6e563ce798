"""Groups in the bridge's own database, for tenants whose platform has no place for them.

Membership is a row per member, and is written as a difference: adding what is there and removing what is not
succeed and touch nothing, and neither reads or counts the members. A change locks its group's row first, so
changes of one group come one after the other, also from several replicas; changes of different groups do not
wait for each other, unless they nest groups (see `_take_nesting_turn`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, Literal, TypeAlias

import msgspec
from sqlalchemy import (
    Connection,
    Select,
    String,
    bindparam,
    delete,
    func,
    insert,
    literal,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.store.errors import InvalidRecord, MembershipCycle, NameTaken
from app.store.keys import batches, bounded_key, is_storable
from app.store.session import Database
from app.store.sources import Clock, Ids, new_id, utc_now
from app.store.tables import local_group_members, local_groups

_BATCH = 1000
"""Members a statement; all statements of one change are one transaction."""

_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")

_groups, _members = local_groups.c, local_group_members.c

_GROUP = (_groups.id, _groups.name, _groups.created_at, _groups.updated_at)
_ORDER = (_groups.created_at, _groups.id)
_THIS_GROUP = (_groups.tenant_id == bindparam("of_tenant"), _groups.id == bindparam("of_group"))
_ITS_MEMBERS = (_members.tenant_id == bindparam("of_tenant"), _members.group_id == bindparam("of_group"))

_GET = select(*_GROUP).where(*_THIS_GROUP)
# SQLite leaves FOR UPDATE out: the transaction began with its only write lock.
_LOCK = select(_groups.name).where(*_THIS_GROUP).with_for_update()
_UPDATE = update(local_groups).where(*_THIS_GROUP)
_REMOVE = delete(local_group_members).where(
    *_ITS_MEMBERS, _members.member_id.in_(bindparam("member_ids", expanding=True))
)
_EXISTING = select(_groups.id).where(
    _groups.tenant_id == bindparam("of_tenant"), _groups.id.in_(bindparam("group_ids", expanding=True))
)
_ARE_MEMBERS = select(_members.member_id).where(
    *_ITS_MEMBERS, _members.member_id.in_(bindparam("member_ids", expanding=True))
)


def _make_ancestors() -> Select[str]:
    """The groups that contain one, at any depth; UNION keeps each once, so it ends whatever the rows say."""
    nested = (_members.tenant_id == bindparam("of_tenant"), _members.member_type == "Group")
    above = select(_members.group_id).where(*nested, _members.member_id == bindparam("of_group"))
    reached = above.cte("above", recursive=True)
    return select(
        reached.union(
            select(_members.group_id).where(*nested, _members.member_id == reached.c.group_id)
        ).c.group_id
    )


def _make_groups_of() -> Select[str, int, str, str]:
    """Member, whether direct, group and its name, for every group that contains one of `member_ids`."""
    base = select(_members.member_id, _members.group_id, literal(1).label("direct")).where(
        _members.tenant_id == bindparam("of_tenant"),
        _members.member_id.in_(bindparam("member_ids", expanding=True)),
    )
    reached = base.cte("reached", recursive=True)
    reached = reached.union(
        select(reached.c.member_id, _members.group_id, literal(0)).where(
            _members.tenant_id == bindparam("of_tenant"),
            _members.member_type == "Group",
            _members.member_id == reached.c.group_id,
        )
    )
    return (
        select(reached.c.member_id, func.max(reached.c.direct), _groups.id, _groups.name)
        .where(_groups.tenant_id == bindparam("of_tenant"), _groups.id == reached.c.group_id)
        .group_by(reached.c.member_id, _groups.id, _groups.name, _groups.created_at)
        .order_by(*_ORDER)
    )


_ANCESTORS = _make_ancestors()
_GROUPS_OF = _make_groups_of()


Also: TypeAlias = Callable[[Connection, str], object]
"""Takes the connection and the group's id."""


class LocalMember(msgspec.Struct, frozen=True, kw_only=True):
    """A member of a group."""

    id: str
    """`[A-Za-z0-9_-]{1,128}`; the id of a user on the platform, or of a group of this tenant."""
    type: Literal["User", "Group"] = "User"
    display: str | None = None
    """As it was when the member was added."""


class LocalGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group without its members."""

    id: str
    """`grp_` and 26 characters of [a-z0-9]."""
    name: str
    """Unique in the tenant, without case."""
    created_at: datetime
    updated_at: datetime
    """When its name or its membership last became another."""


class LocalMembership(msgspec.Struct, frozen=True, kw_only=True):
    """A group that somebody belongs to."""

    group_id: str
    name: str
    direct: bool
    """False: only through other groups."""


class ChangeResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a change of a group came to; all zero where everything was as wanted before."""

    existed: bool
    """False: there is no such group, and nothing was done."""
    added: int = 0
    """Members that were not there before."""
    removed: int = 0
    """Members that were there before."""
    renamed: bool = False


class LocalGroups:
    """The groups of all tenants that keep theirs here."""

    def __init__(self, db: Database, clock: Clock = utc_now, ids: Ids = new_id) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids

    async def create(
        self, tenant_id: str, name: str, members: Sequence[LocalMember] = (), *, also: Also | None = None
    ) -> LocalGroup:
        """Make a group with its members, both or neither.

        Of a member given twice the first counts; groups that do not exist are left out. Raises NameTaken, or
        InvalidRecord for a name that is empty or cannot be stored or a member's id outside its form.
        `also` is done in the same transaction.
        """
        check_name(name)
        wanted = members_by_id(members)
        now = self._clock()
        group = LocalGroup(id=self._ids("grp"), name=name, created_at=now, updated_at=now)
        async with self._db.write() as db:
            await self._take_nesting_turn(db, tenant_id, wanted.values())
            # A cycle is not possible: nothing contains the group yet.
            joining = await _without_lost_groups(db, tenant_id, wanted.values())
            with _name_taken(name):
                await db.execute(
                    insert(local_groups).values(
                        tenant_id=tenant_id, name_key=name_key(name), **msgspec.structs.asdict(group)
                    )
                )
            await self._add(db, tenant_id, group.id, joining, now)
            if also is not None:
                await db.run_sync(also, group.id)
        return group

    async def get(self, tenant_id: str, group_id: str) -> LocalGroup | None:
        """Find a group by id."""
        if not _ID.fullmatch(group_id):
            return None
        async with self._db.read() as db:
            row = (await db.execute(_GET, {"of_tenant": tenant_id, "of_group": group_id})).first()
        return None if row is None else _decode(row)

    async def by_name(self, tenant_id: str, name: str) -> LocalGroup | None:
        """Find a group by name, without case."""
        statement = select(*_GROUP).where(_groups.tenant_id == tenant_id, _groups.name_key == name_key(name))
        async with self._db.read() as db:
            row = (await db.execute(statement)).first()
        return None if row is None else _decode(row)

    async def list(
        self, tenant_id: str, *, offset: int, limit: int, name: str | None = None
    ) -> tuple[tuple[LocalGroup, ...], int]:
        """Answer a window of the groups, oldest first, and how many there are, both of one moment.

        With a `name`, of those that have it: one or none.
        """
        chosen = [_groups.tenant_id == tenant_id]
        if name is not None:
            chosen.append(_groups.name_key == name_key(name))
        total = select(func.count().label("total")).select_from(local_groups).where(*chosen).subquery()
        page = select(*_GROUP).where(*chosen).order_by(*_ORDER).limit(limit).offset(offset).subquery()
        # The total is answered also where the window is empty.
        statement = (
            select(total.c.total, *page.c)
            .select_from(total.outerjoin(page, true()))
            .order_by(page.c.created_at, page.c.id)
        )
        async with self._db.read() as db:
            rows = (await db.execute(statement)).all()
        return tuple(_decode(row[1:]) for row in rows if row[1] is not None), rows[0][0]

    async def all(self, tenant_id: str) -> tuple[LocalGroup, ...]:
        """Answer all groups of a tenant, oldest first."""
        statement = select(*_GROUP).where(_groups.tenant_id == tenant_id).order_by(*_ORDER)
        async with self._db.read() as db:
            rows = await db.execute(statement)
        return tuple(_decode(row) for row in rows)

    async def change(
        self,
        tenant_id: str,
        group_id: str,
        *,
        name: str | None = None,
        add: Sequence[LocalMember] = (),
        remove: Iterable[str] = (),
        only: Sequence[LocalMember] | None = None,
        also: Also | None = None,
        circular: bool = False,
    ) -> ChangeResult:
        """Rename a group and change its membership, all or nothing; answer what became different.

        `only` is the whole membership: the others leave, and who stays is not touched. Then `remove` counts,
        then `add`. Members there already keep the `display` they have; groups that do not exist (any more)
        are left out. The cost of `add` and `remove` does not depend on the size of the group, that of `only`
        does. `also` is done in the same transaction, where there is such a group. Raises NameTaken,
        MembershipCycle unless groups may be in a circle (`circular`), or InvalidRecord as `create` does.
        """
        if name is not None:
            check_name(name)
        adding = members_by_id(add)
        leaving = {member_id for member_id in remove if _ID.fullmatch(member_id)} - adding.keys()
        whole: dict[str, LocalMember] | None = None
        if only is not None:
            staying = {key: member for key, member in members_by_id(only).items() if key not in leaving}
            whole = staying | adding
        wanted = adding if whole is None else whole
        this = {"of_tenant": tenant_id, "of_group": group_id}
        async with self._db.write() as db:
            await self._take_nesting_turn(db, tenant_id, wanted.values())
            present_name = await db.scalar(_LOCK, this)
            if present_name is None:
                return ChangeResult(existed=False)
            new: Iterable[LocalMember] = wanted.values()
            if whole is not None:
                present = set(await db.scalars(select(_members.member_id).where(*_ITS_MEMBERS), this))
                new = [member for key, member in whole.items() if key not in present]
                leaving = present - whole.keys()
            joining = await _without_lost_groups(db, tenant_id, new)
            nested = {member.id for member in joining if member.type == "Group"}
            if nested and not circular and await _contains(db, tenant_id, group_id, nested):
                raise MembershipCycle(f"group {group_id} would become a member of itself")
            now = self._clock()
            removed = 0
            for batch in batches(sorted(leaving), _BATCH):
                removed += (await db.execute(_REMOVE, {**this, "member_ids": batch})).rowcount
            added = await self._add(db, tenant_id, group_id, joining, now)
            renamed = name is not None and name != present_name
            if renamed or added or removed:
                values: dict[str, Any] = {"updated_at": now}
                if renamed and name is not None:
                    values |= {"name": name, "name_key": name_key(name)}
                with _name_taken(name):
                    await db.execute(_UPDATE.values(**values), this)
            if also is not None:
                await db.run_sync(also, group_id)
        return ChangeResult(existed=True, added=added, removed=removed, renamed=renamed)

    async def delete(self, tenant_id: str, group_id: str) -> bool:
        """Remove a group, its members and its membership in other groups; say whether there was one."""
        if not _ID.fullmatch(group_id):
            return False
        async with self._db.write() as db:
            # Nobody may make it a member of another group meanwhile.
            await self._take_nesting_turn(db, tenant_id)
            locked = await _lock_with_parents(db, tenant_id, group_id)
            if group_id not in locked:
                return False
            await self._leave(db, tenant_id, group_id, locked)
            # The members go by ON DELETE CASCADE.
            await db.execute(
                delete(local_groups).where(*_THIS_GROUP), {"of_tenant": tenant_id, "of_group": group_id}
            )
        return True

    async def members(
        self, tenant_id: str, group_id: str, *, after: str | None = None, limit: int
    ) -> tuple[LocalMember, ...]:
        """Answer up to `limit` members after the one whose id is `after`.

        Ordered by id, which is the order of the table's key: a page costs the same wherever it begins, and
        members added or removed between two pages make none of the others appear twice or be passed over.
        """
        statement = select(_members.member_id, _members.member_type, _members.display).where(
            _members.tenant_id == tenant_id, _members.group_id == group_id
        )
        if after is not None:
            statement = statement.where(_members.member_id > after)
        async with self._db.read() as db:
            rows = await db.execute(statement.order_by(_members.member_id).limit(limit))
        return tuple(LocalMember(id=row[0], type=row[1], display=row[2]) for row in rows)

    async def are_members(self, tenant_id: str, group_id: str, member_ids: Iterable[str]) -> frozenset[str]:
        """Answer which of these are direct members of a group."""
        this = {"of_tenant": tenant_id, "of_group": group_id}
        async with self._db.read() as db:
            return await _which(db, _ARE_MEMBERS, this, "member_ids", member_ids)

    async def groups_of(
        self, tenant_id: str, member_ids: Sequence[str]
    ) -> dict[str, tuple[LocalMembership, ...]]:
        """Answer the groups each of these belongs to, directly or through other groups, the oldest first.

        Each group once, as direct where it is both; everybody asked for has an entry.
        """
        found: dict[str, list[LocalMembership]] = {member_id: [] for member_id in member_ids}
        async with self._db.read() as db:
            for batch in batches(found, _BATCH):
                rows = await db.execute(_GROUPS_OF, {"of_tenant": tenant_id, "member_ids": batch})
                for member_id, direct, group_id, name in rows:
                    found[member_id].append(
                        LocalMembership(group_id=group_id, name=name, direct=bool(direct))
                    )
        return {member_id: tuple(memberships) for member_id, memberships in found.items()}

    async def would_cycle(self, tenant_id: str, group_id: str, member_group_ids: Iterable[str]) -> bool:
        """Say whether a group would contain itself with these as members, as things are now.

        For a message before the work; `change` looks again, where it counts.
        """
        async with self._db.read() as db:
            return await _contains(db, tenant_id, group_id, set(member_group_ids))

    async def existing(self, tenant_id: str, group_ids: Iterable[str]) -> frozenset[str]:
        """Answer which of these are ids of groups."""
        async with self._db.read() as db:
            return await _which(db, _EXISTING, {"of_tenant": tenant_id}, "group_ids", group_ids)

    async def forget_member(self, tenant_id: str, member_id: str) -> tuple[str, ...]:
        """Take somebody who is gone out of all groups; answer the ids of those groups, in order.

        An addition that comes after stays: delete the user first, and look for it after adding.
        """
        if not _ID.fullmatch(member_id):
            return ()
        async with self._db.write() as db:
            locked = await _lock_with_parents(db, tenant_id, member_id)
            return await self._leave(db, tenant_id, member_id, locked)

    async def _take_nesting_turn(
        self, db: AsyncConnection, tenant_id: str, members: Iterable[LocalMember] | None = None
    ) -> None:
        """Where groups are nested, let one transaction of the tenant at a time do it.

        Two changes that lock different groups, A to take B in and B to take A in, would each find no cycle:
        neither sees what the other has not committed. So each waits here for the other's end, and looks
        then. Held too when a group is deleted, for no other to take it in meanwhile.
        """
        if members is None or any(member.type == "Group" for member in members):
            await self._db.take_turn(db, f"nested groups of {tenant_id}")

    async def _add(
        self,
        db: AsyncConnection,
        tenant_id: str,
        group_id: str,
        members: Iterable[LocalMember],
        now: datetime,
    ) -> int:
        added = 0
        statement = (
            self._db.insert(local_group_members).on_conflict_do_nothing().returning(_members.member_id)
        )
        for batch in batches(members, _BATCH):
            rows = [
                {
                    "tenant_id": tenant_id,
                    "group_id": group_id,
                    "member_id": member.id,
                    "member_type": member.type,
                    "display": member.display,
                    "added_at": now,
                }
                for member in batch
            ]
            added += len((await db.execute(statement, rows)).all())
        return added

    async def _leave(
        self, db: AsyncConnection, tenant_id: str, member_id: str, group_ids: Sequence[str]
    ) -> tuple[str, ...]:
        """Take a member out of groups that the caller has locked; answer those it was in."""
        left: list[str] = []
        for batch in batches(group_ids, _BATCH):
            ended = await db.scalars(
                delete(local_group_members)
                .where(
                    _members.tenant_id == tenant_id,
                    _members.member_id == member_id,
                    _members.group_id.in_(batch),
                )
                .returning(_members.group_id)
            )
            left += ended
        for batch in batches(left, _BATCH):
            await db.execute(
                update(local_groups)
                .where(_groups.tenant_id == tenant_id, _groups.id.in_(batch))
                .values(updated_at=self._clock())
            )
        return tuple(sorted(left))


async def _lock_with_parents(db: AsyncConnection, tenant_id: str, member_id: str) -> Sequence[str]:
    """Lock the groups that directly contain a member, and the group it is itself; answer their ids.

    In order of id, and before any of their members: two that lock several never wait for each other.
    """
    parents = select(_members.group_id).where(
        _members.tenant_id == tenant_id, _members.member_id == member_id
    )
    # A union, where an OR would go through all groups of the tenant.
    wanted = union_all(select(literal(member_id, String)), parents)
    statement = (
        select(_groups.id)
        .where(_groups.tenant_id == tenant_id, _groups.id.in_(wanted))
        .order_by(_groups.id)
        .with_for_update()
    )
    return (await db.scalars(statement)).all()


async def _which(
    db: AsyncConnection, statement: Select[str], values: dict[str, Any], name: str, ids: Iterable[str]
) -> frozenset[str]:
    found: set[str] = set()
    for batch in batches((each for each in ids if _ID.fullmatch(each)), _BATCH):
        found.update(await db.scalars(statement, {**values, name: batch}))
    return frozenset(found)


async def _contains(db: AsyncConnection, tenant_id: str, group_id: str, others: set[str]) -> bool:
    """Say whether one of the others is the group, or contains it at any depth."""
    if group_id in others:
        return True
    above = await db.scalars(_ANCESTORS, {"of_tenant": tenant_id, "of_group": group_id})
    return not others.isdisjoint(above)


async def _without_lost_groups(
    db: AsyncConnection, tenant_id: str, members: Iterable[LocalMember]
) -> Sequence[LocalMember]:
    """Leave out groups that do not exist; the caller has the nesting turn, so those that do will stay."""
    chosen = [*members]
    nested = [member.id for member in chosen if member.type == "Group"]
    if not nested:
        return chosen
    existing = await _which(db, _EXISTING, {"of_tenant": tenant_id}, "group_ids", nested)
    return [member for member in chosen if member.type == "User" or member.id in existing]


def members_by_id(members: Iterable[LocalMember]) -> dict[str, LocalMember]:
    """Each member once, the first of those given twice; raises InvalidRecord for what cannot be stored."""
    chosen: dict[str, LocalMember] = {}
    for member in members:
        if not _ID.fullmatch(member.id):
            raise InvalidRecord(f"member id {member.id!r} does not match {_ID.pattern}")
        if member.display is not None and not is_storable(member.display):
            raise InvalidRecord(f"the display of member {member.id} has characters no database takes")
        chosen.setdefault(member.id, member)
    return chosen


def check_name(name: str) -> None:
    """Raise InvalidRecord for what can be no group's name."""
    if not name.strip() or not is_storable(name):
        raise InvalidRecord("a group's name is not empty and has neither NUL nor lone surrogates")


def name_key(name: str) -> str:
    """What two names have in common that are one."""
    folded = unicodedata.normalize("NFC", name).casefold()
    return bounded_key(unicodedata.normalize("NFC", folded))


@contextmanager
def _name_taken(name: str | None) -> Iterator[None]:
    try:
        yield
    except IntegrityError as error:
        raise NameTaken(f"there is a group named {name!r} already") from error


def _decode(row: Sequence[Any]) -> LocalGroup:
    group_id, name, created_at, updated_at = row
    return LocalGroup(id=group_id, name=name, created_at=created_at, updated_at=updated_at)
