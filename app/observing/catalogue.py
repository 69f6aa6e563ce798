"""Every metric there is: the endpoint shows no other, and docs, dashboard and alerts are held to it."""

from __future__ import annotations

from typing import Literal

import msgspec

PREFIX = "scim_bridge_"


class Metric(msgspec.Struct, frozen=True):
    """One metric, as Prometheus sees it."""

    name: str
    """In full; of a counter with `_total`."""
    kind: Literal["counter", "gauge", "histogram"]
    labels: tuple[str, ...]
    meaning: str


def _metric(
    name: str, kind: Literal["counter", "gauge", "histogram"], labels: tuple[str, ...], meaning: str
) -> Metric:
    return Metric(PREFIX + name, kind, labels, meaning)


REQUESTS = _metric(
    "requests_total",
    "counter",
    ("connection", "method", "route", "status", "cause"),
    "SCIM and token requests that were answered, and operations of bulk requests; `cause` is empty where all "
    "went well, else as in the audit trail; `status` 0: the client had gone; discovery counts only where it "
    "fails, dry runs never",
)
REQUEST_DURATION = _metric(
    "request_duration_seconds",
    "histogram",
    ("method", "route"),
    "Time from the arrival of a request to its answer",
)
REQUEST_CALLS = _metric(
    "request_platform_calls", "histogram", ("method", "route"), "Platform calls that one request took"
)
CALLS = _metric(
    "platform_calls_total",
    "counter",
    ("method", "route", "outcome"),
    "Platform calls, also those of sweeps, but for tokens; `outcome` is `ok`, `not-found`, `refused` (other "
    "4xx), `throttled` (429), `failed` (5xx) or `no-answer`",
)
CALL_DURATION = _metric(
    "platform_call_duration_seconds", "histogram", ("method", "route"), "Time of one platform call"
)
RECOVERED = _metric(
    "recovered_writes_total",
    "counter",
    ("connection", "outcome"),
    "Tries of the bridge to finish or undo what was left half-way; `outcome` is `done` or `failed`",
)
INFO = _metric("info", "gauge", ("version",), "Always 1; the release that runs")
DATABASE_UP = _metric(
    "database_up",
    "gauge",
    (),
    "1 where the bridge's database answered this scrape; where it is 0, what is read from there is missing",
)
READINESS = _metric(
    "readiness", "gauge", ("status",), "1 for the present one of ok, degraded, unavailable and shutting down"
)
READINESS_REASON = _metric(
    "readiness_reason",
    "gauge",
    ("check",),
    "1 where this check of `/health/ready` says that something is wrong",
)
CIRCUIT = _metric(
    "platform_circuit",
    "gauge",
    ("state",),
    "1 for the present state of the circuit breaker: closed, open or half-open",
)
CALLS_RUNNING = _metric("platform_calls_in_progress", "gauge", (), "Platform calls under way")
CALLS_WAITING = _metric("platform_calls_waiting", "gauge", (), "Platform calls that wait for their turn")
REQUESTS_RUNNING = _metric("requests_in_progress", "gauge", (), "Requests that are being handled")
REQUESTS_WAITING = _metric("requests_waiting", "gauge", (), "Requests that wait for their turn")
AUDIT_WAITING = _metric("audit_waiting_records", "gauge", (), "Audit records that are not written yet")
AUDIT_LOST = _metric("audit_lost_records_total", "counter", (), "Audit records that were given up")
JOURNAL_UNFINISHED = _metric(
    "journal_unfinished_writes", "gauge", (), "Writes that are to be finished or undone, and nobody is at it"
)
JOURNAL_STUCK = _metric(
    "journal_stuck_writes", "gauge", (), "Unfinished writes that were given up and wait for an operator"
)
JOURNAL_OLDEST = _metric(
    "journal_oldest_seconds", "gauge", (), "Age of the oldest of both; 0 where there is none"
)
CONNECTION_USABLE = _metric(
    "connection_usable",
    "gauge",
    ("connection",),
    "1 where the connection's mapping and tolerances can be used",
)
CONNECTION_STOPPED = _metric(
    "connection_stopped", "gauge", ("connection",), "1 where the connection's guard has stopped it"
)
INDEX_COMPLETE = _metric(
    "index_complete",
    "gauge",
    ("connection",),
    "1 where every user of the connection's tenant is in the index",
)
INDEX_AGE = _metric(
    "index_age_seconds",
    "gauge",
    ("connection",),
    "Time since the last sweep that has ended began; missing before the first one",
)

METRICS = tuple(each for each in tuple(vars().values()) if isinstance(each, Metric))
"""All of them, in the order of the docs."""

PROCESS = (
    Metric("process_cpu_seconds_total", "counter", (), "CPU time of the process"),
    Metric("process_resident_memory_bytes", "gauge", (), "Memory that it holds"),
    Metric("process_virtual_memory_bytes", "gauge", (), "Memory that it has addressed"),
    Metric("process_start_time_seconds", "gauge", (), "When it was started, in seconds since 1970"),
    Metric("process_open_fds", "gauge", (), "Its open files and connections"),
    Metric("process_max_fds", "gauge", (), "How many of those it may have"),
)
"""Of the client library, on Linux."""
