"""What happened in one request: collected while it runs, then handed to who keeps, counts or traces it.

Wherever something is known that belongs into the story, it is told by one of the functions of `telling`.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from typing import Protocol, Self

import msgspec

from app.bridge.causes import cause_of, quoted_in
from app.bridge.context import Context
from app.planning.plan import Plan
from app.platform.recording import CallMade, CallPlanned, Recording
from app.platform.tracing import Trace
from app.scim.errors import ScimError
from app.store.audit_records import Actor

_PATIENCE_S = 5.0
"""Seconds that an answer waits for its story to be heard, at most."""
_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_TYPES = {
    "Users": "User",
    "Groups": "Group",
    "Me": "User",
    "Bulk": "Bulk",
    "Roles": "Role",
    "Entitlements": "Entitlement",
}
_ALONE = ("Me", "Bulk")
"""Endpoints of one resource, or of none."""


class Story(msgspec.Struct, eq=False):
    """A request: told while it runs, and handed over when it has been answered.

    One object for a request and the tasks that it starts. What `body`, `filter`, `plan`, `names`, `detail`
    and the calls hold is not masked: only `redaction` may write it down.
    """

    method: str
    path: str
    """Below the SCIM base: `/Users/usr_1`."""
    correlation_id: str
    actor: Actor = "client"
    recording: Recording = msgspec.field(default_factory=Recording)
    """The platform calls, and what they carry."""
    at_s: float = msgspec.field(default_factory=time.time)
    """When it began, in seconds since 1970."""
    started: float = msgspec.field(default_factory=time.perf_counter)
    """The same by the clock that durations are measured by."""
    context: Context | None = None
    """None where it was refused before its connection was known."""
    connection_id: str = ""
    connection: str = ""
    """The connection's name."""
    token_id: str = ""
    credential_id: str = ""
    user_agent: str = ""
    address: str = ""
    place: tuple[str, str] | None = None
    """Route and resource type, where they are not those of `path`."""
    body: object = msgspec.UNSET
    """The decoded body, UNSET where there was none that could be read."""
    filter: str | None = None
    plan: Plan | None = None
    names: tuple[tuple[str, str], ...] = ()
    """Names and values of the attributes by which the resource is known."""
    found: int | None = None
    """`totalResults` of a search."""
    changed: tuple[str, ...] = ()
    """Names of attributes."""
    resource_id: str | None = None
    dry_run: bool = False
    scim_type: str | None = None
    detail: str | None = None
    quoted: tuple[str, ...] = ()
    """Of `detail`, what the platform itself has said."""
    cause: str = ""
    """Empty, or one of `audit_records.CAUSES`."""
    after: Callable[[Story, int], None] | None = None
    """Takes the status of a write that ends when its request has long been answered."""
    status: int = 0
    """Once it has ended; 0 where no answer was sent because the client had gone."""
    duration_s: float = 0.0
    route: str = ""
    """Once it has ended: `/Users/{id}` and the like; `/?` for a path that is none."""
    resource_type: str = ""
    """Likewise, as in `AuditRecord`."""

    def __post_init__(self) -> None:
        """What the platform is told."""
        self.recording.correlation_id = self.correlation_id

    @property
    def at(self) -> datetime:
        """When it began, UTC."""
        return datetime.fromtimestamp(self.at_s, UTC)

    @property
    def calls(self) -> Sequence[CallMade]:
        """Platform calls in the order of their answers."""
        return self.recording.calls

    @property
    def planned(self) -> Sequence[CallPlanned]:
        """What a dry run would have sent, in order."""
        return self.recording.planned

    @property
    def trace(self) -> Trace | None:
        """None where requests are not traced."""
        return self.recording.trace

    @property
    def writes(self) -> bool:
        """Whether it was to change something."""
        return self.method not in _READS and not self.route.endswith("/.search")

    def failed(self, error: ScimError, cause: BaseException | None = None) -> None:
        """It ends with this error; `cause` is what went wrong where that is another one."""
        self.scim_type = error.scim_type
        self.detail = error.detail
        self.quoted = quoted_in(error, cause)
        self.cause = cause_of(error, cause)

    def ended(self, status: int) -> Self:
        """It is answered with `status`; may be said again of a write that ends after its answer."""
        self.status = status
        self.duration_s = time.perf_counter() - self.started
        if self.place is None:
            self.route, self.resource_type, resource_id = place_of(self.path)
            self.resource_id = self.resource_id or resource_id
        else:
            self.route, self.resource_type = self.place
        if not self.connection_id and self.context is not None:
            self.connection_id = self.context.connection_id
        if status >= 400 or status == 0:
            self.cause = self.cause or cause_of(status)
        else:
            self.scim_type = self.detail = None
            self.cause = ""
        return self


class Sink(Protocol):
    """Somebody who wants to hear every story."""

    def take(self, story: Story) -> asyncio.Future[None] | None:
        """Hear one: at once, or with a future that the answer to the request should wait for.

        Must not raise, nor must the future: the request is done, whatever becomes of its story.
        """
        ...


class Stories:
    """Hands finished stories to the sinks."""

    def __init__(self, sinks: Sequence[Sink] = ()) -> None:
        self._sinks = list(sinks)

    def add(self, sink: Sink) -> None:
        """One more to hear all stories from now on."""
        self._sinks.append(sink)

    def tell(self, story: Story) -> list[asyncio.Future[None]]:
        """Tell all sinks; what the answer to the request should wait for."""
        waits: list[asyncio.Future[None]] = []
        for sink in self._sinks:
            wait = sink.take(story)
            if wait is not None:
                waits.append(wait)
        return waits

    async def told(self, story: Story) -> None:
        """Tell all sinks, and wait as they ask for it, though not for ever."""
        waits = self.tell(story)
        if waits:
            # Unlike a plain await this leaves them alone when the request is cancelled.
            await asyncio.wait(waits, timeout=_PATIENCE_S)


def place_of(path: str) -> tuple[str, str, str | None]:
    """Route, resource type and id of a path below the SCIM base."""
    parts = path.strip("/").split("/")
    kind = _TYPES.get(parts[0], "")
    if len(parts) == 1:
        return (f"/{parts[0]}" if kind or parts[0] in ("", ".search") else "/?"), kind, None
    if len(parts) == 2 and kind and parts[0] not in _ALONE:
        if parts[1] == ".search":
            return f"/{parts[0]}/.search", kind, None
        return f"/{parts[0]}/{{id}}", kind, parts[1]
    return "/?", "", None


_start = f"{time.time_ns() // 1000:014x}{os.urandom(4).hex()}"
_numbers = count()


def new_correlation_id() -> str:
    """A new id, 32 digits: when this process began, which one it is, and a number that grows."""
    return f"{_start}{next(_numbers):010x}"
