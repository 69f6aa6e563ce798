"""Notes of the platform calls that were made on behalf of one request."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import msgspec


class CallMade(msgspec.Struct, frozen=True, kw_only=True):
    """One call, as it was answered."""

    method: str
    path: str
    """With query."""
    status: int | None
    """None where no answer came."""
    ms: float


_calls: ContextVar[list[CallMade] | None] = ContextVar("platform_calls", default=None)


@contextmanager
def recorded() -> Iterator[list[CallMade]]:
    """Note the calls within the block, also those of tasks that it starts."""
    calls: list[CallMade] = []
    token = _calls.set(calls)
    try:
        yield calls
    finally:
        _calls.reset(token)


def recording() -> list[CallMade] | None:
    """Where to note a call, None where nobody asks."""
    return _calls.get()
