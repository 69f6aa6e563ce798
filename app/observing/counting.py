"""Counts what happened: requests by their stories, platform calls as they are answered.

Counted is in plain numbers, made into the client library's metrics when somebody asks: a request costs a few
additions.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily, Metric

from app.bridge.story import Story
from app.observing import catalogue
from app.observing.routes import CallRoutes
from app.platform.recording import CallMade

METHODS = frozenset({"GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
CALLS = (0.0, 1.0, 2.0, 3.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0)
"""Upper bounds of the buckets; there is one more for what is larger."""

_Place: TypeAlias = tuple[str, str]
"""Method and route."""


class _Spread:
    """Numbers of one kind, by size."""

    __slots__ = ("_bounds", "_counts", "_sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def add(self, number: float) -> None:
        self._counts[bisect_left(self._bounds, number)] += 1
        self._sum += number

    def into(self, family: HistogramMetricFamily, labels: Sequence[str]) -> None:
        """As one more member of a histogram, whose buckets hold what the smaller ones hold too."""
        total = 0
        buckets = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        family.add_metric(labels, buckets, self._sum)


class Counting:
    """Takes stories (`Sink`) and hears of platform calls; labels hold nothing of any user."""

    def __init__(self, routes: CallRoutes) -> None:
        self._route_of = routes.of
        self._requests: defaultdict[tuple[str, str, str, int, str], int] = defaultdict(int)
        self._places: dict[_Place, tuple[_Spread, _Spread]] = {}
        self._recovered: defaultdict[tuple[str, str], int] = defaultdict(int)
        self._calls: defaultdict[tuple[str, str, str], int] = defaultdict(int)
        self._call_times: dict[_Place, _Spread] = {}

    def take(self, story: Story) -> asyncio.Future[None] | None:
        """Count a request, unless it only asked what would be; nobody has to wait for that."""
        if story.dry_run:
            return None
        if story.actor == "recovery":
            self._recovered[story.connection, "failed" if story.cause else "done"] += 1
            return None
        # Clients may make up methods.
        method = story.method if story.method in METHODS else "other"
        route = story.route
        self._requests[story.connection, method, route, story.status, story.cause] += 1
        spreads = self._places.get((method, route))
        if spreads is None:
            spreads = self._places[method, route] = _Spread(SECONDS), _Spread(CALLS)
        spreads[0].add(story.duration_s)
        spreads[1].add(len(story.calls))
        return None

    def heard(self, call: CallMade) -> None:
        """Count a platform call."""
        method, route = call.method, self._route_of(call.path)
        self._calls[method, route, _outcome(call.status)] += 1
        spread = self._call_times.get((method, route))
        if spread is None:
            spread = self._call_times[method, route] = _Spread(SECONDS)
        spread.add(call.ms / 1000)

    def collect(self) -> Iterator[Metric]:
        """All of it, for the client library."""
        yield _counter(catalogue.REQUESTS, self._requests)
        yield _histogram(catalogue.REQUEST_DURATION, {k: v[0] for k, v in self._places.items()})
        yield _histogram(catalogue.REQUEST_CALLS, {k: v[1] for k, v in self._places.items()})
        yield _counter(catalogue.CALLS, self._calls)
        yield _histogram(catalogue.CALL_DURATION, self._call_times)
        yield _counter(catalogue.RECOVERED, self._recovered)


def _outcome(status: int | None) -> str:
    if status is None:
        return "no-answer"
    if status < 400:
        return "ok"
    if status >= 500:
        return "failed"
    return {404: "not-found", 429: "throttled"}.get(status, "refused")


def _counter(metric: catalogue.Metric, counts: Mapping[Any, int]) -> Metric:
    family = CounterMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for key, count in counts.items():
        family.add_metric([str(part) for part in key], count)
    return family


def _histogram(metric: catalogue.Metric, spreads: Mapping[_Place, _Spread]) -> Metric:
    family = HistogramMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for key, spread in spreads.items():
        spread.into(family, key)
    return family
