"""A client that tries again as Okta does, and notes what it was answered and how long that took."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from typing import Any, NamedTuple

import aiohttp
import msgspec

ATTEMPTS = 6
_TIMEOUT_S = 65.0
"""Longer than the bridge takes to answer anything; Okta waits for 60 seconds."""
_RETRIED = frozenset({429, 500, 502, 503, 504})


class Said(NamedTuple):
    """The last answer to a request."""

    status: int
    """0 where there was none."""
    body: Any
    again: bool
    """Whether it was sent more than once, so that an earlier one may have been carried out."""

    @property
    def acknowledged(self) -> bool:
        """Whether it was done, for certain."""
        return 200 <= self.status < 300

    @property
    def doubtful(self) -> bool:
        """Whether it may or may not have been done."""
        return self.status in _RETRIED or not self.status


class Client:
    """Sends requests of one connection."""

    def __init__(self, session: aiohttp.ClientSession, base_url: str, patience_s: float) -> None:
        """Waits as long as `Retry-After` says, but never longer than `patience_s`."""
        self._session = session
        self._base_url = base_url
        self._patience_s = patience_s
        self.latencies_ms: defaultdict[str, list[float]] = defaultdict(list)
        """Of every single answer, by kind of request."""
        self.errors: defaultdict[str, Counter[str]] = defaultdict(Counter)
        """Answers that were no success, by kind and status."""
        self.sent = 0

    async def ask(self, kind: str, method: str, path: str, body: Any = None) -> Said:
        """One request, sent up to `ATTEMPTS` times."""
        content = None if body is None else msgspec.json.encode(body)
        for attempt in range(ATTEMPTS):
            status, text, retry_after = await self._once(kind, method, path, content)
            if status not in _RETRIED and status:
                break
            if attempt < ATTEMPTS - 1:
                await asyncio.sleep(min(self._patience_s, float(retry_after or 2**attempt)))
        return Said(status, msgspec.json.decode(text) if text else None, attempt > 0)

    async def _once(
        self, kind: str, method: str, path: str, content: bytes | None
    ) -> tuple[int, bytes, str | None]:
        self.sent += 1
        begun = time.perf_counter()
        try:
            async with self._session.request(
                method,
                self._base_url + path,
                data=content,
                headers={} if content is None else {"Content-Type": "application/scim+json"},
                timeout=aiohttp.ClientTimeout(total=_TIMEOUT_S),
            ) as answer:
                text = await answer.read()
                status, retry_after = answer.status, answer.headers.get("Retry-After")
        except (aiohttp.ClientError, TimeoutError) as exc:
            self.errors[kind][type(exc).__name__] += 1
            return 0, b"", None
        self.latencies_ms[kind].append((time.perf_counter() - begun) * 1000)
        if status >= 400:
            self.errors[kind][str(status)] += 1
        return status, text, retry_after
