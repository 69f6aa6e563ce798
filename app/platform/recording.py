"""Notes of the platform calls that were made on behalf of one request, and the id that they carry."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar, Token

import msgspec


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


class Recording:
    """The calls of one request, and what ties them to it."""

    __slots__ = ("calls", "correlation_id")

    def __init__(self, correlation_id: str | None = None) -> None:
        self.calls: list[CallMade] = []
        self.correlation_id = correlation_id
        """Sent to the platform with every call; None where there is none."""


_recording: ContextVar[Recording | None] = ContextVar("platform_calls", default=None)


@contextmanager
def recorded() -> Iterator[list[CallMade]]:
    """Note the calls within the block, also of tasks that it starts; who records around it sees them too."""
    outer = _recording.get()
    inner = Recording(None if outer is None else outer.correlation_id)
    token = _recording.set(inner)
    try:
        yield inner.calls
    finally:
        _recording.reset(token)
        if outer is not None:
            outer.calls += inner.calls


def record(recording: Recording) -> Token[Recording | None]:
    """From now on, note the calls of this context and of its tasks there; ended by `stop`."""
    return _recording.set(recording)


def stop(token: Token[Recording | None]) -> None:
    """End what `record` began."""
    _recording.reset(token)


def recording() -> Recording | None:
    """Where to note a call, None where nobody asks."""
    return _recording.get()
