"""What a write to an existing user comes to: the difference, and the calls that make it, in a safe order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress

import msgspec

from app.bridge.context import Context
from app.mapping.kept import kept_of
from app.mapping.status import StatusChange, plan_status
from app.mapping.users import UserChange
from app.platform.client import PlatformClient
from app.platform.errors import PlatformError, Unavailable, Unreadable
from app.platform.gate import urgent
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


def plan_write(
    context: Context,
    current: PlatformUser,
    after: Resource,
    *,
    before: Resource | None,
    sent: frozenset[str] = frozenset(),
) -> Write:
    """The difference between the live user and `after`; raises `InvalidValue` for what cannot be written.

    `before` is the live user as a resource, or None right after a creation, when only the status can differ.
    `active`, `status` and `password` in `after` are what the client wrote: absent means not written. `sent`
    is as for `UserMapping.to_platform`.
    """
    mapping = context.mapping
    change = (
        UserChange(fields={}, custom_attributes=None)
        if before is None
        else mapping.to_platform(after, before=before, current=current, domain=context.domain, sent=sent)
    )
    prior = kept_of(current.custom_attributes).prior_status
    status = status_change(context, after, present=current.status, prior=prior)
    enables = status is not None and not status.disables
    if status is not None and status.disables:
        change = mapping.with_prior_status(change, current, status.prior)
    elif enables and prior is not None:
        change = mapping.with_prior_status(change, current, None)
    return Write(
        change=change,
        status=None if status is None else _status_body(context, status, after),
        # The record of an earlier status is dropped only when that status is back: were it lost in between,
        # a second try would lift a lock or skip an approval.
        status_first=enables and prior is not None,
        password=after.get("password") if context.sets_passwords and before is not None else None,
    )


def status_change(
    context: Context, after: Resource, *, present: str, prior: str | None = None
) -> StatusChange | None:
    """The change of status that `after` asks for; raises `InvalidValue` where it contradicts itself."""
    return plan_status(
        rules=context.mapping.status,
        lift=context.lift,
        present=present,
        prior=prior,
        active=after.get("active"),
        status=after.get(PLATFORM_USER, {}).get("status"),
    )


async def carry_out(
    platform: PlatformClient, context: Context, current: PlatformUser, write: Write
) -> PlatformUser:
    """Make the calls; the user as it is afterwards, `current` itself where there was nothing to do.

    Where a later call is refused, the earlier ones are taken back before the error is raised.
    """
    tenant_id, user_id = context.tenant_id, current.id
    merges = context.mapping.platform.merges_custom_attributes
    user: PlatformUser | None = current
    undo: list[Callable[[PlatformUser], Awaitable[object]]] = []

    async def put_status() -> PlatformUser | None:
        if write.status is None:
            return user
        found = await platform.set_status(tenant_id, user_id, write.status)
        back = UserStatusUpdate(status=current.status)
        undo.append(lambda _: platform.set_status(tenant_id, user_id, back))
        return found

    try:
        if write.status_first:
            user = await put_status()
        if write.change:
            body = write.change.as_update(current, merges=merges)
            user = await platform.update_user(tenant_id, user_id, body)
            reverse = write.change.reversed(current)
            undo.append(
                lambda now: platform.update_user(tenant_id, user_id, reverse.as_update(now, merges=merges))
            )
        if not write.status_first:
            user = await put_status()
        if write.password is not None:
            method = context.mapping.platform.password_reset_method
            reset = UserPasswordReset(method=method, new_password=write.password)
            await platform.reset_password(tenant_id, user_id, reset)
            user = None
    except PlatformError as exc:
        if undo and was_refused(exc):
            with suppress(PlatformError), urgent():
                now = await platform.get_user(tenant_id, user_id)
                for step in reversed(undo):
                    await step(now)
        raise
    return user or await platform.get_user(tenant_id, user_id)


def was_refused(error: PlatformError) -> bool:
    """Whether it is certain that the failed call changed nothing."""
    if isinstance(error, Unavailable | Unreadable):
        return not error.outcome_unknown
    return True


def _status_body(context: Context, status: StatusChange, after: Resource) -> UserStatusUpdate:
    rules = context.mapping.status
    ends_sessions = status.disables and rules.terminate_sessions and context.terminate_sessions
    reason = after.get(PLATFORM_USER, {}).get("statusReason")
    return UserStatusUpdate(
        status=status.status,
        reason=reason if reason is not None else msgspec.UNSET,
        terminate_sessions=ends_sessions,
    )
