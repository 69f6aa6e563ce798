"""The tenant Users endpoints as methods. One instance serves one platform and all its tenants.

Requests go straight to an httpx transport: that is the seam for the in-process platform, for tests and for
faults, and it spares the cost of `httpx.AsyncClient`, which does nothing here that is needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar
from urllib.parse import quote, urlencode

import httpx
import msgspec

from app.platform.answers import error_of
from app.platform.auth import TokenSource
from app.platform.errors import Throttled, Unauthenticated, Unavailable, Unreadable
from app.platform.retry import RetryPolicy
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

_url = lru_cache(4096)(httpx.URL)
"""Parsing a URL is half of what a request costs to make, and a user is mostly asked for several times."""

_ENVELOPE = msgspec.json.Decoder(UserEnvelope)
_PAGE = msgspec.json.Decoder(UserPage)
_ENCODER = msgspec.json.Encoder()


class PlatformClient:
    """Typed calls with a total time-out, a bound on concurrency, token renewal and retries.

    Every method raises `PlatformError`. Ids must have been checked against `[A-Za-z0-9_-]{1,128}` before;
    they are escaped here all the same.
    """

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        *,
        base_url: str,
        tokens: TokenSource,
        timeout_s: float = 30.0,
        max_concurrency: int = 64,
        retry: RetryPolicy | None = None,
        user_include: str = "",
    ) -> None:
        self._transport = transport
        self._base = base_url.rstrip("/")
        self._tokens = tokens
        self._timeout_s = timeout_s
        self._slots = asyncio.Semaphore(max_concurrency)
        self._retry = retry or RetryPolicy()
        self._include = f"?include={quote(user_include)}" if user_include else ""
        self._extensions = {"timeout": {"connect": min(5.0, timeout_s), "read": timeout_s, "pool": timeout_s}}

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
        """`POST …/users`; `Taken` where e-mail or username is in use. Never repeated by itself."""
        body = await self.send("POST", _users(tenant_id), body=user, expect=201)
        return decode(_ENVELOPE, body, "POST users", wrote=True).data

    async def update_user(self, tenant_id: str, user_id: str, change: UserUpdate) -> PlatformUser:
        """`PATCH …/users/{user_id}`: absolute values, so that repeating it is harmless."""
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}"
        body = await self.send("PATCH", path, body=change, expect=200, resource_id=user_id, idempotent=True)
        return decode(_ENVELOPE, body, "PATCH user", wrote=True).data

    async def set_status(self, tenant_id: str, user_id: str, status: UserStatusUpdate) -> PlatformUser | None:
        """`PUT …/users/{user_id}/status`: the user, where the answer holds it (it need not)."""
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}/status"
        body = await self.send("PUT", path, body=status, expect=200, resource_id=user_id, idempotent=True)
        try:
            user = _ENVELOPE.decode(body).data
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        return user if user.id == user_id else None

    async def reset_password(self, tenant_id: str, user_id: str, reset: UserPasswordReset) -> None:
        """`POST …/users/{user_id}/password/reset`. Not repeated by itself."""
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}/password/reset"
        await self.send("POST", path, body=reset, expect=200, resource_id=user_id)

    async def delete_user(self, tenant_id: str, user_id: str, confirm_email: str) -> None:
        """`DELETE …/users/{user_id}`. Not repeated by itself: a second one answers 404."""
        query = urlencode({"confirm_email": confirm_email})
        path = f"{_users(tenant_id)}/{quote(user_id, safe='')}?{query}"
        await self.send("DELETE", path, expect=204, resource_id=user_id)

    async def aclose(self) -> None:
        """Close the transport."""
        await self._transport.aclose()

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
        try:
            return await self._once(method, path, content, expect, resource_id)
        except (Throttled, Unavailable) as first:
            if not self._retry.applies(first, idempotent=idempotent):
                raise

            async def repeat() -> bytes:
                return await self._once(method, path, content, expect, resource_id)

            return await self._retry.again(first, repeat, idempotent=idempotent)

    async def _once(
        self, method: str, path: str, content: bytes | None, expect: int, resource_id: str | None
    ) -> bytes:
        """One call; after a 401 one more with a new token, which is safe because a 401 did nothing."""
        token = await self._tokens.token()
        status, headers, body = await self._exchange(method, path, content, token)
        if status == 401:
            self._tokens.reject(token)
            token = await self._tokens.token()
            status, headers, body = await self._exchange(method, path, content, token)
        if status == expect:
            return body
        call = _name(method, path)
        if status == 401:
            raise Unauthenticated(call, "the platform refuses the bridge's token")
        raise error_of(call, status, headers, body, resource_id=resource_id, wrote=method != "GET")

    async def _exchange(
        self, method: str, path: str, content: bytes | None, token: str
    ) -> tuple[int, httpx.Headers, bytes]:
        headers = [
            ("Authorization", "Bearer " + token),
            ("Accept", "application/json"),
            ("Accept-Encoding", "identity"),
        ]
        if content is not None:
            headers.append(("Content-Type", "application/json"))
        request = httpx.Request(
            method, _url(self._base + path), headers=headers, content=content, extensions=self._extensions
        )
        wrote = False
        try:
            async with asyncio.timeout(self._timeout_s), self._slots:
                # A call that never got its turn was not made.
                wrote = method != "GET"
                response = await self._transport.handle_async_request(request)
                try:
                    return response.status_code, response.headers, await _body_of(response)
                finally:
                    await response.aclose()
        except httpx.ConnectError as exc:
            raise Unavailable(_name(method, path), "no connection", outcome_unknown=False) from exc
        except (httpx.TransportError, httpx.DecodingError, TimeoutError, OSError) as exc:
            detail = f"no answer ({type(exc).__name__})"
            raise Unavailable(_name(method, path), detail, outcome_unknown=wrote) from exc


async def _body_of(response: httpx.Response) -> bytes:
    """The body, without httpx's decoding where nothing is encoded: a tenth of the call's cost."""
    if "content-encoding" in response.headers or not isinstance(response.stream, httpx.AsyncByteStream):
        return await response.aread()
    return b"".join([chunk async for chunk in response.stream])


def _users(tenant_id: str) -> str:
    return f"/api/v1/tenants/{quote(tenant_id, safe='')}/users"


def _name(method: str, path: str) -> str:
    return f"{method} {path.partition('?')[0]}"


def decode(decoder: msgspec.json.Decoder[T], body: bytes, call: str, *, wrote: bool = False) -> T:
    """The body as a struct, else `Unreadable`; `wrote` says that the call may have had effect."""
    try:
        return decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        detail = f"the answer is not of the platform's form: {exc}"
        raise Unreadable(call, detail, outcome_unknown=wrote) from exc
