"""One request and its answer: the attempts that a platform call is made of."""

from __future__ import annotations

import asyncio
import time
from functools import lru_cache

import httpx

from app.platform.errors import PlatformError, Unavailable, Unreadable
from app.platform.recording import CallMade, recording
from app.platform.transport import NOT_SENT, AnswerTooLarge, Transport, read_body

_url = lru_cache(4096)(httpx.URL)
"""Parsing a URL is half of what a request costs to make, and a user is mostly asked for several times."""


class Exchange:
    """Sends requests, each within time-limits and with an answer of bounded size.

    Requests go straight to an httpx transport: that is the seam for the in-process platform, for tests and
    for faults, and it spares the cost of `httpx.AsyncClient`, which does nothing here that is needed.
    Redirections are not followed.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        connect_timeout_s: float,
        read_timeout_s: float,
        max_answer_bytes: int,
        correlation_header: str = "",
    ) -> None:
        """A connection must be there in the first time, and no silence may last longer than the second.

        Both together are the limit for the whole attempt (`limit_s`), so that nothing is gained by sending an
        answer byte by byte, and for a transport without time-limits of its own. `correlation_header` carries
        the correlation id of the request that a call is made for; empty: none does.
        """
        self._transport = transport
        self._base = base_url.rstrip("/")
        self._max_bytes = max_answer_bytes
        self._correlation_header = correlation_header
        self.limit_s = connect_timeout_s + read_timeout_s
        timeout = {"connect": connect_timeout_s, "read": read_timeout_s, "pool": self.limit_s}
        self._extensions = {"timeout": timeout}

    async def send(
        self, method: str, path: str, content: bytes | None, token: str, limit_s: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body of the answer, else `Unavailable` or `Unreadable`."""
        noted = recording()
        if noted is None:
            return await self._send(method, path, content, token, limit_s, None)
        begun, status, failure = time.perf_counter(), None, None
        try:
            answer = await self._send(method, path, content, token, limit_s, noted.correlation_id)
            status = answer[0]
            return answer
        except PlatformError as exc:
            failure = exc.detail
            raise
        finally:
            ms = (time.perf_counter() - begun) * 1000
            noted.calls.append(CallMade(method=method, path=path, status=status, ms=ms, failure=failure))

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | None,
        token: str,
        limit_s: float,
        correlation_id: str | None,
    ) -> tuple[int, httpx.Headers, bytes]:
        headers = [
            ("Authorization", "Bearer " + token),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
        ]
        if content is not None:
            headers.append(("Content-Type", "application/json"))
        if correlation_id is not None and self._correlation_header:
            headers.append((self._correlation_header, correlation_id))
        request = httpx.Request(
            method, _url(self._base + path), headers=headers, content=content, extensions=self._extensions
        )
        try:
            async with asyncio.timeout(limit_s):
                response = await self._transport.handle_async_request(request)
                return response.status_code, response.headers, await read_body(response, self._max_bytes)
        except NOT_SENT as exc:
            raise Unavailable(name_of(method, path), "no connection", outcome_unknown=False) from exc
        except (AnswerTooLarge, httpx.DecodingError) as exc:
            raise Unreadable(name_of(method, path), str(exc), outcome_unknown=method != "GET") from exc
        except (httpx.TransportError, TimeoutError, OSError) as exc:
            detail = f"no answer ({type(exc).__name__})"
            raise Unavailable(name_of(method, path), detail, outcome_unknown=method != "GET") from exc

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()


def name_of(method: str, path: str) -> str:
    """What a call is named in errors: without its query, which holds personal data."""
    return f"{method} {path.partition('?')[0]}"
