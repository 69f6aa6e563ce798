"""Carries out writes to users, kept by the journal where they are more than one call.

A call that is refused for good takes the earlier ones back. One that could not be made, or of which nobody
knows whether it was, leaves the rest to recovery, which finishes it: the client is told to come again, and
taking back would only make more calls at a platform that cannot answer those it has.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import NoReturn

from app.bridge.context import Context
from app.bridge.forgetting import Forgetting
from app.bridge.indexing import Indexing
from app.bridge.journaling import InHand, Journaling, may_pass, unfinished
from app.bridge.locks import user_key, user_name_key
from app.bridge.matching import Matching
from app.bridge.resources import Resources
from app.bridge.retirement import left_groups, plan_retirement
from app.bridge.steps import CreateUser, ResetPassword, UserPlan, UserStep
from app.bridge.uniqueness import explain_taken
from app.bridge.user_calls import UserCalls
from app.bridge.user_guard import UserGuard
from app.bridge.writing import plan_write, status_wanted
from app.mapping.users import UserChange
from app.platform.errors import Missing, PlatformError, Taken
from app.platform.gate import urgent
from app.scim.errors import ScimError
from app.scim.schema import Resource
from app.wire.users import PlatformUser

USER_CREATE = "user-create"
USER_UPDATE = "user-update"
USER_DELETE = "user-delete"
USER_RETIRE = "user-retire"
"""A deletion for SCIM of a user that the platform keeps."""
USER_REVIVE = "user-revive"
"""A POST that brings such a user back."""


class UserWriter:
    """Methods raise `PlatformError` and `ScimError`; callers hold the locks, and have asked the journal."""

    def __init__(
        self,
        calls: UserCalls,
        resources: Resources,
        matching: Matching,
        indexing: Indexing,
        forgetting: Forgetting,
        journaling: Journaling,
        guard: UserGuard,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._calls = calls
        self._resources = resources
        self._matching = matching
        self._indexing = indexing
        self._forgetting = forgetting
        self._journaling = journaling
        self._guard = guard
        self._now = now

    async def create(self, context: Context, wanted: Resource, change: UserChange) -> Resource:
        """Create a user: `change` is `wanted` as platform values.

        Where the status cannot be set the user is deleted: one that was to be inactive must not stay active.
        """
        entry_id = self._journaling.journal.new_id()
        new = change.as_create(
            password=wanted.get("password") if context.sets_passwords else None,
            send_welcome_email=context.send_welcome_email,
            journal=entry_id,
        )
        create = CreateUser(email=new.email, wants=status_wanted(wanted))
        keys = [user_name_key(context, wanted["userName"])]
        plan = UserPlan(create=create)
        hand = await self._journaling.begin(context, USER_CREATE, keys, plan.to_json(), entry_id=entry_id)
        try:
            user = await self._calls.create(context, new, entry_id)
        except PlatformError as exc:
            if exc.outcome_unknown:
                raise unfinished(exc, context, await hand.leave(exc)) from exc
            await hand.end()
            if isinstance(exc, Taken):
                raise await explain_taken(self._matching, context, wanted, exc) from exc
            raise
        try:
            write = plan_write(context, user, create.wants, before=None)
        except ScimError:
            await self._undo(context, user.id, UserPlan(create=create, undo=True), hand)
            raise
        if write.steps:
            plan = UserPlan(create=create, steps=write.steps)
            key = user_key(context, user.id)
            await hand.keep(plan=plan.to_json(), resource_id=user.id, keys=[key])
            user = await self._carry_out(context, user, write.steps, hand, create=create)
        return await self._recorded(context, await self._resources.one(context, user), [hand.id])

    async def update(
        self,
        context: Context,
        current: PlatformUser,
        before: Resource,
        after: Resource,
        *,
        sent: frozenset[str],
        keys: Sequence[str],
        ends: Sequence[str],
        revives: bool = False,
    ) -> Resource:
        """Make of the live user what `after` says; arguments are those of `plan_write`.

        `keys` are what the write blocks while it is not finished; the entries `ends` end with it. What
        `revives` is a POST, which is completed when it is sent again.
        """
        write = plan_write(context, current, after, before=before, sent=sent)
        try:
            async with self._guard.change(context, current, before, after, write):
                hand = None
                if revives or len(write.steps) > 1:
                    kind = USER_REVIVE if revives else USER_UPDATE
                    plan = UserPlan(steps=write.steps).to_json()
                    hand = await self._journaling.begin(context, kind, keys, plan, resource_id=current.id)
                    ends = [*ends, hand.id]
                user = await self._carry_out(context, current, write.steps, hand, write.password)
        except Taken as exc:
            raise await explain_taken(self._matching, context, after, exc, but=current.id) from exc
        found = before if user is current else await self._resources.one(context, user)
        return await self._recorded(context, found, ends)

    async def delete(self, context: Context, user: PlatformUser) -> None:
        """Delete a user, and forget it.

        One call, but for members of groups that are kept here: those must not be left in them.
        """
        hand = None
        if await self._forgetting.remembers(context, user.id):
            keys = [user_key(context, user.id)]
            plan = UserPlan().to_json()
            hand = await self._journaling.begin(context, USER_DELETE, keys, plan, resource_id=user.id)
        # Missing: somebody else was quicker, or the answer to the first call was lost.
        try:
            with suppress(Missing):
                await self._calls.delete(context, user)
        except PlatformError as exc:
            if hand is not None and exc.outcome_unknown:
                await hand.leave(exc)
            elif hand is not None:
                await hand.end()
            raise
        await self._forgetting.forget(context, user.id, [g.group_id for g in user.groups])

    async def retire(self, context: Context, user: PlatformUser, ends: Sequence[str]) -> None:
        """Delete a user for SCIM alone; the entries `ends` end with it."""
        steps = plan_retirement(context, user, self._now())
        keys, plan = [user_key(context, user.id)], UserPlan(steps=steps).to_json()
        hand = await self._journaling.begin(context, USER_RETIRE, keys, plan, resource_id=user.id)
        try:
            user = await self._carry_out(context, user, steps, hand)
        except Missing:
            # Somebody else was quicker, at the platform.
            await self._forgetting.forget(context, user.id)
            return
        resource = await self._resources.one(context, user)
        await self._forgetting.hide(context, resource, left_groups(steps), ends=[*ends, hand.id])

    async def _recorded(self, context: Context, resource: Resource, ends: Sequence[str]) -> Resource:
        """After a write: the index as the user now is. Also where nothing was sent: a try before may have
        reached the platform but not the index."""
        await self._indexing.recorded(context, resource, ends=ends)
        return resource

    async def _carry_out(
        self,
        context: Context,
        current: PlatformUser,
        steps: Sequence[UserStep],
        hand: InHand | None,
        password: str | None = None,
        *,
        create: CreateUser | None = None,
    ) -> PlatformUser:
        """Make the calls; the user as it is afterwards, `current` itself where there was nothing to do."""
        user: PlatformUser | None = current
        done: list[UserStep] = []
        for step in steps:
            if hand is not None and done:
                await hand.next()
            try:
                user = await self._calls.send(context, current, step, password)
            except PlatformError as exc:
                user = None
                if hand is not None and exc.outcome_unknown:
                    user = await self._calls.in_effect(context, current.id, step)
                if user is None:
                    plan = UserPlan(create=create, steps=tuple(done), undo=True)
                    await self._stop(context, current.id, step, plan, hand, exc)
            done.append(step)
        if user is not None:
            return user
        try:
            return await self._calls.read(context, current.id)
        except PlatformError as exc:
            await self._indexing.mark(context.tenant_id, [current.id])
            raise unfinished(exc, context, 0 if hand is None else await hand.leave(exc, due_in_s=0)) from exc

    async def _stop(
        self,
        context: Context,
        user_id: str,
        step: UserStep,
        plan: UserPlan,
        hand: InHand | None,
        error: PlatformError,
    ) -> NoReturn:
        """After a call that was not made, or perhaps not; `plan` takes back what was done before."""
        if plan.create is None and (error.outcome_unknown or plan.steps):
            await self._indexing.mark(context.tenant_id, [user_id])
        if hand is None:
            raise error
        if error.outcome_unknown or (plan.create is None and plan.steps and may_pass(error)):
            # A password in flight is in nobody's way: it is the last step, and recovery does not send it.
            waits = error.outcome_unknown and not isinstance(step, ResetPassword)
            due_in_s = await hand.leave(error, due_in_s=None if waits else 0)
            raise unfinished(error, context, due_in_s) from error
        await self._undo(context, user_id, plan, hand)
        raise error

    async def _undo(self, context: Context, user_id: str, plan: UserPlan, hand: InHand) -> None:
        """Take everything back and end the entry, or leave that to recovery."""
        if plan.steps or plan.create is not None:
            await hand.keep(state="undo", plan=plan.to_json())
            try:
                with urgent():
                    await self._calls.revert(context, user_id, plan, hand)
            except PlatformError as exc:
                await hand.leave(exc)
                return
        await hand.end()
