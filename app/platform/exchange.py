"""One request and its answer: the attempts that a platform call is made of."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from functools import lru_cache

import httpx

from app.platform.errors import PlatformError, Unavailable, Unreadable
from app.platform.recording import CallMade, Recording, recording
from app.platform.tracing import new_span_id
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
        heard: Callable[[CallMade], None] | None = None,
    ) -> None:
        """A connection must be there in the first time, and no silence may last longer than the second.

        Both together are the limit for the whole attempt (`limit_s`), so that nothing is gained by sending an
        answer byte by byte, and for a transport without time-limits of its own. `correlation_header` carries
        the correlation id of the request that a call is made for; empty: none does. `heard` is told of every
        call, whoever it is made for.
        """
        self._transport = transport
        self._base = base_url.rstrip("/")
        self._max_bytes = max_answer_bytes
        self._correlation_header = correlation_header
        self._heard = heard
        self.limit_s = connect_timeout_s + read_timeout_s
        timeout = {"connect": connect_timeout_s, "read": read_timeout_s, "pool": self.limit_s}
        self._extensions = {"timeout": timeout}

    async def send(
        self, method: str, path: str, content: bytes | None, token: str, limit_s: float
    ) -> tuple[int, httpx.Headers, bytes]:
        """Status, headers and body of the answer, else `Unavailable` or `Unreadable`."""
        noted = recording()
        if noted is None and self._heard is None:
            return await self._send(method, path, content, token, limit_s, ())
        traced = noted is not None and noted.trace is not None
        span_id, begun_ns = (new_span_id(), time.time_ns()) if traced else (0, 0)
        begun, status, failure = time.perf_counter(), None, None
        try:
            tied = () if noted is None else self._tied(noted, span_id)
            answer = await self._send(method, path, content, token, limit_s, tied)
            status = answer[0]
            return answer
        except PlatformError as exc:
            failure = exc.detail
            raise
        finally:
            call = CallMade(
                method=method,
                path=path,
                status=status,
                ms=(time.perf_counter() - begun) * 1000,
                failure=failure,
                span_id=span_id,
                begun_ns=begun_ns,
            )
            if noted is not None:
                noted.calls.append(call)
            if self._heard is not None:
                self._heard(call)

    def _tied(self, noted: Recording, span_id: int) -> Sequence[tuple[str, str]]:
        """The header fields that tie a call to the request that it is made for."""
        fields = []
        if noted.correlation_id is not None and self._correlation_header:
            fields.append((self._correlation_header, noted.correlation_id))
        if noted.trace is not None:
            fields += noted.trace.fields(span_id)
        return fields

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | None,
        token: str,
        limit_s: float,
        tied: Sequence[tuple[str, str]],
    ) -> tuple[int, httpx.Headers, bytes]:
        headers = [
            ("Authorization", "Bearer " + token),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
        ]
        if content is not None:
            headers.append(("Content-Type", "application/json"))
        headers += tied
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
