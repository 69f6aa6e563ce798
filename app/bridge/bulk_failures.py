"""Why operations of a bulk request were not carried out, or not to the end."""

from __future__ import annotations

from app.bridge.bulk_endpoints import Failed
from app.scim.bulk_references import PREFIX
from app.scim.errors import Conflict, ServiceUnavailable
from app.scim.values import printable

_RETRY_NOT_STARTED_S = 5
_RETRY_GOES_ON_S = 30


def circle() -> Failed:
    """Groups that are members of themselves, by each other."""
    return Failed(
        error=Conflict(
            "these operations refer to each other in a circle that cannot be kept: a group cannot be a "
            "member of itself, directly or through others (RFC 7644 §3.7.1)"
        )
    )


def depends(bulk_id: str, outcome: Failed) -> Failed:
    """What it refers to failed with `outcome`; what may go well later is 503, all else a conflict."""
    error = outcome.error
    text = f"{PREFIX}{printable(bulk_id)} stands for an operation that failed with {error.status}"
    if error.status in (429, 503):
        retry_after_s = error.retry_after_s or _RETRY_NOT_STARTED_S
        return Failed(error=ServiceUnavailable(f"{text}: try both again", retry_after_s=retry_after_s))
    return Failed(error=Conflict(f"{text}: {error.detail}"))


def not_begun() -> Failed:
    """There was no time left for it."""
    return Failed(
        error=ServiceUnavailable(
            "not begun: the bulk request took all of its time. Send this operation again",
            retry_after_s=_RETRY_NOT_STARTED_S,
        )
    )


def goes_on() -> Failed:
    """It is still under way when the answer is given."""
    return Failed(
        error=ServiceUnavailable(
            "the operation takes longer than the bulk request may, and goes on: look whether it is done "
            "before it is repeated",
            retry_after_s=_RETRY_GOES_ON_S,
        )
    )
