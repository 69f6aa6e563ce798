"""Where a request stands in a trace, and how its calls carry that on (W3C Trace Context).

Ids are made before anything is known of how a request ends; spans are made of its story afterwards.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Protocol

_getrandbits = random.Random().getrandbits  # noqa: S311 - seeded by the system; the ids are no secrets


class Trace:
    """One request, or one operation within another."""

    __slots__ = ("ended", "parent_id", "remote", "sampled", "span_id", "state", "told", "trace_id")

    def __init__(
        self, trace_id: int, parent_id: int, *, sampled: bool, remote: bool = False, state: str = ""
    ) -> None:
        """`parent_id` is 0 where nobody stands above, `remote` says that it is the client's.

        `state` is the client's `tracestate`.
        """
        self.trace_id = trace_id
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.remote = remote
        self.sampled = sampled
        self.state = state
        self.ended = False
        """Whether a story of it has been told."""
        self.told = 0
        """How many of its calls were in that story."""

    def within(self) -> Trace:
        """The trace of something that is done within."""
        return Trace(self.trace_id, self.span_id, sampled=self.sampled, state=self.state)

    def fields(self, span_id: int) -> list[tuple[str, str]]:
        """The header fields of a call with this id."""
        parent = f"00-{self.trace_id:032x}-{span_id:016x}-{self.sampled:02x}"
        fields = [("traceparent", parent)]
        if self.state:
            fields.append(("tracestate", self.state))
        return fields


class Traces(Protocol):
    """Who begins them."""

    def begin(self, method: str, fields: Mapping[str, str]) -> Trace:
        """The trace of a request; `fields` are header fields, their names in lower case."""
        ...


def new_trace_id() -> int:
    """16 bytes, not all of them 0."""
    return _getrandbits(128) or 1


def new_span_id() -> int:
    """8 bytes, not all of them 0."""
    return _getrandbits(64) or 1
