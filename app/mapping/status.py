"""The status enum and `active`, both directions."""

from __future__ import annotations

import msgspec

from app.mapping.model import StatusRules
from app.scim.errors import InvalidValue
from app.scim.schema import PLATFORM_USER


class StatusChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a write does to the status."""

    status: str
    """The status to set."""
    disables: bool
    """Whether the user can no longer sign in afterwards."""
    prior: str | None
    """The status to record for a later reactivation; None clears the record."""


def reads_active(status: str, rules: StatusRules) -> bool:
    """`active` for a platform status. A status that the mapping does not name is not a deprovisioning."""
    return status not in rules.inactive


def plan_status(
    *,
    rules: StatusRules,
    lift: frozenset[str],
    present: str,
    prior: str | None,
    active: bool | None,
    status: str | None,
) -> StatusChange | None:
    """The change of status that a write asks for, or None.

    `active` and `status` are what the client wrote, None where it wrote nothing; `present` is the platform's
    status and `prior` the recorded one. A value that equals the present one counts as not written, so that a
    client may echo what it read. `lift` names further statuses that `active: true` ends.
    Raises `InvalidValue` where both change and disagree, or a status is not a known one.
    """
    is_active = reads_active(present, rules)
    wants_status = status if status is not None and status != present else None
    wants_active = active if active is not None and active != is_active else None
    if wants_status is not None:
        if wants_active is not None and reads_active(wants_status, rules) != wants_active:
            raise InvalidValue(
                f"active is {str(wants_active).lower()} but {PLATFORM_USER}:status is {wants_status}: "
                "send one of them, or two that agree"
            )
        target = wants_status
    elif wants_active is False:
        target = rules.disable_to
    elif wants_active is True:
        target = prior if prior and reads_active(prior, rules) else rules.enable_to
    elif active is True and present in lift | set(rules.lift):
        target = rules.enable_to
    else:
        return None
    disables = is_active and not reads_active(target, rules)
    return StatusChange(
        status=target,
        disables=disables,
        prior=present if disables and present != rules.enable_to else None,
    )
