"""Finding audit records: every question is a choice of facets, or of a few resources and names.

Each choice is followed along its index, no further than a page is long; the pages are merged here. So what a
question costs does not grow with the trail.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, delete, func, select, union_all

from app.store.audit_hours import hour_of, read_facets
from app.store.audit_records import AuditFilter, AuditRecord, number_at, record_of
from app.store.tables import audit_facets, audit_hours, audit_keys, audit_records

_AT_ONCE = 50
"""Facets that are asked for in one statement."""
_LOOKED_AT = 1000
"""Records of a name that are looked at for the ids of its resources."""
_NAMED = 100
"""Resources at most that a name is followed to."""

_r = audit_records.c


def find_one(db: Connection, number: int) -> AuditRecord | None:
    """The record of a number."""
    found = _read(db, [number])
    return found[0] if found else None


def find_page(
    db: Connection, wanted: AuditFilter, keys: Sequence[bytes], before: int | None, limit: int
) -> list[AuditRecord]:
    """The latest records that match, the latest first."""
    return _read(db, _numbers(db, wanted, keys, before=before, after=None, limit=limit))


def find_after(
    db: Connection, wanted: AuditFilter, keys: Sequence[bytes], after: int, limit: int
) -> list[AuditRecord]:
    """The records after a number, the earliest first."""
    return _read(db, _numbers(db, wanted, keys, before=None, after=after, limit=limit))


def _numbers(
    db: Connection,
    wanted: AuditFilter,
    keys: Sequence[bytes],
    *,
    before: int | None,
    after: int | None,
    limit: int,
) -> list[int]:
    facets = read_facets(db, wanted)
    if not facets:
        return []
    everything = len(facets) == db.execute(select(func.count()).select_from(audit_facets)).scalar_one()

    def along(condition: ColumnElement[bool] | None, number: ColumnElement[int] = _r.id) -> Select[Any]:
        """The next numbers along one index; `number` is its column that orders them."""
        found = select(number.label("id")).order_by(number.desc() if after is None else number).limit(limit)
        for bound in (
            condition,
            None if wanted.since is None else number >= number_at(wanted.since),
            None if wanted.until is None else number < number_at(wanted.until),
            None if before is None else number < before,
            None if after is None else number > after,
        ):
            found = found if bound is None else found.where(bound)
        return found

    if wanted.text is not None:
        branches = [along(place) for place in _places(db, wanted.text, keys)]
        named = audit_keys.c.record_id
        branches += [
            along(audit_keys.c.key == key, named).join(audit_records, _r.id == named) for key in keys
        ]
        if not everything:
            branches = [branch.where(_r.facet_id.in_(sorted(facets))) for branch in branches]
    elif everything:
        branches = [along(None)]
    else:
        branches = [along(_r.facet_id == facet_id) for facet_id in sorted(facets)]
    found: set[int] = set()
    for first in range(0, len(branches), _AT_ONCE):
        some = [branch.subquery() for branch in branches[first : first + _AT_ONCE]]
        found.update(db.execute(union_all(*(select(s.c.id) for s in some))).scalars())
    return sorted(found, reverse=after is None)[:limit]


def _places(db: Connection, text: str, keys: Sequence[bytes]) -> list[ColumnElement[bool]]:
    """Where records about what a text names can be: under it as an id, and under the ids of resources that
    records of its keys tell."""
    named = (
        select(audit_keys.c.record_id)
        .where(audit_keys.c.key.in_(keys))
        .order_by(audit_keys.c.record_id.desc())
        .limit(_LOOKED_AT)
    ).subquery()
    told = select(_r.resource_id).where(_r.id.in_(select(named.c.record_id)), _r.resource_id.is_not(None))
    resources = {text, *db.execute(told.distinct().limit(_NAMED)).scalars()}
    return [_r.correlation_id == text, *(_r.resource_id == r for r in sorted(resources))]


def _read(db: Connection, numbers: Sequence[int]) -> list[AuditRecord]:
    """The records of these numbers, in their order; one that was removed meanwhile is left out."""
    texts: dict[int, str] = {}
    for first in range(0, len(numbers), 500):
        some = select(_r.id, _r.record).where(_r.id.in_(numbers[first : first + 500]))
        texts.update((row[0], row[1]) for row in db.execute(some))
    return [record_of(number, texts[number]) for number in numbers if number in texts]


def remove_some(db: Connection, *, older_than: datetime | None, max_records: int | None, step: int) -> int:
    """Remove at most `step` of the oldest records that are too old or too many; how many."""
    bound, surplus = 0, 0
    if older_than is not None:
        bound = number_at(older_than)
        db.execute(delete(audit_hours).where(audit_hours.c.hour < hour_of(older_than)))
    if max_records is not None:
        # Counting goes along the narrowest index; to skip so many would read every record.
        surplus = db.execute(select(func.count()).select_from(audit_records)).scalar_one() - max_records
    oldest = db.execute(select(_r.id).order_by(_r.id).limit(step)).scalars()
    numbers = [number for place, number in enumerate(oldest) if number <= bound or place < surplus]
    if numbers:
        db.execute(delete(audit_keys).where(audit_keys.c.record_id <= numbers[-1]))
        db.execute(delete(audit_records).where(_r.id <= numbers[-1]))
    return len(numbers)
