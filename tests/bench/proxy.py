"""The least that a gateway can do: take a request, make the same one at the platform, hand back the bytes.

Same server and same HTTP client as the bridge, no framework, no authentication, nothing decoded.
"""

from __future__ import annotations

import sys
from typing import Any

import httpx
from host import answer, read_body, serve

from app.config import Settings
from app.platform.transport import network_transport

_EXTENSIONS = {"timeout": {"connect": 5.0, "read": 30.0, "pool": 30.0}}


class Proxy:
    """Passes every request on to one platform."""

    def __init__(self, platform_url: str) -> None:
        self._base = platform_url
        self._transport = network_transport(Settings().platform_concurrency)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """One call of the platform for each request."""
        content = None if scope["method"] == "GET" else await read_body(receive)
        headers = [(n, v) for n, v in scope["headers"] if n in (b"authorization", b"accept", b"content-type")]
        request = httpx.Request(
            scope["method"],
            self._base + scope["path"],
            headers=[*headers, (b"accept-encoding", b"identity")],
            content=content,
            extensions=_EXTENSIONS,
        )
        response = await self._transport.handle_async_request(request)
        try:
            body = await response.aread()
        finally:
            await response.aclose()
        await answer(send, response.status_code, body)


if __name__ == "__main__":
    serve(Proxy(sys.argv[1]))
