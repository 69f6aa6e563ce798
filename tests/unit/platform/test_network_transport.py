"""The real transports against servers and applications that misbehave: every failure is a `PlatformError`."""

from __future__ import annotations

import asyncio
import gzip
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any

import pytest
from scripted import CALLS, GOOD, READS, response

from app.platform.auth import StaticToken
from app.platform.client import PlatformClient
from app.platform.errors import PlatformError, Unavailable, Unreadable
from app.platform.retry import RetryPolicy
from app.platform.transport import Transport, in_process_transport, network_transport

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

LIMIT = 1_000_000


def raw(call: str, *headers: str, body: bytes | None = None) -> bytes:
    """A good answer to this call, as bytes."""
    made = response(GOOD[call])
    content = made.content if body is None else body
    length = [] if made.status_code == 204 else [f"content-length: {len(content)}"]
    return "\r\n".join([f"HTTP/1.1 {made.status_code} X", *length, *headers, "", ""]).encode() + content


def sends(*parts: bytes) -> Handler:
    """Reads a request, sends this and closes."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        for part in parts:
            writer.write(part)
            await writer.drain()

    return handler


def resets(first: bytes) -> Handler:
    """Reads a request, sends this and resets the connection."""

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(first)
        await writer.drain()
        connection = writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()

    return handler


async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Takes what comes and never says a word."""
    await reader.read()


