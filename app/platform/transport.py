"""How requests travel: over the network, or to an application in this process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import httpx

Transport = httpx.AsyncBaseTransport
"""The seam: tests put faults and recorders here."""

MAX_ANSWER_BYTES = 4 * 1024 * 1024
"""Bytes of an answer's body at most, unless something else is set."""

NOT_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
"""What a transport raises where certainly nothing was sent."""


class AnswerTooLarge(httpx.TransportError):
    """The body is larger than it may be; the rest of it was not read."""


async def read_body(response: httpx.Response, max_bytes: int) -> bytes:
    """The whole decoded body; raises `AnswerTooLarge`, or what the transport raises where it breaks off."""
    stream = cast(httpx.AsyncByteStream, response.stream)
    encoded = "content-encoding" in response.headers
    if not encoded and type(stream) is httpx.ByteStream:
        # It is here already, and there is nothing to close: a tenth of what a call costs.
        body = b"".join(stream)
        if len(body) > max_bytes:
            raise _too_large(max_bytes)
        return body
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in response.aiter_bytes() if encoded else stream:
            size += len(chunk)
            if size > max_bytes:
                raise _too_large(max_bytes)
            chunks.append(chunk)
    finally:
        await stream.aclose()
    return b"".join(chunks)


def network_transport(max_connections: int, *, max_answer_bytes: int = MAX_ANSWER_BYTES) -> Transport:
    """HTTP over aiohttp: more than twice as fast as httpx's own transport, behind the same interface.

    `NOT_SENT` says that nothing was sent; every other failure is another `httpx.TransportError` or an
    `httpx.DecodingError`.
    """
    # Imported here: it takes a fifth of the start, and the in-process platform does not need it.
    import aiohttp
    from httpx_aiohttp import AiohttpTransport

    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=max_connections, keepalive_timeout=30)
        # No cookies: one would be shared by all tenants.
        return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())

    class Network(AiohttpTransport):
        """Tells apart what was not sent: AiohttpTransport calls lost connections connect time-outs."""

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            try:
                response = await super().handle_async_request(request)
                # The body is read here, so that a broken one fails within this table too.
                body = httpx.ByteStream(await read_body(response, max_answer_bytes))
            except httpx.TransportError as exc:
                raise _told_apart(exc, exc.__cause__) from exc
            except aiohttp.ClientError as exc:
                raise httpx.RemoteProtocolError(type(exc).__name__) from exc
            if "content-encoding" in response.headers:
                del response.headers["content-encoding"]
                return httpx.Response(response.status_code, headers=response.headers, stream=body)
            response.stream = body
            return response

    def _told_apart(exc: httpx.TransportError, cause: BaseException | None) -> httpx.TransportError:
        if isinstance(cause, aiohttp.ClientConnectorError | aiohttp.ConnectionTimeoutError):
            return httpx.ConnectError(str(exc))
        return httpx.ReadError(str(exc)) if isinstance(exc, httpx.ConnectTimeout) else exc

    return Network(client=session)


def in_process_transport(app: Callable[..., Any]) -> Transport:
    """Calls of an ASGI application in this process; it knows no time-outs of its own."""
    # An application that fails is a platform that answers 500.
    return httpx.ASGITransport(app, raise_app_exceptions=False)


def _too_large(max_bytes: int) -> AnswerTooLarge:
    return AnswerTooLarge(f"the answer has more than {max_bytes} bytes")
