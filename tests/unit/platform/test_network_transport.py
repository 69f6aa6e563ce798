"""The real transport against servers that misbehave: every failure is a `PlatformError`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from app.asgi import network_transport
from app.platform.auth import StaticToken
from app.platform.client import PlatformClient
from app.platform.errors import PlatformError, Unavailable, Unreadable
from app.platform.retry import RetryPolicy
from app.wire.users import UserCreate

CREATED = b'{"data":{"id":"u","email":"a@x","status":"ACTIVE","created_at":"2026-01-01T00:00:00Z"}}'


@asynccontextmanager
async def serving(raw: bytes, *, read: bool = True) -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if read:
            await reader.readuntil(b"\r\n\r\n")
        writer.write(raw)
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def platform(port: int, timeout_s: float = 5.0) -> AsyncIterator[PlatformClient]:
    client = PlatformClient(
        network_transport(8),
        base_url=f"http://127.0.0.1:{port}",
        tokens=StaticToken("t"),
        timeout_s=timeout_s,
        retry=RetryPolicy(attempts=1),
    )
    try:
        yield client
    finally:
        await client.aclose()


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"", Unavailable),
        (b"SSH-2.0-OpenSSH_9.6\r\n", Unavailable),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", Unavailable),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", Unavailable),
        (b"HTTP/1.1 abc OK\r\n\r\n", Unavailable),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\nabcd", PlatformError),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd", Unreadable),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", Unreadable),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Unreadable),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000 + b"\r\n\r\n", Unavailable),
        (b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n", Unavailable),
    ],
    ids=lambda v: repr(v)[:50],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_servers_that_misbehave(method: str, raw: bytes, error: type[PlatformError]) -> None:
    async with serving(raw) as port, platform(port) as client:
        with pytest.raises(error):
            if method == "GET":
                await client.get_user("t", "u")
            else:
                await client.create_user("t", UserCreate(email="a@x"))


async def test_nobody_listens() -> None:
    async with serving(b"") as port:
        pass
    async with platform(port) as client:
        with pytest.raises(Unavailable) as caught:
            await client.create_user("t", UserCreate(email="a@x"))
    assert not caught.value.outcome_unknown


async def test_a_server_that_says_nothing() -> None:
    hold = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await hold.wait()
        writer.close()

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    async with server, platform(server.sockets[0].getsockname()[1], timeout_s=0.2) as client:
        with pytest.raises(Unavailable) as caught:
            await client.create_user("t", UserCreate(email="a@x"))
        hold.set()
    assert caught.value.outcome_unknown


async def test_a_good_answer_and_no_cookie_kept() -> None:
    raw = b"HTTP/1.1 201 Created\r\nset-cookie: s=1\r\nconnection: close\r\ncontent-length: %d\r\n\r\n%s" % (
        len(CREATED),
        CREATED,
    )
    async with serving(raw) as port, platform(port) as client:
        assert (await client.create_user("t", UserCreate(email="a@x"))).id == "u"
        assert (await client.create_user("t", UserCreate(email="a@x"))).id == "u"
