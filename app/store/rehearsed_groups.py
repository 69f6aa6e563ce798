"""Groups of the bridge's own database as they would be after writes that are only thought."""

from __future__ import annotations

import builtins
from collections.abc import Iterable, Sequence
from typing import Any, cast

from app.store.errors import MembershipCycle, NameTaken
from app.store.local_groups import (
    Also,
    ChangeResult,
    LocalGroup,
    LocalGroups,
    LocalMember,
    LocalMembership,
    check_name,
    members_by_id,
    name_key,
)
from app.store.session import Database
from app.store.sources import Ids

_PAGE = 5000

_NO_DATABASE = cast(Any, None)
"""What is done beside a change knows by itself that nothing is written."""


class RehearsedLocalGroups(LocalGroups):
    """Reads the database; writes are kept here. For one tenant.

    Rules and errors are those of `LocalGroups`.
    """

    def __init__(self, db: Database, *, ids: Ids) -> None:
        super().__init__(db, ids=ids)
        self._written: dict[str, LocalGroup | None] = {}
        """Groups that were made or changed here, None for one that is gone."""
        self._made: set[str] = set()
        self._changed: dict[str, dict[str, LocalMember | None]] = {}
        """By group and member: who would have joined, None for who would have left."""

    async def create(
        self, tenant_id: str, name: str, members: Sequence[LocalMember] = (), *, also: Also | None = None
    ) -> LocalGroup:
        """The group that would be made."""
        check_name(name)
        wanted = members_by_id(members)
        await self._check_free(tenant_id, name)
        now = self._clock()
        group = LocalGroup(id=self._ids("grp"), name=name, created_at=now, updated_at=now)
        joining = await self._without_lost(tenant_id, wanted.values())
        self._written[group.id] = group
        self._made.add(group.id)
        self._changed[group.id] = {member.id: member for member in joining}
        if also is not None:
            also(_NO_DATABASE, group.id)
        return group

    async def get(self, tenant_id: str, group_id: str) -> LocalGroup | None:
        """A group as it would be."""
        if group_id in self._written:
            return self._written[group_id]
        return await super().get(tenant_id, group_id)

    async def by_name(self, tenant_id: str, name: str) -> LocalGroup | None:
        """The group that would have this name."""
        for group in self._written.values():
            if group is not None and name_key(group.name) == name_key(name):
                return group
        found = await super().by_name(tenant_id, name)
        return None if found is None or found.id in self._written else found

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
        """What the change would come to."""
        if name is not None:
            check_name(name)
        adding = members_by_id(add)
        leaving = set(remove) - adding.keys()
        group = await self.get(tenant_id, group_id)
        if group is None:
            return ChangeResult(existed=False)
        if only is not None:
            staying = {key: member for key, member in members_by_id(only).items() if key not in leaving}
            adding = staying | adding
            leaving = {m.id for m in await self._all_members(tenant_id, group_id)} - adding.keys()
        present = await self.are_members(tenant_id, group_id, [*adding, *leaving])
        joining = await self._without_lost(tenant_id, (m for k, m in adding.items() if k not in present))
        nested = {member.id for member in joining if member.type == "Group"}
        if nested and not circular and await self._is_within(tenant_id, group_id, nested):
            raise MembershipCycle(f"group {group_id} would become a member of itself")
        renamed = name is not None and name != group.name
        if renamed and name is not None:
            await self._check_free(tenant_id, name, but=group_id)
        changed = self._changed.setdefault(group_id, {})
        changed.update((member.id, member) for member in joining)
        changed.update((member_id, None) for member_id in leaving & present)
        if renamed or joining or leaving & present:
            self._written[group_id] = LocalGroup(
                id=group_id,
                name=group.name if name is None else name,
                created_at=group.created_at,
                updated_at=self._clock(),
            )
        if also is not None:
            also(_NO_DATABASE, group_id)
        return ChangeResult(existed=True, added=len(joining), removed=len(leaving & present), renamed=renamed)

    async def delete(self, tenant_id: str, group_id: str) -> bool:
        """Whether there is such a group; from now on there is none."""
        if await self.get(tenant_id, group_id) is None:
            return False
        await self.forget_member(tenant_id, group_id)
        self._written[group_id] = None
        self._changed.pop(group_id, None)
        return True

    async def members(
        self, tenant_id: str, group_id: str, *, after: str | None = None, limit: int
    ) -> tuple[LocalMember, ...]:
        """A page of those who would be members."""
        if not self._changed.get(group_id):
            return await self._members_before(tenant_id, group_id, after, limit)
        found = await self._all_members(tenant_id, group_id)
        return tuple(m for m in found if after is None or m.id > after)[:limit]

    async def are_members(self, tenant_id: str, group_id: str, member_ids: Iterable[str]) -> frozenset[str]:
        """Which of these would be direct members."""
        ids = list(member_ids)
        found: frozenset[str] = frozenset()
        if group_id not in self._made:
            found = await super().are_members(tenant_id, group_id, ids)
        changed = self._changed.get(group_id, {})
        return frozenset(i for i in ids if (changed[i] is not None if i in changed else i in found))

    async def groups_of(
        self, tenant_id: str, member_ids: Sequence[str]
    ) -> dict[str, tuple[LocalMembership, ...]]:
        """The groups that each of these would belong to."""
        if not self._written and not self._changed:
            return await super().groups_of(tenant_id, member_ids)
        return {member_id: await self._groups_of(tenant_id, member_id) for member_id in member_ids}

    async def existing(self, tenant_id: str, group_ids: Iterable[str]) -> frozenset[str]:
        """Which of these would be ids of groups."""
        ids = list(group_ids)
        found = await super().existing(tenant_id, ids)
        return frozenset(i for i in ids if self._written.get(i, i in found))

    async def forget_member(self, tenant_id: str, member_id: str) -> tuple[str, ...]:
        """The groups that somebody would leave who is gone."""
        left = [g.group_id for g in await self._groups_of(tenant_id, member_id) if g.direct]
        for group_id in left:
            self._changed.setdefault(group_id, {})[member_id] = None
        return tuple(sorted(left))

    async def _check_free(self, tenant_id: str, name: str, but: str | None = None) -> None:
        other = await self.by_name(tenant_id, name)
        if other is not None and other.id != but:
            raise NameTaken(f"there is a group named {name!r} already")

    async def _without_lost(
        self, tenant_id: str, members: Iterable[LocalMember]
    ) -> builtins.list[LocalMember]:
        chosen = [*members]
        groups = await self.existing(tenant_id, [m.id for m in chosen if m.type == "Group"])
        return [m for m in chosen if m.type == "User" or m.id in groups]

    async def _is_within(self, tenant_id: str, group_id: str, others: set[str]) -> bool:
        above = {g.group_id for g in await self._groups_of(tenant_id, group_id)}
        return group_id in others or not others.isdisjoint(above)

    async def _groups_of(self, tenant_id: str, member_id: str) -> tuple[LocalMembership, ...]:
        """The groups above, level by level; the oldest first."""
        direct = await self._parents(tenant_id, [member_id])
        found, level = set(direct), direct
        while level:
            level = await self._parents(tenant_id, level) - found
            found |= level
        groups = [group for i in found if (group := await self.get(tenant_id, i)) is not None]
        groups.sort(key=lambda group: (group.created_at, group.id))
        return tuple(LocalMembership(group_id=g.id, name=g.name, direct=g.id in direct) for g in groups)

    async def _parents(self, tenant_id: str, member_ids: Iterable[str]) -> set[str]:
        """The groups that would have one of these as a direct member."""
        ids = list(member_ids)
        before = await super().groups_of(tenant_id, ids)
        found = {
            g.group_id
            for member_id, groups in before.items()
            for g in groups
            if g.direct and member_id not in self._changed.get(g.group_id, {})
        }
        found |= {g for g, members in self._changed.items() if any(members.get(i) for i in ids)}
        return {g for g in found if self._written.get(g, g) is not None}

    async def _all_members(self, tenant_id: str, group_id: str) -> builtins.list[LocalMember]:
        rows: dict[str, LocalMember] = {}
        after: str | None = None
        while True:
            page = await self._members_before(tenant_id, group_id, after, _PAGE)
            rows |= {m.id: m for m in page}
            if len(page) < _PAGE:
                break
            after = page[-1].id
        for member_id, member in self._changed.get(group_id, {}).items():
            rows.pop(member_id, None)
            if member is not None:
                rows[member_id] = member
        return [rows[member_id] for member_id in sorted(rows)]

    async def _members_before(
        self, tenant_id: str, group_id: str, after: str | None, limit: int
    ) -> tuple[LocalMember, ...]:
        if group_id in self._made:
            return ()
        return await super().members(tenant_id, group_id, after=after, limit=limit)
