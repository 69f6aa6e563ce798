"""Deleting a user for SCIM while the platform keeps it (policy `deprovision = "disable"`).

The user is disabled, leaves its groups, and is marked as deleted in its own record. The mark is last: until
then the user is there, disabled at most. With it goes the status before, for a user who comes back.
"""

from __future__ import annotations

from datetime import datetime

from app.bridge.context import Context
from app.bridge.steps import SetFields, SetMembership, SetStatus, UserStep
from app.mapping.status import plan_status
from app.mapping.users import UserChange
from app.wire.users import PlatformUser

_NOTHING = UserChange(fields={}, custom_attributes=None)


def plan_retirement(context: Context, user: PlatformUser, at: datetime) -> tuple[UserStep, ...]:
    """The steps, for a user that is not deleted yet."""
    mapping = context.mapping
    status = plan_status(
        rules=mapping.status, lift=frozenset(), present=user.status, prior=None, active=False, status=None
    )
    mark = mapping.with_deleted(_NOTHING, user, at.isoformat(timespec="seconds").replace("+00:00", "Z"))
    steps: list[UserStep] = []
    if status is not None:
        mark = mapping.with_prior_status(mark, user, status.prior)
        ends_sessions = mapping.status.terminate_sessions and context.terminate_sessions
        steps.append(SetStatus(to=status.status, was=user.status, terminate_sessions=ends_sessions))
    steps += (
        SetMembership(group_id=group.group_id, member=False)
        for group in user.groups
        if context.groups == "platform" and group.membership_type == "DIRECT"
    )
    return (*steps, SetFields.of(mark, user))


def left_groups(steps: tuple[UserStep, ...]) -> list[str]:
    """The groups at the platform that the steps take the user out of."""
    return [s.group_id for s in steps if isinstance(s, SetMembership) and not s.member]
