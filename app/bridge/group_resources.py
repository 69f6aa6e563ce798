"""Groups as complete SCIM resources, from whichever backend keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from app.bridge.context import Context
from app.bridge.group_backend import GroupBackend
from app.mapping.groups import GroupHead, Member, group_to_scim
from app.planning.planner import PLATFORM_ID
from app.scim.errors import NotFound
from app.scim.schema import Resource
from app.store.group_records import GroupRecord, GroupRecords


class GroupResources:
    """Reads groups; raises `NotFound` where there is none, whatever the id looks like."""

    def __init__(self, backends: Mapping[str, GroupBackend], records: GroupRecords) -> None:
        self._backends = backends
        self._records = records

    def backend(self, context: Context) -> GroupBackend:
        """Where the connection's groups are."""
        return self._backends[context.groups]

    async def head(self, context: Context, group_id: str) -> GroupHead:
        """The group without its members."""
        check_id(group_id)
        head = await self.backend(context).get(context, group_id)
        if head is None:
            raise group_missing(group_id)
        return head

    async def get(self, context: Context, group_id: str, *, with_members: bool) -> Resource:
        """The group; members are not even read where they are not wanted."""
        head = await self.head(context, group_id)
        if not with_members:
            return await self.build(context, head, members=None)
        # The counter first: were it read after the members, a change in between would go unnoticed.
        record = await self.record(context, group_id)
        members = await self.backend(context).members(context, group_id)
        if members is None:
            raise group_missing(group_id)
        return await self.build(context, head, members=members, record=record)

    async def build(
        self,
        context: Context,
        head: GroupHead,
        *,
        members: Sequence[Member] | None,
        record: GroupRecord | None = None,
    ) -> Resource:
        """The resource; without `members` it has no version either."""
        found = record or await self.record(context, head.id)
        return group_to_scim(
            head, members, external_id=found.external_id, version=found.version, base_url=context.base_url
        )

    async def record(self, context: Context, group_id: str) -> GroupRecord:
        """What the bridge remembers of the group."""
        return (await self._records.records(context.tenant_id, context.domain, [group_id]))[group_id]


def check_id(group_id: str) -> None:
    """Raise `NotFound` for what can be no id: it must not get into a path."""
    if PLATFORM_ID.fullmatch(group_id) is None:
        raise group_missing(group_id)


def group_missing(group_id: str) -> NotFound:
    """The error for a group that is not there."""
    return NotFound(f"Group {group_id[:128]!r} does not exist")
