"""Notes of the platform calls that were made on behalf of one request, and the ids that they carry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token
from typing import Any

import msgspec

from app.platform.tracing import Trace

_PLACES = {"tenants": "{tenant_id}", "users": "{user_id}", "groups": "{group_id}", "members": "{user_id}"}


class CallMade(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """One call, as it was answered."""

    method: str
    path: str
    """With query."""
    status: int | None
    """None where no answer came."""
    ms: float
    failure: str | None = None
    """Why no answer came, where none did."""
    span_id: int = 0
    """Of a call that is traced, the id that it was sent with."""
    begun_ns: int = 0
    """Of a call that is traced, when it began: nanoseconds since 1970."""


class CallPlanned(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A write that a rehearsal would have made."""

    method: str
    path: str
    """With query."""
    body: Any
    """As JSON values, not masked; None for no body."""
    kept: frozenset[str] = frozenset()
    """Keys of `custom_attributes` that are only sent to stay as they are."""


class Recording:
    """The calls of one request, and what ties them to it."""

    __slots__ = ("calls", "correlation_id", "planned", "trace")

    def __init__(self, correlation_id: str | None = None) -> None:
        self.calls: list[CallMade] = []
        self.planned: list[CallPlanned] = []
        self.correlation_id = correlation_id
        """Sent to the platform with every call; None where there is none."""
        self.trace: Trace | None = None
        """Likewise, where requests are traced."""


_recording: ContextVar[Recording | None] = ContextVar("platform_calls", default=None)


@contextmanager
def recorded() -> Iterator[list[CallMade]]:
    """Note the calls within the block, also of tasks that it starts; who records around it sees them too."""
    outer = _recording.get()
    inner = Recording(None if outer is None else outer.correlation_id)
    inner.trace = None if outer is None else outer.trace
    token = _recording.set(inner)
    try:
        yield inner.calls
    finally:
        _recording.reset(token)
        if outer is not None:
            outer.calls += inner.calls
            outer.planned += inner.planned


def record(recording: Recording) -> Token[Recording | None]:
    """From now on, note the calls of this context and of its tasks there; ended by `stop`."""
    return _recording.set(recording)


def stop(token: Token[Recording | None]) -> None:
    """End what `record` began."""
    _recording.reset(token)


def recording() -> Recording | None:
    """Where to note a call, None where nobody asks."""
    return _recording.get()


def template_of(place: str) -> str:
    """A call's path without query, with `{tenant_id}`, `{user_id}` and the like in the place of ids."""
    parts = place.split("/")
    for number in range(1, len(parts)):
        parts[number] = _PLACES.get(parts[number - 1], parts[number])
    return "/".join(parts)
