"""Between bridge and platform, over real sockets: numbers a tenant's calls and breaks the one it is told to.

Every tenant is a lane of its own, so that many cases run side by side through one bridge.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

_LANE = re.compile(r"/api/v1/tenants/([^/?]+)/([^?]*)")
_SIDE_BY_SIDE_S = 0.05
_PATIENCE_S = 1.0
_PASSED_ON = ("content-type", "retry-after")


class Reply(NamedTuple):
    """An answer of the platform, or one in its shape."""

    status: int
    body: bytes
    headers: dict[str, str]


@dataclass
class Lane:
    """The calls of one tenant since the mark, and the fault that one of them meets."""

    calls: list[str] = field(default_factory=list)
    """`GET users`, `POST users`, `PATCH user`, `PUT status`, `POST members`… as they arrived."""
    meets: Callable[[int, str], Fault | None] = lambda _number, _call: None
    """The fault that a call meets, by its number and name."""
    halted: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when the call that stops the world has got where it stops."""
    over: asyncio.Event = field(default_factory=asyncio.Event)
    """Set when what was held back need not be held any longer."""
    forwarding: int = 0
    """Calls under way to the platform."""
    idle: asyncio.Event = field(default_factory=asyncio.Event)
    broken_s: float = 0.0
    """When the last call that met a fault had its answer, by the monotonic clock."""
    disturbed: bool = False
    """Whether the bridge gave up a call that met no fault: the machine was too busy for its patience."""

    def mark(self, fault: Fault | None = None, at: int = 0) -> None:
        """Number from 0 anew; the call `at` meets the fault."""
        self.calls.clear()
        self.meets = lambda number, _: (
            fault if fault and (number == at or (fault.lasts and number > at)) else None
        )
        self.halted, self.over = asyncio.Event(), asyncio.Event()

    def release(self) -> None:
        """No fault any more, and nobody is kept waiting."""
        self.meets = lambda _number, _call: None
        self.halted = asyncio.Event()
        self.over.set()

    async def quiet(self) -> None:
        """Return when no call is under way to the platform."""
        if self.forwarding:
            self.idle.clear()
            await self.idle.wait()


@dataclass
class Call:
    """One call that the bridge has sent."""

    method: str
    head: bytes
    body: bytes
    lane: Lane
    _platform: tuple[str, int]

    async def forward(self) -> Reply:
        """Let the platform carry it out; its answer."""
        self.lane.forwarding += 1
        try:
            reader, writer = await asyncio.open_connection(*self._platform)
            try:
                writer.write(self.head + self.body)
                head, body = await _message(reader)
            finally:
                writer.close()
        finally:
            self.lane.forwarding -= 1
            if not self.lane.forwarding:
                self.lane.idle.set()
        fields = _fields(head)
        status = int(head.split(b" ", 2)[1])
        return Reply(status, body, {k: fields[k] for k in _PASSED_ON if k in fields})


@dataclass(frozen=True)
class Fault:
    """What happens to a call; `act` answers None where the connection is reset instead of an answer."""

    name: str
    act: Callable[[Call], Awaitable[Reply | None]]
    lasts: bool = False
    """Whether every later call meets it too, until the client has its answer."""
    silent: bool = False
    """Whether the bridge has to wait until its patience ends."""
    kills: bool = False
    """Whether the world stops at the call, for the bridge to be killed there."""
    pauses_s: float = 0.0
    """For how long the bridge makes no more calls for anybody."""


