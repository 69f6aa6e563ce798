"""The parts of the limits by themselves, with a clock that stands still unless it is moved."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from app.config import Settings
from app.scim.errors import InvalidSyntax, PayloadTooLarge, ServiceUnavailable, TooManyRequests
from app.store.connections import Connection, Policies
from app.web.limits.addresses import AuthFailures, client_address
from app.web.limits.bodies import MAX_DEPTH, check_body, measure
from app.web.limits.gate import Gate
from app.web.limits.handling import Handling
from app.web.limits.limits import Limits
from app.web.limits.rates import Rates


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


# --- rates -----------------------------------------------------------------------------------------------


def test_a_burst_then_the_rate() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert [rates.take("a", 10, 3) for _ in range(3)] == [0, 0, 0]
    assert rates.take("a", 10, 3) == pytest.approx(0.1)
    assert rates.take("b", 10, 3) == 0
    clock.now += 0.1
    assert rates.take("a", 10, 3) == 0
    assert rates.take("a", 10, 3) == pytest.approx(0.1)
    clock.now += 60
    assert [rates.take("a", 10, 3) > 0 for _ in range(4)] == [False, False, False, True]


def test_refused_ones_cost_nothing() -> None:
    clock = Clock()
    rates = Rates(clock)
    assert rates.take("a", 1, 1) == 0
    for _ in range(100):
        assert rates.take("a", 1, 1) == pytest.approx(1)
    clock.now += 1
    assert rates.take("a", 1, 1) == 0


def test_looking_takes_nothing() -> None:
    rates = Rates(Clock())
    assert [rates.wait_s("a", 1, 1) for _ in range(3)] == [0, 0, 0]
    rates.take("a", 1, 1)
    assert [rates.wait_s("a", 1, 1) for _ in range(3)] == pytest.approx([1, 1, 1])


def test_keys_are_bounded_and_idle_ones_go_first() -> None:
    clock = Clock()
    rates = Rates(clock, max_keys=3)
    for key in ("a", "b"):
        rates.take(key, 1, 1)
    clock.now += 2
    for key in ("c", "d", "e"):
        rates.take(key, 1, 1)
    assert [rates.wait_s(key, 1, 1) > 0 for key in "abcde"] == [False, False, True, True, True]
    rates.take("f", 1, 1)
    assert [rates.wait_s(key, 1, 1) > 0 for key in "cdef"] == [False, True, True, True]


def connection(**policies: Any) -> Connection:
    return Connection(
        id="con_1", name="a", tenant_id="t", policies=Policies(**policies), created_at=datetime.now(UTC)
    )


@pytest.mark.parametrize(
    ("settings", "policies", "allowed"),
    [
        ({"requests_per_second": 1, "request_burst": 5}, {}, 5),
        ({"requests_per_second": 1, "request_burst": 5}, {"request_burst": 2}, 2),
        ({"requests_per_second": 0}, {}, None),
        ({"requests_per_second": 0}, {"requests_per_second": 1.0, "request_burst": 4}, 4),
        ({"requests_per_second": 1, "request_burst": 5}, {"requests_per_second": 0.0}, None),
    ],
)
def test_the_limit_of_a_connection(
    settings: dict[str, Any], policies: dict[str, Any], allowed: int | None
) -> None:
    limits = Limits(Settings(**settings), clock=Clock())
    client = connection(**policies)
    for _ in range(1000 if allowed is None else allowed):
        limits.count(client)
    if allowed is not None:
        with pytest.raises(TooManyRequests) as caught:
            limits.count(client)
        assert caught.value.retry_after_s == 1


# --- addresses -------------------------------------------------------------------------------------------

PROXIES = Settings(trusted_proxies="10.0.0.0/8, fd00::/8").networks()


def scope(client: str | None, forwarded: str | None = None) -> Any:
    headers = [] if forwarded is None else [(b"x-forwarded-for", forwarded.encode("latin-1"))]
    return {"client": None if client is None else (client, 1), "headers": headers}


@pytest.mark.parametrize(
    ("client", "forwarded", "address"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.7", "192.0.2.1"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "203.0.113.9, 198.51.100.7", "198.51.100.7"),
        ("10.0.0.1", "198.51.100.7, 10.0.0.2", "198.51.100.7"),
        ("10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.7, nonsense, 10.0.0.2", "10.0.0.2"),
        ("fd00::1", "2001:db8::7", "2001:db8::7"),
        ("nonsense", "198.51.100.7", "None"),
        (None, None, "None"),
    ],
)
def test_client_addresses(client: str | None, forwarded: str | None, address: str) -> None:
    assert str(client_address(scope(client, forwarded), PROXIES)) == address


def test_refused_tokens_are_counted_by_address() -> None:
    clock = Clock()
    failures = AuthFailures(Settings(auth_failures_per_minute=60), clock)
    assert not failures
    for _ in range(60):
        failures.check(scope("192.0.2.1"))
        failures.count(scope("192.0.2.1"))
    with pytest.raises(TooManyRequests) as caught:
        failures.check(scope("192.0.2.1"))
    assert caught.value.retry_after_s == 1
    failures.check(scope("192.0.2.2"))
    clock.now += 1
    failures.check(scope("192.0.2.1"))


def test_one_client_has_many_ipv6_addresses() -> None:
    failures = AuthFailures(Settings(auth_failures_per_minute=1), Clock())
    failures.count(scope("2001:db8::1"))
    with pytest.raises(TooManyRequests):
        failures.check(scope("2001:db8::ffff:2"))
    failures.check(scope("2001:db8:0:1::1"))


def test_refused_tokens_without_a_limit() -> None:
    failures = AuthFailures(Settings(auth_failures_per_minute=0), Clock())
    for _ in range(1000):
        failures.count(scope("192.0.2.1"))
    failures.check(scope("192.0.2.1"))
    assert not failures


# --- bodies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "depth", "values"),
    [
        ("1", 0, 0),
        ("{}", 1, 0),
        ('{"a": 1, "b": [1, 2, {"c": null}]}', 3, 6),
        ("[[], [[]], {}]", 3, 4),
        ('{"a": "[[[[{{{{,,,,"}', 1, 1),
    ],
)
def test_measures(text: str, depth: int, values: int) -> None:
    assert measure(json.loads(text)) == (depth, values)


def nested(depth: int) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for _ in range(depth - 1):
        document = {"a": document}
    return document


def operations(count: int, key: str = "Operations") -> dict[str, Any]:
    return {key: [{"op": "add", "path": "title", "value": "x"}] * count}


@pytest.mark.parametrize(
    ("document", "method", "error"),
    [
        (nested(MAX_DEPTH), "POST", None),
        (nested(MAX_DEPTH + 1), "POST", InvalidSyntax),
        ({"a": [[]] * 200}, "POST", None),
        ({"title": "[{," * 1000}, "POST", None),
        ({"a": [0] * 999}, "PUT", None),
        ({"a": [0] * 1000}, "PUT", PayloadTooLarge),
        (operations(5), "PATCH", None),
        (operations(6), "PATCH", PayloadTooLarge),
        (operations(6, "operations"), "PATCH", PayloadTooLarge),
        (operations(6), "PUT", None),
        ([1, 2], "PATCH", None),
        (None, "PATCH", None),
    ],
    ids=str,
)
def test_bounds_of_a_body(document: Any, method: str, error: type[Exception] | None) -> None:
    settings = Settings(max_values=1000, max_operations=5)
    text = msgspec.json.encode(document)
    if error is None:
        check_body(text, document, method, settings)
    else:
        with pytest.raises(error):
            check_body(text, document, method, settings)


# --- requests at a time ----------------------------------------------------------------------------------


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_places_are_given_in_order_and_the_queue_is_bounded() -> None:
    gate = Gate(2, wait_s=60)
    await gate.enter()
    await gate.enter()
    entered: list[str] = []

    async def wait(name: str) -> None:
        await gate.enter()
        entered.append(name)

    waiting = [asyncio.create_task(wait(name)) for name in ("first", "second")]
    await settle()
    assert gate.load == (2, 2)
    with pytest.raises(ServiceUnavailable) as caught:
        await gate.enter()
    assert caught.value.retry_after_s == 1
    assert entered == []
    gate.leave()
    await settle()
    assert entered == ["first"]
    gate.leave()
    await asyncio.gather(*waiting)
    assert entered == ["first", "second"]
    assert gate.load == (2, 0)


async def test_who_waits_too_long_is_refused_and_takes_no_place() -> None:
    gate = Gate(1, wait_s=0.01)
    await gate.enter()
    with pytest.raises(ServiceUnavailable):
        await gate.enter()
    gate.leave()
    assert gate.load == (0, 0)
    await gate.enter()


async def test_who_goes_while_waiting_takes_no_place() -> None:
    gate = Gate(1, wait_s=60)
    await gate.enter()
    waiting = asyncio.create_task(gate.enter())
    await settle()
    # Given the place and sent away in one step of the loop.
    gate.leave()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await gate.enter()
    last = asyncio.create_task(gate.enter())
    await settle()
    assert not last.done()
    gate.leave()
    await last


# --- time ------------------------------------------------------------------------------------------------


class Work:
    """An application that waits until it is let go, then answers."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.began = asyncio.Event()
        self.finished = False
        self.left = 0

    async def __call__(self, _scope: Any, _receive: Any, send: Any) -> None:
        self.began.set()
        await self.go.wait()
        self.finished = True
        await send("start")
        await send("body")

    def leave(self) -> None:
        self.left += 1


