"""What the overview draws of the audit trail's hours: shapes in an SVG, and the same as a table; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from app.store.audit_records import BUCKETS_S, AuditHour, FailureShare

HEIGHT = 100.0
WIDTH = 480.0
"""Of the drawings."""
_GAP = 0.2
"""Of a bar's width, to the next one."""
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST = 1.5
"""Height of a bar at least, for what is little next to what is much to be seen."""


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """How far back is looked, and how finely."""

    label: str
    """After "the last"."""
    step_h: int
    """Hours of one bar, a divisor or a multiple of 24."""
    bars: int
    """The last one is the present one, which is not over."""
    named: str
    """One step, after "by"."""
    ticked: int
    """Every how many steps the axis has a label."""

    def begins(self, now: datetime) -> datetime:
        """When the first step begins; `now` is in UTC."""
        step = timedelta(hours=self.step_h)
        return _EPOCH + ((now - _EPOCH) // step - self.bars + 1) * step

    def steps(self, now: datetime) -> list[datetime]:
        """When each step begins."""
        return [self.begins(now) + n * timedelta(hours=self.step_h) for n in range(self.bars)]


SPANS: Mapping[str, Span] = {
    "24h": Span(label="24 hours", step_h=1, bars=24, named="hour", ticked=3),
    "7d": Span(label="7 days", step_h=6, bars=28, named="six hours", ticked=4),
    "30d": Span(label="30 days", step_h=24, bars=30, named="day", ticked=5),
    "90d": Span(label="90 days", step_h=24, bars=90, named="day", ticked=15),
}
"""What can be asked for, the usual one first."""


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
    labels: tuple[tuple[float, str], ...]
    """Places along the lower edge, and what stands there."""


class CauseRow(msgspec.Struct, frozen=True, kw_only=True):
    """How often requests failed for one cause."""

    cause: str
    count: int
    by_step: tuple[int, ...]
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


def draw(found: Sequence[AuditHour], span: Span, now: datetime) -> Charts:
    """The charts of a span, of hours added up by its step; `now` is in UTC."""
    steps = span.steps(now)
    drawn = set(steps)
    within = [each for each in found if each.hour in drawn and each.facet.actor == "client"]
    return Charts(
        requests=_requests(within, span, steps),
        latency=_latency(within),
        calls=_calls(within, span, steps),
        causes=_causes(within, steps),
        shares=_shares(within),
    )


def _requests(found: Iterable[AuditHour], span: Span, steps: Sequence[datetime]) -> Chart:
    whole, failed = dict.fromkeys(steps, 0), dict.fromkeys(steps, 0)
    for each in found:
        whole[each.hour] += each.requests
        failed[each.hour] += each.requests if each.facet.cause else 0
    piles = [(whole[step] - failed[step], failed[step]) for step in steps]
    total, bad = sum(whole.values()), sum(failed.values())
    return Chart(
        id="requests",
        title=f"Requests and failures by {span.named}",
        summary=f"{total} requests in the last {span.label}, {bad} of them failed.",
        columns=("From (UTC)", "Requests", "Failed"),
        rows=tuple(
            Row(name=_named(step, span), values=(str(whole[step]), str(failed[step]))) for step in steps
        ),
        bars=_bars(piles),
        labels=_labels(steps, span),
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
        bars=_bars([(count, 0) for count in counts]),
        labels=tuple((WIDTH / len(names) * (n + 0.5), name) for n, name in enumerate(names)),
    )


def _calls(found: Iterable[AuditHour], span: Span, steps: Sequence[datetime]) -> Chart:
    requests, calls = dict.fromkeys(steps, 0), dict.fromkeys(steps, 0)
    for each in found:
        requests[each.hour] += each.requests
        calls[each.hour] += each.calls
    means = [calls[step] / requests[step] if requests[step] else 0.0 for step in steps]
    total = sum(requests.values())
    mean = sum(calls.values()) / total if total else 0.0
    return Chart(
        id="calls",
        title=f"Platform calls per request, by {span.named}",
        summary=f"{mean:.2f} platform calls per request in the last {span.label}.",
        columns=("From (UTC)", "Calls per request"),
        rows=tuple(
            Row(name=_named(step, span), values=(f"{each:.2f}",))
            for step, each in zip(steps, means, strict=True)
        ),
        bars=_bars([(each, 0) for each in means]),
        labels=_labels(steps, span),
    )


def _causes(found: Iterable[AuditHour], steps: Sequence[datetime]) -> tuple[CauseRow, ...]:
    counts: dict[str, dict[datetime, int]] = {}
    for each in found:
        if each.facet.cause:
            of_cause = counts.setdefault(each.facet.cause, dict.fromkeys(steps, 0))
            of_cause[each.hour] += each.requests
    rows = [
        CauseRow(
            cause=cause,
            count=sum(by_step.values()),
            by_step=tuple(by_step.values()),
            bars=_bars([(0, count) for count in by_step.values()]),
        )
        for cause, by_step in counts.items()
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


def _bars(piles: Sequence[tuple[float, float]]) -> tuple[Bar, ...]:
    """A pile of a good and, above it, a bad bar for each pair, the highest pile as high as the drawing."""
    most = max((good + bad for good, bad in piles), default=0)
    bars: list[Bar] = []
    step = WIDTH / len(piles)
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
            x = round((number + _GAP / 2) * step, 2)
            bars.append(
                Bar(
                    x=x,
                    y=round(top, 2),
                    width=round((1 - _GAP) * step, 2),
                    height=round(height, 2),
                    kind=kind,
                )
            )
    return tuple(bars)


def _named(step: datetime, span: Span) -> str:
    return f"{step:%m-%d}" if span.step_h >= 24 else f"{step:%m-%d %H}:00"


def _labels(steps: Sequence[datetime], span: Span) -> tuple[tuple[float, str], ...]:
    """Counted from 1970 on, so that a label stays with its step as time goes by."""
    length = timedelta(hours=span.step_h)
    return tuple(
        (
            round(WIDTH / span.bars * (n + 0.5), 2),
            f"{step:%H}" if span.bars * span.step_h <= 24 else f"{step:%m-%d}",
        )
        for n, step in enumerate(steps)
        if (step - _EPOCH) // length % span.ticked == 0
    )


def _short(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"
