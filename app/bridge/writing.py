"""What a write to a user comes to: the difference, as steps in a safe order."""

from __future__ import annotations

import msgspec

from app.bridge.context import Context
from app.bridge.steps import FieldStep, ResetPassword, SetFields, SetStatus
from app.mapping.kept import kept_of
from app.mapping.status import StatusChange, plan_status
from app.mapping.users import UserChange
from app.scim.schema import PLATFORM_USER, Resource
from app.wire.users import PlatformUser


class Write(msgspec.Struct, frozen=True, kw_only=True):
    """The steps that a write needs, one platform call each; none where nothing differs."""

    steps: tuple[FieldStep, ...]
    """The password is always last: it can be refused by a policy, and is never repeated."""
    password: str | None
    """For its step; nowhere kept."""

    @property
    def target(self) -> str | None:
        """The status to be, or None where it stays."""
        return next((step.to for step in self.steps if isinstance(step, SetStatus)), None)


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
    # Who writes to a user that SCIM has deleted brings it back.
    change = mapping.with_deleted(change, current, None)
    prior = kept_of(current.custom_attributes).prior_status
    status = status_change(context, after, present=current.status, prior=prior)
    enables = status is not None and not status.disables
    if status is not None and status.disables:
        change = mapping.with_prior_status(change, current, status.prior)
    elif enables and prior is not None:
        change = mapping.with_prior_status(change, current, None)
    steps: list[FieldStep] = [SetFields.of(change, current)] if change else []
    if status is not None:
        # The record of an earlier status is dropped only when that status is back: were it lost in between,
        # a second try would lift a lock or skip an approval.
        first = enables and prior is not None
        steps.insert(0 if first else len(steps), _status_step(context, status, after, was=current.status))
    password = after.get("password") if context.sets_passwords and before is not None else None
    if password is not None:
        steps.append(ResetPassword())
    return Write(steps=tuple(steps), password=password)


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


def status_wanted(after: Resource) -> Resource:
    """What of a resource decides the status of a user that is created."""
    told = {k: v for k, v in after.get(PLATFORM_USER, {}).items() if k in ("status", "statusReason")}
    wanted: Resource = {PLATFORM_USER: told} if told else {}
    return {**wanted, "active": after["active"]} if after.get("active") is not None else wanted


def _status_step(context: Context, status: StatusChange, after: Resource, *, was: str) -> SetStatus:
    rules = context.mapping.status
    ends_sessions = status.disables and rules.terminate_sessions and context.terminate_sessions
    reason = after.get(PLATFORM_USER, {}).get("statusReason")
    return SetStatus(to=status.status, was=was, reason=reason, terminate_sessions=ends_sessions)
