"""The calls behind the steps of a write to a group at the platform."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import aclosing

import structlog
from msgspec.structs import replace

from app.bridge.context import Context
from app.bridge.fan_out import FAN_OUT
from app.bridge.group_errors import name_refused, unknown_members
from app.bridge.group_steps import AddMembers, GroupPlan, GroupStep, RemoveMembers, Rename
from app.bridge.journaling import InHand, may_pass
from app.bridge.listing import full_users
from app.platform.client import PlatformClient
from app.platform.errors import Missing, PlatformError, Rejected
from app.platform.groups import GroupClient

_log = structlog.get_logger(__name__)


class GroupCalls:
    """Makes the steps of a plan, and takes them back."""

    def __init__(self, platform: PlatformClient, groups: GroupClient) -> None:
        self._platform = platform
        self._groups = groups

    async def run(
        self, context: Context, group_id: str, plan: GroupPlan, hand: InHand | None
    ) -> tuple[GroupPlan, Exception | None]:
        """Make the steps; the plan with what it has come to, and what was refused for good.

        What was refused either ends it (`undo` says so), or the rest was made all the same. Raises what may
        pass, and `Missing` where the group is gone.
        """
        refused: Exception | None = None
        steps = plan.steps
        for number, step in enumerate(steps):
            if hand is not None and number:
                await hand.next()
            plan, error = await self._send(context, group_id, step, plan)
            failed: Exception | None = error
            if isinstance(error, Missing):
                raise error
            if error is not None and may_pass(error):
                if hand is not None and plan.removed:
                    await hand.keep(plan=plan.to_json())
                raise error
            if isinstance(step, Rename) and error is not None:
                failed = name_refused(error, step.to)
            adds_more = any(isinstance(s, AddMembers) for s in steps[number + 1 :])
            if failed is None and isinstance(step, AddMembers) and not adds_more and plan.adds_nobody:
                failed = unknown_members(plan.unknown)
            if failed is None:
                continue
            if plan.undoable(number):
                partial_removal = number + isinstance(step, RemoveMembers)
                return replace(plan, undo=True, steps=steps[:partial_removal]), failed
            refused = refused or failed
        if plan.unknown:
            # Not which ones: clients put addresses in the place of ids.
            _log.warning("unknown members skipped", group_id=group_id, count=len(plan.unknown))
        return plan, refused

    async def take_back(self, context: Context, group_id: str, plan: GroupPlan, hand: InHand) -> None:
        """Undo the steps, the last one first, as far as it is known what they changed."""
        for step in reversed(plan.steps):
            await hand.keep()
            await self._revert(context, group_id, step, plan, hand)

    async def any_exists(self, context: Context, ids: Sequence[str]) -> bool:
        """Whether one of these users exists at the platform; the first, who mostly does, is asked alone."""
        for some in (ids[:1], ids[1:]):
            async with aclosing(full_users(self._platform, context.tenant_id, some)) as users:
                async for _, user in users:
                    if user is not None:
                        return True
        return False

    async def _send(
        self, context: Context, group_id: str, step: GroupStep, plan: GroupPlan
    ) -> tuple[GroupPlan, PlatformError | None]:
        """Make one step; the plan with what it has come to, and what stopped it."""
        try:
            match step:
                case Rename():
                    await self._groups.rename(context.tenant_id, group_id, step.to)
                case AddMembers():
                    unknown = await self._add(context, group_id, step.ids)
                    knows = plan.knows or len(unknown) < len(step.ids)
                    return replace(plan, unknown=(*plan.unknown, *unknown), knows=knows), None
                case RemoveMembers():
                    removed, error = await self._remove(context, group_id, step.ids)
                    return replace(plan, removed=(*plan.removed, *removed)), error
        except PlatformError as exc:
            return plan, exc
        return plan, None

    async def _revert(
        self, context: Context, group_id: str, step: GroupStep, plan: GroupPlan, hand: InHand
    ) -> None:
        """Take one step back, as far as it is known what it changed."""
        match step:
            case Rename():
                if (await self._groups.get(context.tenant_id, group_id)).name == step.to:
                    await self._groups.rename(context.tenant_id, group_id, step.was)
            case AddMembers():
                for batch in parts(step.new or (), FAN_OUT):
                    await hand.ready()
                    _, error = await self._remove(context, group_id, batch)
                    if error is not None:
                        raise error
            case RemoveMembers():
                gone = [i for i in step.ids if i in set(plan.removed)]
                for batch in parts(gone, context.mapping.platform.members_per_call):
                    await self._add(context, group_id, batch)

    async def _add(self, context: Context, group_id: str, ids: tuple[str, ...]) -> tuple[str, ...]:
        """A blind batch; only where the platform refuses it is each of its members looked up.

        Answers those that do not exist.
        """
        try:
            await self._groups.add(context.tenant_id, group_id, ids)
        except Rejected:
            known = await self._existing(context, ids)
            if known:
                await self._groups.add(context.tenant_id, group_id, known)
            return tuple(i for i in ids if i not in set(known))
        return ()

    async def _existing(self, context: Context, ids: Sequence[str]) -> tuple[str, ...]:
        async with aclosing(full_users(self._platform, context.tenant_id, ids)) as users:
            return tuple([user_id async for user_id, user in users if user is not None])

    async def _remove(
        self, context: Context, group_id: str, ids: Sequence[str]
    ) -> tuple[tuple[str, ...], PlatformError | None]:
        """Remove side by side; who was there, and what stopped others.

        One that fails stops none of the others: nobody would know of those that were cancelled.
        """
        calls = (self._groups.remove(context.tenant_id, group_id, user_id) for user_id in ids)
        results = await asyncio.gather(*calls, return_exceptions=True)
        removed = tuple(i for i, result in zip(ids, results, strict=True) if result is True)
        errors = [result for result in results if isinstance(result, BaseException)]
        for error in errors:
            if not isinstance(error, PlatformError):
                raise error
        # What is in doubt weighs more than what was refused.
        found = sorted(
            (e for e in errors if isinstance(e, PlatformError)), key=lambda e: not e.outcome_unknown
        )
        return removed, found[0] if found else None


def parts(ids: Sequence[str], size: int) -> list[tuple[str, ...]]:
    """The ids, so many at a time."""
    return [tuple(ids[start : start + size]) for start in range(0, len(ids), size)]
