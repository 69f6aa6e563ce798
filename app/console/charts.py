"""What the overview draws of the audit trail's hours: shapes in an SVG, and the same as a table; pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from app.store.audit_records import BUCKETS_S, AuditHour, FailureShare

HOURS = 24
"""Hours that are drawn, the present one being the last."""
HEIGHT = 100.0
STEP = 20.0
"""Of the drawings: their height, and the width that one bar has with its gap."""
_GAP = 4.0
_HOUR = timedelta(hours=1)
_LEAST = 1.5
"""Height of a bar at least, for what is little next to what is much to be seen."""


class Bar(msgspec.Struct, frozen=True, kw_only=True):
    """One rectangle, in units of the drawing, from its upper left corner."""

    x: float
    y: float
    width: float
    height: float
    kind: str
    """`good` or `bad`: how it is coloured."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What one bar, or a pile of two, stands for."""

    name: str
    values: tuple[str, ...]


class Chart(msgspec.Struct, frozen=True, kw_only=True):
    """A drawing and the table that says the same."""

    id: str
    title: str
    summary: str
    """In one sentence what there is to see, also for those who do not."""
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    bars: tuple[Bar, ...]
    width: float
    labels: tuple[tuple[float, str], ...]
    """Places along the lower edge, and what stands there."""


class CauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """How often requests failed for one cause."""

    cause: str
    count: int
    by_hour: tuple[int, ...]
    bars: tuple[Bar, ...]


class Quarantine(msgspec.Struct, frozen=True, kw_only=True):
    """How near a connection is to what Microsoft Entra ID quarantines a job for."""

    connection_id: str
    share: FailureShare


class Charts(msgspec.Struct, frozen=True, kw_only=True):
    """All of the overview."""

    requests: Chart
    latency: Chart
    calls: Chart
    causes: tuple[CauseRow, ...]
    shares: tuple[Quarantine, ...]
    """Those with the largest share of failures first."""


def first_hour(now: datetime) -> datetime:
    """When the first hour begins that is drawn."""
    return now.replace(minute=0, second=0, microsecond=0) - (HOURS - 1) * _HOUR


def draw(found: Sequence[AuditHour], now: datetime) -> Charts:
    """The charts of the hours from `first_hour` on; `now` is in UTC."""
    hours = [first_hour(now) + n * _HOUR for n in range(HOURS)]
    within = [hour for hour in found if hour.hour in set(hours) and hour.facet.actor == "client"]
    return Charts(
        requests=_requests(within, hours),
        latency=_latency(within),
        calls=_calls(within, hours),
        causes=_causes(within, hours),
        shares=_shares(within),
    )


def _requests(found: Iterable[AuditHour], hours: Sequence[datetime]) -> Chart:
    whole, failed = dict.fromkeys(hours, 0), dict.fromkeys(hours, 0)
    for each in found:
        whole[each.hour] += each.requests
        failed[each.hour] += each.requests if each.facet.cause else 0
    piles = [(whole[hour] - failed[hour], failed[hour]) for hour in hours]
    total, bad = sum(whole.values()), sum(failed.values())
    return Chart(
        id="requests",
        title="Requests and failures by hour",
        summary=f"{total} requests in the last {HOURS} hours, {bad} of them failed.",
        columns=("Hour (UTC)", "Requests", "Failed"),
        rows=tuple(
            Row(name=f"{hour:%m-%d %H}:00", values=(str(whole[hour]), str(failed[hour]))) for hour in hours
        ),
        bars=_bars(piles),
        width=STEP * HOURS,
        labels=_hour_labels(hours),
    )


def _latency(found: Iterable[AuditHour]) -> Chart:
    counts = [0] * (len(BUCKETS_S) + 1)
    calls, failed, taken_s, longest_s = 0, 0, 0.0, 0.0
    for each in found:
        counts = [a + b for a, b in zip(counts, each.call_buckets, strict=True)]
        calls, failed, taken_s = calls + each.calls, failed + each.failed_calls, taken_s + each.call_s
        longest_s = max(longest_s, each.longest_call_s)
    names = [*(f"≤ {_short(bound)}" for bound in BUCKETS_S), f"> {_short(BUCKETS_S[-1])}"]
    mean_s = taken_s / calls if calls else 0.0
    times = f"{mean_s * 1000:.0f} ms on average, {longest_s * 1000:.0f} ms at most"
    return Chart(
        id="latency",
        title="Time that platform calls take",
        summary=f"{calls} platform calls, {failed} of them failed: {times}.",
        columns=("Took", "Platform calls"),
        rows=tuple(Row(name=n, values=(str(c),)) for n, c in zip(names, counts, strict=True)),
        bars=_bars([(count, 0) for count in counts], step=3 * STEP),
        width=3 * STEP * len(counts),
        labels=tuple((3 * STEP * (n + 0.5), name) for n, name in enumerate(names)),
    )


