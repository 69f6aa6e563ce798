"""A platform that takes its time: passes every call on, and waits before it hands back the answer.

`GET /calls` tells how many were passed on, those for tokens not counted.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httpx
from host import answer, read_body, serve

from app.config import Settings
from app.platform.transport import network_transport

_EXTENSIONS = {"timeout": {"connect": 5.0, "read": 30.0, "pool": 30.0}}
_KEPT = (b"authorization", b"accept", b"content-type")


class Slow:
    """In front of one platform, `delay_s` slower than that."""

    def __init__(self, platform_url: str, delay_s: float) -> None:
        self._base = platform_url
        self._delay_s = delay_s
        self._transport = network_transport(Settings().platform_concurrency)
        self._calls = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One call of the platform for each request."""
        if scope["path"] == "/calls":
            await answer(send, 200, b"%d" % self._calls)
            return
        self._calls += not scope["path"].endswith("/token")
        query = scope["query_string"].decode()
        request = httpx.Request(
            scope["method"],
            self._base + scope["path"] + (f"?{query}" if query else ""),
            headers=[(n, v) for n, v in scope["headers"] if n in _KEPT],
            content=await read_body(receive),
            extensions=_EXTENSIONS,
        )
        response, _ = await asyncio.gather(
            self._transport.handle_async_request(request), asyncio.sleep(self._delay_s)
        )
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        await answer(send, response.status_code, body)


if __name__ == "__main__":
    serve(Slow(sys.argv[1], float(sys.argv[2])))
