"""Groups kept in the bridge's database, for a platform without group endpoints. Groups may hold groups."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing

import structlog

from app.bridge.context import Context
from app.bridge.group_backend import GroupWrite, Heads, Made, Membership
from app.bridge.group_errors import name_taken, unknown_members
from app.bridge.listing import full_users
from app.mapping.groups import GroupHead, Member
from app.mapping.kept import kept_of
from app.planning.planner import PLATFORM_ID
from app.platform.client import PlatformClient
from app.scim.errors import InvalidValue, TooMany
from app.scim.group_changes import MemberRef
from app.store.errors import MembershipCycle, NameTaken
from app.store.group_records import GroupRecord, GroupRecords, RecordChange
from app.store.local_groups import Also, LocalGroup, LocalGroups, LocalMember

_log = structlog.get_logger(__name__)

_PAGE = 5000

DELETED_USERS = "*users"
"""Counts the users deleted in a tenant; no group can have this id."""


class StoredGroups:
    """Every change is one transaction; users are looked up at the platform before they become members."""

    def __init__(self, platform: PlatformClient, groups: LocalGroups, records: GroupRecords) -> None:
        self._platform = platform
        self._groups = groups
        self._records = records

    async def get(self, context: Context, group_id: str) -> GroupHead | None:
        """One query."""
        group = await self._groups.get(context.tenant_id, group_id)
        return None if group is None else _head(group)

    async def window(self, context: Context, offset: int, count: int) -> Heads:
        """Oldest first."""
        found, total = await self._groups.list(context.tenant_id, offset=offset, limit=count)
        return Heads(items=tuple(map(_head, found)), total=total)

    async def everything(self, context: Context, limit: int) -> tuple[GroupHead, ...]:
        """One query, bounded."""
        found, total = await self._groups.list(context.tenant_id, offset=0, limit=limit)
        if total > limit:
            raise TooMany(f"this filter or order needs all {total} groups, and at most {limit} are read")
        return tuple(map(_head, found))

    async def named(self, context: Context, name: str) -> tuple[GroupHead, ...]:
        """At most one: names are unique."""
        group = await self._groups.by_name(context.tenant_id, name)
        return () if group is None else (_head(group),)

    async def known(self, context: Context, members: Sequence[MemberRef]) -> tuple[Member, ...]:
        """Groups by a query, users by a GET each."""
        usable = [m for m in members if PLATFORM_ID.fullmatch(m.value)]
        asked = [m.value for m in usable if m.type != "User"]
        groups = await self._groups.existing(context.tenant_id, asked)
        names = {g: (await self._groups.get(context.tenant_id, g)) for g in groups}
        found = [Member(id=g, type="Group", display=head.name) for g, head in names.items() if head]
        users = [m.value for m in usable if m.type != "Group" and m.value not in groups]
        async with aclosing(full_users(self._platform, context.tenant_id, users)) as reads:
            async for user_id, user in reads:
                if user is not None and kept_of(user.custom_attributes).deleted is None:
                    found.append(Member(id=user_id, display=user.display_name))
        return tuple(found)

    async def create(self, context: Context, write: GroupWrite, *, with_members: bool) -> Made:
        """One transaction, after the unknown among the members were sorted out."""
        deletions = await self._deletions(context)
        rows, _ = await self._joining(context, "", write.delta.add)
        name = write.name or ""
        try:
            made = await self._groups.create(
                context.tenant_id, name, rows, also=self._also(context, write, creator=context.connection_id)
            )
        except NameTaken as exc:
            raise name_taken(name) from exc
        await self._look_again(context, made.id, rows, deletions)
        group = await self.get(context, made.id) or _head(made)
        return Made(
            head=group,
            members=await self.members(context, made.id) if with_members else None,
            record=GroupRecord(external_id=write.linked_to, version=1),
        )

    async def write(
        self, context: Context, group_id: str, write: GroupWrite, *, ends: Sequence[str] = ()
    ) -> bool:
        """One transaction, after the unknown among the new members were sorted out."""
        delta = write.delta
        if await self._groups.get(context.tenant_id, group_id) is None:
            return False
        deletions = await self._deletions(context)
        wanted = delta.add if delta.only is None else delta.only
        rows, kept = await self._joining(context, group_id, wanted)
        try:
            result = await self._groups.change(
                context.tenant_id,
                group_id,
                name=write.name,
                add=rows if delta.only is None else (),
                remove=delta.remove,
                only=None if delta.only is None else [*rows, *kept],
                also=self._also(context, write, ends),
                circular=write.circular,
            )
        except NameTaken as exc:
            raise name_taken(str(write.name)) from exc
        except MembershipCycle as exc:
            raise InvalidValue(
                "members: a group cannot be a member of itself, directly or through others"
            ) from exc
        await self._look_again(context, group_id, rows, deletions)
        return result.existed

    async def _joining(
        self, context: Context, group_id: str, wanted: Sequence[MemberRef]
    ) -> tuple[list[LocalMember], list[LocalMember]]:
        """Those of the members that are new and exist, and those who are members already."""
        ids = [m.value for m in wanted]
        # Whoever is a member already needs no proof of existence.
        present = await self._groups.are_members(context.tenant_id, group_id, ids)
        known = await self.known(context, [m for m in wanted if m.value not in present])
        unknown = [i for i in ids if i not in present and i not in {m.id for m in known}]
        if unknown and not known and not present:
            raise unknown_members(unknown)
        if unknown:
            # Not which ones: clients put addresses in the place of ids.
            _log.warning("unknown members skipped", group_id=group_id, count=len(unknown))
        kept = [
            LocalMember(id=m.value, type="Group" if m.type == "Group" else "User")
            for m in wanted
            if m.value in present
        ]
        return [LocalMember(id=m.id, type=m.type, display=m.display) for m in known], kept

    async def _look_again(
        self, context: Context, group_id: str, rows: Sequence[LocalMember], deletions: int
    ) -> None:
        """Where a user was deleted meanwhile; whether one of these, only a second look tells."""
        if rows and await self._deletions(context) != deletions:
            still = {m.id for m in await self.known(context, [MemberRef(value=row.id) for row in rows])}
            gone = [row.id for row in rows if row.id not in still]
            await self._groups.change(context.tenant_id, group_id, remove=gone)

    def _also(
        self, context: Context, write: GroupWrite, ends: Sequence[str] = (), creator: str | None = None
    ) -> Also:
        change = RecordChange(
            domain=context.domain, external_id=write.external_id, creator=creator, ends=tuple(ends)
        )
        return lambda db, group_id: self._records.make(db, context.tenant_id, group_id, change)

    async def _deletions(self, context: Context) -> int:
        """The counter of users deleted in this tenant, over all replicas."""
        return (await self._records.versions(context.tenant_id, [DELETED_USERS]))[DELETED_USERS]

    async def delete(self, context: Context, group_id: str) -> None:
        """One transaction; the group leaves the groups that it was in."""
        await self._groups.delete(context.tenant_id, group_id)

    async def members(self, context: Context, group_id: str) -> tuple[Member, ...] | None:
        """All pages."""
        if await self._groups.get(context.tenant_id, group_id) is None:
            return None
        found: list[Member] = []
        after: str | None = None
        while True:
            page = await self._groups.members(context.tenant_id, group_id, after=after, limit=_PAGE)
            found += [Member(id=m.id, type=m.type, display=m.display) for m in page]
            if len(page) < _PAGE:
                return tuple(found)
            after = page[-1].id

    async def memberships(
        self, context: Context, member_ids: Sequence[str]
    ) -> dict[str, tuple[Membership, ...]]:
        """One query for all of them."""
        found = await self._groups.groups_of(context.tenant_id, member_ids)
        return {
            member_id: tuple(
                Membership(group_id=g.group_id, name=g.name, direct=g.direct) for g in memberships
            )
            for member_id, memberships in found.items()
        }


def _head(group: LocalGroup) -> GroupHead:
    created = group.created_at.isoformat().replace("+00:00", "Z")
    modified = group.updated_at.isoformat().replace("+00:00", "Z") if group.updated_at else created
    return GroupHead(id=group.id, name=group.name, created=created, modified=modified)
