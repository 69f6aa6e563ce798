"""Changes of links as parts of a transaction that may do more; when it has ended, their hints are dropped."""

from __future__ import annotations

from collections.abc import Container
from datetime import datetime

from sqlalchemy import Connection, bindparam, delete, select

from app.store.hints import Hints
from app.store.keys import batches
from app.store.session import Database
from app.store.sources import Clock
from app.store.tables import links

LinkRow = tuple[str, str, str]
"""Domain, kind, value as stored."""

_BATCH = 500
"""Users that one statement names."""

_ALL_OF = select(links.c.domain, links.c.kind, links.c.value).where(
    links.c.tenant_id == bindparam("of_tenant"), links.c.resource_id == bindparam("of_resource")
)
_ALL_OF_MANY = select(links.c.resource_id, links.c.domain, links.c.kind, links.c.value).where(
    links.c.tenant_id == bindparam("of_tenant"), links.c.resource_id.in_(bindparam("ids", expanding=True))
)
_OF_DOMAIN = _ALL_OF.where(links.c.domain.in_(("", bindparam("of_domain"))))
_DELETE = delete(links).where(
    links.c.tenant_id == bindparam("of_tenant"),
    links.c.domain == bindparam("of_domain"),
    links.c.kind == bindparam("of_kind"),
    links.c.value == bindparam("of_value"),
    links.c.resource_id == bindparam("of_resource"),
)


class LinkChange:
    """A change of one user's links: look with `is_made`, `make` it, and when it has ended `drop_hints`."""

    def __init__(
        self,
        db: Database,
        clock: Clock,
        hints: Hints,
        of: tuple[str, str, str | None],
        wanted: set[LinkRow],
    ) -> None:
        self._db = db
        self._clock = clock
        self._hints = hints
        self._tenant_id, self._resource_id, self._domain = of
        self._wanted = wanted
        self._touched = set(wanted)

    def is_made(self, db: Connection) -> bool:
        """Whether the links are as they should be."""
        return self._wanted == self._present(db)

    def make(self, db: Connection) -> None:
        """Make them so, in the transaction of the caller."""
        found = self._present(db)
        of = (self._tenant_id, self._resource_id)
        if gone := found - self._wanted:
            self._touched.update(gone)
            db.execute(_DELETE, [_delete_values(*of, row) for row in sorted(gone)])
        if new := self._wanted - found:
            now = self._clock()
            # In order: two that write the same rows never wait for each other.
            db.execute(
                self._db.insert(links).on_conflict_do_nothing(),
                [_values(*of, row, now) for row in sorted(new)],
            )

    def drop_hints(self) -> None:
        """Forget what is remembered of the rows; also where the outcome of the transaction is unknown."""
        self._hints.drop((self._tenant_id, *row) for row in self._touched)

    def _present(self, db: Connection) -> set[LinkRow]:
        stored = _ALL_OF if self._domain is None else _OF_DOMAIN
        by = {"of_tenant": self._tenant_id, "of_resource": self._resource_id, "of_domain": self._domain}
        return {(row[0], row[1], row[2]) for row in db.execute(stored, by)}


class LinkAdditions:
    """Links of several users to be added: `make` them, and when that has ended `drop_hints`."""

    def __init__(
        self, db: Database, clock: Clock, hints: Hints, tenant_id: str, rows: set[tuple[str, LinkRow]]
    ) -> None:
        self._db = db
        self._clock = clock
        self._hints = hints
        self._tenant_id = tenant_id
        self._rows = rows

    def missing(self, db: Connection) -> set[str]:
        """The users of whom a link is not there yet."""
        present: set[tuple[str, LinkRow]] = set()
        for batch in batches(sorted({user for user, _ in self._rows}), _BATCH):
            found = db.execute(_ALL_OF_MANY, {"of_tenant": self._tenant_id, "ids": batch})
            present.update((row[0], (row[1], row[2], row[3])) for row in found)
        return {user for user, row in self._rows if (user, row) not in present}

    def make(self, db: Connection, users: Container[str] | None = None) -> None:
        """Add those that are not there, in the transaction of the caller; of all users, or of these."""
        rows = [(user, row) for user, row in sorted(self._rows) if users is None or user in users]
        if rows:
            now = self._clock()
            db.execute(
                self._db.insert(links).on_conflict_do_nothing(),
                [_values(self._tenant_id, user, row, now) for user, row in rows],
            )

    def drop_hints(self) -> None:
        """Forget what is remembered of the rows; also where the outcome of the transaction is unknown."""
        self._hints.drop((self._tenant_id, *row) for _, row in self._rows)


def _values(tenant_id: str, resource_id: str, row: LinkRow, now: datetime) -> dict[str, str | datetime]:
    domain, kind, value = row
    return {
        "tenant_id": tenant_id,
        "domain": domain,
        "kind": kind,
        "value": value,
        "resource_id": resource_id,
        "first_seen_at": now,
    }


def _delete_values(tenant_id: str, resource_id: str, row: LinkRow) -> dict[str, str]:
    domain, kind, value = row
    return {
        "of_tenant": tenant_id,
        "of_domain": domain,
        "of_kind": kind,
        "of_value": value,
        "of_resource": resource_id,
    }
