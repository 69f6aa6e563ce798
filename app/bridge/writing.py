"""What a write to an existing user comes to: the difference, and the calls that make it, in a safe order."""

from __future__ import annotations

import msgspec

from app.bridge.context import Context
from app.mapping.kept import kept_of
from app.mapping.status import StatusChange, plan_status
from app.mapping.users import UserChange
from app.platform.client import PlatformClient
from app.scim.schema import PLATFORM_USER, Resource
from app.wire.users import PlatformUser, UserPasswordReset, UserStatusUpdate


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """The calls that a write needs; none where nothing differs."""

    change: UserChange
    """For PATCH; falsy where no field differs."""
    status: UserStatusUpdate | None
    """For PUT status."""
    status_first: bool
    """Whether the status goes before the fields."""
    password: str | None
    """For password/reset, always last: it can be refused by a policy, and is never repeated."""


def plan_write(context: Context, current: PlatformUser, after: Resource, *, before: Resource | None) -> Write:
    """The difference between the live user and `after`; raises `InvalidValue` for what cannot be written.

    `before` is the live user as a resource, or None right after a creation, when only the status can differ.
    `active`, `status` and `password` in `after` are what the client wrote: absent means not written.
    """
    mapping = context.mapping
    change = (
        UserChange(fields={}, custom_attributes=None)
        if before is None
        else mapping.to_platform(after, before=before, current=current, domain=context.domain)
    )
    prior = kept_of(current.custom_attributes).prior_status
    exact = after.get(PLATFORM_USER, {})
    status = plan_status(
        rules=mapping.status,
        lift=context.lift,
        present=current.status,
        prior=prior,
        active=after.get("active"),
        status=exact.get("status"),
    )
    enables = status is not None and not status.disables
    if status is not None and status.disables:
        change = mapping.with_prior_status(change, current, status.prior)
    elif enables and prior is not None:
        change = mapping.with_prior_status(change, current, None)
    return Write(
        change=change,
        status=None if status is None else _status_body(context, status, exact.get("statusReason")),
        # The record of an earlier status is dropped only when that status is back: were it lost in between,
        # a second try would lift a lock or skip an approval.
        status_first=enables and prior is not None,
        password=after.get("password") if context.sets_passwords and before is not None else None,
    )


async def carry_out(
    platform: PlatformClient, context: Context, current: PlatformUser, write: Write
) -> PlatformUser:
    """Make the calls; the user as it is afterwards, `current` itself where there was nothing to do."""
    user: PlatformUser | None = current

    async def put_status() -> PlatformUser | None:
        if write.status is None:
            return user
        return await platform.set_status(context.tenant_id, current.id, write.status)

    if write.status_first:
        user = await put_status()
    if write.change:
        user = await platform.update_user(context.tenant_id, current.id, write.change.as_update())
    if not write.status_first:
        user = await put_status()
    if write.password is not None:
        method = context.mapping.platform.password_reset_method
        reset = UserPasswordReset(method=method, new_password=write.password)
        await platform.reset_password(context.tenant_id, current.id, reset)
        user = None
    return user or await platform.get_user(context.tenant_id, current.id)


def _status_body(context: Context, status: StatusChange, reason: str | None) -> UserStatusUpdate:
    ends_sessions = (
        status.disables and context.mapping.status.terminate_sessions and context.terminate_sessions
    )
    return UserStatusUpdate(
        status=status.status,
        reason=reason if reason is not None else msgspec.UNSET,
        terminate_sessions=ends_sessions,
    )
