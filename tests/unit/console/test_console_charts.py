"""The overview's charts: what is counted, and that every shape is within its drawing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from app.console.charts import HEIGHT, SPANS, WIDTH, Chart, draw
from app.store.audit_records import AuditHour, Facet

DAY = SPANS["24h"]
NOW = datetime(2026, 3, 1, 12, 34, 56, tzinfo=UTC)


def hour(
    ago: int,
    requests: int,
    cause: str = "",
    *,
    calls: int = 0,
    connection: str = "con_1",
    actor: str = "client",
) -> AuditHour:
    return AuditHour(
        hour=NOW.replace(minute=0, second=0) - timedelta(hours=ago),
        facet=Facet(connection, "GET", "User", 404 if cause else 200, cause, actor),
        requests=requests,
        duration_s=requests * 0.1,
        calls=calls,
        failed_calls=0,
        call_s=calls * 0.02,
        longest_call_s=0.5 if calls else 0.0,
        request_buckets=(requests, 0, 0, 0, 0, 0, 0, 0),
        call_buckets=(0, calls, 0, 0, 0, 0, 0, 0),
    )


def assert_within(chart: Chart) -> None:
    for bar in chart.bars:
        assert bar.x >= 0 and bar.x + bar.width <= WIDTH
        assert bar.y >= 0 and bar.height > 0
        assert bar.y + bar.height <= HEIGHT + 0.011
    for x, text in chart.labels:
        assert 0 <= x <= WIDTH
        assert text


def test_nothing_is_drawn_of_nothing() -> None:
    charts = draw([], DAY, NOW)
    for chart in (charts.requests, charts.latency, charts.calls):
        assert chart.bars == ()
        assert_within(chart)
    assert (charts.causes, charts.shares) == ((), ())
    assert charts.requests.summary == "0 requests in the last 24 hours, 0 of them failed."


def test_requests_are_counted_by_the_hour() -> None:
    found = [hour(0, 10), hour(0, 5, "conflict"), hour(23, 7), hour(24, 1000), hour(3, 99, actor="recovery")]
    charts = draw(found, DAY, NOW)
    assert charts.requests.summary == "22 requests in the last 24 hours, 5 of them failed."
    rows = charts.requests.rows
    assert len(rows) == 24
    assert (rows[0].name, rows[0].values) == ("02-28 13:00", ("7", "0"))
    assert (rows[-1].name, rows[-1].values) == ("03-01 12:00", ("15", "5"))
    assert [bar.kind for bar in charts.requests.bars] == ["good", "good", "bad"]
    whole = charts.requests.bars[-2:]
    assert sum(bar.height for bar in whole) == pytest.approx(HEIGHT)
    # What failed stands on what did not.
    assert whole[1].y + whole[1].height == pytest.approx(whole[0].y)
    assert_within(charts.requests)
    assert DAY.begins(NOW) == datetime(2026, 2, 28, 13, tzinfo=UTC)


def test_one_beside_a_million_can_be_seen() -> None:
    charts = draw([hour(0, 1_000_000), hour(0, 1, "conflict"), hour(1, 1)], DAY, NOW)
    assert_within(charts.requests)
    assert all(bar.height >= 1 for bar in charts.requests.bars)


def test_platform_calls_are_shown_by_what_they_took() -> None:
    charts = draw([hour(0, 10, calls=25), hour(2, 4, calls=2)], DAY, NOW)
    assert charts.latency.summary == (
        "27 platform calls, 0 of them failed: 20 ms on average, 500 ms at most."
    )
    assert [row.values for row in charts.latency.rows][:2] == [("0",), ("27",)]
    assert len(charts.latency.rows) == 8
    assert_within(charts.latency)
    assert charts.calls.summary == "1.93 platform calls per request in the last 24 hours."
    assert [row.values[0] for row in charts.calls.rows if row.values[0] != "0.00"] == ["0.50", "2.50"]
    assert_within(charts.calls)


def test_causes_come_by_how_often() -> None:
    charts = draw([hour(0, 1, "conflict"), hour(1, 2, "policy"), hour(5, 2, "policy"), hour(0, 50)], DAY, NOW)
    assert [(row.cause, row.count) for row in charts.causes] == [("policy", 4), ("conflict", 1)]
    assert sum(charts.causes[0].by_step) == 4
    assert all(bar.kind == "bad" for row in charts.causes for bar in row.bars)


def test_shares_are_by_connection_the_worst_first() -> None:
    found = [
        hour(0, 6_000, "conflict", connection="con_bad"),
        hour(0, 4_000, connection="con_bad"),
        hour(0, 100_000, connection="con_good"),
        hour(1, 1, "not-found", connection="con_few"),
        hour(1, 9, "unauthenticated", connection=""),
    ]
    shares = draw(found, DAY, NOW).shares
    assert [(s.connection_id, s.share.quarantined) for s in shares] == [
        ("con_few", False),
        ("con_bad", True),
        ("con_good", False),
    ]


@pytest.mark.parametrize("name", sorted(SPANS))
@pytest.mark.parametrize("now", [NOW, NOW.replace(hour=0, minute=0, second=0), NOW.replace(hour=23)])
def test_every_span_ends_with_the_present_step(name: str, now: datetime) -> None:
    span = SPANS[name]
    steps = span.steps(now)
    step = timedelta(hours=span.step_h)
    assert len(steps) == span.bars
    assert steps[-1] <= now < steps[-1] + step
    assert {later - earlier for earlier, later in pairwise(steps)} == {step}
    found = [msgspec.structs.replace(hour(0, 3, "conflict"), hour=at) for at in steps]
    charts = draw(found, span, now)
    assert (
        charts.requests.summary
        == f"{3 * span.bars} requests in the last {span.label}, {3 * span.bars} of them failed."
    )
    assert len(charts.requests.bars) == len(charts.requests.rows) == span.bars
    assert len({row.name for row in charts.requests.rows}) == span.bars
    assert charts.causes[0].by_step == (3,) * span.bars
    assert 4 <= len(charts.requests.labels) <= 8
    assert_within(charts.requests)
    # A step that is not drawn is not counted.
    before = msgspec.structs.replace(hour(0, 9), hour=steps[0] - step)
    assert draw([before], span, now).requests.bars == ()
