"""How the bridge is at the moment, read when somebody asks."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Protocol

import msgspec
import structlog
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from app import __version__
from app.bridge.audit import AuditTrail
from app.bridge.context import Context
from app.bridge.indexing import view_mapping
from app.mapping.errors import MappingError
from app.observing import catalogue
from app.platform.breaker import Circuit
from app.store.connections import Connection
from app.store.index_records import View
from app.store.journal_records import Counts
from app.store.store import Store

_log = structlog.get_logger(__name__)

_PATIENCE_S = 2.0
"""Seconds that the database has to answer."""
_STATES = ("closed", "open", "half-open")
_READINESS = ("ok", "degraded", "unavailable", "shutting down")


class Readiness(Protocol):
    """What `/health/ready` says."""

    @property
    def status(self) -> str:
        """`ok`, `degraded`, …"""
        ...

    @property
    def reasons(self) -> Mapping[str, str]:
        """By the name of the check, what is wrong."""
        ...


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where to look."""

    store: Store
    audit: AuditTrail
    context_of: Callable[[Connection], Context]
    """Raises `MappingError` or `ValueError` where the connection cannot be used."""
    readiness: Callable[[], Awaitable[Readiness]]
    checks: Callable[[], Sequence[str]]
    """Names of what readiness asks."""
    circuit: Callable[[], Circuit]
    requests: Callable[[], tuple[int, int]]
    """How many are in progress, and how many wait."""
    platform_calls: Callable[[], tuple[int, int]]


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """What the database tells."""

    connections: Sequence[Connection]
    stopped: frozenset[str]
    """Ids of connections."""
    views: Sequence[View]
    journal: Counts


class Readings(msgspec.Struct, frozen=True, kw_only=True):
    """What was found at one moment."""

    at: datetime
    readiness: Readiness
    stored: Stored | None
    """None where the database did not answer."""


async def read(sources: Sources) -> Readings:
    """Look at what has to be waited for; a database that does not answer is part of the answer."""
    readiness, stored = await asyncio.gather(sources.readiness(), _read_stored(sources.store))
    return Readings(at=datetime.now(UTC), readiness=readiness, stored=stored)


async def _read_stored(store: Store) -> Stored | None:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            return Stored(
                connections=await store.connections.list(),
                stopped=frozenset(await store.deprovisionings.stopped()),
                views=await store.index.views(),
                journal=await store.journal.counts(),
            )
    except Exception as exc:  # noqa: BLE001 - whatever it is, the other metrics are wanted the more
        _log.warning("metrics are incomplete: the database does not answer", error=str(exc))
        return None


def gauges(sources: Sources, readings: Readings) -> Iterator[Metric]:
    """All of it, for the client library."""
    yield _gauge(catalogue.INFO, {(__version__,): 1.0})
    yield _gauge(catalogue.DATABASE_UP, {(): float(readings.stored is not None)})
    yield _one_of(catalogue.READINESS, _READINESS, readings.readiness.status)
    reasons = readings.readiness.reasons
    yield _gauge(catalogue.READINESS_REASON, {(name,): float(name in reasons) for name in sources.checks()})
    yield _one_of(catalogue.CIRCUIT, _STATES, sources.circuit().state)
    for (running, waiting), load in (
        ((catalogue.CALLS_RUNNING, catalogue.CALLS_WAITING), sources.platform_calls()),
        ((catalogue.REQUESTS_RUNNING, catalogue.REQUESTS_WAITING), sources.requests()),
    ):
        yield _gauge(running, {(): load[0]})
        yield _gauge(waiting, {(): load[1]})
    yield _gauge(catalogue.AUDIT_WAITING, {(): sources.audit.waiting})
    lost = catalogue.AUDIT_LOST
    yield CounterMetricFamily(lost.name, lost.meaning, value=sources.audit.lost)
    if readings.stored is not None:
        yield from _of_journal(readings.stored.journal)
        yield from _of_connections(sources, readings.stored, readings.at)


def _of_journal(counts: Counts) -> Iterator[Metric]:
    yield _gauge(catalogue.JOURNAL_UNFINISHED, {(): counts.unfinished})
    yield _gauge(catalogue.JOURNAL_STUCK, {(): counts.stuck})
    yield _gauge(catalogue.JOURNAL_OLDEST, {(): counts.oldest_s})


def _of_connections(sources: Sources, stored: Stored, now: datetime) -> Iterator[Metric]:
    views = {(view.tenant_id, view.domain, view.mapping): view for view in stored.views}
    usable: dict[tuple[str, ...], float] = {}
    complete: dict[tuple[str, ...], float] = {}
    ages: dict[tuple[str, ...], float] = {}
    for connection in stored.connections:
        name = (connection.name,)
        try:
            context = sources.context_of(connection)
        except (MappingError, ValueError):
            usable[name] = 0.0
            continue
        usable[name] = 1.0
        view = views.get((context.tenant_id, context.domain, view_mapping(context)))
        complete[name] = float(view is not None and view.complete_since is not None)
        if view is not None and view.swept_at is not None:
            ages[name] = max(0.0, (now - view.swept_at).total_seconds())
    stopped: dict[tuple[str, ...], float] = {
        (c.name,): float(c.id in stored.stopped) for c in stored.connections
    }
    yield _gauge(catalogue.CONNECTION_USABLE, usable)
    yield _gauge(catalogue.CONNECTION_STOPPED, stopped)
    yield _gauge(catalogue.INDEX_COMPLETE, complete)
    yield _gauge(catalogue.INDEX_AGE, ages)


def _gauge(metric: catalogue.Metric, values: Mapping[tuple[str, ...], float]) -> Metric:
    family = GaugeMetricFamily(metric.name, metric.meaning, labels=metric.labels)
    for labels, value in values.items():
        family.add_metric(labels, value)
    return family


def _one_of(metric: catalogue.Metric, states: Sequence[str], present: str) -> Metric:
    return _gauge(metric, {(state,): float(state == present) for state in states})
