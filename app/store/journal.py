"""The journal: what is known of writes that are not finished.

An entry is made before the first platform call of a write, brought up to date after every call, and removed
in one transaction with the record of what the write has made. Who works on it owns it until `due_at`, and
puts that off before every call by more than a call may take; who died is therefore followed by another
only when its last call is over. All times are by the clock of the database.

Entries block: their keys name what must not be written meanwhile (a user, a userName, a group, a name). Keys
are of the form that `bounded_key` gives.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from app.store.errors import EntryLost
from app.store.journal_records import Counts, Entry, State
from app.store.session import Database
from app.store.sources import Ids, new_id
from app.store.tables import journal, journal_keys

_MAX_ERROR = 300

_j = journal.c
_DELETE = delete(journal).where(_j.id.in_(bindparam("ids", expanding=True)))


class Journal:
    """The entries of all tenants."""

    def __init__(self, db: Database, ids: Ids = new_id) -> None:
        self._db = db
        self._ids = ids

    def new_id(self) -> str:
        """An id for an entry: a creation carries it to the platform."""
        return self._ids("jrn")

    async def begin(
        self,
        entry_id: str,
        *,
        tenant_id: str,
        connection_id: str,
        domain: str,
        kind: str,
        keys: Iterable[str],
        plan: str,
        resource_id: str | None,
        owner: str,
        lease_s: float,
    ) -> None:
        """Make an entry that is its owner's for `lease_s`."""
        values = {
            "id": entry_id,
            "tenant_id": tenant_id,
            "connection_id": connection_id,
            "domain": domain,
            "kind": kind,
            "state": "open",
            "resource_id": resource_id,
            "plan": plan,
            "done": 0,
            "owner": owner,
            "attempts": 0,
            "due_at": self._db.now(lease_s),
            "created_at": self._db.now(),
            "updated_at": self._db.now(),
        }
        rows = _key_rows(entry_id, keys)

        def make(db: Connection) -> None:
            db.execute(insert(journal).values(values))
            db.execute(insert(journal_keys), rows)

        await self._db.write_unit(make)

    async def advance(
        self,
        entry_id: str,
        owner: str,
        *,
        lease_s: float,
        done: int | None = None,
        state: State | None = None,
        plan: str | None = None,
        resource_id: str | None = None,
        keys: Iterable[str] = (),
    ) -> None:
        """Note how far it has come, and keep it for `lease_s` from now; None leaves what is there.

        `keys` are added. Raises EntryLost where it is not its owner's any more.
        """
        told = {"done": done, "state": state, "plan": plan, "resource_id": resource_id}
        values = {name: value for name, value in told.items() if value is not None}
        await self._change(entry_id, owner, values, self._db.now(lease_s), keys)

    async def leave(
        self,
        entry_id: str,
        owner: str,
        *,
        due_in_s: float,
        state: State | None = None,
        error: str | None = None,
        refused: bool = False,
    ) -> None:
        """Give it out of hand, not to be looked at for `due_in_s`; `refused` counts a try.

        Raises EntryLost where it is not its owner's any more.
        """
        values: dict[str, Any] = {"owner": None, "error": None if error is None else error[:_MAX_ERROR]}
        if state is not None:
            values["state"] = state
        if refused:
            values["attempts"] = _j.attempts + 1
        await self._change(entry_id, owner, values, self._db.now(due_in_s))

    async def end(self, entry_ids: Iterable[str]) -> None:
        """Remove entries; those that are not there are no error."""
        ids = list(entry_ids)
        if ids:
            await self._db.write_unit(lambda db: remove_entries(db, ids))

    async def claim(self, entry_id: str, owner: str, lease_s: float) -> Entry | None:
        """Take on an entry that is due; None where it is not, or is not there."""
        statement = (
            update(journal)
            .where(_j.id == entry_id, _j.state.in_(("open", "undo")), _j.due_at <= self._db.now())
            .values(owner=owner, due_at=self._db.now(lease_s), updated_at=self._db.now())
            .returning(*journal.columns, self._now())
        )

        def take(db: Connection) -> Entry | None:
            row = db.execute(statement).first()
            return None if row is None else _entries(db, [row])[0]

        return await self._db.write_unit(take)

    async def find(self, keys: Iterable[str]) -> tuple[Entry, ...]:
        """The entries with one of these keys, in any state, the oldest first."""
        with_key = select(journal_keys.c.entry_id).where(journal_keys.c.key.in_(list(keys)))
        statement = (
            select(*journal.columns, self._now()).where(_j.id.in_(with_key)).order_by(_j.created_at, _j.id)
        )
        return await self._read(statement)

    async def get(self, entry_id: str) -> Entry | None:
        """One entry."""
        found = await self._read(select(*journal.columns, self._now()).where(_j.id == entry_id))
        return found[0] if found else None

    async def list(self) -> tuple[Entry, ...]:
        """All entries, the oldest first."""
        return await self._read(select(*journal.columns, self._now()).order_by(_j.created_at, _j.id))

    async def due(self, limit: int) -> tuple[Entry, ...]:
        """Unfinished entries that somebody may take on, those that wait longest first."""
        statement = (
            select(*journal.columns, self._now())
            .where(_j.state.in_(("open", "undo")), _j.due_at <= self._db.now())
            .order_by(_j.due_at, _j.id)
            .limit(limit)
        )
        return await self._read(statement)

    async def retry(self, entry_id: str) -> bool:
        """Let an entry that waits, or is stuck, be taken on at once; False where there is none such.

        One that somebody works on is left alone. Whether a stuck one is taken back, its plan tells.
        """
        statement = (
            update(journal)
            .where(_j.id == entry_id, _j.owner.is_(None), _j.state != "done-unacknowledged")
            .values(
                state=case((_j.state == "stuck", "open"), else_=_j.state),
                due_at=self._db.now(),
                attempts=0,
                updated_at=self._db.now(),
            )
        )
        return bool(await self._db.write_unit(lambda db: db.execute(statement).rowcount))

    async def purge(self, older_than_s: float) -> int:
        """Remove what creations left whose clients did not come back for so long; how many."""
        old = _j.updated_at <= self._db.now(-older_than_s)
        statement = delete(journal).where(_j.state == "done-unacknowledged", old)
        return await self._db.write_unit(lambda db: db.execute(statement).rowcount)

    async def counts(self) -> Counts:
        """What an operator should know of."""
        statement = (
            select(_j.state, func.count(), func.min(_j.created_at), self._now())
            .where(
                or_(
                    _j.state == "stuck",
                    and_(
                        _j.state.in_(("open", "undo")), or_(_j.owner.is_(None), _j.due_at <= self._db.now())
                    ),
                )
            )
            .group_by(_j.state)
        )
        rows = await self._db.read_unit(lambda db: db.execute(statement).all())
        return Counts(
            unfinished=sum(row[1] for row in rows if row[0] != "stuck"),
            stuck=sum(row[1] for row in rows if row[0] == "stuck"),
            oldest_s=max(((row[3] - row[2]) / timedelta(seconds=1) for row in rows), default=0.0),
        )

    async def _read(self, statement: Any) -> tuple[Entry, ...]:
        return await self._db.read_unit(lambda db: _entries(db, db.execute(statement).all()))

    async def _change(
        self,
        entry_id: str,
        owner: str,
        values: dict[str, Any],
        due_at: ColumnElement[datetime],
        keys: Iterable[str] = (),
    ) -> None:
        statement = (
            update(journal)
            .where(_j.id == entry_id, _j.owner == owner)
            .values(due_at=due_at, updated_at=self._db.now(), **values)
        )
        new = self._db.insert(journal_keys).on_conflict_do_nothing()
        rows = _key_rows(entry_id, keys)

        def make(db: Connection) -> None:
            if not db.execute(statement).rowcount:
                raise EntryLost(f"the journal's entry {entry_id} has passed to somebody else")
            if rows:
                db.execute(new, rows)

        await self._db.write_unit(make)

    def _now(self) -> ColumnElement[datetime]:
        return self._db.now().label("now")


def remove_entries(db: Connection, entry_ids: Sequence[str]) -> None:
    """Remove entries within a transaction of somebody else."""
    db.execute(_DELETE, {"ids": entry_ids})


def _key_rows(entry_id: str, keys: Iterable[str]) -> list[dict[str, str]]:
    return [{"key": key, "entry_id": entry_id} for key in sorted(set(keys))]


def _entries(db: Connection, rows: Sequence[Row[Any]]) -> tuple[Entry, ...]:
    if not rows:
        return ()
    ids = [row.id for row in rows]
    keys: dict[str, list[str]] = {entry_id: [] for entry_id in ids}
    for entry_id, key in db.execute(
        select(journal_keys.c.entry_id, journal_keys.c.key)
        .where(journal_keys.c.entry_id.in_(ids))
        .order_by(journal_keys.c.key)
    ):
        keys[entry_id].append(key)
    return tuple(Entry(**row._mapping, keys=tuple(keys[row.id])) for row in rows)
