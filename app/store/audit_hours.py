"""What requests come to by the hour: written with their records, read for charts."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, cast, delete, func, insert, select

from app.store.audit_records import BUCKETS_S, AuditEntry, AuditFilter, AuditHour, Facet, FailureShare
from app.store.tables import audit_facets, audit_hours

HOUR_COLUMNS = tuple(c.name for c in audit_hours.columns)

DAY_H = 24
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)
_SUMS = 6
"""Columns of sums after hour and facet; then the two histograms."""
_LONGEST = "longest_call_us"
_WIDTH = len(BUCKETS_S) + 1


def hour_rows(entries: Sequence[AuditEntry], ids: Mapping[Facet, int]) -> list[tuple[int, ...]]:
    """One row for each hour and facet, in the order of `HOUR_COLUMNS`."""
    rows: dict[tuple[int, Facet], list[int]] = {}
    for entry in entries:
        if not entry.counts:
            continue
        key = (hour_of(entry.ended_at), entry.facet)
        row = rows.get(key)
        if row is None:
            row = rows[key] = [0] * (_SUMS + 2 * _WIDTH)
        row[0] += 1
        row[1] += int(entry.duration_s * 1e6)
        row[3] += entry.failed_calls
        row[_SUMS + bisect_left(BUCKETS_S, entry.duration_s)] += 1
        for seconds in entry.call_s:
            taken_us = int(seconds * 1e6)
            row[2] += 1
            row[4] += taken_us
            if taken_us > row[5]:
                row[5] = taken_us
            row[_SUMS + _WIDTH + bisect_left(BUCKETS_S, seconds)] += 1
    return sorted((hour, ids[facet], *row) for (hour, facet), row in rows.items())


def read_hours(db: Connection, wanted: AuditFilter, step_h: int) -> tuple[AuditHour, ...]:
    """The hours of all facets that a filter takes, added up over spans of `step_h` hours."""
    facets = read_facets(db, wanted)
    c = audit_hours.c
    # Not a division, of which PostgreSQL and SQLite think differently for some types.
    span = (c.hour - c.hour % step_h).label("span")
    counted = [cast(total, BigInteger) for total in _sums()]
    statement = select(span, c.facet_id, *counted).where(*_within(wanted)).group_by(span, c.facet_id)
    found = db.execute(statement.order_by(span, c.facet_id)) if facets else ()
    return tuple(_hour(row, facets[row[1]]) for row in found if row[1] in facets)


def fold_day(db: Connection, before: int) -> bool:
    """Add the hours of the oldest day up, of those that end before an hour and are told by the hour.

    What is left is one row a facet, of the day's first hour. False where there is no such day.
    """
    c = audit_hours.c
    oldest = select(func.min(c.hour)).where(c.hour < before - before % DAY_H, c.hour % DAY_H != 0)
    hour = db.execute(oldest).scalar()
    if hour is None:
        return False
    day = hour - hour % DAY_H
    of_day = (c.hour >= day, c.hour < day + DAY_H)
    sums = [cast(total, BigInteger) for total in _sums()]
    rows = db.execute(select(c.facet_id, *sums).where(*of_day).group_by(c.facet_id)).all()
    db.execute(delete(audit_hours).where(*of_day))
    folded = [dict(zip(HOUR_COLUMNS, (day, *row), strict=True)) for row in rows]
    db.execute(insert(audit_hours), folded)
    return True


def read_share(db: Connection, wanted: AuditFilter) -> FailureShare:
    """Requests and failures of all facets that a filter takes."""
    facets = read_facets(db, wanted)
    c = audit_hours.c
    statement = select(c.facet_id, func.sum(c.requests)).where(*_within(wanted)).group_by(c.facet_id)
    counts = {row[0]: int(row[1]) for row in db.execute(statement) if row[0] in facets}
    return FailureShare(
        requests=sum(counts.values()),
        failures=sum(count for facet_id, count in counts.items() if facets[facet_id].cause),
    )


def _sums() -> list[ColumnElement[Any]]:
    """What rows come to together, in the order of the columns; PostgreSQL makes decimal numbers of it."""
    c = audit_hours.c
    return [func.max(c[n]) if n == _LONGEST else func.sum(c[n]) for n in HOUR_COLUMNS[2:]]


def _within(wanted: AuditFilter) -> list[ColumnElement[bool]]:
    hour, bounds = audit_hours.c.hour, []
    if wanted.since is not None:
        bounds.append(hour >= hour_of(wanted.since))
    if wanted.until is not None:
        bounds.append(hour < hour_of(wanted.until - timedelta(microseconds=1)) + 1)
    return bounds


def read_facets(db: Connection, wanted: AuditFilter) -> dict[int, Facet]:
    """Facets that a filter takes, by id."""
    found = {row[0]: Facet(*row[1:]) for row in db.execute(select(audit_facets))}
    return {facet_id: facet for facet_id, facet in found.items() if wanted.takes(facet)}


def hour_of(at: datetime) -> int:
    """Whole hours since 1970 began."""
    return (at - _EPOCH) // _HOUR


def _hour(row: Any, facet: Facet) -> AuditHour:
    sums, buckets = row[2 : 2 + _SUMS], tuple(row[2 + _SUMS :])
    requests, duration_us, calls, failed_calls, call_us, longest_us = sums
    return AuditHour(
        hour=_EPOCH + row[0] * _HOUR,
        facet=facet,
        requests=requests,
        duration_s=duration_us / 1e6,
        calls=calls,
        failed_calls=failed_calls,
        call_s=call_us / 1e6,
        longest_call_s=longest_us / 1e6,
        request_buckets=buckets[:_WIDTH],
        call_buckets=buckets[_WIDTH:],
    )
