"""Access tokens for the platform: client credentials (RFC 6749 §4.4), renewed ahead of expiry."""

from __future__ import annotations

import asyncio
import base64
import math
import re
import time
from collections.abc import Callable
from typing import Protocol
from urllib.parse import quote, urlencode

import httpx
import msgspec

from app.platform.answers import retry_after_s
from app.platform.breaker import Breaker
from app.platform.errors import Unauthenticated, Unavailable, Unreadable
from app.platform.transport import AnswerTooLarge, Transport, read_body

_TOKEN = re.compile(r"[\x21-\x7e]+")

RENEW_AHEAD_S = 60.0
"""A token is renewed this long before it expires (or at half its life, if that is shorter)."""
APART_S = 5.0
"""Time between two renewals for which the first one gives no reason to hope: see `ClientCredentials`."""
_DEFAULT_LIFE_S = 3600.0
"""Where the answer names none, as RFC 6749 §5.1 permits; a 401 corrects it."""
_LEAST_LIFE_S = 1.0
_MAX_ANSWER_BYTES = 65_536


class TokenSource(Protocol):
    """Where the client gets its bearer token from."""

    def present(self) -> str | None:
        """A token that is valid now, None where one has to be waited for."""
        ...

    async def token(self) -> str:
        """A token that is valid now; raises `PlatformError` where none can be had."""
        ...

    def reject(self, token: str) -> None:
        """The platform answered 401 to this token: do not hand it out again."""
        ...

    async def aclose(self) -> None:
        """End what is under way."""
        ...


class StaticToken:
    """One token that never changes, for platforms that issue long-lived ones."""

    def __init__(self, token: str) -> None:
        self._token = token

    def present(self) -> str | None:
        """The token."""
        return self._token

    async def token(self) -> str:
        """The token."""
        return self._token

    def reject(self, token: str) -> None:
        """Nothing else can be tried."""

    async def aclose(self) -> None:
        """Nothing is under way."""


class _TokenAnswer(msgspec.Struct, frozen=True, kw_only=True):
    access_token: str
    expires_in: float | None = None


class ClientCredentials:
    """Asks the token endpoint when needed; many waiters share one request.

    A token that is about to expire is still handed out while the next one is fetched, so that nobody waits
    for that, and a token endpoint that fails does no harm for as long as the token is good. What would only
    load the endpoint is not done within `APART_S`: fetching ahead again after a failure, replacing a second
    token that the platform refuses, and asking again with credentials that were just refused.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        token_url: str,
        client_id: str,
        client_secret: str,
        scope: str = "",
        timeout_s: float = 20.0,
        breaker: Breaker | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`timeout_s` is the limit of one request for a token; `breaker` is told of those that fail."""
        self._transport = transport
        self._url = token_url
        self._scope = scope
        # RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
        pair = f"{quote(client_id, safe='')}:{quote(client_secret, safe='')}"
        self._basic = "Basic " + base64.b64encode(pair.encode()).decode()
        self._timeout_s = timeout_s
        self._breaker = breaker
        self._clock = clock
        self._token: str | None = None
        self._renew_at = self._expires_at = 0.0
        self._rejected_at = -math.inf
        self._refusal: Unauthenticated | None = None
        self._refused_at = 0.0
        self._renewal: asyncio.Task[str] | None = None

    def present(self) -> str | None:
        """The token, for as long as it is good; begins to fetch the next one when that is due."""
        if self._token is None:
            return None
        now = self._clock()
        if now >= self._renew_at:
            if now >= self._expires_at:
                return None
            # Should this one fail, the next is due a while later.
            self._renew_at = min(now + APART_S, self._expires_at)
            self._fetch()
        return self._token

    async def token(self) -> str:
        """The present token, or a new one; a failure is shared by all who wait."""
        token = self.present()
        if token is not None:
            return token
        if self._refusal is not None and self._clock() < self._refused_at + APART_S:
            raise Unauthenticated(self._refusal.call, self._refusal.detail)
        # Shielded: that one waiter goes away must not fail the others.
        return await asyncio.shield(self._fetch())

    def reject(self, token: str) -> None:
        """Forget the token, unless a newer one has replaced it, or has been refused as well just now."""
        now = self._clock()
        if token == self._token and now >= self._rejected_at + APART_S:
            self._token = None
            self._rejected_at = now

    async def aclose(self) -> None:
        """End a request that is under way."""
        if self._renewal is not None:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    def _fetch(self) -> asyncio.Task[str]:
        if self._renewal is None:
            self._renewal = asyncio.create_task(self._renew())
            self._renewal.add_done_callback(self._renewed)
        return self._renewal

    def _renewed(self, task: asyncio.Task[str]) -> None:
        self._renewal = None
        if not task.cancelled():
            task.exception()  # Seen here, in case every waiter has gone.

    async def _renew(self) -> str:
        era = self._breaker.era if self._breaker else 0
        # The life of a token is counted from before it was asked for: it began at some time after that.
        asked_at = self._clock()
        try:
            answer = await self._ask()
        except Unavailable as exc:
            if self._breaker:
                self._breaker.failed(era, str(exc))
            raise
        except Unauthenticated as exc:
            self._refusal, self._refused_at = exc, self._clock()
            raise
        life_s = max(_LEAST_LIFE_S, _DEFAULT_LIFE_S if answer.expires_in is None else answer.expires_in)
        self._token = answer.access_token
        self._refusal = None
        self._expires_at = asked_at + life_s
        self._renew_at = self._expires_at - min(RENEW_AHEAD_S, life_s / 2)
        return self._token

    async def _ask(self) -> _TokenAnswer:
        call = "POST token endpoint"
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        request = httpx.Request(
            "POST",
            self._url,
            headers={
                "authorization": self._basic,
                "content-type": "application/x-www-form-urlencoded",
                "accept": "application/json",
                "accept-encoding": "identity",
            },
            content=urlencode(form).encode(),
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._transport.handle_async_request(request)
                body = await read_body(response, _MAX_ANSWER_BYTES)
        except (AnswerTooLarge, httpx.DecodingError) as exc:
            raise Unreadable(call, str(exc)) from exc
        except (httpx.TransportError, TimeoutError, OSError) as exc:
            raise Unavailable(call, f"no answer ({type(exc).__name__})", outcome_unknown=False) from exc
        status = response.status_code
        if status >= 500 or status in (408, 429):
            wait_s = retry_after_s(response.headers)
            raise Unavailable(call, f"status {status}", outcome_unknown=False, retry_after_s=wait_s)
        if status < 200 or 300 <= status < 400:
            raise Unreadable(call, f"unexpected status {status}")
        if status != 200:
            raise Unauthenticated(call, f"status {status}: check the bridge's client id, secret and scope")
        try:
            # Not strict: `expires_in` comes as a string from some.
            answer = msgspec.json.decode(body, type=_TokenAnswer, strict=False)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise Unreadable(call, "the token answer is not RFC 6749 JSON") from exc
        if _TOKEN.fullmatch(answer.access_token) is None:
            raise Unreadable(call, "the access token is not one that a header can carry")
        return answer
