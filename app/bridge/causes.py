"""Why a request failed, coarse enough to be counted and to say who has to do something."""

from __future__ import annotations

from app.bridge.refusals import GuardStops, PolicyForbids
from app.platform.errors import (
    Denied,
    Missing,
    PlatformError,
    Rejected,
    Taken,
    Throttled,
    Unavailable,
)
from app.scim.errors import ScimError

_BY_STATUS = {
    0: "no-answer",
    401: "unauthenticated",
    403: "forbidden",
    404: "not-found",
    409: "conflict",
    412: "precondition",
    429: "throttled",
    502: "platform-error",
    503: "busy",
}
_BY_TYPE = {"invalidValue": "invalid-value", "invalidFilter": "invalid-filter", "tooMany": "invalid-filter"}


def cause_of(error: ScimError | int, told: BaseException | None = None) -> str:
    """The cause of an error or of a bare status; `told` is the exception that the error was made of."""
    if isinstance(error, int):
        return _BY_STATUS.get(error, "invalid-request" if 400 <= error < 500 else "bridge-error")
    first = _platform_error(told) or _platform_error(error)
    if first is not None and not isinstance(first, Missing | Taken | Denied | Rejected):
        match first:
            case Throttled():
                return "platform-throttled"
            case Unavailable():
                return "platform-unavailable"
            case _:
                return "platform-error"
    if isinstance(error, PolicyForbids):
        return "policy"
    if isinstance(error, GuardStops):
        return "stopped"
    if error.scim_type in _BY_TYPE:
        return _BY_TYPE[error.scim_type]
    return cause_of(error.status)


def quoted_in(*errors: BaseException | None) -> tuple[str, ...]:
    """What the platform itself has said of this, in which it may have quoted values."""
    first = next((found for error in errors if (found := _platform_error(error)) is not None), None)
    if first is None or not first.quotes:
        return ()
    problems = [problem.msg for problem in first.problems] if isinstance(first, Rejected) else []
    return (first.detail, *problems)


def _platform_error(error: BaseException | None) -> PlatformError | None:
    """The failed platform call behind an error: itself, or what it was raised from."""
    while error is not None:
        if isinstance(error, PlatformError):
            return error
        error = error.__cause__
    return None
