"""The server under stub and proxy: uvicorn as `scim-bridge serve` runs it, one worker, on a free port."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import uvicorn
import uvloop
from rich.console import Console


def serve(app: Any) -> None:
    """Serve until a signal; the port is told on standard output as a URL."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=2048)
    listener.setblocking(False)
    Console(soft_wrap=True).print(f"http://127.0.0.1:{listener.getsockname()[1]}", highlight=False)
    config = uvicorn.Config(
        app,
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=30,
    )
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(uvicorn.Server(config).serve(sockets=[listener]))


async def read_body(receive: Any) -> bytes:
    """The whole body of an ASGI request."""
    parts = []
    more = True
    while more:
        message = await receive()
        parts.append(message.get("body", b""))
        more = message.get("more_body", False)
    return b"".join(parts)


async def answer(send: Any, status: int, body: bytes) -> None:
    """One JSON answer."""
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
