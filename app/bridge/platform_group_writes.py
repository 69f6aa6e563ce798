"""Groups kept by the platform: their writes, kept by the journal where they are more than one call.

The order of calls is: the name, additions, removals. What is most likely to be refused comes first, and
nobody is removed before it is certain that the rest can be done.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta

from msgspec import UNSET
from msgspec.structs import replace

from app.bridge.context import Context
from app.bridge.fan_out import FAN_OUT
from app.bridge.group_backend import GroupWrite, Made
from app.bridge.group_calls import GroupCalls, parts
from app.bridge.group_errors import name_refused, partly_refused, unknown_members
from app.bridge.group_steps import AddMembers, GroupPlan, GroupStep, RemoveMembers, Rename
from app.bridge.journaling import InHand, Journaling, unfinished
from app.bridge.locks import group_key, group_name_key
from app.bridge.platform_groups import PlatformGroupReads, candidates, group_head
from app.mapping.groups import GroupHead
from app.platform.client import PlatformClient
from app.platform.errors import Missing, PlatformError
from app.platform.gate import urgent
from app.platform.groups import GroupClient
from app.scim.evaluate import parse_instant
from app.scim.group_changes import MemberRef
from app.store.group_records import GroupRecord, GroupRecords, RecordChange
from app.store.journal_records import Entry
from app.store.user_index import UserIndex

GROUP_CREATE = "group-create"
GROUP_UPDATE = "group-update"

_SKEW = timedelta(minutes=10)
"""By which the platform's clock may be behind that of the database."""


