"""How many calls are under way, and the pause that a 429 asks for; in simulated time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from scripted import CALLS, GOOD, USER, Answer, Server, timed
from simulated import now, simulated

from app.platform.client import PlatformClient
from app.platform.errors import PlatformError, Throttled, Unavailable
from app.platform.gate import Gate, urgent

SLOW: Answer = (429, {"detail": "slow down"}, {"retry-after": "20"})


def begin(call: str, limited: PlatformClient) -> asyncio.Future[Any]:
    return asyncio.ensure_future(CALLS[call](limited))


async def outcomes(*tasks: asyncio.Future[Any]) -> list[Any]:
    return await asyncio.gather(*tasks, return_exceptions=True)


@simulated
async def test_a_bounded_number_runs_at_a_time() -> None:
    server = Server(GOOD["get"])
    limited = timed(server, max_concurrency=3)
    began = now()
    await asyncio.gather(*(begin("get", limited) for _ in range(9)))
    assert server.most == 3
    assert now() - began == pytest.approx(3 * server.takes_s)


@simulated
async def test_the_order_is_that_of_arrival() -> None:
    gate = Gate(1, clock=asyncio.get_running_loop().time)
    seen: list[int] = []

    async def one(number: int) -> None:
        if not gate.try_enter():
            await gate.enter("GET x", now() + 100)
        seen.append(number)
        await asyncio.sleep(1)
        assert gate.load == (1, 9 - number)
        gate.leave(well=True)

    await asyncio.gather(*(one(n) for n in range(10)))
    assert seen == list(range(10))
    assert gate.load == (0, 0)


@pytest.mark.parametrize("call", CALLS)
def test_who_never_gets_a_turn_was_not_sent(call: str) -> None:
    @simulated
    async def run() -> None:
        server = Server(GOOD[call], takes_s=3600)
        limited = timed(server, max_concurrency=1, timeout_s=10)
        first = begin("get", limited)
        await asyncio.sleep(0.5)
        (error,) = await outcomes(begin(call, limited))
        assert type(error) is Unavailable
        assert not error.outcome_unknown
        assert len(server.began) == 1
        await outcomes(first)

    run()


@simulated
async def test_a_turn_that_comes_too_late_is_not_taken() -> None:
    """The place goes to the next one, and the end of a call is the end also for who got his turn late."""
    server = Server(GOOD["get"], takes_s=8)
    limited = timed(server, max_concurrency=1, timeout_s=10, read_timeout_s=10)
    began = now()
    found = await outcomes(*(begin("get", limited) for _ in range(3)))
    assert now() - began == pytest.approx(10)
    assert [type(f) for f in found[1:]] == [Unavailable, Unavailable]
    await CALLS["get"](limited)


@simulated
async def test_who_goes_away_gives_the_place_back() -> None:
    server = Server(GOOD["get"], takes_s=4)
    limited = timed(server, max_concurrency=1)
    running, waiting, last = (begin("get", limited) for _ in range(3))
    await asyncio.sleep(1)
    waiting.cancel()
    await asyncio.sleep(1)
    running.cancel()
    await last
    assert len(server.began) == 2
    await CALLS["get"](limited)


@simulated
async def test_a_place_handed_to_one_who_goes_away_is_handed_on() -> None:
    gate = Gate(1, clock=asyncio.get_running_loop().time)
    assert gate.try_enter()
    first, second = (asyncio.ensure_future(gate.enter("GET x", now() + 100)) for _ in range(2))
    await asyncio.sleep(1)
    gate.leave()
    first.cancel()  # after it was given the place, before it knew
    await second
    assert first.cancelled()
    assert not gate.try_enter()
    gate.leave()
    assert gate.try_enter()


# --- the pause -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_nothing_is_sent_during_a_pause(call: str) -> None:
    @simulated
    async def run() -> None:
        server = Server(SLOW)
        limited = timed(server)
        (first,) = await outcomes(begin("get", limited))
        assert (type(first), first.retry_after_s) == (Throttled, 20.0)
        server.answer = GOOD[call]
        told = now()
        await asyncio.sleep(5)
        await CALLS[call](limited)
        assert server.began[1] == pytest.approx(told + 20)

    run()


@pytest.mark.parametrize("call", CALLS)
def test_a_pause_that_ends_too_late_is_not_waited_for(call: str) -> None:
    @simulated
    async def run() -> None:
        server = Server((429, b"", {"retry-after": "100"}))
        limited = timed(server)
        await outcomes(begin("get", limited))
        await asyncio.sleep(60)
        began = now()
        (error,) = await outcomes(begin(call, limited))
        assert (type(error), error.retry_after_s) == (Throttled, pytest.approx(40))
        assert now() == began
        assert len(server.began) == 1
        server.answer = GOOD[call]
        await asyncio.sleep(15)
        await CALLS[call](limited)

    run()


@simulated
async def test_those_who_wait_for_a_turn_wait_for_the_end_of_the_pause() -> None:
    server = Server(lambda number: SLOW if number < 2 else GOOD["get"])
    limited = timed(server, max_concurrency=2)
    found = await outcomes(*(begin("get", limited) for _ in range(6)))
    assert [type(f) for f in found[:2]] == [Throttled, Throttled]
    assert not any(isinstance(f, PlatformError) for f in found[2:])
    assert server.began[1] + 1 + 20 == pytest.approx(server.began[2])


@simulated
async def test_after_a_pause_they_do_not_all_come_at_once() -> None:
    server = Server(SLOW)
    limited = timed(server, max_concurrency=64)
    await outcomes(begin("get", limited))
    server.answer, server.takes_s, server.most = GOOD["get"], 0.5, 0
    await asyncio.gather(*(begin("get", limited) for _ in range(191)))
    start = server.began[1]
    rounds = [sum(b == pytest.approx(start + n * server.takes_s) for b in server.began) for n in range(8)]
    assert rounds == [1, 2, 4, 8, 16, 32, 64, 64]
    assert server.most == 64


@simulated
async def test_a_pause_asked_for_again_is_as_long_as_the_longest() -> None:
    server = Server(lambda number: (429, b"", {"retry-after": ("15", "5", "1")[number]}))
    limited = timed(server)
    found = await outcomes(*(begin("get", limited) for _ in range(3)))
    assert [f.retry_after_s for f in found] == [15.0, 5.0, 1.0]
    server.answer = GOOD["get"]
    told = now()
    await CALLS["get"](limited)
    assert server.began[3] == pytest.approx(told + 15)


@simulated
async def test_a_refusal_while_it_starts_slowly_begins_anew() -> None:
    server = Server(lambda number: SLOW if number in (0, 4) else GOOD["get"])
    limited = timed(server, timeout_s=100, connect_timeout_s=50, read_timeout_s=50)
    await outcomes(begin("get", limited))
    found = await outcomes(*(begin("get", limited) for _ in range(12)))
    assert sum(isinstance(f, Throttled) for f in found) == 1
    gaps = [b - a for a, b in zip(server.began, server.began[1:], strict=False) if b - a > 2]
    assert gaps == [pytest.approx(21), pytest.approx(21)]


@simulated
async def test_a_refused_call_is_repeated_after_the_pause_and_only_then() -> None:
    server = Server(lambda number: SLOW if number < 5 else GOOD["create"])
    limited = timed(server, attempts=2)
    found = await outcomes(*(begin("create", limited) for _ in range(5)))
    assert [f.id for f in found] == [USER["id"]] * 5
    assert server.began[5] - server.began[4] == pytest.approx(21)
    assert len(server.began) == 10


@simulated
async def test_without_a_time_there_is_no_pause_but_a_slow_start() -> None:
    server = Server((429, b""))
    limited = timed(server)
    (error,) = await outcomes(begin("get", limited))
    assert (type(error), error.retry_after_s) == (Throttled, None)
    server.answer = GOOD["get"]
    told = now()
    await asyncio.gather(*(begin("get", limited) for _ in range(3)))
    assert server.began[1:] == [pytest.approx(told), pytest.approx(told + 1), pytest.approx(told + 1)]


@simulated
async def test_waiting_for_a_turn_after_a_pause_ends_as_throttled() -> None:
    server = Server(SLOW)
    limited = timed(server, timeout_s=25, connect_timeout_s=5, read_timeout_s=20)
    await outcomes(begin("get", limited))
    server.answer, server.takes_s = GOOD["get"], 20
    found = await outcomes(begin("get", limited), begin("create", limited))
    assert type(found[1]) is Throttled
    assert found[1].retry_after_s
    assert len(server.began) == 2


@simulated
async def test_a_platform_that_asks_for_a_week_is_asked_again_within_minutes() -> None:
    server = Server((429, b"", {"retry-after": "604800"}))
    limited = timed(server)
    (error,) = await outcomes(begin("get", limited))
    assert error.retry_after_s == 604800
    await asyncio.sleep(300)
    server.answer = GOOD["get"]
    await CALLS["get"](limited)


@simulated
async def test_what_is_urgent_goes_out_during_a_pause() -> None:
    server = Server(SLOW)
    limited = timed(server)
    await outcomes(begin("get", limited))
    server.answer = GOOD["delete"]
    began = now()
    with urgent():
        await CALLS["delete"](limited)
    assert server.began[1] == pytest.approx(began)
    server.answer = GOOD["get"]
    await CALLS["get"](limited)
    assert server.began[2] == pytest.approx(began + 20)
