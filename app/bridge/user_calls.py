"""The calls behind the steps of a write to a user: made, finished or taken back."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import suppress

from app.bridge.context import Context
from app.bridge.journaling import InHand
from app.bridge.listing import read_all
from app.bridge.steps import ResetPassword, SetFields, SetMembership, SetStatus, UserPlan, UserStep
from app.mapping.kept import kept_of
from app.platform.client import PlatformClient
from app.platform.errors import Missing, PlatformError, Rejected, Unavailable, Unreadable
from app.platform.groups import GroupClient
from app.wire.users import PlatformUser, UserCreate, UserPasswordReset


class UserCalls:
    """Methods raise `PlatformError`."""

    def __init__(self, platform: PlatformClient, groups: GroupClient) -> None:
        self._platform = platform
        self._groups = groups

    async def read(self, context: Context, user_id: str) -> PlatformUser:
        """The user as it is; raises `Missing`."""
        return await self._platform.get_user(context.tenant_id, user_id)

    async def create(self, context: Context, new: UserCreate, entry_id: str) -> PlatformUser:
        """POST a user that carries the id of its entry; where the answer is lost, look for it at once."""
        try:
            return await self._platform.create_user(context.tenant_id, new)
        except PlatformError as exc:
            found = None
            if exc.outcome_unknown:
                found = await self._seen(self.created(context, new.email, entry_id))
            if found is None:
                raise
            return found

    async def created(self, context: Context, email: str, entry_id: str) -> PlatformUser | None:
        """The user that a creation has made: the one that carries the id of its entry."""
        capabilities = context.mapping.platform
        query = {"search": email} if "email" in capabilities.search else {}
        rows = await read_all(self._platform, context.tenant_id, capabilities, query)
        for row in rows:
            if row.email.casefold() == email.casefold():
                user = await self.read(context, row.id)
                if kept_of(user.custom_attributes).journal == entry_id:
                    return user
        return None

    async def send(
        self, context: Context, user: PlatformUser, step: UserStep, password: str | None = None
    ) -> PlatformUser | None:
        """One call; the user, where the answer holds it."""
        tenant_id = context.tenant_id
        match step:
            case SetFields():
                body = step.body(user, merges=context.mapping.platform.merges_custom_attributes)
                return await self._platform.update_user(tenant_id, user.id, body)
            case SetStatus():
                return await self._platform.set_status(tenant_id, user.id, step.body())
            case SetMembership(member=False):
                await self._groups.remove(tenant_id, step.group_id, user.id)
                return None
            case SetMembership():
                # A group that is gone meanwhile has no members to come back to.
                with suppress(Missing):
                    await self._groups.add(tenant_id, step.group_id, (user.id,))
                return None
            case ResetPassword():
                if password is not None:
                    method = context.mapping.platform.password_reset_method
                    reset = UserPasswordReset(method=method, new_password=password)
                    await self._platform.reset_password(tenant_id, user.id, reset)
                return None

    async def in_effect(self, context: Context, user_id: str, step: UserStep) -> PlatformUser | None:
        """The user, where a look at once shows that a step of unknown outcome was done."""
        if isinstance(step, ResetPassword):
            return None
        user = await self._seen(self.read(context, user_id))
        return user if user is not None and step.left(user) is None else None

    async def finish(
        self, context: Context, user: PlatformUser, steps: Sequence[UserStep], hand: InHand
    ) -> PlatformUser:
        """Make those of the calls that are not in effect."""
        for step in steps:
            if (left := step.left(user)) is not None:
                await hand.keep()
                user = await self.send(context, user, left) or await self.read(context, user.id)
        return user

    async def revert(
        self, context: Context, user_id: str, plan: UserPlan, hand: InHand
    ) -> PlatformUser | None:
        """Undo the steps, the last one first, as far as what they set is still there; the user, if any."""
        try:
            user = await self.read(context, user_id)
            if plan.create is not None:
                await self.delete(context, user)
                return None
            for step in reversed(plan.steps):
                if (back := step.back(user)) is not None:
                    await hand.keep()
                    user = await self.send(context, user, back) or await self.read(context, user_id)
        except Missing:
            return None
        return user

    async def delete(self, context: Context, user: PlatformUser) -> None:
        """DELETE; the platform wants the user's present address as confirmation. Raises `Missing`."""
        try:
            await self._platform.delete_user(context.tenant_id, user.id, user.email)
        except (Rejected, Unavailable, Unreadable) as exc:
            if not isinstance(exc, Rejected) and not exc.outcome_unknown:
                raise
            try:
                # Either the address changed between the two calls, or the deletion may have been done.
                again = await self.read(context, user.id)
                if isinstance(exc, Rejected) and again.email == user.email:
                    raise
                await self._platform.delete_user(context.tenant_id, user.id, again.email)
            except Missing:
                raise
            except PlatformError as later:
                # What was in doubt before still is.
                raise exc if exc.outcome_unknown else later from exc

    async def _seen(self, look: Awaitable[PlatformUser | None]) -> PlatformUser | None:
        """What a look shows; None also where the platform does not answer it."""
        try:
            return await look
        except PlatformError:
            return None
