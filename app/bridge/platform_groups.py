"""Groups kept by the platform, over its tenant group endpoints."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import aclosing
from functools import partial

import structlog

from app.bridge.context import Context
from app.bridge.fan_out import gathered
from app.bridge.group_backend import Heads, Membership
from app.bridge.listing import full_users
from app.mapping.groups import GroupHead, Member
from app.planning.pages import pages_for
from app.planning.planner import PLATFORM_ID
from app.platform.client import PlatformClient
from app.platform.errors import Missing, Rejected, Taken
from app.platform.groups import GroupClient
from app.scim.errors import InvalidValue, ServiceUnavailable, TooMany, Uniqueness
from app.scim.group_changes import Delta, MemberRef
from app.wire.groups import PlatformGroup

_log = structlog.get_logger(__name__)

_SETTLE_ROUNDS = 4


class PlatformGroups:
    """Members are added in blind batches and removed one by one; the list is read only where it must be."""

    def __init__(self, platform: PlatformClient, groups: GroupClient) -> None:
        self._platform = platform
        self._groups = groups

    async def get(self, context: Context, group_id: str) -> GroupHead | None:
        """One GET."""
        try:
            return _head(await self._groups.get(context.tenant_id, group_id))
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
        return Heads(items=tuple(map(_head, rows)), total=found[-1].pagination.total_items)

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
        ids = self._candidates(members)
        found: list[Member] = []
        async with aclosing(full_users(self._platform, context.tenant_id, ids)) as users:
            async for user_id, user in users:
                if user is not None:
                    found.append(Member(id=user_id, display=user.display_name))
        return tuple(found)

    async def create(self, context: Context, name: str) -> GroupHead:
        """One POST."""
        try:
            return _head(await self._groups.create(context.tenant_id, name))
        except Taken as exc:
            raise _taken(name) from exc
        except Rejected as exc:
            raise InvalidValue(f"displayName: the platform refuses it: {exc.detail}") from exc

    async def rename(self, context: Context, group_id: str, name: str) -> None:
        """One PATCH."""
        try:
            await self._groups.rename(context.tenant_id, group_id, name)
        except Taken as exc:
            raise _taken(name) from exc
        except Rejected as exc:
            raise InvalidValue(f"displayName: the platform refuses it: {exc.detail}") from exc

    async def change(self, context: Context, group_id: str, delta: Delta) -> bool:
        """Additions first: whatever fails later, nobody who belongs to the group is missing from it."""
        wanted = delta.add if delta.only is None else delta.only
        try:
            if wanted:
                await self._add(context, group_id, wanted)
            removed: Sequence[str] = delta.remove
            if delta.only is not None:
                keep = {m.value for m in delta.only}
                present = await self.members(context, group_id)
                if present is None:
                    return False
                removed = [m.id for m in present if m.id not in keep]
            found = await self._remove(context, group_id, removed)
        except Missing:
            return False
        # An addition or a member found proves that the group exists; a removal that found nobody does not.
        proven = bool(wanted) or delta.only is not None or found
        return proven or await self.get(context, group_id) is not None

    async def delete(self, context: Context, group_id: str) -> None:
        """One DELETE; a group that is gone already is no error."""
        try:
            await self._groups.delete(context.tenant_id, group_id)
        except Missing:
            return

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
                return tuple(Member(id=row.user_id, display=row.display_name) for row in rows.values())
        raise ServiceUnavailable("the group is changing too quickly to be read whole", retry_after_s=5)

    async def memberships(
        self, context: Context, member_ids: Sequence[str]
    ) -> dict[str, tuple[Membership, ...]]:
        """One GET a user: the platform lists the groups there."""
        found: dict[str, tuple[Membership, ...]] = {}
        ids = [i for i in member_ids if PLATFORM_ID.fullmatch(i)]
        async with aclosing(full_users(self._platform, context.tenant_id, ids)) as users:
            async for user_id, user in users:
                if user is not None:
                    found[user_id] = tuple(
                        Membership(group_id=g.group_id, name=g.name, direct=g.membership_type == "DIRECT")
                        for g in user.groups
                    )
        return found

    async def _add(self, context: Context, group_id: str, members: Sequence[MemberRef]) -> None:
        """Blind batches; only where the platform refuses one is each of its members looked up."""
        ids = self._candidates(members)
        size = context.mapping.platform.members_per_call
        unknown = [m.value for m in members if m.value not in set(ids)]
        added = False
        for start in range(0, len(ids), size):
            batch = tuple(ids[start : start + size])
            try:
                await self._groups.add(context.tenant_id, group_id, batch)
                added = True
            except Rejected:
                refs = [MemberRef(value=i) for i in batch]
                known = tuple(m.id for m in await self.known(context, refs))
                unknown += [i for i in batch if i not in set(known)]
                if known:
                    await self._groups.add(context.tenant_id, group_id, known)
                    added = True
        if unknown and not added:
            raise unknown_members(unknown)
        if unknown:
            _log.warning(
                "unknown members skipped", group_id=group_id, members=unknown[:100], count=len(unknown)
            )

    async def _remove(self, context: Context, group_id: str, ids: Sequence[str]) -> bool:
        """Remove one by one, side by side; whether anybody was there."""
        usable = [i for i in ids if PLATFORM_ID.fullmatch(i)]
        remove = partial(self._groups.remove, context.tenant_id, group_id)
        return any(await gathered([partial(remove, user_id) for user_id in usable]))

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
                return tuple(map(_head, rows.values()))
        raise ServiceUnavailable(
            "groups are being added or removed too quickly to list them", retry_after_s=5
        )

    def _candidates(self, members: Sequence[MemberRef]) -> list[str]:
        """The ids that could be users; a group is refused, an impossible id is unknown."""
        groups = [m.value for m in members if m.type == "Group"]
        if groups:
            raise InvalidValue(
                f"members: the platform's groups hold users only, {groups[0][:128]!r} is named as a Group"
            )
        return [m.value for m in members if PLATFORM_ID.fullmatch(m.value)]


def unknown_members(ids: Sequence[str]) -> InvalidValue:
    """The error for a change of which no member is known."""
    shown = ", ".join(i[:128] for i in ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return InvalidValue(f"members: none of them exists in this tenant: {shown}")


def _taken(name: str) -> Uniqueness:
    return Uniqueness(f"displayName {name!r} is already in use in this tenant")


def _head(group: PlatformGroup) -> GroupHead:
    return GroupHead(
        id=group.id,
        name=group.name,
        created=group.created_at,
        modified=group.updated_at or group.created_at,
    )