def _calls(found: Iterable[AuditHour], hours: Sequence[datetime]) -> Chart:
    requests, calls = dict.fromkeys(hours, 0), dict.fromkeys(hours, 0)
    for each in found:
        requests[each.hour] += each.requests
        calls[each.hour] += each.calls
    means = [calls[hour] / requests[hour] if requests[hour] else 0.0 for hour in hours]
    total = sum(requests.values())
    mean = sum(calls.values()) / total if total else 0.0
    return Chart(
        id="calls",
        title="Platform calls per request, by hour",
        summary=f"{mean:.2f} platform calls per request in the last {HOURS} hours.",
        columns=("Hour (UTC)", "Calls per request"),
        rows=tuple(
            Row(name=f"{hour:%m-%d %H}:00", values=(f"{each:.2f}",))
            for hour, each in zip(hours, means, strict=True)
        ),
        bars=_bars([(each, 0) for each in means]),
        width=STEP * HOURS,
        labels=_hour_labels(hours),
    )


def _causes(found: Iterable[AuditHour], hours: Sequence[datetime]) -> tuple[CauseRow, ...]:
    counts: dict[str, dict[datetime, int]] = {}
    for each in found:
        if each.facet.cause:
            of_cause = counts.setdefault(each.facet.cause, dict.fromkeys(hours, 0))
            of_cause[each.hour] += each.requests
    rows = [
        CauseRow(
            cause=cause,
            count=sum(by_hour.values()),
            by_hour=tuple(by_hour.values()),
            bars=_bars([(0, count) for count in by_hour.values()]),
        )
        for cause, by_hour in counts.items()
    ]
    return tuple(sorted(rows, key=lambda row: (-row.count, row.cause)))


def _shares(found: Iterable[AuditHour]) -> tuple[Quarantine, ...]:
    counts: dict[str, tuple[int, int]] = {}
    for each in found:
        if each.facet.connection_id:
            requests, failures = counts.get(each.facet.connection_id, (0, 0))
            more = each.requests if each.facet.cause else 0
            counts[each.facet.connection_id] = (requests + each.requests, failures + more)
    shares = [
        Quarantine(connection_id=key, share=FailureShare(requests=requests, failures=failures))
        for key, (requests, failures) in counts.items()
    ]
    return tuple(sorted(shares, key=lambda q: (-q.share.share, q.connection_id)))


def _bars(piles: Sequence[tuple[float, float]], *, step: float = STEP) -> tuple[Bar, ...]:
    """A pile of a good and, above it, a bad bar for each pair, the highest pile as high as the drawing."""
    most = max((good + bad for good, bad in piles), default=0)
    bars: list[Bar] = []
    for number, (good, bad) in enumerate(piles):
        kinds = [kind for kind, value in (("good", good), ("bad", bad)) if value]
        if not kinds:
            continue
        whole = max((good + bad) / most * HEIGHT, _LEAST * len(kinds))
        of_bad = bad / (good + bad) * whole
        if len(kinds) > 1:
            of_bad = min(max(of_bad, _LEAST), whole - _LEAST)
        top = HEIGHT
        for kind in kinds:
            height = of_bad if kind == "bad" else whole - of_bad
            top -= height
            x = round(number * step + _GAP / 2, 2)
            bars.append(Bar(x=x, y=round(top, 2), width=step - _GAP, height=round(height, 2), kind=kind))
    return tuple(bars)


def _hour_labels(hours: Sequence[datetime]) -> tuple[tuple[float, str], ...]:
    return tuple((STEP * (n + 0.5), f"{hour:%H}") for n, hour in enumerate(hours) if hour.hour % 3 == 0)


def _short(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
