"""Groups kept by the platform, read over its tenant group endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

from app.bridge.context import Context
from app.bridge.fan_out import gathered
from app.bridge.group_backend import Heads, Membership
from app.bridge.listing import full_users
from app.mapping.groups import GroupHead, Member
from app.mapping.kept import kept_of
from app.planning.pages import pages_for
from app.planning.planner import PLATFORM_ID
from app.platform.client import PlatformClient
from app.platform.errors import Missing
from app.platform.groups import GroupClient
from app.scim.errors import InvalidValue, ServiceUnavailable, TooMany
from app.scim.group_changes import MemberRef
from app.store.user_index import UserIndex
from app.wire.groups import PlatformGroup

_SETTLE_ROUNDS = 4


class PlatformGroupReads:
    """What `PlatformGroups` reads."""

    def __init__(self, platform: PlatformClient, groups: GroupClient, index: UserIndex) -> None:
        """`index` knows which users the platform has and SCIM has not: they are nobody's members."""
        self._platform = platform
        self._groups = groups
        self._index = index

    async def get(self, context: Context, group_id: str) -> GroupHead | None:
        """One GET."""
        try:
            return group_head(await self._groups.get(context.tenant_id, group_id))
        except Missing:
            return None

    async def window(self, context: Context, offset: int, count: int) -> Heads:
        """The one or two pages that cover the window."""
        size, pages = pages_for(offset, max(count, 1), context.mapping.platform.per_page_max)
        found = [
            await self._groups.list(context.tenant_id, {"page": page, "per_page": size}) for page in pages
        ]
        skip = offset - (pages[0] - 1) * size
        rows = [row for page in found for row in page.data][skip : skip + count]
        return Heads(items=tuple(map(group_head, rows)), total=found[-1].pagination.total_items)

    async def everything(self, context: Context, limit: int) -> tuple[GroupHead, ...]:
        """All pages, as many rows as the platform says there are."""
        return await self._all(context, {}, limit)

    async def named(self, context: Context, name: str) -> tuple[GroupHead, ...]:
        """A search for the name, compared here; where the platform cannot search, all groups."""
        query = {"search": name} if context.mapping.platform.group_search else {}
        folded = name.casefold()
        return tuple(h for h in await self._all(context, query, None) if h.name.casefold() == folded)

    async def known(self, context: Context, members: Sequence[MemberRef]) -> tuple[Member, ...]:
        """One GET a member."""
        ids = candidates(members)
        found: list[Member] = []
        async with aclosing(full_users(self._platform, context.tenant_id, ids)) as users:
            async for user_id, user in users:
                if user is not None and kept_of(user.custom_attributes).deleted is None:
                    found.append(Member(id=user_id, display=user.display_name))
        return tuple(found)

    async def members(self, context: Context, group_id: str) -> tuple[Member, ...] | None:
        """All pages, several at a time; read again while they do not add up to the platform's total."""
        size = context.mapping.platform.per_page_max
        read = partial(self._groups.members, context.tenant_id, group_id, per_page=size)
        for _ in range(_SETTLE_ROUNDS):
            try:
                first = await read(page=1)
                rest = range(2, -(-first.pagination.total_items // size) + 1)
                pages = [first, *await gathered([partial(read, page=number) for number in rest])]
            except Missing:
                return None
            rows = {row.user_id: row for page in pages for row in page.data}
            if {page.pagination.total_items for page in pages} == {len(rows)}:
                hidden = await self._index.hidden(context.tenant_id, rows)
                shown = (row for row in rows.values() if row.user_id not in hidden)
                return tuple(Member(id=row.user_id, display=row.display_name) for row in shown)
        raise ServiceUnavailable("the group is changing too quickly to be read whole", retry_after_s=5)

    async def memberships(
        self, context: Context, member_ids: Sequence[str]
    ) -> dict[str, tuple[Membership, ...]]:
        """One GET a user: the platform lists the groups there."""
        found: dict[str, tuple[Membership, ...]] = {}
        ids = [i for i in member_ids if PLATFORM_ID.fullmatch(i)]
        async with aclosing(full_users(self._platform, context.tenant_id, ids)) as users:
            async for user_id, user in users:
                if user is not None and kept_of(user.custom_attributes).deleted is None:
                    found[user_id] = tuple(
                        Membership(group_id=g.group_id, name=g.name, direct=g.membership_type == "DIRECT")
                        for g in user.groups
                    )
        return found

    async def _all(self, context: Context, query: dict[str, str], limit: int | None) -> tuple[GroupHead, ...]:
        size = context.mapping.platform.per_page_max
        for _ in range(_SETTLE_ROUNDS):
            rows: dict[str, PlatformGroup] = {}
            totals: set[int] = set()
            number = 1
            while True:
                page = await self._groups.list(context.tenant_id, {**query, "page": number, "per_page": size})
                total = page.pagination.total_items
                totals.add(total)
                if limit is not None and total > limit:
                    raise TooMany(
                        f"this filter or order needs all {total} groups, and at most {limit} are read"
                    )
                rows.update((row.id, row) for row in page.data)
                if not page.data or number * size >= total:
                    break
                number += 1
            if totals == {len(rows)}:
                return tuple(map(group_head, rows.values()))
        raise ServiceUnavailable(
            "groups are being added or removed too quickly to list them", retry_after_s=5
        )


def candidates(members: Sequence[MemberRef]) -> list[str]:
    """The ids that could be users; a group is refused, an impossible id is unknown."""
    groups = [m.value for m in members if m.type == "Group"]
    if groups:
        raise InvalidValue(
            f"members: the platform's groups hold users only, {groups[0][:128]!r} is named as a Group"
        )
    return [m.value for m in members if PLATFORM_ID.fullmatch(m.value)]


def group_head(group: PlatformGroup) -> GroupHead:
    """A group as the platform states it."""
    return GroupHead(
        id=group.id,
        name=group.name,
        created=group.created_at,
        modified=group.updated_at or group.created_at,
    )
