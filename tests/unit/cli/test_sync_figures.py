"""The figures of `bench sync`'s report."""

from __future__ import annotations

import msgspec
import pytest
from sync_report import GOOD

from app.cli.bench.figures import Failure, KindReport, Latency, Tally, latency


@pytest.mark.parametrize(
    ("times", "figures"),
    [
        ([], (0.0, 0.0, 0.0, 0.0)),
        ([7.0], (7.0, 7.0, 7.0, 7.0)),
        ([2.0, 1.0], (1.0, 2.0, 2.0, 2.0)),
        (list(range(1, 101)), (50.0, 95.0, 99.0, 100.0)),
        (list(range(200, 0, -1)), (100.0, 190.0, 198.0, 200.0)),
        ([1.0] * 19 + [50.0], (1.0, 1.0, 50.0, 50.0)),
    ],
)
def test_percentiles_are_by_nearest_rank(times: list[float], figures: tuple[float, ...]) -> None:
    p50, p95, p99, most = figures
    assert latency(times) == Latency(p50_ms=p50, p95_ms=p95, p99_ms=p99, max_ms=most)


def test_requests_are_counted_by_kind_and_status() -> None:
    tally = Tally()
    for status, seconds in ((201, 0.25), (409, 0.125), (201, 0.5), (None, 2.0)):
        tally.answered("create user", status, seconds)
    tally.answered("match user", 200, 0.0625)
    assert tally.requests == 5
    assert tally.kinds() == {
        "create user": KindReport(
            requests=4,
            statuses={"201": 2, "409": 1, "none": 1},
            latency=Latency(p50_ms=250.0, p95_ms=2000.0, p99_ms=2000.0, max_ms=2000.0),
        ),
        "match user": KindReport(
            requests=1,
            statuses={"200": 1},
            latency=Latency(p50_ms=62.5, p95_ms=62.5, p99_ms=62.5, max_ms=62.5),
        ),
    }
    assert tally.latency() == Latency(p50_ms=250.0, p95_ms=2000.0, p99_ms=2000.0, max_ms=2000.0)


def test_throughput_is_over_all_phases() -> None:
    tally = Tally()
    for _ in range(30):
        tally.answered("match user", 200, 0.1)
    tally.phase("first sync, users", 4.0, 20)
    tally.phase("clean-up, users", 1.0, 10)
    tally.phase("nothing", 0.0, 0)
    assert [phase.per_second for phase in tally.phases] == [5.0, 10.0, 0.0]
    assert (tally.seconds(), tally.per_second()) == (5.0, 6.0)


def test_failures_are_grouped_with_their_first_details() -> None:
    tally = Tally()
    for detail in ("a", "b", "a", "c", "d"):
        tally.failed("create user", 409, "uniqueness", detail, f"POST /{detail}")
    for _ in range(7):
        tally.failed("match user", None, "", "ReadTimeout", "GET /Users")
    assert tally.failures_in_all == 12
    assert tally.failures() == [
        Failure(
            kind="match user",
            status="none",
            scim_type="",
            count=7,
            details=["ReadTimeout"],
            example="GET /Users",
        ),
        Failure(
            kind="create user",
            status="409",
            scim_type="uniqueness",
            count=5,
            details=["a", "b", "c"],
            example="POST /a",
        ),
    ]


@pytest.mark.parametrize(
    ("changed", "is_good"),
    [
        ({}, True),
        ({"failures_in_all": 1}, False),
        ({"differences_in_all": 1}, False),
        ({"left": ["p-1"]}, False),
        ({"left": ["p-1"], "kept": True}, True),
        ({"left": ["p-1"], "kept": True, "differences_in_all": 1}, False),
        ({"interrupted": True}, False),
    ],
)
def test_what_a_good_run_is(changed: dict[str, object], is_good: bool) -> None:
    assert msgspec.structs.replace(GOOD, **changed).is_good is is_good
