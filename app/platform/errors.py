"""How a platform call can fail, and what a failed write may have left behind.

| Failure | Error | The write |
|---|---|---|
| no connection, or its time-out; no turn or no token in time; circuit open | `Unavailable` | not applied |
| 408; the token endpoint does not answer | `Unavailable` | not applied |
| 429, or the pause that an earlier 429 asked for | `Throttled` | not applied |
| 400, 422 | `Rejected` | not applied |
| 401 twice, or no token to be had | `Unauthenticated` | not applied |
| 403; 404 in the platform's form; 409 | `Denied`; `Missing`; `Taken` | not applied |
| another 4xx, a 404 of another form | `Unreadable` | not applied |
| 5xx: also a 503, which may come from a proxy that has passed the call on | `Unavailable` | unknown |
| sent, then no answer in time, a reset, a broken or cut-off answer | `Unavailable` | unknown |
| an unexpected status below 400; a body too large or not of the platform's form | `Unreadable` | unknown |

`outcome_unknown` says so of writes; it is False for reads, which leave nothing behind. A write that is
repeated keeps its doubt: where one attempt ended in the lower part of the table and the last one in the
upper, the error says unknown, unless the platform itself refused the same write (`Rejected`, `Missing`,
`Taken`, `Denied`). A `Missing` of a deletion can therefore be the work of its own first attempt.

`bridge.faults` turns each error into the SCIM error that a client sees.
"""

from __future__ import annotations

from typing import NamedTuple

from app.mapping.wording import plain_words


class FieldProblem(NamedTuple):
    """One entry of the platform's 422 body."""

    loc: tuple[str | int, ...]
    msg: str


class PlatformError(Exception):
    """A platform call that did not do what it was for.

    `call` is method and path, without query, and where `detail` is what the platform said, the text has only
    its plain words: so that no personal data reaches a log.
    """

    quotes: bool = False
    """Whether `detail` is the platform's own words, in which values may be quoted."""

    outcome_unknown: bool = False
    """True when the platform may have carried the write out all the same."""
    retry_after_s: float | None = None
    """Seconds after which a new try makes sense, where that is known."""

    def __init__(self, call: str, detail: str) -> None:
        super().__init__(f"{call}: {plain_words(detail) if self.quotes else detail}")
        self.call = call
        self.detail = detail


class Rejected(PlatformError):
    """400 or 422: the platform does not take the values. Nothing was changed."""

    quotes = True

    def __init__(self, call: str, detail: str, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(call, detail)
        self.problems = problems


class Missing(PlatformError):
    """404 in the platform's own shape: what the call names does not exist."""

    quotes = True


class Taken(PlatformError):
    """409: a value that must be unique is in use."""

    quotes = True


class Denied(PlatformError):
    """403: the bridge's client may not do this."""

    quotes = True


class Throttled(PlatformError):
    """429, or not sent because of one: asked to slow down; nothing was changed."""

    quotes = True

    def __init__(self, call: str, detail: str, retry_after_s: float | None) -> None:
        super().__init__(call, detail)
        self.retry_after_s = retry_after_s


class Unavailable(PlatformError):
    """5xx, a time-out, or no connection."""

    def __init__(
        self, call: str, detail: str, *, outcome_unknown: bool, retry_after_s: float | None = None
    ) -> None:
        super().__init__(call, detail)
        self.outcome_unknown = outcome_unknown
        self.retry_after_s = retry_after_s


class CircuitOpen(Unavailable):
    """Not sent: the platform has failed again and again, and is left alone for a while."""

    def __init__(self, call: str, detail: str, retry_after_s: float) -> None:
        super().__init__(call, detail, outcome_unknown=False, retry_after_s=retry_after_s)


class Unreadable(PlatformError):
    """The answer is not one that the platform's API gives: not its JSON, or an unexpected status."""

    def __init__(self, call: str, detail: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(call, detail)
        self.outcome_unknown = outcome_unknown


class Unauthenticated(PlatformError):
    """401 although the token was renewed, or no token could be had."""


def in_doubt(error: PlatformError) -> PlatformError:
    """The error of a write of which an earlier attempt may have been applied."""
    if error.outcome_unknown or isinstance(error, Rejected | Missing | Taken | Denied):
        return error
    if isinstance(error, Unreadable):
        return Unreadable(error.call, error.detail, outcome_unknown=True)
    return Unavailable(error.call, error.detail, outcome_unknown=True, retry_after_s=error.retry_after_s)
