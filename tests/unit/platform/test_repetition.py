"""What is repeated, after which wait, and what is told in the end."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted import CALLS, GOOD, READS, REPEATED, Answer, Clock, Script, Server, client, timed
from simulated import now, simulated

from app.platform.answers import retry_after_s
from app.platform.errors import (
    Denied,
    Missing,
    PlatformError,
    Rejected,
    Taken,
    Throttled,
    Unauthenticated,
    Unavailable,
    Unreadable,
)
from app.platform.retry import RetryPolicy

WRITES = sorted(REPEATED - READS)
LOST: list[Answer] = [
    (503, b""),
    (503, b"", {"retry-after": "2"}),
    (500, {"detail": "x"}),
    httpx.ReadTimeout("x"),
    httpx.ReadError("x"),
    httpx.WriteError("x"),
    httpx.RemoteProtocolError("x"),
    OSError("x"),
]
NOT_SENT: list[Answer] = [
    httpx.ConnectError("x"),
    httpx.ConnectTimeout("x"),
    httpx.PoolTimeout("x"),
    (408, b""),
    (429, b""),
]
DATE = "Wed, 21 Oct 2026 07:28:00 GMT"


async def failure(call: str, *answers: Answer, **options: Any) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        await CALLS[call](client(Script(*answers), **options))
    return caught.value


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("headers", "slept"),
    [
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "26.9"}, 26.9),
        ({"retry-after": DATE, "date": "Wed, 21 Oct 2026 07:27:51 GMT"}, 9.0),
        ({"retry-after": DATE, "date": "Wed, 21 Oct 2026 07:30:00 GMT"}, 0.0),
        ({"retry-after": "Wednesday, 21-Oct-26 07:28:00 GMT", "date": "Wed, 21 Oct 2026 07:27:51 GMT"}, 9.0),
    ],
)
async def test_a_wait_that_fits_is_waited(call: str, headers: dict[str, str], slept: float) -> None:
    clock = Clock()
    script = Script((429, {"detail": "slow"}, headers), GOOD[call])
    await CALLS[call](client(script, clock))
    assert clock.slept == [pytest.approx(slept)]
    assert len(script.requests) == 2


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("headers", "told"),
    [
        ({"retry-after": "27.5"}, 27.5),
        ({"retry-after": "3600"}, 3600.0),
        ({"retry-after": "inf"}, 604800.0),
        ({"retry-after": "1e400"}, 604800.0),
        ({"retry-after": DATE, "date": "Wed, 21 Oct 2026 06:28:00 GMT"}, 3600.0),
    ],
)
async def test_a_wait_that_does_not_fit_is_passed_on(
    status: int, headers: dict[str, str], told: float
) -> None:
    clock = Clock()
    script = Script((status, {"detail": "slow"}, headers), GOOD["get"])
    with pytest.raises(Throttled if status == 429 else Unavailable) as caught:
        await CALLS["get"](client(script, clock))
    assert caught.value.retry_after_s == told
    assert (len(script.requests), clock.slept) == (1, [])


@simulated
async def test_waits_and_attempts_share_one_time() -> None:
    server = Server((429, b"", {"retry-after": "12"}), takes_s=1)
    began = now()
    with pytest.raises(Throttled):
        await CALLS["get"](timed(server, attempts=10))
    assert server.began == [began, began + 13, began + 26]
    assert now() == began + 27


@pytest.mark.parametrize("value", ["nan", "-5", "soon", "", "Wed, 99 Oct 2026 07:28:00 GMT"])
async def test_a_wait_that_is_none(value: str) -> None:
    clock = Clock()
    script = Script((429, {"detail": "slow"}, {"retry-after": value}), GOOD["get"])
    await CALLS["get"](client(script, clock))
    assert 0 <= clock.slept[0] <= 0.1


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} [A-Z][a-z]{2} \d{1,9} \d+:\d+(:\d+)? [+-]?\w*"))
def test_no_header_breaks_it(value: str) -> None:
    for headers in ({"retry-after": value.encode()}, {"retry-after": DATE, "date": value.encode()}):
        found = retry_after_s(httpx.Headers(headers))  # type: ignore[arg-type]
        assert found is None or 0 <= found <= 604800


async def test_the_waits_grow_and_differ() -> None:
    seen: list[list[float]] = []
    for _ in range(50):
        clock = Clock()
        await failure("get", (503, b""), clock=clock)
        assert 0 <= clock.slept[0] <= 0.1
        assert 0 <= clock.slept[1] <= 0.2
        seen.append(clock.slept)
    assert len({first for first, _ in seen}) > 40
    assert max(second for _, second in seen) > 0.1


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", LOST, ids=repr)
async def test_only_what_is_harmless_is_repeated(call: str, fault: Answer) -> None:
    script = Script(fault, GOOD[call])
    if call in REPEATED:
        await CALLS[call](client(script))
        assert len(script.requests) == 2
    else:
        with pytest.raises(Unavailable) as caught:
            await CALLS[call](client(script))
        assert len(script.requests) == 1
        assert caught.value.outcome_unknown


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", NOT_SENT, ids=repr)
async def test_what_was_not_applied_is_repeated(call: str, fault: Answer) -> None:
    script = Script(fault, GOOD[call])
    await CALLS[call](client(script))
    assert len(script.requests) == 2


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("answer", [(203, b"<html>"), (400, b""), (404, b"<html>"), (302, b"")], ids=repr)
async def test_a_clear_answer_is_not_asked_for_again(call: str, answer: Answer) -> None:
    script = Script(answer)
    with pytest.raises(PlatformError):
        await CALLS[call](client(script))
    assert len(script.requests) == 1


@pytest.mark.parametrize("call", CALLS)
async def test_it_ends_after_three_tries(call: str) -> None:
    clock = Clock()
    script = Script(httpx.ConnectError("x"))
    with pytest.raises(Unavailable) as caught:
        await CALLS[call](client(script, clock))
    assert len(script.requests) == 3
    assert len(clock.slept) == 2
    assert not caught.value.outcome_unknown


async def test_one_attempt_means_one() -> None:
    script = Script((503, b""))
    clock = Clock()
    policy = RetryPolicy(attempts=1, sleep=clock.sleep, clock=clock)
    with pytest.raises(Unavailable):
        await CALLS["get"](client(script, retry=policy))
    assert len(script.requests) == 1


# --- doubt ----------------------------------------------------------------------------------------------


async def test_the_last_error_is_the_one_told() -> None:
    assert type(await failure("get", (503, b""), (404, {"detail": "User not found"}))) is Missing


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize("last", [*NOT_SENT, (401, b""), (404, b"<html>"), (418, b"")], ids=repr)
async def test_doubt_about_an_earlier_attempt_stays(call: str, last: Answer) -> None:
    assert not (await failure(call, last)).outcome_unknown
    error = await failure(call, httpx.ReadTimeout("x"), last)
    assert isinstance(error, Unavailable | Unreadable)
    assert error.outcome_unknown


@pytest.mark.parametrize("call", WRITES)
async def test_a_refusal_after_doubt_keeps_the_time_it_named(call: str) -> None:
    error = await failure(call, (500, b""), (429, b"", {"retry-after": "100"}))
    assert (type(error), error.outcome_unknown, error.retry_after_s) == (Unavailable, True, 100.0)


@pytest.mark.parametrize("call", WRITES)
@pytest.mark.parametrize(
    ("last", "kind"),
    [
        ((400, b""), Rejected),
        ((403, b""), Denied),
        ((404, {"detail": "User not found"}), Missing),
        ((409, b""), Taken),
    ],
)
async def test_a_refusal_of_the_same_write_ends_the_doubt(
    call: str, last: Answer, kind: type[PlatformError]
) -> None:
    error = await failure(call, httpx.ReadTimeout("x"), last)
    assert (type(error), error.outcome_unknown) == (kind, False)


@pytest.mark.parametrize("last", [*NOT_SENT, (401, b""), (404, b"<html>")], ids=repr)
async def test_a_read_leaves_no_doubt(last: Answer) -> None:
    error = await failure("get", httpx.ReadTimeout("x"), last)
    assert not error.outcome_unknown
    assert type(error) in (Unavailable, Throttled, Unauthenticated, Unreadable)


# --- time -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("call", CALLS)
def test_a_call_ends_in_time(call: str) -> None:
    @simulated
    async def run() -> None:
        server = Server(GOOD[call], takes_s=3600)
        began = now()
        with pytest.raises(Unavailable) as caught:
            await CALLS[call](timed(server, attempts=5))
        assert caught.value.outcome_unknown is (call not in READS)
        if call in REPEATED:
            assert server.began == [began, pytest.approx(began + 20, abs=0.1)]
            assert now() == began + 30
        else:
            assert (server.began, now()) == ([began], began + 20)
        assert server.running == 0

    run()


@simulated
async def test_an_attempt_is_never_longer_than_the_call() -> None:
    began = now()
    with pytest.raises(Unavailable):
        await CALLS["get"](timed(Server(GOOD["get"], takes_s=3600), timeout_s=2))
    assert now() == began + 2


@simulated
async def test_nothing_is_sent_in_the_last_tenth() -> None:
    """Two answers of 401: the second attempt would begin at the 28th of 30 seconds."""
    server = Server((401, b""), takes_s=28)
    limited = timed(server, connect_timeout_s=15, read_timeout_s=15)
    with pytest.raises(Unavailable) as caught:
        await CALLS["create"](limited)
    assert not caught.value.outcome_unknown
    assert len(server.began) == 1


class Body(httpx.AsyncByteStream):
    """One part, and then nothing more."""

    def __init__(self) -> None:
        self.closed = False

    async def __aiter__(self) -> Any:
        yield b"{"
        await asyncio.sleep(3600)

    async def aclose(self) -> None:
        self.closed = True


@pytest.mark.parametrize("call", ["get", "create"])
def test_a_body_that_stops_ends_in_time_and_is_closed(call: str) -> None:
    @simulated
    async def run() -> None:
        body = Body()

        class Stops(httpx.AsyncBaseTransport):
            async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
                return httpx.Response(200, stream=body)

        began = now()
        with pytest.raises(Unavailable) as caught:
            await CALLS[call](timed(Stops()))
        assert caught.value.outcome_unknown is (call == "create")
        assert now() == began + 20
        assert body.closed

    run()
