"""Where the client's tokens come from, and what happens when none does."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import httpx
import pytest
from scripted import CALLS, GOOD, USER, Answer, Clock, Script, Server, client, response, timed
from simulated import now, simulated

from app.platform.auth import ClientCredentials
from app.platform.client import PlatformClient
from app.platform.errors import PlatformError, Unauthenticated, Unavailable, Unreadable


def credentials(transport: httpx.AsyncBaseTransport, clock: Any = None, **options: Any) -> ClientCredentials:
    return ClientCredentials(
        transport,
        token_url="http://platform.test/oauth/token",
        client_id="id:with:colons",
        client_secret="s/e c%r&t",
        scope="a b",
        clock=clock or Clock(),
        **options,
    )


def token(name: str, life: Any = 3600) -> Answer:
    return (200, {"access_token": name, "token_type": "Bearer", "expires_in": life})


async def settled(source: ClientCredentials) -> str | None:
    """The token once a renewal in the background is over."""
    source.present()
    for _ in range(10):
        await asyncio.sleep(0)
    return source.present()


# --- its life ---------------------------------------------------------------------------------------------


async def test_a_token_is_renewed_ahead_of_its_end_and_nobody_waits() -> None:
    clock = Clock()
    script = Script(token("one"), token("two"))
    source = credentials(script, clock)
    assert source.present() is None
    assert await source.token() == "one"
    clock.now += 3539
    assert await settled(source) == "one"
    assert len(script.requests) == 1
    clock.now += 2
    assert await source.token() == "one"
    assert await settled(source) == "two"
    assert len(script.requests) == 2


@pytest.mark.parametrize(
    ("life", "used_s"),
    [
        (3600, 3540),
        (120, 60),
        (20, 10),
        ("3600", 3540),
        (None, 3540),
        (1, 0.5),
        (0, 0.5),
        (-7, 0.5),
        (1e12, 1e12 - 60),
    ],
)
async def test_a_life_of_any_length(life: Any, used_s: float) -> None:
    clock = Clock()
    script = Script(token("one", life), token("two", life))
    source = credentials(script, clock)
    assert await source.token() == "one"
    clock.now += used_s - 0.01
    assert await settled(source) == "one"
    assert len(script.requests) == 1
    clock.now += 0.02
    assert await settled(source) == "two"


async def test_a_life_that_is_not_named() -> None:
    clock = Clock()
    script = Script((200, {"access_token": "one"}), token("two"))
    source = credentials(script, clock)
    await source.token()
    clock.now += 3599
    assert source.present() == "one"
    await settled(source)
    clock.now += 2
    assert source.present() == "two"


async def test_an_expired_token_is_not_handed_out() -> None:
    clock = Clock()
    source = credentials(Script(token("one"), token("two")), clock)
    await source.token()
    clock.now += 3600
    assert source.present() is None
    assert await source.token() == "two"


async def test_a_life_begins_when_it_is_asked_for() -> None:
    clock = Clock()

    class Late(Script):
        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            clock.now += 15
            return await super().handle_async_request(request)

    source = credentials(Late(token("one", 100)), clock)
    await source.token()
    clock.now += 84
    assert source.present() == "one"
    clock.now += 1
    assert source.present() is None


async def test_a_renewal_that_fails_leaves_the_token_in_use() -> None:
    clock = Clock()
    script = Script(token("one"), (500, b""), httpx.ConnectError("x"), (200, b"<html>"), token("two"))
    source = credentials(script, clock)
    await source.token()
    clock.now += 3545
    for seen in (2, 3, 4):
        for _ in range(5):
            assert await settled(source) == "one"
        assert len(script.requests) == seen  # not with every call
        clock.now += 5
    assert await settled(source) == "two"


# --- many at a time ---------------------------------------------------------------------------------------


@simulated
async def test_many_waiters_share_one_renewal() -> None:
    server = Server(token("one"))
    source = credentials(server)
    assert set(await asyncio.gather(*(source.token() for _ in range(20)))) == {"one"}
    assert len(server.began) == 1


@simulated
async def test_many_waiters_share_one_failure() -> None:
    """A token endpoint that does not answer costs each of them one time-out, not one after the other."""
    source = credentials(Server(token("one"), takes_s=3600), timeout_s=20)
    began = now()
    found = await asyncio.gather(*(source.token() for _ in range(20)), return_exceptions=True)
    assert all(isinstance(f, Unavailable) for f in found)
    assert now() == began + 20


@simulated
async def test_the_first_waiter_may_go_away() -> None:
    server = Server(token("one"))
    source = credentials(server)
    first, *others = (asyncio.ensure_future(source.token()) for _ in range(5))
    await asyncio.sleep(0.5)
    first.cancel()
    assert await asyncio.gather(*others) == ["one"] * 4
    assert first.cancelled()
    assert len(server.began) == 1


@simulated
async def test_all_waiters_may_go_away() -> None:
    server = Server((500, b""))
    source = credentials(server)
    waiting = [asyncio.ensure_future(source.token()) for _ in range(3)]
    await asyncio.sleep(0.5)
    for task in waiting:
        task.cancel()
    await asyncio.sleep(1)
    server.answer = token("one")
    assert await source.token() == "one"


@simulated
async def test_what_is_under_way_ends_with_the_client() -> None:
    server = Server(token("one"), takes_s=3600)
    limited = timed(server, tokens=credentials(server))
    call = asyncio.ensure_future(CALLS["get"](limited))
    await asyncio.sleep(1)
    call.cancel()
    await asyncio.wait([call])
    await limited.aclose()
    assert server.running == 0


@simulated
async def test_a_call_does_not_outlast_its_time_for_want_of_a_token() -> None:
    server = Server(token("one"), takes_s=3600)
    limited = timed(server, timeout_s=10, tokens=credentials(server, timeout_s=20))
    began = now()
    with pytest.raises(Unavailable) as caught:
        await CALLS["create"](limited)
    assert not caught.value.outcome_unknown
    assert now() == began + 9
    await limited.aclose()


# --- 401 --------------------------------------------------------------------------------------------------


class Guarded(httpx.AsyncBaseTransport):
    """A platform that takes some tokens only, and hands out t1, t2…"""

    def __init__(self, *good: str) -> None:
        self.good = set(good)
        self.issued = self.refused = self.answered = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        if request.url.path.endswith("/token"):
            self.issued += 1
            return response(token(f"t{self.issued}"))
        if request.headers["authorization"].removeprefix("Bearer ") not in self.good:
            self.refused += 1
            return response((401, {"detail": "token"}))
        self.answered += 1
        return response((201 if request.method == "POST" else 200, {"data": USER}))


def guarded(platform: Guarded, clock: Clock) -> PlatformClient:
    return client(platform, clock, tokens=credentials(platform, clock))


@pytest.mark.parametrize("call", ["get", "create", "update"])
async def test_a_refused_token_is_renewed_and_the_call_made_again(call: str) -> None:
    platform = Guarded("t2")
    await CALLS[call](guarded(platform, Clock()))
    assert (platform.issued, platform.refused, platform.answered) == (2, 1, 1)


async def test_many_refusals_cause_one_renewal() -> None:
    platform = Guarded("t2")
    limited = guarded(platform, Clock())
    await asyncio.gather(*(CALLS["get"](limited) for _ in range(50)))
    assert (platform.issued, platform.refused, platform.answered) == (2, 50, 50)


async def test_a_platform_that_takes_no_token_does_not_cost_one_a_call() -> None:
    clock = Clock()
    platform = Guarded()
    limited = guarded(platform, clock)
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await CALLS["get"](limited)
        clock.now += 0.1
    assert platform.issued == 2
    clock.now += 5
    platform.good = {"t3"}
    await CALLS["get"](limited)


async def test_rejecting_an_old_token_keeps_the_new_one() -> None:
    script = Script(token("one"), token("two"), token("three"))
    clock = Clock()
    source = credentials(script, clock)
    old = await source.token()
    source.reject(old)
    assert source.present() is None
    assert await source.token() == "two"
    clock.now += 60
    source.reject(old)
    assert await source.token() == "two"
    assert len(script.requests) == 2


async def test_a_token_refused_twice_is_an_error() -> None:
    script = Script((401, b""))
    with pytest.raises(Unauthenticated):
        await CALLS["get"](client(script))
    assert len(script.requests) == 2


# --- the token endpoint -----------------------------------------------------------------------------------


async def test_credentials_are_encoded_before_they_are_joined() -> None:
    script = Script(token("one"))
    await credentials(script).token()
    (request,) = script.requests
    pair = base64.b64decode(request.headers["authorization"].removeprefix("Basic ")).decode()
    assert pair == "id%3Awith%3Acolons:s%2Fe%20c%25r%26t"
    assert request.content == b"grant_type=client_credentials&scope=a+b"


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ((400, {"error": "invalid_client"}), Unauthenticated),
        ((401, b""), Unauthenticated),
        ((403, b"<html>"), Unauthenticated),
        ((404, b"<html>"), Unauthenticated),
        ((408, b""), Unavailable),
        ((429, b""), Unavailable),
        ((500, b""), Unavailable),
        ((200, b"<html>"), Unreadable),
        ((200, b""), Unreadable),
        ((200, b"\xff"), Unreadable),
        ((200, b"[" * 60_000), Unreadable),
        ((200, b" " * 70_000), Unreadable),
        ((200, b"{}"), Unreadable),
        ((200, {"access_token": None}), Unreadable),
        ((200, {"access_token": ""}), Unreadable),
        ((200, {"access_token": "a", "expires_in": "soon"}), Unreadable),
        ((200, {"access_token": "a\r\nX-Injected: b"}), Unreadable),
        ((302, b"", {"location": "http://evil.test/"}), Unreadable),
        (httpx.ConnectError("x"), Unavailable),
        (httpx.ReadTimeout("x"), Unavailable),
        (httpx.DecodingError("x"), Unreadable),
        (OSError("x"), Unavailable),
    ],
    ids=lambda v: repr(v)[:50],
)
async def test_a_token_that_cannot_be_had(answer: Answer, error: type[PlatformError]) -> None:
    source = credentials(Script(answer))
    with pytest.raises(PlatformError) as caught:
        await source.token()
    assert type(caught.value) is error
    assert "s/e c%r&t" not in str(caught.value)
    assert not caught.value.outcome_unknown


async def test_a_token_endpoint_that_comes_back() -> None:
    clock = Clock()
    script = Script((503, b"", {"retry-after": "4"}), (429, b"", {"retry-after": "2"}), token("one"))
    limited = client(Script(GOOD["create"]), clock, tokens=credentials(script, clock))
    await CALLS["create"](limited)
    assert clock.slept == [4.0, 2.0]


async def test_refused_credentials_are_not_tried_with_every_call() -> None:
    clock = Clock()
    script = Script((401, b""), (401, b""), token("one"))
    source = credentials(script, clock)
    for _ in range(10):
        with pytest.raises(Unauthenticated):
            await source.token()
    assert len(script.requests) == 1
    clock.now += 5
    with pytest.raises(Unauthenticated):
        await source.token()
    clock.now += 5
    assert await source.token() == "one"
