"""How a platform call can fail. `bridge.faults` turns each into the SCIM error that a client sees."""

from __future__ import annotations

from typing import NamedTuple


class FieldProblem(NamedTuple):
    """One entry of the platform's 422 body."""

    loc: tuple[str | int, ...]
    msg: str


class PlatformError(Exception):
    """A platform call that did not do what it was for.

    `call` is method and path, without query, so that no personal data reaches a log.
    """

    def __init__(self, call: str, detail: str) -> None:
        super().__init__(f"{call}: {detail}")
        self.call = call
        self.detail = detail


class Rejected(PlatformError):
    """400 or 422: the platform does not take the values. Nothing was changed."""

    def __init__(self, call: str, detail: str, problems: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(call, detail)
        self.problems = problems


class Missing(PlatformError):
    """404 in the platform's own shape: what the call names does not exist."""


class Taken(PlatformError):
    """409: a value that must be unique is in use."""


class Denied(PlatformError):
    """403: the bridge's client may not do this."""


class Throttled(PlatformError):
    """429: asked to slow down; nothing was changed."""

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
        """True when the platform may have carried the call out all the same."""
        self.retry_after_s = retry_after_s


class Unreadable(PlatformError):
    """The answer is not one that the platform's API gives: not its JSON, or an unexpected status."""

    def __init__(self, call: str, detail: str, *, outcome_unknown: bool = False) -> None:
        super().__init__(call, detail)
        self.outcome_unknown = outcome_unknown


class Unauthenticated(PlatformError):
    """401 although the token was renewed, or no token could be had."""
