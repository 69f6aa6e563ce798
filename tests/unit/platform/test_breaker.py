"""The circuit breaker, alone and in the client."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import httpx
import pytest
from scripted import CALLS, GOOD, Answer, Clock, Script, Server, client, timed
from simulated import now, simulated

from app.platform.auth import ClientCredentials
from app.platform.breaker import Breaker
from app.platform.client import PlatformClient
from app.platform.errors import CircuitOpen, PlatformError, Unavailable
from app.platform.retry import RetryPolicy

FAILURES: list[Answer] = [
    (500, b""),
    (503, b"<html>"),
    httpx.ReadTimeout("x"),
    httpx.ReadError("x"),
    httpx.ConnectError("x"),
    OSError("x"),
]
ANSWERS: list[Answer] = [
    GOOD["get"],
    (400, b""),
    (403, b""),
    (404, {"detail": "User not found"}),
    (404, b"<html>"),
    (409, b""),
    (429, b"", {"retry-after": "0"}),
    (301, b""),
    (200, b"<html>"),
]


def breaker(clock: Clock, failures: int = 3, reset_s: float = 10.0) -> Breaker:
    return Breaker(failures=failures, reset_s=reset_s, clock=clock)


def state(watched: Breaker) -> str:
    return watched.circuit.state


def opened(clock: Clock) -> Breaker:
    made = breaker(clock)
    for _ in range(3):
        made.failed(made.era, "status 500")
    return made


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    made = breaker(Clock())
    for _ in range(2):
        made.failed(made.era, "status 500")
    made.succeeded(made.era)
    for _ in range(2):
        made.failed(made.era, "status 500")
    assert made.closed
    assert made.circuit.reason == ""
    made.failed(made.era, "status 502")
    assert not made.closed
    assert (state(made), made.circuit.reason) == ("open", "status 502")


def test_nothing_is_let_through_until_the_time_is_over() -> None:
    clock = Clock()
    made = opened(clock)
    for passed in (0.0, 4.0, 5.9):
        clock.now += passed
        for ask in (made.check, made.probe):
            with pytest.raises(CircuitOpen) as caught:
                ask("GET x")
            assert not caught.value.outcome_unknown
    assert caught.value.retry_after_s == pytest.approx(0.1)
    clock.now += 0.1
    assert state(made) == "half-open"
    made.check("GET x")


def test_one_probe_at_a_time() -> None:
    clock = Clock()
    made = opened(clock)
    clock.now += 10
    era = made.probe("GET x")
    with pytest.raises(CircuitOpen):
        made.probe("GET y")
    with pytest.raises(CircuitOpen):
        made.check("GET y")
    made.gave_up(era)
    assert made.probe("GET y") == era


def test_a_probe_that_succeeds_closes_it() -> None:
    clock = Clock()
    made = opened(clock)
    since = made.circuit.since
    clock.now += 10
    assert made.succeeded(made.probe("GET x"))
    assert (state(made), made.circuit.reason) == ("closed", "")
    assert made.circuit.since >= since
    made.failed(made.era, "status 500")
    assert made.closed


def test_a_probe_that_fails_opens_it_for_as_long_again() -> None:
    clock = Clock()
    made = opened(clock)
    since = made.circuit.since
    clock.now += 10
    made.failed(made.probe("GET x"), "status 504")
    assert (state(made), made.circuit.reason, made.circuit.since) == ("open", "status 504", since)
    clock.now += 9.9
    with pytest.raises(CircuitOpen):
        made.check("GET x")
    clock.now += 0.1
    made.check("GET x")


def test_what_began_before_the_trouble_says_nothing_about_it() -> None:
    clock = Clock()
    made = breaker(clock)
    before = made.era
    for _ in range(3):
        made.failed(made.era, "status 500")
    clock.now += 10
    probe = made.probe("GET x")
    made.failed(before, "status 500")
    made.gave_up(before)
    assert not made.succeeded(before)
    assert state(made) == "half-open"
    with pytest.raises(CircuitOpen):
        made.probe("GET y")
    made.succeeded(probe)
    for _ in range(3):
        made.failed(probe, "status 500")
    assert made.closed


# --- in the client -----------------------------------------------------------------------------------------


def guarded(transport: httpx.AsyncBaseTransport, clock: Clock, **options: object) -> PlatformClient:
    policy = RetryPolicy(attempts=1, sleep=clock.sleep, clock=clock)
    return client(transport, retry=policy, breaker=breaker(clock), **options)


async def fails(call: str, limited: PlatformClient) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        await CALLS[call](limited)
    return caught.value


@pytest.mark.parametrize("failure", FAILURES, ids=repr)
async def test_failures_open_it(failure: Answer) -> None:
    script = Script(failure)
    limited = guarded(script, Clock())
    for _ in range(3):
        assert type(await fails("get", limited)) is Unavailable
    assert limited.state.state == "open"
    assert limited.state.reason
    for call in CALLS:
        error = await fails(call, limited)
        assert type(error) is CircuitOpen
        assert (error.outcome_unknown, error.retry_after_s) == (False, 10.0)
    assert len(script.requests) == 3


@pytest.mark.parametrize("answer", ANSWERS, ids=repr)
async def test_whoever_answers_is_there(answer: Answer) -> None:
    script = Script((500, b""), (500, b""), answer, (500, b""), (500, b""))
    limited = guarded(script, Clock())
    for _ in range(5):
        with suppress(PlatformError):
            await CALLS["get"](limited)
    assert len(script.requests) == 5
    assert limited.state.state == "closed"


async def test_a_refused_token_is_an_answer() -> None:
    script = Script((500, b""), (500, b""), (401, b""), (500, b""), (500, b""))
    limited = guarded(script, Clock())
    for _ in range(4):
        await fails("get", limited)
    assert len(script.requests) == 5
    assert limited.state.state == "closed"


async def test_a_platform_that_is_back_is_found() -> None:
    clock = Clock()
    script = Script(*[(500, b"")] * 4, GOOD["get"])
    limited = guarded(script, clock)
    for _ in range(3):
        await fails("get", limited)
    clock.now += 10
    assert limited.state.state == "half-open"
    await fails("get", limited)
    assert limited.state.state == "open"
    clock.now += 10
    await CALLS["get"](limited)
    assert limited.state.state == "closed"
    assert len(script.requests) == 5


async def test_a_call_that_finds_it_open_is_not_repeated() -> None:
    clock = Clock()
    script = Script((500, b""))
    made = breaker(clock, failures=2)
    limited = client(script, clock, breaker=made)
    error = await fails("get", limited)
    assert type(error) is CircuitOpen
    assert len(script.requests) == 2
    assert len(clock.slept) == 2
    assert sum(clock.slept) < 1


@pytest.mark.parametrize(("call", "unknown"), [("get", False), ("update", True)])
async def test_a_write_that_finds_it_open_keeps_its_doubt(call: str, unknown: bool) -> None:
    clock = Clock()
    limited = client(Script(httpx.ReadTimeout("x")), clock, breaker=breaker(clock, failures=1))
    error = await fails(call, limited)
    assert isinstance(error, Unavailable)
    assert (error.outcome_unknown, error.retry_after_s is None) == (unknown, False)


@simulated
async def test_one_probe_goes_and_the_others_fail_at_once() -> None:
    server = Server((500, b""))
    clock = asyncio.get_running_loop().time
    limited = timed(server, breaker=Breaker(failures=3, reset_s=10.0, clock=clock))
    for _ in range(3):
        await fails("get", limited)
    await asyncio.sleep(10)
    server.answer = GOOD["get"]
    began = now()
    found = await asyncio.gather(*(CALLS["get"](limited) for _ in range(10)), return_exceptions=True)
    assert now() - began == pytest.approx(server.takes_s)
    assert len(server.began) == 4
    assert sum(isinstance(f, CircuitOpen) for f in found) == 9
    assert limited.state.state == "closed"
    await asyncio.gather(*(CALLS["get"](limited) for _ in range(10)))
    assert server.most < 10  # not all at once, the first time


@simulated
async def test_a_cancelled_probe_makes_room_for_the_next() -> None:
    server = Server((500, b""))
    clock = asyncio.get_running_loop().time
    limited = timed(server, breaker=Breaker(failures=1, reset_s=10.0, clock=clock))
    await fails("get", limited)
    await asyncio.sleep(10)
    probe = asyncio.ensure_future(CALLS["get"](limited))
    await asyncio.sleep(0.5)
    probe.cancel()
    await asyncio.wait([probe])
    server.answer = GOOD["get"]
    await CALLS["get"](limited)
    assert limited.state.state == "closed"


@simulated
async def test_those_who_wait_for_a_turn_fail_when_it_opens() -> None:
    server = Server((500, b""))
    clock = asyncio.get_running_loop().time
    limited = timed(
        server, max_concurrency=2, breaker=Breaker(failures=2, reset_s=10.0, clock=clock), attempts=1
    )
    began = now()
    found = await asyncio.gather(*(CALLS["create"](limited) for _ in range(50)), return_exceptions=True)
    assert len(server.began) == 2
    assert now() - began == pytest.approx(server.takes_s)
    assert sum(isinstance(f, CircuitOpen) for f in found) == 48


@simulated
async def test_an_attempt_cut_short_by_the_end_of_the_call_is_no_failure() -> None:
    server = Server(GOOD["get"], takes_s=3600)
    clock = asyncio.get_running_loop().time
    made = Breaker(failures=2, reset_s=10.0, clock=clock)
    limited = timed(server, breaker=made, attempts=2, connect_timeout_s=5, read_timeout_s=20, timeout_s=30)
    await fails("get", limited)
    assert len(server.began) == 2
    assert limited.state.state == "closed"
    await fails("get", limited)
    assert limited.state.state == "open"


async def test_token_requests_that_fail_count_once_each() -> None:
    clock = Clock()
    script = Script(httpx.ReadTimeout("x"))
    made = breaker(clock)
    tokens = ClientCredentials(
        script,
        token_url="http://platform.test/token",
        client_id="i",
        client_secret="s",
        breaker=made,
        clock=clock,
    )
    policy = RetryPolicy(attempts=1, sleep=clock.sleep, clock=clock)
    limited = client(script, retry=policy, breaker=made, tokens=tokens)
    await asyncio.gather(*(CALLS["get"](limited) for _ in range(20)), return_exceptions=True)
    assert limited.state.state == "closed"
    await fails("get", limited)
    await fails("get", limited)
    assert limited.state.state == "open"
    assert type(await fails("get", limited)) is CircuitOpen
    assert len(script.requests) == 3
