"""What the index of users writes, statement by statement, in transactions of the caller.

Rows are locked in the order of view and user, and before any link: two transactions never wait for each
other. A user's values are there while it is present, and only then.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any

from sqlalchemy import (
    Connection,
    Delete,
    Dialect,
    Insert,
    bindparam,
    case,
    delete,
    func,
    insert,
    select,
    update,
)

from app.scim.evaluate import format_instant, parse_instant
from app.scim.index import Entry
from app.store.index_records import IndexedUser
from app.store.keys import batches
from app.store.session import Database
from app.store.tables import index_users, index_values, index_views

KEY_LENGTH = 200
"""Characters of a key in the database's indexes; longer ones are kept in `whole` as well."""

_BATCH = 500
"""Users a statement."""

_users, _values = index_users.c, index_values.c

_VIEWS = (
    select(index_views.c.id)
    .where(index_views.c.tenant_id == bindparam("of_tenant"))
    .order_by(index_views.c.id)
    # Until the transaction ends, none of them is dropped. SQLite leaves it out.
    .with_for_update(read=True, key_share=True)
)
_LOCK = (
    select(_users.user_id, _users.seq, _users.revision)
    .where(_users.view_id == bindparam("of_view"), _users.user_id.in_(bindparam("ids", expanding=True)))
    .order_by(_users.user_id)
    .with_for_update()
)
_UPDATE = update(index_users).where(_users.seq == bindparam("of_seq"))
_VALUES_OF = select(
    _values.user_seq, _values.attribute_id, _values.key, _values.element, _values.whole
).where(_values.user_seq.in_(bindparam("seqs", expanding=True)))
# Their parameters stand in the order of the table's columns.
_INSERT_VALUE = insert(index_values).values({column.name: bindparam(column.name) for column in _values})
_DELETE_VALUE = delete(index_values).where(
    *(column == bindparam(column.name) for column in index_values.primary_key)
)
_DELETE_VALUES_OF = delete(index_values).where(_values.user_seq.in_(bindparam("seqs", expanding=True)))

ValueRow = tuple[int, str, int, str | None]
"""Attribute's number, the beginning of the key, element, the whole key where it is longer."""


def value_rows(entries: Iterable[Entry], attributes: Mapping[str, int]) -> frozenset[ValueRow]:
    """The entries as rows; `attributes` has a number for every name."""
    return frozenset(
        (attributes[e.attribute], e.key[:KEY_LENGTH], e.element, e.key if len(e.key) > KEY_LENGTH else None)
        for e in entries
    )


def created_key(created: str) -> str:
    """The text by which `meta.created` orders; "" where it cannot be read."""
    instant = parse_instant(created)
    return "" if instant is None else format_instant(instant)[:-1]


def present_columns(user: IndexedUser, now: datetime) -> dict[str, Any]:
    """What the row of a user that has just been read holds, apart from its revision and `seen`."""
    return {
        "created": created_key(user.created),
        "state": state_of(user),
        "dirty": False,
        "read_at": now,
    }


def state_of(user: IndexedUser) -> str:
    """How the row of a user that has just been read is called."""
    return "hidden" if user.hidden else "present"


def gone_columns(now: datetime) -> dict[str, Any]:
    """What the row of a user that is no more holds."""
    return {"created": "", "state": "gone", "dirty": False, "read_at": now}


def views_of(db: Connection, tenant_id: str) -> Sequence[int]:
    """The views of a tenant, in order, kept from being dropped until the transaction ends."""
    return db.scalars(_VIEWS, {"of_tenant": tenant_id}).all()


def is_as(db: Connection, view_id: int, user: IndexedUser, rows: frozenset[ValueRow]) -> bool:
    """Whether of a user is known what is said here, and nothing else."""
    seq = db.scalar(
        select(_users.seq).where(
            _users.view_id == view_id,
            _users.user_id == user.id,
            _users.state == state_of(user),
            _users.dirty.is_(False),
            _users.created == created_key(user.created),
        )
    )
    return seq is not None and values_of(db, [seq]).get(seq, frozenset()) == rows


def different(
    db: Connection,
    view_id: int,
    users: Mapping[str, tuple[IndexedUser, frozenset[ValueRow]]],
    revisions: Mapping[str, int],
) -> set[str]:
    """The users of whom something else is known than is said here, or who have another revision."""
    same: set[str] = set()
    for batch in batches(users, _BATCH):
        statement = select(_users.seq, _users.user_id, _users.revision, _users.created, _users.state).where(
            _users.view_id == view_id, _users.user_id.in_(batch), _users.dirty.is_(False)
        )
        found = {row[0]: row for row in db.execute(statement)}
        values = values_of(db, list(found))
        for seq, user_id, *is_known in found.values():
            user, rows = users[user_id]
            told = [revisions[user_id], created_key(user.created), state_of(user)]
            if is_known == told and rows == values.get(seq, frozenset()):
                same.add(user_id)
    return users.keys() - same


def values_of(db: Connection, seqs: Sequence[int]) -> dict[int, set[ValueRow]]:
    """The stored values by user."""
    found: dict[int, set[ValueRow]] = {}
    for seq, attribute, key, element, whole in db.execute(_VALUES_OF, {"seqs": seqs}):
        found.setdefault(seq, set()).add((attribute, key, element, whole))
    return found