async def nothing() -> Any:
    raise AssertionError


def sender(sent: list[Any]) -> Any:
    async def send(message: Any) -> None:
        sent.append(message)

    return send


async def test_a_read_that_takes_too_long_is_given_up() -> None:
    work, sent = Work(), list[Any]()
    with pytest.raises(ServiceUnavailable) as caught:
        await Handling(0.01).read(work, {}, nothing, sender(sent))
    assert caught.value.retry_after_s
    work.go.set()
    await settle()
    assert (work.finished, sent) == (False, [])


async def test_requests_in_time_are_answered() -> None:
    work, sent = Work(), list[Any]()
    work.go.set()
    handling = Handling(60)
    await handling.read(work, {}, nothing, sender(sent))
    await handling.write(work, {}, nothing, sender(sent), work.leave)
    await settle()
    assert sent == ["start", "body"] * 2
    assert work.left == 1


async def test_a_write_that_takes_too_long_goes_on_and_says_nothing_more() -> None:
    work, sent = Work(), list[Any]()
    handling = Handling(0.01)
    with pytest.raises(ServiceUnavailable) as caught:
        await handling.write(work, {}, nothing, sender(sent), work.leave)
    assert caught.value.retry_after_s
    assert work.left == 0
    work.go.set()
    await handling.finish(60)
    assert (work.finished, work.left, sent) == (True, 1, [])


async def test_a_write_whose_request_is_cancelled_goes_on() -> None:
    work, sent = Work(), list[Any]()
    handling = Handling(60)
    request = asyncio.create_task(handling.write(work, {}, nothing, sender(sent), work.leave))
    await work.began.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    finishing = asyncio.create_task(handling.finish(60))
    await settle()
    assert not finishing.done()
    work.go.set()
    await finishing
    assert (work.finished, work.left, sent) == (True, 1, [])


async def test_a_write_that_never_ends_is_cut_off_at_the_end_of_the_process() -> None:
    work = Work()
    handling = Handling(0.01)
    with pytest.raises(ServiceUnavailable):
        await handling.write(work, {}, nothing, sender([]), work.leave)
    await handling.finish(0.01)
    assert (work.finished, work.left) == (False, 1)
    await handling.finish(60)
