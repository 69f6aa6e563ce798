"""What operators changed in the console: who, when, what, and the values before and after; never a secret."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import insert, select

from app.store.admin_tokens import AdminToken
from app.store.session import Database, Transaction
from app.store.sources import Clock, Ids, new_id, utc_now
from app.store.tables import admin_changes


class ValueChange(msgspec.Struct, frozen=True, kw_only=True):
    """One setting that was changed."""

    name: str
    """`policies.password`, …"""
    before: Any
    after: Any


class AdminChange(msgspec.Struct, frozen=True, kw_only=True):
    """One change, as it was noted."""

    id: str
    at: datetime
    admin_id: str
    """The token of who did it; it may be gone by now."""
    admin_label: str
    action: str
    """`connection.policies`, `token.create`, `token.revoke`, `journal.retry`, …"""
    subject_id: str
    """The connection, token or entry that it is about."""
    subject_name: str
    values: tuple[ValueChange, ...] = ()


class AdminChanges:
    """The record of changes; nothing is ever removed from it."""

    def __init__(self, db: Database, clock: Clock = utc_now, ids: Ids = new_id) -> None:
        self._db = db
        self._clock = clock
        self._ids = ids

    async def record(
        self,
        admin: AdminToken,
        action: str,
        *,
        subject_id: str,
        subject_name: str,
        values: Sequence[ValueChange] = (),
        within: Transaction | None = None,
    ) -> None:
        """Note a change; `within` is the transaction that makes it."""
        row = {
            "id": self._ids("chg"),
            "at": self._clock(),
            "admin_id": admin.id,
            "admin_label": admin.label,
            "action": action,
            "subject_id": subject_id,
            "subject_name": subject_name,
            "value_changes": msgspec.json.encode(values).decode(),
        }
        async with self._db.write(within) as db:
            await db.execute(insert(admin_changes).values(row))

    async def list(self, *, limit: int, subject_id: str | None = None) -> Sequence[AdminChange]:
        """Answer the newest changes, of one subject or of all, newest first."""
        statement = select(admin_changes).order_by(admin_changes.c.at.desc(), admin_changes.c.id.desc())
        if subject_id is not None:
            statement = statement.where(admin_changes.c.subject_id == subject_id)
        async with self._db.read() as db:
            rows = await db.execute(statement.limit(limit))
        return [
            AdminChange(
                id=row.id,
                at=row.at,
                admin_id=row.admin_id,
                admin_label=row.admin_label,
                action=row.action,
                subject_id=row.subject_id,
                subject_name=row.subject_name,
                values=msgspec.json.decode(row.value_changes, type=tuple[ValueChange, ...]),
            )
            for row in rows
        ]
