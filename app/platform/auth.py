"""Access tokens for the platform: client credentials (RFC 6749 §4.4), renewed ahead of expiry."""

from __future__ import annotations

import asyncio
import base64
import re
import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote, urlencode

import httpx
import msgspec

from app.platform.errors import Unauthenticated, Unavailable, Unreadable

_TOKEN = re.compile(r"[\x21-\x7e]+")

RENEW_AHEAD_S = 60.0
"""A token is renewed this long before it expires (or at half its life, if that is shorter)."""


class TokenSource(Protocol):
    """Where the client gets its bearer token from."""

    async def token(self) -> str:
        """A token that is valid now; raises `PlatformError` where none can be had."""
        ...

    def reject(self, token: str) -> None:
        """The platform answered 401 to this token: do not hand it out again."""
        ...


class StaticToken:
    """One token that never changes, for platforms that issue long-lived ones."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self) -> str:
        """The token."""
        return self._token

    def reject(self, token: str) -> None:
        """Nothing else can be tried."""


class _TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: float = 3600


class ClientCredentials:
    """Asks the token endpoint when needed; many waiters share one request."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        token_url: str,
        client_id: str,
        client_secret: str,
        scope: str = "",
        timeout_s: float = 30.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._transport = transport
        self._url = token_url
        self._scope = scope
        # RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
        pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
        self._basic = "Basic " + base64.b64encode(pair.encode()).decode()
        self._timeout_s = timeout_s
        self._clock = clock
        self._token: str | None = None
        self._renew_at = 0.0
        self._renewal: asyncio.Task[str] | None = None

    async def token(self) -> str:
        """The present token, or a new one when it is about to expire; a failure is shared by all who wait."""
        if self._token is not None and self._clock() < self._renew_at:
            return self._token
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._renewed)
        # Shielded: that one waiter goes away must not fail the others.
        return await asyncio.shield(self._renewal)

    def reject(self, token: str) -> None:
        """Forget the token, unless a newer one has replaced it."""
        if token == self._token:
            self._token = None

    def _renewed(self, task: asyncio.Task[str]) -> None:
        self._renewal = None
        if not task.cancelled():
            task.exception()  # Seen here, in case every waiter has gone.

    async def _renew(self) -> str:
        call = "POST token endpoint"
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        request = httpx.Request(
            "POST",
            self._url,
            headers={
                "authorization": self._basic,
                "content-type": "application/x-www-form-urlencoded",
                "accept": "application/json",
            },
            content=urlencode(form).encode(),
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._transport.handle_async_request(request)
                body = await response.aread()
                await response.aclose()
        except (httpx.TransportError, TimeoutError, OSError) as exc:
            raise Unavailable(call, f"no answer ({type(exc).__name__})", outcome_unknown=False) from exc
        if response.status_code >= 500 or response.status_code == 429:
            raise Unavailable(call, f"status {response.status_code}", outcome_unknown=False)
        if response.status_code != 200:
            raise Unauthenticated(
                call, f"status {response.status_code}: check the bridge's client id, secret and scope"
            )
        try:
            answer = msgspec.json.decode(body, type=_TokenAnswer)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise Unreadable(call, "the token answer is not RFC 6749 JSON") from exc
        if _TOKEN.fullmatch(answer.access_token) is None:
            raise Unreadable(call, "the access token is not one that a header can carry")
        life_s = answer.expires_in
        self._token = answer.access_token
        self._renew_at = self._clock() + life_s - min(RENEW_AHEAD_S, life_s / 2)
        return self._token
