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
from typing import Protocol

import msgspec

from app.bridge.causes import cause_of
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


class Story(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A request that has been answered, with all that was told of it.

    What `raw`, `calls` and `planned` hold is not masked: only `redaction` may write it down.
    """

    at: datetime
    """When it began, UTC."""
    duration_s: float
    actor: Actor
    correlation_id: str
    context: Context | None
    """None where it was refused before its connection was known."""
    connection_id: str
    connection: str
    """The connection's name."""
    token_id: str
    credential_id: str
    user_agent: str
    address: str
    method: str
    route: str
    """`/Users/{id}` and the like; `/?` for a path that is none."""
    resource_type: str
    """As in `AuditRecord`."""
    resource_id: str | None
    status: int
    """0 where no answer was sent because the client had gone."""
    scim_type: str | None
    cause: str
    """Empty, or one of `audit_records.CAUSES`."""
    changed: tuple[str, ...]
    """Names of attributes."""
    found: int | None
    """`totalResults` of a search."""
    dry_run: bool
    calls: Sequence[CallMade]
    """Platform calls in the order of their answers."""
    planned: Sequence[CallPlanned]
    """What a dry run would have sent, in order."""
    raw: Raw
    trace: Trace | None = None
    """None where requests are not traced."""

    @property
    def writes(self) -> bool:
        """Whether it was to change something."""
        return self.method not in _READS and not self.route.endswith("/.search")


class Raw(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """What of a request may be personal or secret."""

    body: object
    """The decoded body, UNSET where there was none that could be read."""
    filter: str | None
    detail: str | None
    names: tuple[tuple[str, str], ...]
    """Names and values of the attributes by which the resource is known."""
    plan: Plan | None


class Sink(Protocol):
    """Somebody who wants to hear every story."""

    def take(self, story: Story) -> asyncio.Future[None] | None:
        """Hear one: at once, or with a future that the answer to the request should wait for.

        Must not raise, nor must the future: the request is done, whatever becomes of its story.
        """
        ...


class Telling:
    """A story under way; one object for a request and the tasks that it starts."""

    __slots__ = (
        *("actor", "address", "at", "body", "cause", "changed", "connection", "connection_id", "context"),
        *("after", "correlation_id", "credential_id", "detail", "dry_run", "filter", "found", "method"),
        *("names", "path", "place", "plan", "recording", "resource_id", "scim_type", "started"),
        *("token_id", "user_agent"),
    )

    def __init__(self, method: str, path: str, correlation_id: str, *, actor: Actor = "client") -> None:
        """`path` is below the SCIM base: `/Users/usr_1`."""
        self.method = method
        self.path = path
        self.actor: Actor = actor
        self.correlation_id = correlation_id
        self.recording = Recording(correlation_id)
        self.at = time.time()
        self.started = time.perf_counter()
        self.context: Context | None = None
        self.connection_id = self.connection = self.token_id = self.credential_id = ""
        self.user_agent = self.address = ""
        self.place: tuple[str, str] | None = None
        """Route and resource type, where they are not those of `path`."""
        self.body: object = msgspec.UNSET
        self.filter: str | None = None
        self.plan: Plan | None = None
        self.found: int | None = None
        self.names: tuple[tuple[str, str], ...] = ()
        self.changed: tuple[str, ...] = ()
        self.resource_id: str | None = None
        self.dry_run = False
        self.cause = ""
        self.scim_type: str | None = None
        self.detail: str | None = None
        self.after: Callable[[Telling, int], None] | None = None
        """Takes the status of a write that ends when its request has long been answered."""

    def failed(self, error: ScimError, cause: BaseException | None = None) -> None:
        """It ends with this error; `cause` is what went wrong where that is another one."""
        self.scim_type = error.scim_type
        self.detail = error.detail
        self.cause = cause_of(error, cause)

    def story(self, status: int) -> Story:
        """The story as it is now, answered with `status`."""
        route, resource_type, resource_id = place_of(self.path) if self.place is None else (*self.place, None)
        failed = status >= 400 or status == 0
        return Story(
            at=datetime.fromtimestamp(self.at, UTC),
            duration_s=time.perf_counter() - self.started,
            actor=self.actor,
            correlation_id=self.correlation_id,
            context=self.context,
            connection_id=self.connection_id or ("" if self.context is None else self.context.connection_id),
            connection=self.connection,
            token_id=self.token_id,
            credential_id=self.credential_id,
            user_agent=self.user_agent,
            address=self.address,
            method=self.method,
            route=route,
            resource_type=resource_type,
            resource_id=self.resource_id or resource_id,
            status=status,
            scim_type=self.scim_type if failed else None,
            cause=(self.cause or cause_of(status)) if failed else "",
            changed=self.changed,
            found=self.found,
            dry_run=self.dry_run,
            calls=self.recording.calls,
            trace=self.recording.trace,
            planned=self.recording.planned,
            raw=Raw(
                body=self.body,
                filter=self.filter,
                detail=self.detail if failed else None,
                names=self.names,
                plan=self.plan,
            ),
        )


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
