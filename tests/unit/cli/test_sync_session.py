"""How `bench sync` sends: again after a 429, not faster than asked, and to its own resources alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import httpx
import pytest

from app.cli.bench.figures import Tally
from app.cli.bench.messages import Answer, Refused, Request, Steps
from app.cli.bench.session import TRIES, Session, Stopped

READ = Request(kind="read", method="GET", target="/Users/1")
Answers = Callable[[httpx.Request], httpx.Response]


class Rig:
    """A session over answers that a test gives, and a clock that only its sleeps move."""

    def __init__(
        self,
        answers: Answers,
        *,
        rate: float | None = None,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self.sent: list[float] = []
        self.now = 0.0
        self.tally = Tally()
        self._answers = answers
        self.session = Session(
            "https://scim.example.com/v2",
            {"Authorization": "Bearer t"},
            httpx.MockTransport(self._handle),
            self.tally,
            lambda request: None,
            rate=rate,
            sleep=sleep or self._sleep,
            clock=lambda: self.now,
        )

    def _handle(self, request: httpx.Request) -> httpx.Response:
        self.sent.append(self.now)
        return self._answers(request)

    async def _sleep(self, seconds: float) -> None:
        self.now += seconds


def throttled(times: int, **headers: str) -> Answers:
    """429 so many times, then 200."""
    left = [times]

    def answer(_: httpx.Request) -> httpx.Response:
        left[0] -= 1
        return httpx.Response(200, json={"id": "1"}) if left[0] < 0 else httpx.Response(429, headers=headers)

    return answer


async def test_retry_after_is_obeyed() -> None:
    rig = Rig(throttled(2, **{"Retry-After": "7"}))
    assert (await rig.session.ask(READ)).body == {"id": "1"}
    assert rig.sent == [0.0, 7.0, 14.0]
    assert rig.tally.throttling().answers == rig.tally.throttling().repeated == 2
    assert rig.tally.throttling().waited_s == 14.0
    assert rig.tally.kinds()["read"].statuses == {"200": 1, "429": 2}
    assert rig.tally.failures_in_all == 0


async def test_without_retry_after_waits_double_until_given_up() -> None:
    rig = Rig(throttled(1000))
    with pytest.raises(Refused) as refused:
        await rig.session.ask(READ)
    assert refused.value.status == 429
    assert len(rig.sent) == TRIES
    waits = [later - earlier for earlier, later in zip(rig.sent, rig.sent[1:], strict=False)]
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert rig.tally.failures()[0].status == "429"
    assert rig.tally.throttling().repeated == TRIES - 1


async def test_who_asks_for_a_very_long_wait_is_not_waited_for() -> None:
    rig = Rig(throttled(1000, **{"Retry-After": "600"}))
    for _ in range(2):
        with pytest.raises(Refused) as refused:
            await rig.session.ask(READ)
        assert refused.value.status == 429
    assert rig.sent == [0.0, 0.0]
    assert rig.tally.throttling().repeated == 0


async def test_a_429_holds_every_connection_back() -> None:
    rig = Rig(throttled(1, **{"Retry-After": "5"}))

    def reads() -> Steps:
        yield READ

    assert await rig.session.play([reads() for _ in range(4)], 1, lambda: None)
    assert rig.sent == [0.0, 5.0, 5.0, 5.0, 5.0]
    assert rig.tally.throttling().waited_s == 5.0


async def test_a_stop_ends_the_wait_for_retry_after() -> None:
    asleep = asyncio.Event()

    async def sleep(seconds: float) -> None:
        assert seconds == 300
        asleep.set()
        await asyncio.Event().wait()

    rig = Rig(throttled(1, **{"Retry-After": "300"}), sleep=sleep)
    asking = asyncio.ensure_future(rig.session.ask(READ))
    await asleep.wait()
    rig.session.stop()
    with pytest.raises(Stopped):
        await asking
    assert len(rig.sent) == 1


async def test_a_stop_lets_requests_on_their_way_arrive() -> None:
    rig = Rig(lambda request: httpx.Response(201, json={"id": "1"}))
    heard: list[Answer] = []

    def makes() -> Steps:
        rig.session.stop()
        heard.append((yield Request(kind="never", method="GET", target="/")))

    def stops() -> Steps:
        heard.append((yield Request(kind="create", method="POST", target="/Users", expect=(201,))))
        rig.session.stop()
        yield READ

    assert not await rig.session.play([stops(), makes()], 1, lambda: None)
    assert [answer.status for answer in heard] == [201]
    rig.session.go_on()
    assert (await rig.session.ask(Request(kind="r", method="GET", target="/", expect=(201,)))).status == 201


async def test_no_more_requests_a_second_than_asked_for() -> None:
    rig = Rig(lambda request: httpx.Response(200, json={}), rate=100)
    loop = asyncio.get_running_loop()
    begun = loop.time()
    await asyncio.gather(*(rig.session.ask(READ) for _ in range(6)))
    assert loop.time() - begun >= 0.045


@pytest.mark.parametrize(
    ("response", "status", "detail"),
    [
        (
            httpx.Response(400, json={"detail": "no\x1b[2Jsuch", "scimType": "invalidFilter"}),
            400,
            "no [2Jsuch",
        ),
        (httpx.Response(502, text="<html>"), 502, "<html>"),
        (httpx.Response(500, json={"detail": 3}), 500, '{"detail":3}'),
        (httpx.Response(302, headers={"Location": "https://other.example/"}), 302, ""),
        (httpx.Response(200, text="[]"), 200, "the body is not a JSON object"),
        (httpx.Response(200, text="nothing"), 200, "the body is not a JSON object"),
    ],
)
async def test_unexpected_answers_are_failures(response: httpx.Response, status: int, detail: str) -> None:
    rig = Rig(lambda request: response)
    with pytest.raises(Refused):
        await rig.session.ask(READ)
    assert len(rig.sent) == 1
    [failure] = rig.tally.failures()
    assert (failure.status, failure.details, failure.example) == (str(status), [detail], "GET /Users/1")


async def test_no_answer_is_a_failure() -> None:
    def lost(request: httpx.Request) -> httpx.Response:
        raise httpx.ReadError("gone", request=request)

    rig = Rig(lost)
    with pytest.raises(Refused) as refused:
        await rig.session.ask(READ)
    assert refused.value.status is None
    assert rig.tally.kinds()["read"].statuses == {"none": 1}
