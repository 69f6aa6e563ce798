"""Platform errors as SCIM errors: the one table of examples/protocol.md, "Errors"."""

from __future__ import annotations

import math

from app.mapping.users import UserMapping
from app.platform.errors import (
    Denied,
    Missing,
    PlatformError,
    Rejected,
    Taken,
    Throttled,
    Unauthenticated,
    Unavailable,
)
from app.scim.errors import (
    BadGateway,
    Forbidden,
    InvalidValue,
    NotFound,
    ScimError,
    ServiceUnavailable,
    TooManyRequests,
    Uniqueness,
)

DEFAULT_RETRY_S = 5
"""`Retry-After` where the platform names no time."""


def scim_error(error: PlatformError, mapping: UserMapping) -> ScimError:
    """The SCIM error that a client sees for a failed platform call."""
    match error:
        case Rejected():
            return InvalidValue(_rejection(error, mapping))
        case Missing():
            return NotFound("the resource does not exist at the platform")
        case Taken():
            return Uniqueness(_conflict(error.detail, mapping))
        case Denied():
            return Forbidden(
                "the platform does not permit this: check the rights of the bridge's client there"
            )
        case Throttled():
            return TooManyRequests(
                "the platform is busy and asks to slow down; nothing was changed",
                retry_after_s=_seconds(error.retry_after_s),
            )
        case Unavailable():
            known = "whether the change was made is not known" if error.outcome_unknown else "try again"
            return ServiceUnavailable(
                f"the platform cannot be reached now; {known}",
                retry_after_s=_seconds(error.retry_after_s),
            )
        case Unauthenticated():
            return BadGateway("the platform refuses the bridge's credentials: check client id and secret")
        case _:
            return BadGateway("the platform gave an answer that cannot be used")


def _rejection(error: Rejected, mapping: UserMapping) -> str:
    if not error.problems:
        return f"the platform refuses the values: {error.detail}"
    parts = []
    for problem in error.problems:
        place = [str(p) for p in problem.loc if p not in ("body", "query", "path")]
        name = _attribute(place, mapping) if place else "the request"
        parts.append(f"{name}: {problem.msg}")
    return "the platform refuses " + "; ".join(parts)


def _attribute(place: list[str], mapping: UserMapping) -> str:
    """The SCIM attribute behind a place in the platform's body."""
    if place[0] == "custom_attributes" and len(place) > 1:
        return mapping.attribute_of_custom(tuple(place[1:])) or ".".join(place)
    return mapping.attribute_of(place[0]) or place[0]


def _conflict(detail: str, mapping: UserMapping) -> str:
    folded = detail.lower()
    for field in ("email", "username"):
        if field in folded:
            return f"{mapping.attribute_of(field) or field} is already in use in this tenant"
    return f"a value that must be unique is already in use: {detail}"


def _seconds(value: float | None) -> int:
    return DEFAULT_RETRY_S if value is None else max(1, math.ceil(value))
