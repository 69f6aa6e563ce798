"""Finishes what writes to users have left behind, as their entries in the journal tell."""

from __future__ import annotations

from app.bridge.context import Context
from app.bridge.forgetting import Forgetting
from app.bridge.indexing import Indexing
from app.bridge.journaling import InHand, may_pass
from app.bridge.locks import user_key
from app.bridge.resources import Resources
from app.bridge.retirement import left_groups
from app.bridge.steps import CreateUser, UserPlan
from app.bridge.user_calls import UserCalls
from app.bridge.writing import plan_write
from app.mapping.deleted import is_deleted
from app.platform.errors import Missing, PlatformError
from app.scim.errors import ScimError
from app.scim.schema import Resource
from app.store.journal_records import Entry
from app.wire.users import PlatformUser


class UserRecovery:
    """Recovers entries that the caller has in hand, under the locks of their keys.

    Raises `PlatformError` where the rest cannot be done now, after `InHand.keep` has noted what was.
    """

    def __init__(
        self, calls: UserCalls, resources: Resources, indexing: Indexing, forgetting: Forgetting
    ) -> None:
        self._calls = calls
        self._resources = resources
        self._indexing = indexing
        self._forgetting = forgetting

    async def update(self, context: Context, entry: Entry, hand: InHand) -> None:
        """Finish the steps of a write, or take them back."""
        if (resource := await self._worked(context, entry, hand)) is not None:
            await self._indexing.recorded(context, resource, ends=[hand.id])

    async def revive(self, context: Context, entry: Entry, hand: InHand) -> None:
        """The same for a POST; a user that it has brought back is kept for the client, who may come again."""
        if (resource := await self._worked(context, entry, hand)) is None:
            return
        if is_deleted(resource):
            await self._indexing.recorded(context, resource, ends=[hand.id])
            return
        await self._indexing.recorded(context, resource)
        await hand.keep(state="done-unacknowledged")

    async def retire(self, context: Context, entry: Entry, hand: InHand) -> None:
        """The same for a deletion for SCIM alone."""
        if (resource := await self._worked(context, entry, hand)) is None:
            return
        if is_deleted(resource):
            left = left_groups(UserPlan.from_json(entry.plan).steps)
            await self._forgetting.hide(context, resource, left, ends=[hand.id])
        else:
            await self._indexing.recorded(context, resource, ends=[hand.id])

    async def create(self, context: Context, entry: Entry, hand: InHand) -> None:
        """Find out whether the user was created; if so make it what the client wanted, and keep that."""
        plan = UserPlan.from_json(entry.plan)
        user: PlatformUser | None = None
        if entry.resource_id is not None:
            user = await self._read(context, entry.resource_id)
        elif plan.create is not None:
            user = await self._calls.created(context, plan.create.email, entry.id)
        if user is not None and not plan.undo:
            if entry.resource_id is None and plan.create is not None:
                plan = _planned(context, user, plan.create)
                key = user_key(context, user.id)
                await hand.keep(plan=plan.to_json(), resource_id=user.id, keys=[key])
            user, plan = await self._finished(context, user, plan, hand)
        if user is not None and plan.undo:
            user = await self._calls.revert(context, user.id, plan, hand)
        if user is None:
            await hand.end()
            return
        await self._indexing.recorded(context, await self._resources.one(context, user))
        await hand.keep(state="done-unacknowledged")

    async def delete(self, context: Context, entry: Entry, hand: InHand) -> None:
        """Forget a user who is gone; one who is still there was not deleted, as the client was told."""
        user_id = str(entry.resource_id)
        if await self._read(context, user_id) is None:
            await self._forgetting.forget(context, user_id)
        await hand.end()

    async def _worked(self, context: Context, entry: Entry, hand: InHand) -> Resource | None:
        """The user with all steps in effect, or with all taken back; one that is gone is forgotten."""
        plan = UserPlan.from_json(entry.plan)
        user_id = str(entry.resource_id)
        user = await self._read(context, user_id)
        if user is not None and not plan.undo:
            user, plan = await self._finished(context, user, plan, hand)
        if user is not None and plan.undo:
            user = await self._calls.revert(context, user.id, plan, hand)
        if user is None:
            await self._forgetting.forget(context, user_id)
            await hand.end()
            return None
        return await self._resources.one(context, user)

    async def _finished(
        self, context: Context, user: PlatformUser, plan: UserPlan, hand: InHand
    ) -> tuple[PlatformUser, UserPlan]:
        """The user with all steps in effect, or the plan to take them back where one is refused for good."""
        if plan.undo:
            return user, plan
        try:
            return await self._calls.finish(context, user, plan.steps, hand), plan
        except PlatformError as exc:
            if may_pass(exc):
                raise
            plan = UserPlan(create=plan.create, steps=plan.steps, undo=True)
            await hand.keep(state="undo", plan=plan.to_json())
            return user, plan

    async def _read(self, context: Context, user_id: str) -> PlatformUser | None:
        try:
            return await self._calls.read(context, user_id)
        except Missing:
            return None


def _planned(context: Context, user: PlatformUser, create: CreateUser) -> UserPlan:
    """The plan with the steps that follow a creation."""
    try:
        steps = plan_write(context, user, create.wants, before=None).steps
    except ScimError:
        # What the client wants contradicts what the user has become.
        return UserPlan(create=create, undo=True)
    return UserPlan(create=create, steps=steps)
