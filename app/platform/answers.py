"""What an unsuccessful answer of the platform means: status and body → one `PlatformError`."""

from __future__ import annotations

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
import msgspec

from app.platform.errors import (
    Denied,
    FieldProblem,
    Missing,
    PlatformError,
    Rejected,
    Taken,
    Throttled,
    Unavailable,
    Unreadable,
)

_MAX_DETAIL = 300
_MAX_RETRY_S = 7 * 24 * 3600.0


class _Problem(msgspec.Struct, frozen=True):
    loc: tuple[str | int, ...] = ()
    msg: str = ""


class _ErrorBody(msgspec.Struct, frozen=True):
    """`{"detail": "…"}`, or the `HTTPValidationError` of a 422."""

    detail: str | tuple[_Problem, ...]


def error_of(
    call: str, status: int, headers: httpx.Headers, body: bytes, *, resource_id: str | None, wrote: bool
) -> PlatformError:
    """The error that this answer stands for.

    A 404 counts as "no such resource" only where the call names one and the body has the platform's shape: a
    misrouted 404 must never read as "user gone", or a client would create everyone again.
    """
    error = _error_body(body)
    text = _text(error)
    if status in (400, 422):
        problems = () if error is None or isinstance(error.detail, str) else error.detail
        return Rejected(call, text or f"status {status}", tuple(FieldProblem(p.loc, p.msg) for p in problems))
    if status == 404 and resource_id is not None and error is not None:
        return Missing(call, text or "not found")
    if status == 409:
        return Taken(call, text or "conflict")
    if status == 403:
        return Denied(call, text or "forbidden")
    if status == 429:
        return Throttled(call, text or "too many requests", retry_after_s(headers))
    if status >= 500 or status == 408:
        # 502-504 come from what stands before the platform; the call may have been carried out all the same.
        # A 408 is given to a request that did not arrive whole.
        doubt = wrote and status != 408
        return Unavailable(
            call, f"status {status}", outcome_unknown=doubt, retry_after_s=retry_after_s(headers)
        )
    # A redirection is not followed, and may be the answer to a write that was done (303).
    return Unreadable(call, f"unexpected status {status}", outcome_unknown=wrote and status < 400)


def retry_after_s(headers: httpx.Headers) -> float | None:
    """`Retry-After` in seconds from now (RFC 9110 §10.2.3), a week at most; None where none can be read.

    A date is compared with the answer's own `Date`, so that it does not matter how our clock is set.
    """
    value = headers.get("retry-after")
    if value is None:
        return None
    try:
        seconds = float(value)
    except ValueError:
        until = _date(value)
        if until is None:
            return None
        now = _date(headers.get("date", "")) or datetime.now(UTC)
        seconds = max(0.0, (until - now).total_seconds())
    return min(seconds, _MAX_RETRY_S) if seconds >= 0 else None


def _date(value: str) -> datetime | None:
    try:
        date = parsedate_to_datetime(value)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo is not None else date.replace(tzinfo=UTC)


def _error_body(body: bytes) -> _ErrorBody | None:
    try:
        return msgspec.json.decode(body, type=_ErrorBody)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _text(error: _ErrorBody | None) -> str:
    if error is None:
        return ""
    if isinstance(error.detail, str):
        return error.detail[:_MAX_DETAIL]
    return "; ".join(f"{'.'.join(map(str, p.loc))}: {p.msg}" for p in error.detail)[:_MAX_DETAIL]
