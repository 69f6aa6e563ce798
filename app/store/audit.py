"""The audit trail: what was asked of the bridge, and what came of it.

A record is numbered by the time at which it was recorded, so that one number orders the trail, bounds a time
and tells where a page ended. What records are filtered by is a facet, of which there are few: the records of
each are found in order by one index, and every combination of filters is a choice of facets.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Any

import msgspec
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from app.store.audit_hours import HOUR_COLUMNS, fold_day, hour_of, hour_rows, read_hours, read_share
from app.store.audit_queries import find_after, find_one, find_page, remove_some
from app.store.audit_records import (
    AuditEntry,
    AuditFilter,
    AuditHour,
    AuditPage,
    AuditRecord,
    Facet,
    FailureShare,
    number_of,
)
from app.store.errors import StoreUnavailable
from app.store.server_keys import ServerKeys
from app.store.session import Database
from app.store.sources import SecretBytes
from app.store.tables import audit_facets, audit_hours, audit_records

_KEY_NAME = "audit"
_TURN = "audit"
_KINDS = ("userName", "externalId")
_SALTS = 1024
_BY_HOUR = timedelta(days=8)
"""For how long requests stay counted by the hour."""
_FOLDED = 100
"""Days at most that are added up at one pruning."""
_STEPS = (256, 64, 16, 4, 1)
"""Rows that are inserted by one statement."""


class Audit:
    """The records of all connections; they belong to the operator, so reading them takes no tenant."""

    def __init__(self, db: Database, server_keys: ServerKeys, secret_bytes: SecretBytes) -> None:
        self._db = db
        self._server_keys = server_keys
        self._secret_bytes = secret_bytes
        self._salt = self._new_salt()
        self._last = 0
        self._facets: dict[Facet, int] = {}
        columns = [c.name for c in audit_records.columns]
        self._records = _Insert(db.dialect, "audit_records", columns)
        self._keyed = _Insert(db.dialect, "audit_keys", ["key", "record_id"])
        self._hours = _Insert(db.dialect, "audit_hours", HOUR_COLUMNS, _added())

    async def key_of(self, kind: str, value: str) -> bytes:
        """The key of a `userName` or `externalId`: a keyed hash, by which nobody finds the value."""
        return hash_key(await self.secret(), kind, value)

    async def secret(self) -> bytes:
        """The key of the hashes, for `hash_key`."""
        return await self._server_keys.get(_KEY_NAME)

    async def append(self, entries: Sequence[AuditEntry]) -> None:
        """Record entries and count them, all in one transaction. Raises StoreUnavailable."""
        try:
            await self._append(entries)
        except IntegrityError:
            # Another replica has recorded in the same microsecond, and has the same salt.
            self._salt = self._new_salt()
            try:
                await self._append(entries)
            except IntegrityError as error:
                raise StoreUnavailable(f"audit records are refused: {error.orig}") from error

    async def get(self, record_id: str) -> AuditRecord | None:
        """One record."""
        number = number_of(record_id)
        return None if number is None else await self._db.snapshot(lambda db: find_one(db, number))

    async def page(self, wanted: AuditFilter, *, before: str | None = None, limit: int = 50) -> AuditPage:
        """The latest records that match, or those before a page's end (`AuditPage.next`)."""
        bound = None if before is None else number_of(before)
        if before is not None and bound is None:
            return AuditPage(records=(), next=None)
        keys = await self._keys(wanted.text)
        rows = await self._db.snapshot(lambda db: find_page(db, wanted, keys, bound, limit + 1))
        return AuditPage(records=tuple(rows[:limit]), next=rows[limit - 1].id if len(rows) > limit else None)

    async def history(
        self, user: str, wanted: AuditFilter | None = None, *, before: str | None = None, limit: int = 50
    ) -> AuditPage:
        """What happened to a user (or group): by its id, its userName or its externalId."""
        wanted = msgspec.structs.replace(wanted or AuditFilter(), text=user)
        return await self.page(wanted, before=before, limit=limit)

    async def after(
        self, record_id: str, wanted: AuditFilter, *, limit: int = 500
    ) -> tuple[AuditRecord, ...]:
        """Records that match and were recorded after this one, the earliest first.

        Replicas record side by side: ask again from a few seconds before the last one to miss none.
        """
        bound = number_of(record_id) or 0
        keys = await self._keys(wanted.text)
        return tuple(await self._db.snapshot(lambda db: find_after(db, wanted, keys, bound, limit)))

    async def hours(self, wanted: AuditFilter, *, step_h: int = 1) -> tuple[AuditHour, ...]:
        """What requests came to by hour and facet, the earliest first; by day with `step_h=24`, and so on.

        `since` and `until` are taken to the ends of their hour; `text` is not looked at. Longer spans than a
        few weeks want longer steps: what is older than eight days is added up to days, which count as of
        their first hour.
        """
        return await self._db.snapshot(lambda db: read_hours(db, wanted, step_h))

    async def failure_share(self, wanted: AuditFilter) -> FailureShare:
        """How many requests failed of those that match, `failures` left aside."""
        whole = msgspec.structs.replace(wanted, failures=False)
        return await self._db.snapshot(lambda db: read_share(db, whole))

    async def prune(self, *, older_than: datetime | None, max_records: int | None, step: int = 1000) -> int:
        """Remove some of the oldest records, and hours, that are too old or too many; how many records.

        At most `step` at once, so that nobody waits for long: call it until it answers less. Old hours are
        added up to days.
        """

        def remove(db: Connection) -> int:
            return remove_some(db, older_than=older_than, max_records=max_records, step=step)

        def fold(db: Connection) -> bool:
            self._db.take_turn_in_unit(db, _TURN)
            return fold_day(db, hour_of(datetime.now(UTC) - _BY_HOUR))

        removed = await self._db.write_unit(remove)
        for _ in range(_FOLDED):
            if not await self._db.write_unit(fold):
                break
        return removed

    async def _keys(self, text: str | None) -> list[bytes]:
        return [] if text is None else [await self.key_of(kind, text) for kind in _KINDS]

    async def _append(self, entries: Sequence[AuditEntry]) -> None:
        known, made = self._facets, dict[Facet, int]()

        def write(db: Connection) -> None:
            # Replicas take turns: rows of the present hour are everybody's, and locks would meet crosswise.
            self._db.take_turn_in_unit(db, _TURN)
            missing = {entry.facet for entry in entries} - known.keys()
            made.update(self._made(db, missing))
            ids = {**known, **made} if made else known
            rows, keys = self._rows(entries, ids)
            self._records.run(db, rows)
            self._keyed.run(db, keys)
            self._hours.run(db, hour_rows(entries, ids))

        await self._db.write_unit(write)
        # Only now: what is undone with the transaction must not be remembered.
        known.update(made)

    def _made(self, db: Connection, facets: Iterable[Facet]) -> dict[Facet, int]:
        """The ids of facets that this process has not met."""
        found: dict[Facet, int] = {}
        told = [c for c in audit_facets.columns if c.name != "id"]
        for facet in sorted(facets, key=msgspec.structs.astuple):
            values = msgspec.structs.asdict(facet)
            db.execute(self._db.insert(audit_facets).values(values).on_conflict_do_nothing())
            this = [column == values[column.name] for column in told]
            found[facet] = int(db.execute(select(audit_facets.c.id).where(*this)).scalar_one())
        return found

    def _rows(
        self, entries: Sequence[AuditEntry], ids: dict[Facet, int]
    ) -> tuple[list[tuple[Any, ...]], list[tuple[bytes, int]]]:
        rows: list[tuple[Any, ...]] = []
        keys: list[tuple[bytes, int]] = []
        for entry in entries:
            if entry.text is None:
                continue
            number = self._number()
            rows.append((number, ids[entry.facet], entry.resource_id, entry.correlation_id, entry.text))
            keys += [(key, number) for key in dict.fromkeys(entry.keys)]
        return rows, keys

    def _number(self) -> int:
        """The number of the next record; grows also where the clock does not."""
        self._last = max(self._last + _SALTS, time.time_ns() // 1000 * _SALTS + self._salt)
        return self._last

    def _new_salt(self) -> int:
        return int.from_bytes(self._secret_bytes(2), "big") % _SALTS


def hash_key(secret: bytes, kind: str, value: str) -> bytes:
    """The 16 bytes by which a userName (in any case) or an externalId is found again."""
    folded = value.casefold() if kind == "userName" else value
    text = f"{kind}:{folded}".encode("utf-8", "surrogatepass")
    return blake2b(text, digest_size=16, key=secret).digest()


class _Insert:
    """An INSERT of many rows, in as few steps as can be.

    The thread of a SQLite connection lets go of the interpreter for every step and has to get it back from a
    busy event loop: row by row, that costs more than the rows. So there are statements for so many rows at
    once. PostgreSQL's driver sends rows in one go by itself.
    """

    def __init__(self, dialect: str, table: str, columns: Sequence[str], conflict: str = "") -> None:
        self._many = dialect == "sqlite"
        marks = ["?" if self._many else f"${n}" for n in range(1, len(columns) + 1)]
        head = f"INSERT INTO {table} ({', '.join(columns)}) VALUES "  # noqa: S608 - names of columns
        row = f"({', '.join(marks)})"
        self._texts = {size: head + ", ".join([row] * size) + conflict for size in _STEPS}

    def run(self, db: Connection, rows: Sequence[tuple[Any, ...]]) -> None:
        """Insert rows."""
        if not self._many:
            if rows:
                db.exec_driver_sql(self._texts[1], list(rows))
            return
        first = 0
        for size in _STEPS:
            while len(rows) - first >= size:
                values = tuple(value for row in rows[first : first + size] for value in row)
                db.exec_driver_sql(self._texts[size], values)
                first += size


def _added() -> str:
    """How a row of `audit_hours` takes in another one."""
    sums = [
        f"{c.name} = audit_hours.{c.name} + excluded.{c.name}"
        for c in audit_hours.columns
        if c.name not in ("hour", "facet_id", "longest_call_us")
    ]
    longest = (
        "longest_call_us = CASE WHEN excluded.longest_call_us > audit_hours.longest_call_us "
        "THEN excluded.longest_call_us ELSE audit_hours.longest_call_us END"
    )
    return f" ON CONFLICT (hour, facet_id) DO UPDATE SET {', '.join([*sums, longest])}"