class PlatformGroups(PlatformGroupReads):
    """Members are added in blind batches and removed one by one; the list is read only where it must be."""

    def __init__(
        self,
        platform: PlatformClient,
        groups: GroupClient,
        index: UserIndex,
        records: GroupRecords,
        journaling: Journaling,
    ) -> None:
        super().__init__(platform, groups, index)
        self._calls = GroupCalls(platform, groups)
        self._records = records
        self._journaling = journaling

    async def create(self, context: Context, write: GroupWrite, *, with_members: bool) -> Made:
        """One POST, and one for every batch of members; then both are read back."""
        name, creator = write.name or "", context.connection_id
        plan = GroupPlan(create=name, links=True, external_id=write.linked_to)
        plan = await self._adding(context, plan, write.delta.add, members_now=frozenset())
        keys = [group_name_key(context, name)]
        hand = await self._journaling.begin(context, GROUP_CREATE, keys, plan.to_json())
        head = await self._created(context, name, hand)
        if not plan.steps:
            version = await self._settle(context, head.id, plan, [hand.id], creator)
            return _made(head, plan, version, with_members=with_members)
        await hand.keep(resource_id=head.id, keys=[group_key(context, head.id)])
        plan = await self._done(context, head.id, plan, hand)
        version = await self._settle(context, head.id, plan, [], creator)
        try:
            head = await self._head(context, head.id)
            members = await self.members(context, head.id) if with_members else None
        except PlatformError as exc:
            raise unfinished(exc, context, await hand.leave(exc, due_in_s=0)) from exc
        await hand.end()
        return replace(_made(head, plan, version, with_members=with_members), members=members)

    async def write(
        self, context: Context, group_id: str, write: GroupWrite, *, ends: Sequence[str] = ()
    ) -> bool:
        """Make the calls that the change needs, and count it."""
        try:
            plan = await self._planned(context, group_id, write)
            hand = None
            if plan.calls > 1:
                names = [group_name_key(context, n) for n in (write.name, write.was) if n is not None]
                hand = await self._journaling.begin(
                    context,
                    GROUP_UPDATE,
                    [group_key(context, group_id), *names],
                    plan.to_json(),
                    resource_id=group_id,
                )
                ends = [*ends, hand.id]
            plan = await self._done(context, group_id, plan, hand)
            if not await self._exists(context, group_id, write, plan):
                return False
        except Missing:
            return False
        await self._settle(context, group_id, plan, ends)
        return True

    async def delete(self, context: Context, group_id: str) -> None:
        """One DELETE; a group that is gone already is no error."""
        with suppress(Missing):
            await self._groups.delete(context.tenant_id, group_id)

    async def recover_update(self, context: Context, entry: Entry, hand: InHand) -> None:
        """Finish the steps of a write, or take them back."""
        plan = GroupPlan.from_json(entry.plan)
        try:
            plan = await self._recovered(context, str(entry.resource_id), plan, entry, hand)
        except Missing:
            await hand.end()
            return
        await self._settle(context, str(entry.resource_id), plan, [hand.id])

    async def recover_create(self, context: Context, entry: Entry, hand: InHand) -> None:
        """Find out whether the group was created; if so make it whole, and keep that."""
        plan = GroupPlan.from_json(entry.plan)
        group_id = entry.resource_id
        if group_id is None:
            head = await self._seen_created(context, plan.create or "", entry.created_at)
            if head is None:
                await hand.end()
                return
            group_id = head.id
            await hand.keep(resource_id=group_id, keys=[group_key(context, group_id)])
        try:
            plan = await self._recovered(context, group_id, plan, entry, hand)
            await self._head(context, group_id)
        except Missing:
            await hand.end()
            return
        await self._settle(context, group_id, plan, [], entry.connection_id)
        await hand.keep(state="done-unacknowledged")

    async def _created(self, context: Context, name: str, hand: InHand) -> GroupHead:
        begun = datetime.now().astimezone()
        try:
            return group_head(await self._groups.create(context.tenant_id, name))
        except PlatformError as exc:
            if not exc.outcome_unknown:
                await hand.end()
                raise name_refused(exc, name) from exc
            try:
                found = await self._seen_created(context, name, begun)
            except PlatformError:
                found = None
            if found is None:
                raise unfinished(exc, context, await hand.leave(exc)) from exc
            return found

    async def _seen_created(self, context: Context, name: str, begun: datetime) -> GroupHead | None:
        """The group that a creation has made: the name was free, so it is what has it and is as new."""
        for head in await self.named(context, name):
            created = parse_instant(head.created)
            if created is None or created[0] >= begun - _SKEW:
                return head
        return None

    async def _planned(self, context: Context, group_id: str, write: GroupWrite) -> GroupPlan:
        """The steps; raises `Missing` where the group turns out not to exist."""
        delta = write.delta
        external_id = write.external_id
        plan = GroupPlan(
            links=external_id is not UNSET, external_id=write.linked_to, knows=not (delta.add or delta.only)
        )
        if write.name is not None and write.was is not None:
            plan = replace(plan, steps=(Rename(to=write.name, was=write.was),))
        removed: Sequence[str] = delta.remove
        if delta.only is not None:
            members = await self._members(context, group_id)
            keep = {m.value for m in delta.only}
            removed = [i for i in members if i not in keep]
            new = [m for m in delta.only if m.value not in members]
            plan = replace(plan, knows=len(new) < len(delta.only) or not delta.only)
            plan = await self._adding(context, plan, new, members_now=frozenset(members))
        elif delta.add:
            size = context.mapping.platform.members_per_call
            known: frozenset[str] | None = None
            if len(delta.add) > size or removed:
                known = await self._few_members(context, group_id)
            plan = await self._adding(context, plan, delta.add, members_now=known)
        if write.name is not None:
            plan = await self._possible(context, plan)
        usable = candidates([MemberRef(value=i) for i in removed])
        return replace(plan, steps=(*plan.steps, *(RemoveMembers(ids=ids) for ids in parts(usable, FAN_OUT))))

    async def _possible(self, context: Context, plan: GroupPlan) -> GroupPlan:
        """The plan, if one of its additions can be; raises `InvalidValue` where nobody of them exists.

        Known before the name is changed: to take that back would leave the group with a new time of change.
        """
        wanted = [i for step in plan.steps if isinstance(step, AddMembers) for i in step.ids]
        if plan.knows or not wanted:
            return plan
        if not await self._calls.any_exists(context, wanted):
            raise unknown_members((*plan.unknown, *wanted))
        return replace(plan, knows=True)

    async def _adding(
        self,
        context: Context,
        plan: GroupPlan,
        members: Sequence[MemberRef],
        *,
        members_now: frozenset[str] | None,
    ) -> GroupPlan:
        """The plan with the additions; raises `InvalidValue` where not one of them is possible."""
        ids = candidates(members)
        hidden = await self._index.hidden(context.tenant_id, ids)
        ids = [i for i in ids if i not in hidden]
        possible = set(ids)
        unknown = tuple(m.value for m in members if m.value not in possible)
        if unknown and not ids and not plan.knows:
            raise unknown_members(unknown)
        steps: list[GroupStep] = []
        for batch in parts(ids, context.mapping.platform.members_per_call):
            new = None if members_now is None else tuple(i for i in batch if i not in members_now)
            steps.append(AddMembers(ids=batch, new=new))
        return replace(plan, steps=(*plan.steps, *steps), unknown=unknown)

    async def _done(self, context: Context, group_id: str, plan: GroupPlan, hand: InHand | None) -> GroupPlan:
        """Make all steps for a client; raises what it is to be told, with everything taken back or left."""
        try:
            plan, refused = await self._calls.run(context, group_id, plan, hand)
        except Missing:
            if hand is not None:
                await hand.end()
            raise
        except PlatformError as exc:
            if hand is None:
                raise
            if _began_nothing(exc, plan, hand):
                await hand.end()
                raise
            due_in_s = await hand.leave(exc, due_in_s=None if exc.outcome_unknown else 0)
            raise unfinished(exc, context, due_in_s) from exc
        if refused is None:
            return plan
        if plan.undo:
            if hand is not None:
                await self._undo(context, group_id, plan, hand)
            raise refused
        await self._settle(context, group_id, plan, [] if hand is None else [hand.id])
        raise partly_refused(refused, context)

    async def _recovered(
        self, context: Context, group_id: str, plan: GroupPlan, entry: Entry, hand: InHand
    ) -> GroupPlan:
        """Make the steps that are left, or take all back; raises what stands in the way."""
        if not plan.undo:
            head = await self._head(context, group_id)
            # Somebody else has named it since, or the step was done.
            steps = tuple(
                s for s in plan.steps[entry.done :] if not isinstance(s, Rename) or s.was == head.name
            )
            left = replace(plan, steps=steps)
            done, refused = await self._calls.run(context, group_id, left, hand)
            if refused is None or not done.undo:
                return done
            plan = replace(done, steps=plan.steps)
            await hand.keep(state="undo", plan=plan.to_json())
        await self._revert(context, group_id, plan, hand)
        return replace(plan, links=False)

    async def _undo(self, context: Context, group_id: str, plan: GroupPlan, hand: InHand) -> None:
        """Take everything back and end the entry, or leave that to recovery."""
        if plan.create is not None or plan.steps:
            await hand.keep(state="undo", plan=plan.to_json())
            try:
                with urgent():
                    await self._revert(context, group_id, plan, hand)
            except PlatformError as exc:
                await hand.leave(exc)
                return
        await hand.end()

    async def _revert(self, context: Context, group_id: str, plan: GroupPlan, hand: InHand) -> None:
        if plan.create is not None:
            await self.delete(context, group_id)
        else:
            await self._calls.take_back(context, group_id, plan, hand)

    async def _settle(
        self,
        context: Context,
        group_id: str,
        plan: GroupPlan,
        ends: Sequence[str],
        creator: str | None = None,
    ) -> int:
        change = RecordChange(
            domain=context.domain,
            external_id=plan.external_id if plan.links else UNSET,
            creator=creator,
            ends=tuple(ends),
        )
        return await self._records.settle(context.tenant_id, group_id, change)

    async def _exists(self, context: Context, group_id: str, write: GroupWrite, plan: GroupPlan) -> bool:
        """All other calls prove that there is a group; removals that found nobody do not."""
        unproven = bool(write.delta.remove) and write.name is None and not write.delta.add
        return not unproven or bool(plan.removed) or await self.get(context, group_id) is not None

    async def _head(self, context: Context, group_id: str) -> GroupHead:
        return group_head(await self._groups.get(context.tenant_id, group_id))

    async def _members(self, context: Context, group_id: str) -> dict[str, None]:
        found = await self.members(context, group_id)
        if found is None:
            raise Missing("GET members", "the group does not exist")
        return {m.id: None for m in found}

    async def _few_members(self, context: Context, group_id: str) -> frozenset[str] | None:
        """All members, where one page holds them: what it costs does not grow with the group."""
        size = context.mapping.platform.per_page_max
        page = await self._groups.members(context.tenant_id, group_id, page=1, per_page=size)
        found = frozenset(row.user_id for row in page.data)
        return found if len(found) == page.pagination.total_items else None


def _made(head: GroupHead, plan: GroupPlan, version: int, *, with_members: bool) -> Made:
    record = GroupRecord(external_id=plan.external_id, version=version)
    return Made(head=head, members=() if with_members else None, record=record)


def _began_nothing(error: PlatformError, plan: GroupPlan, hand: InHand) -> bool:
    """Whether no call was made. Of removals, which go side by side, others may have been."""
    first = plan.create is None and not hand.done and not isinstance(plan.steps[0], RemoveMembers)
    return first and not error.outcome_unknown