class Proxy:
    """Listens at a port of its own."""

    def __init__(self, platform_url: str) -> None:
        parts = urlsplit(platform_url)
        self._platform = (str(parts.hostname), int(parts.port or 80))
        self._lanes: dict[str, Lane] = {}
        self._serving: set[asyncio.Task[Any]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._serving:
            task.cancel()
        await asyncio.gather(*self._serving, return_exceptions=True)

    def lane(self, tenant_id: str) -> Lane:
        """The lane of a tenant."""
        return self._lanes.setdefault(tenant_id, Lane())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._serving.add(task)
        try:
            while True:
                head, body = await _message(reader)
                reply = await self._answer(reader, head, body)
                if reply is None:
                    _reset(writer)
                    return
                writer.write(_encoded(reply))
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            # Cancelled by the end of the proxy alone, whose streams would report it as an error.
            return
        finally:
            self._serving.discard(task)
            writer.close()

    async def _answer(self, reader: asyncio.StreamReader, head: bytes, body: bytes) -> Reply | None:
        method, target, _ = head.split(b"\r\n", 1)[0].decode("latin-1").split(" ", 2)
        found = _LANE.match(target)
        lane = Lane() if found is None else self.lane(found[1])
        call = Call(method, _closing(head), body, lane, self._platform)
        if found is None:
            return await call.forward()
        number = len(lane.calls)
        lane.calls.append(_name(method, found[2]))
        fault = lane.meets(number, lane.calls[-1])
        if lane.halted.is_set():
            # The world stands still: what else was under way at the same time gets no further either.
            await lane.over.wait()
            return None
        if fault is not None:
            # Calls that are made side by side are all under way before one of them fails.
            await asyncio.sleep(_SIDE_BY_SIDE_S)
            reply = await fault.act(call)
            lane.broken_s = time.monotonic()
            return reply
        arrived_s = time.monotonic()
        reply = await call.forward()
        # Sooner than this it was not its patience that ended: it gave up because another call had failed.
        lane.disturbed |= reader.at_eof() and time.monotonic() - arrived_s > _PATIENCE_S
        return reply


def _name(method: str, path: str) -> str:
    parts = path.rstrip("/").split("/")
    if parts[-1] == "reset":
        return f"{method} password"
    return f"{method} {parts[-1] if len(parts) % 2 else parts[-2].removesuffix('s')}"


async def _message(reader: asyncio.StreamReader) -> tuple[bytes, bytes]:
    """Head with its empty line, and body."""
    head = await reader.readuntil(b"\r\n\r\n")
    fields = _fields(head)
    assert "transfer-encoding" not in fields, head
    return head, await reader.readexactly(int(fields.get("content-length", 0)))


def _fields(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")[1:-2]
    return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _closing(head: bytes) -> bytes:
    return head.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)


def _encoded(reply: Reply) -> bytes:
    # 204 has no body and must not give its length (RFC 9110 §8.6).
    length = {} if reply.status == 204 else {"content-length": str(len(reply.body))}
    lines = [f"HTTP/1.1 {reply.status} -", *(f"{k}: {v}" for k, v in {**reply.headers, **length}.items())]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body


def _reset(writer: asyncio.StreamWriter) -> None:
    """Close with RST, as a crashed load balancer does, and not with FIN."""
    found = writer.get_extra_info("socket")
    found.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


# --- faults -------------------------------------------------------------------------------------------------


def _says(status: int, **headers: str) -> Callable[[Call], Awaitable[Reply | None]]:
    detail: Any = "the platform says no"
    if status == 422:
        detail = [{"loc": ["body", "display_name"], "msg": "the platform says no", "type": "value_error"}]
    body = json.dumps({"detail": detail}).encode()

    async def act(_call: Call) -> Reply | None:
        return Reply(status, body, {"content-type": "application/json", **headers})

    return act


def _silence(*, applied: bool) -> Callable[[Call], Awaitable[Reply | None]]:
    async def act(call: Call) -> Reply | None:
        if applied:
            await call.forward()
        await call.lane.over.wait()
        return None

    return act


def _resets(*, applied: bool) -> Callable[[Call], Awaitable[Reply | None]]:
    async def act(call: Call) -> Reply | None:
        if applied:
            await call.forward()
        return None

    return act


async def _garbles(call: Call) -> Reply | None:
    status = (await call.forward()).status
    return Reply(200 if status == 204 else status, b'{"data": {"id": ', {"content-type": "application/json"})


def _halts(*, applied: bool) -> Callable[[Call], Awaitable[Reply | None]]:
    async def act(call: Call) -> Reply | None:
        if applied:
            await call.forward()
        call.lane.halted.set()
        await call.lane.over.wait()
        return None

    return act


FAULTS: dict[str, Fault] = {
    fault.name: fault
    for fault in (
        *(Fault(f"refused-{status}", _says(status)) for status in (400, 403, 409, 422)),
        Fault("throttled-short", _says(429, **{"retry-after": "1"}), pauses_s=1.0),
        # Longer than a call may take in all: the client is told to come again.
        Fault("throttled-long", _says(429, **{"retry-after": "2"}), pauses_s=2.0),
        Fault("error-500", _says(500)),
        Fault("no-request", _silence(applied=False), silent=True),
        Fault("no-answer", _silence(applied=True), silent=True),
        Fault("reset-before", _resets(applied=False)),
        Fault("reset-after", _resets(applied=True)),
        Fault("malformed", _garbles),
        Fault("outage-500", _says(500), lasts=True),
        Fault("outage-no-answer", _silence(applied=True), lasts=True, silent=True),
        Fault("outage-reset-after", _resets(applied=True), lasts=True),
        Fault("kill-before", _halts(applied=False), kills=True),
        Fault("kill-after", _halts(applied=True), kills=True),
    )
}
