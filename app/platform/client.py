"""The tenant Users endpoints as methods. One instance serves one platform and all its tenants."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Self, TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from app.platform.answers import error_of, retry_after_s
from app.platform.auth import TokenSource
from app.platform.breaker import Breaker, Circuit
from app.platform.errors import PlatformError, Throttled, Unauthenticated, Unavailable, Unreadable, in_doubt
from app.platform.exchange import Exchange, name_of
from app.platform.gate import Gate
from app.platform.recording import CallMade
from app.platform.rehearsal import Rehearsal
from app.platform.retry import RetryPolicy
from app.platform.transport import MAX_ANSWER_BYTES, Transport
from app.wire.users import (
    PlatformUser,
    UserCreate,
    UserEnvelope,
    UserPage,
    UserPasswordReset,
    UserStatusUpdate,
    UserUpdate,
)

T = TypeVar("T")

_ENVELOPE = msgspec.json.Decoder(UserEnvelope)
_PAGE = msgspec.json.Decoder(UserPage)
_ENCODER = msgspec.json.Encoder()
_JSON = msgspec.json.Decoder(msgspec.Raw)

_KEPT = 0.1
"""Share of a call's time in which nothing is sent any more: a write would only end in doubt."""


class PlatformClient:
    """Typed calls with time-limits, a bound on concurrency, token renewal, retries and a circuit breaker.

    Every method raises `PlatformError`. Ids must have been checked against `[A-Za-z0-9_-]{1,128}` before;
    they are escaped here all the same.
    """

    def __init__(
        self,
        transport: Transport,
        *,
        base_url: str,
        tokens: TokenSource,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 15.0,
        timeout_s: float = 30.0,
        max_concurrency: int = 64,
        max_answer_bytes: int = MAX_ANSWER_BYTES,
        retry: RetryPolicy | None = None,
        breaker: Breaker | None = None,
        user_include: str = "",
        correlation_header: str = "",
        heard: Callable[[CallMade], None] | None = None,
    ) -> None:
        """`timeout_s` is the limit of a call with all its waits and attempts.

        Nothing is sent in its last tenth. One attempt ends after `connect_timeout_s` + `read_timeout_s` at
        the latest, see `Exchange`, as for `heard`.
        """
        self._retry = retry or RetryPolicy()
        self._clock = self._retry.clock
        self._exchange = Exchange(
            transport,
            base_url=base_url,
            connect_timeout_s=min(connect_timeout_s, timeout_s),
            read_timeout_s=min(read_timeout_s, timeout_s),
            max_answer_bytes=max_answer_bytes,
            correlation_header=correlation_header,
            heard=heard,
        )
        self._attempt_s = min(self._exchange.limit_s, timeout_s)
        self._timeout_s = timeout_s
        self._kept_s = min(timeout_s * _KEPT, self._attempt_s)
        self._tokens = tokens
        self._gate = Gate(max_concurrency, clock=self._clock, sleep=self._retry.sleep)
        self._breaker = breaker or Breaker(clock=self._clock)
        self._include = f"?include={quote(user_include)}" if user_include else ""
        self._rehearsal: Rehearsal | None = None

    @property
    def state(self) -> Circuit:
        """Whether calls are made at present: `closed`, `open` or `half-open`, since when and why."""
        return self._breaker.circuit

    @property
    def load(self) -> tuple[int, int]:
        """Calls under way, and calls that wait for their turn."""
        return self._gate.load

    def rehearsed(self, rehearsal: Rehearsal) -> Self:
        """This client, with writes that go to a rehearsal instead; reads show what came of them."""
        twin = copy.copy(self)
        twin._rehearsal = rehearsal
        return twin

    async def get_user(self, tenant_id: str, user_id: str) -> PlatformUser:
        """`GET …/users/{user_id}`; `Missing` where there is none."""
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}{self._include}"
        body = await self.send("GET", path, expect=200, resource_id=user_id, idempotent=True)
        return decode(_ENVELOPE, body, "GET user").data

    async def list_users(self, tenant_id: str, query: Mapping[str, str | int]) -> UserPage:
        """`GET …/users`; the query holds `page` and `per_page` (both from 1), filters and order."""
        path = f"{_users(tenant_id)}?{urlencode(query)}"
        body = await self.send("GET", path, expect=200, idempotent=True)
        return decode(_PAGE, body, "GET users")

    async def create_user(self, tenant_id: str, user: UserCreate) -> PlatformUser:
        """`POST …/users`; `Taken` where e-mail or username is in use. Repeated only if not applied."""
        body = await self.send("POST", _users(tenant_id), body=user, expect=201)
        return decode(_ENVELOPE, body, "POST users", wrote=True).data

    async def update_user(self, tenant_id: str, user_id: str, change: UserUpdate) -> PlatformUser:
        """`PATCH …/users/{user_id}`: absolute values, so that repeating it is harmless."""
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}"
        body = await self.send("PATCH", path, body=change, expect=200, resource_id=user_id, idempotent=True)
        return decode(_ENVELOPE, body, "PATCH user", wrote=True).data

    async def set_status(self, tenant_id: str, user_id: str, status: UserStatusUpdate) -> PlatformUser | None:
        """`PUT …/users/{user_id}/status`: the user, where the JSON of the answer holds it (it need not)."""
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}/status"
        body = await self.send("PUT", path, body=status, expect=200, resource_id=user_id, idempotent=True)
        try:
            user = _ENVELOPE.decode(body).data
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            confirm(body, "PUT status")
            return None
        return user if user.id == user_id else None

    async def reset_password(self, tenant_id: str, user_id: str, reset: UserPasswordReset) -> None:
        """`POST …/users/{user_id}/password/reset`. Repeated only if not applied."""
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}/password/reset"
        confirm(await self.send("POST", path, body=reset, expect=200, resource_id=user_id), "POST password")

    async def delete_user(self, tenant_id: str, user_id: str, confirm_email: str) -> None:
        """`DELETE …/users/{user_id}`; `Missing` also where the first attempt's answer was lost."""
        query = urlencode({"confirm_email": confirm_email})
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}?{query}"
        await self.send("DELETE", path, expect=204, resource_id=user_id, idempotent=True)

    async def aclose(self) -> None:
        """Close the transport and the token source."""
        await self._tokens.aclose()
        await self._exchange.aclose()

    async def send(
        self,
        method: str,
        path: str,
        *,
        expect: int,
        body: msgspec.Struct | None = None,
        resource_id: str | None = None,
        idempotent: bool = False,
    ) -> bytes:
        """Make one call and answer its body, repeated as the retry policy allows.

        `path` is complete, with query. `resource_id` says that a 404 means this resource; `idempotent` that
        doing the call twice is harmless.
        """
        content = None if body is None else _ENCODER.encode(body)
        if self._rehearsal is not None:
            return await self._rehearsal.answer(self._get, method, path, content, resource_id)
        return await self._send(method, path, content, expect, resource_id, idempotent=idempotent)

    async def _get(self, path: str, resource_id: str | None) -> bytes:
        return await self._send("GET", path, None, 200, resource_id, idempotent=True)

    async def _send(
        self,
        method: str,
        path: str,
        content: bytes | None,
        expect: int,
        resource_id: str | None,
        *,
        idempotent: bool,
    ) -> bytes:
        deadline = self._clock() + self._timeout_s
        attempt = partial(self._attempt, method, path, content, expect, resource_id, deadline)
        try:
            return await attempt()
        except (Throttled, Unavailable) as first:
            latest = deadline - self._kept_s
            if not self._retry.applies(first, idempotent=idempotent, latest=latest):
                raise
            return await self._again(first, attempt, idempotent=idempotent, latest=latest)

    async def _again(
        self,
        first: PlatformError,
        attempt: Callable[[], Awaitable[bytes]],
        *,
        idempotent: bool,
        latest: float,
    ) -> bytes:
        doubt = first.outcome_unknown

        async def repeat() -> bytes:
            nonlocal doubt
            try:
                return await attempt()
            except PlatformError as exc:
                doubt = doubt or exc.outcome_unknown
                raise

        try:
            return await self._retry.again(first, repeat, idempotent=idempotent, latest=latest)
        except PlatformError as last:
            if doubt and (told := in_doubt(last)) is not last:
                raise told from last
            raise

    async def _attempt(
        self,
        method: str,
        path: str,
        content: bytes | None,
        expect: int,
        resource_id: str | None,
        deadline: float,
    ) -> bytes:
        """One exchange; after a 401 one more with a new token, which is safe because a 401 did nothing."""
        token, status, headers, body = await self._in_turn(method, path, content, deadline)
        if status == 401:
            self._tokens.reject(token)
            token, status, headers, body = await self._in_turn(method, path, content, deadline)
        if status == expect:
            return body
        call = name_of(method, path)
        if status == 401:
            raise Unauthenticated(call, "the platform refuses the bridge's token")
        raise error_of(call, status, headers, body, resource_id=resource_id, wrote=method != "GET")

    async def _in_turn(
        self, method: str, path: str, content: bytes | None, deadline: float
    ) -> tuple[str, int, httpx.Headers, bytes]:
        """One exchange, when gate and breaker let it through; the token that was used comes first."""
        gate, breaker = self._gate, self._breaker
        if not breaker.closed:
            breaker.check(name_of(method, path))
        token = self._tokens.present() or await self._token(method, path, deadline)
        if not gate.try_enter():
            await gate.enter(name_of(method, path), deadline - self._kept_s)
        well = False
        try:
            left_s = deadline - self._clock()
            if left_s < self._kept_s:
                raise Unavailable(name_of(method, path), "not sent: no time is left", outcome_unknown=False)
            limit_s = min(self._attempt_s, left_s)
            era = breaker.era if breaker.closed else breaker.probe(name_of(method, path))
            try:
                status, headers, body = await self._exchange.send(method, path, content, token, limit_s)
            except Unavailable as exc:
                # An attempt that had little time left says nothing by not ending in it.
                if limit_s * 2 < self._attempt_s:
                    breaker.gave_up(era)
                else:
                    breaker.failed(era, exc.detail)
                raise
            except BaseException:
                breaker.gave_up(era)
                raise
            if status >= 500:
                breaker.failed(era, f"status {status}")
            elif breaker.succeeded(era):
                gate.slow_start()
            if status == 429:
                gate.pause(retry_after_s(headers) or 0.0)
            well = status < 429
        finally:
            gate.leave(well=well)
        return token, status, headers, body

    async def _token(self, method: str, path: str, deadline: float) -> str:
        try:
            async with asyncio.timeout(deadline - self._kept_s - self._clock()):
                return await self._tokens.token()
        except TimeoutError as exc:
            raise Unavailable(name_of(method, path), "no token in time", outcome_unknown=False) from exc


def _users(tenant_id: str) -> str:
    return f"/api/v1/tenants/{quote(tenant_id, safe='')}/users"


def decode(decoder: msgspec.json.Decoder[T], body: bytes, call: str, *, wrote: bool = False) -> T:
    """The body as a struct, else `Unreadable`; `wrote` says that the call may have had effect.

    The media type is not looked at: what has the form of the answer is the answer.
    """
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        detail = f"the answer is not of the platform's form: {exc}"
        raise Unreadable(call, detail, outcome_unknown=wrote) from exc


def confirm(body: bytes, call: str) -> None:
    """Check that the answer to a write can be the platform's, where nothing in it is needed: JSON, or empty.

    A page of something in between is no confirmation, whatever its status.
    """
    if body:
        decode(_JSON, body, call, wrote=True)