class IndexWrites:
    """The statements that differ between databases, made once."""

    def __init__(self, db: Database) -> None:
        adding = db.insert(index_users)
        new = adding.excluded
        conflict = [_users.view_id, _users.user_id]
        raised = {"revision": _users.revision + 1}
        self._insert = adding.on_conflict_do_nothing(index_elements=conflict).returning(
            _users.user_id, _users.seq
        )
        learnt = ("created", "state", "dirty", "read_at")
        seen = case((_users.seen > new.seen, _users.seen), else_=new.seen)
        self._upsert = adding.on_conflict_do_update(
            index_elements=conflict, set_={**{c: new[c] for c in learnt}, "seen": seen, **raised}
        ).returning(_users.seq)
        self._mark = adding.on_conflict_do_update(
            index_elements=conflict,
            set_={
                "dirty": True,
                "dirty_at": case((_users.dirty, _users.dirty_at), else_=new.dirty_at),
                **raised,
            },
        )

    def upsert(self, db: Connection, view_id: int, user_id: str, columns: dict[str, Any], seen: int) -> int:
        """Write a user's row whatever it was; the number of the row."""
        values = {"view_id": view_id, "user_id": user_id, "revision": 1, "seen": seen, **columns}
        return int(db.execute(self._upsert, values).scalar_one())

    def mark(self, db: Connection, users: Iterable[tuple[int, str]], now: datetime) -> None:
        """Make users, given by view and id, dirty; those not known get a row that waits for being read."""
        rows = [
            {
                "view_id": view_id,
                "user_id": user_id,
                "created": "",
                "state": "unread",
                "revision": 1,
                "dirty": True,
                "dirty_at": now,
                "seen": 0,
            }
            for view_id, user_id in sorted(set(users))
        ]
        if rows:
            db.execute(self._mark, rows)

    def insert_new(
        self, db: Connection, view_id: int, users: Mapping[str, dict[str, Any]], seen: int
    ) -> dict[str, int]:
        """Write rows of users that have none; the numbers of those rows by id."""
        made: dict[str, int] = {}
        for batch in batches(sorted(users), _BATCH):
            rows = [
                {"view_id": view_id, "user_id": user_id, "revision": 1, "seen": seen, **users[user_id]}
                for user_id in batch
            ]
            made.update((row[0], row[1]) for row in db.execute(self._insert, rows))
        return made

    def update_known(
        self,
        db: Connection,
        view_id: int,
        users: Mapping[str, tuple[int, dict[str, Any]]],
        seen: int | None = None,
    ) -> dict[str, int]:
        """Write rows of users, given with the revision they should have; the numbers of those that had it."""
        done: dict[str, int] = {}
        for batch in batches(sorted(users), _BATCH):
            rows = []
            for user_id, seq, revision in db.execute(_LOCK, {"of_view": view_id, "ids": batch}):
                expected, columns = users[user_id]
                if revision == expected:
                    done[user_id] = seq
                    rows.append({"of_seq": seq, "new_revision": revision + 1, **columns})
            if rows:
                values: dict[str, Any] = {"revision": bindparam("new_revision")}
                values |= {name: bindparam(name) for name in next(iter(users.values()))[1]}
                if seen is not None:
                    values["seen"] = case((_users.seen > seen, _users.seen), else_=seen)
                db.execute(_UPDATE.values(values), rows)
        return done

    def write_values(
        self, db: Connection, view_id: int, wanted: Mapping[int, frozenset[ValueRow]], *, fresh: bool = False
    ) -> None:
        """Make these the values of users, given by number; `fresh`: they have none yet."""
        gone: list[tuple[Any, ...]] = []
        new: list[tuple[Any, ...]] = []
        for batch in batches(wanted, _BATCH):
            present = {} if fresh else values_of(db, batch)
            for seq in batch:
                have: set[ValueRow] = present.get(seq, set())
                gone += [(view_id, a, key, seq, e) for a, key, e, _ in have - wanted[seq]]
                new += [(view_id, a, key, seq, e, whole) for a, key, e, whole in wanted[seq] - have]
        # In the order of the table: neighbours share its pages.
        if gone:
            db.exec_driver_sql(_text(db.dialect, _DELETE_VALUE), sorted(gone))
        if new:
            db.exec_driver_sql(_text(db.dialect, _INSERT_VALUE), sorted(new))

    def delete_values(self, db: Connection, seqs: Sequence[int]) -> None:
        """Remove all values of users, given by number."""
        for batch in batches(seqs, _BATCH):
            db.execute(_DELETE_VALUES_OF, {"seqs": batch})


@lru_cache(maxsize=16)
def _text(dialect: Dialect, statement: Insert | Delete) -> str:
    """The statement for rows as the driver takes them: with so many, converting them is most of the work."""
    return str(statement.compile(dialect=dialect))


def delete_view_part(db: Connection, view_id: int, limit: int) -> int:
    """Remove some users of a view, or the view when none is left; how many users were removed."""
    of_view = select(_users.seq).where(_users.view_id == view_id)
    seqs = db.scalars(of_view.order_by(_users.user_id).limit(limit).with_for_update()).all()
    if seqs:
        db.execute(_DELETE_VALUES_OF, {"seqs": seqs})
        db.execute(delete(index_users).where(_users.seq.in_(seqs)))
        return len(seqs)
    locked = select(index_views.c.id).where(index_views.c.id == view_id).with_for_update()
    if db.execute(locked).first() is not None:
        left = db.scalar(select(func.count()).select_from(index_users).where(_users.view_id == view_id))
        if left:
            return int(left)
        db.execute(delete(index_views).where(index_views.c.id == view_id))
    return 0