async def drips(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends an answer byte by byte, each well within the read time-out."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
    while True:
        writer.write(b" ")
        await writer.drain()
        await asyncio.sleep(0.01)


async def floods(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Sends an answer that never ends."""
    await reader.readuntil(b"\r\n\r\n")
    writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b" " * 65536 + b"\r\n")
        await writer.drain()


@asynccontextmanager
async def serving(handler: Handler) -> AsyncIterator[int]:
    """A server at a port of its own; what it does ends with it."""
    running: set[asyncio.Task[None]] = set()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            with suppress(OSError, EOFError, asyncio.CancelledError):
                await handler(reader, writer)
        finally:
            writer.close()
            running.discard(task)

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in set(running):
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


@asynccontextmanager
async def connected(
    port: int, transport: Transport | None = None, **times: float
) -> AsyncIterator[PlatformClient]:
    client = PlatformClient(
        transport or network_transport(2, max_answer_bytes=LIMIT),
        base_url=f"http://127.0.0.1:{port}",
        tokens=StaticToken("t"),
        max_answer_bytes=LIMIT,
        retry=RetryPolicy(attempts=1),
        **times,  # type: ignore[arg-type]
    )
    try:
        yield client
    finally:
        await client.aclose()


async def failure(call: str, port: int, **times: float) -> PlatformError:
    async with connected(port, **times) as client:
        with pytest.raises(PlatformError) as caught:
            await CALLS[call](client)
    return caught.value


OK = b"HTTP/1.1 200 OK\r\n"
BROKEN: list[tuple[Handler, type[PlatformError]]] = [
    (sends(b""), Unavailable),
    (sends(b"SSH-2.0-OpenSSH_9.6\r\n"), Unavailable),
    (sends(b"HTTP/1.1 abc OK\r\n\r\n"), Unavailable),
    (sends(OK + b"x: " + b"y" * 70_000 + b"\r\n\r\n"), Unavailable),
    (sends(OK + b"content-length: 100\r\n\r\n{"), Unavailable),
    (sends(OK + b"transfer-encoding: chunked\r\n\r\nzz\r\n"), Unavailable),
    (sends(OK + b"transfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"), Unavailable),
    (sends(b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n"), Unavailable),
    (sends(b"HTTP/1.1 503 No\r\ncontent-length: 9\r\n\r\n<"), Unavailable),
    (resets(b""), Unavailable),
    (resets(OK), Unavailable),
    (resets(OK + b"content-length: 100\r\n\r\n{"), Unavailable),
    (sends(OK + b"content-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd"), Unreadable),
    (sends(OK + b"content-length: 4\r\n\r\nabcd"), Unreadable),
    (sends(OK + b"content-type: text/html\r\ncontent-length: 6\r\n\r\n<html>"), Unreadable),
    (sends(b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"), Unreadable),
    (sends(b"HTTP/1.1 206 Part\r\ncontent-length: 0\r\n\r\n"), Unreadable),
    (sends(OK + b"content-length: 10000000\r\n\r\n", *[b" " * 1_000_000] * 10), Unreadable),
    (floods, Unreadable),
]


@pytest.mark.parametrize(("handler", "error"), BROKEN, ids=[str(n) for n in range(len(BROKEN))])
@pytest.mark.parametrize("call", ["get", "create", "password"])
async def test_servers_that_misbehave(call: str, handler: Handler, error: type[PlatformError]) -> None:
    async with serving(handler) as port:
        found = await failure(call, port)
    assert type(found) is error
    assert found.outcome_unknown is (call not in READS)


async def test_an_answer_that_unpacks_to_too_much() -> None:
    bomb = gzip.compress(b" " * 10 * LIMIT)
    async with serving(sends(raw("get", "content-encoding: gzip", body=bomb))) as port:
        assert type(await failure("get", port)) is Unreadable


async def test_an_answer_that_is_packed_unasked() -> None:
    packed = gzip.compress(response(GOOD["get"]).content)
    async with (
        serving(sends(raw("get", "content-encoding: gzip", body=packed))) as port,
        connected(port) as client,
    ):
        assert (await CALLS["get"](client)).id == "usr_1"


async def test_nobody_listens() -> None:
    async with serving(silent) as port:
        pass
    for call in CALLS:
        found = await failure(call, port)
        assert (type(found), found.outcome_unknown) == (Unavailable, False)


async def test_a_connection_that_does_not_come_about_was_not_used() -> None:
    with socket.socket() as full:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        full.setblocking(False)
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            with suppress(BlockingIOError):
                filler.connect(full.getsockname())
        try:
            found = await failure("create", full.getsockname()[1], connect_timeout_s=0.05)
        finally:
            for filler in fillers:
                filler.close()
    assert (type(found), found.outcome_unknown) == (Unavailable, False)


@pytest.mark.parametrize("call", ["get", "create"])
@pytest.mark.parametrize(
    ("handler", "times"),
    [
        (silent, {"read_timeout_s": 0.1}),
        (silent, {"timeout_s": 0.3}),
        (drips, {"connect_timeout_s": 0.2, "read_timeout_s": 0.1}),
        (drips, {"timeout_s": 0.3}),
    ],
)
async def test_servers_that_take_too_long(call: str, handler: Handler, times: dict[str, float]) -> None:
    async with serving(handler) as port:
        async with asyncio.timeout(10):
            found = await failure(call, port, **times)
    assert type(found) is Unavailable
    assert found.outcome_unknown is (call == "create")


class Moody:
    """Answers a request on each connection, then does something else with the next one."""

    def __init__(self, call: str, then: Handler) -> None:
        self.call, self.then = call, then
        self.connections = 0

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        await _request(reader)
        writer.write(raw(self.call))
        await self.then(reader, writer)


async def _request(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    if b"content-length:" in head:
        await reader.readexactly(int(head.split(b"content-length:")[1].split(b"\r\n")[0]))


async def drops_the_next(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await _request(reader)


async def test_a_connection_that_is_closed_under_a_second_write() -> None:
    """Whether the platform had read it before it closed cannot be known: it is not sent again."""
    server = Moody("create", drops_the_next)
    async with serving(server) as port, connected(port) as client:
        await CALLS["create"](client)
        with pytest.raises(Unavailable) as caught:
            await CALLS["create"](client)
        assert caught.value.outcome_unknown
        assert server.connections == 1
        await CALLS["create"](client)
    assert server.connections == 2


async def test_a_connection_that_has_died_is_not_used_again() -> None:
    server = Moody("get", silent)
    async with serving(server) as port, connected(port, read_timeout_s=1.0) as client:
        await CALLS["get"](client)
        with pytest.raises(Unavailable):
            await CALLS["get"](client)
        await CALLS["get"](client)
    assert server.connections == 2


@pytest.mark.parametrize(
    "handler", [silent, drips, floods, resets(OK), sends(OK + b"content-length: 9\r\n\r\n{")]
)
async def test_broken_connections_leave_room_for_others(handler: Handler) -> None:
    """With room for two: a connection that were kept would block the third call."""
    broken = True

    async def either(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await (handler if broken else sends(raw("get")))(reader, writer)

    async with serving(either) as port, connected(port, read_timeout_s=1.0, connect_timeout_s=1.0) as client:
        for _ in range(3):
            with pytest.raises(PlatformError):
                await CALLS["get"](client)
        broken = False
        await CALLS["get"](client)


async def test_a_redirection_is_not_followed() -> None:
    asked = 0

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        asked += 1

    async with serving(elsewhere) as other:
        location = f"location: http://127.0.0.1:{other}/"
        for status in (301, 302, 303, 307, 308):
            answer = f"HTTP/1.1 {status} Elsewhere\r\n{location}\r\ncontent-length: 0\r\n\r\n".encode()
            async with serving(sends(answer)) as port:
                for call in ("get", "create", "delete"):
                    assert type(await failure(call, port)) is Unreadable
    assert asked == 0


async def test_no_cookie_is_kept() -> None:
    seen: list[bytes] = []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(raw("get", "set-cookie: s=1", "connection: close"))

    async with serving(handler) as port, connected(port) as client:
        await CALLS["get"](client)
        await CALLS["get"](client)
    assert len(seen) == 2
    assert b"cookie" not in seen[1].lower()


# --- an application in this process -------------------------------------------------------------------------


async def hangs(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(3600)


async def fails(scope: Any, receive: Any, send: Any) -> None:
    raise LookupError("in the application")


async def fails_late(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise LookupError("in the application")


@pytest.mark.parametrize("app", [hangs, fails, fails_late])
@pytest.mark.parametrize("call", ["get", "create"])
async def test_applications_that_misbehave(call: str, app: Any) -> None:
    async with connected(1, in_process_transport(app), timeout_s=0.1) as client:
        with pytest.raises(PlatformError) as caught:
            await CALLS[call](client)
    assert isinstance(caught.value, Unavailable | Unreadable)
    assert caught.value.outcome_unknown is (call == "create")


async def test_an_application_that_answers() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": response(GOOD["get"]).content})

    async with connected(1, in_process_transport(app)) as client:
        assert (await CALLS["get"](client)).id == "usr_1"
