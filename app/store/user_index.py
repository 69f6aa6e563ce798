"""The index of users: what every user of a tenant looks like, as far as filters and sorting ask for it.

It supplies candidates and the platform the truth, as with links. What a user looks like as a SCIM resource
depends on the tenant, the provisioning domain and the mapping: one such combination is a view, with rows of
its own. Three sources feed it: writes through the bridge (`record`, `record_deleted`), reads (`confirm`,
`put_many`, `remove`) and news that somebody has changed (`mark`).

A read may be late: what it saw was overtaken by a write, or by news. So each user has a revision, which every
source raises. A read asks for it (`known`, `dirty`) before it goes to the platform, and counts only if it is
still the same. A user that is gone leaves a row without values (a tombstone), for a late read not to bring
it back, until `purge`.

Nothing is lost with these tables but the time to fill them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, or_, select, update

from app.scim.expression import Filter
from app.scim.schema import AttributeRef, ResourceModel
from app.store.index_names import AttributeNames
from app.store.index_records import IndexedUser, IndexPage, Known, Position, Stats, View
from app.store.index_search import Search
from app.store.index_views import IndexViews
from app.store.index_writes import (
    IndexWrites,
    different,
    gone_columns,
    is_as,
    present_columns,
    value_rows,
    views_of,
)
from app.store.journal import remove_entries
from app.store.keys import batches
from app.store.links import LinkEntry, Links
from app.store.session import Database
from app.store.sources import Clock, utc_now
from app.store.tables import index_users

_BATCH = 500

_users = index_users.c

_KNOWN = select(
    _users.user_id, _users.revision, _users.row_digest, _users.read_at, _users.dirty, _users.state
).where(_users.view_id == bindparam("of_view"), _users.user_id.in_(bindparam("ids", expanding=True)))


class UserIndex(IndexViews):
    """The index of all tenants."""

    def __init__(self, db: Database, links: Links, clock: Clock = utc_now) -> None:
        super().__init__(db)
        self._links = links
        self._clock = clock
        self._names = AttributeNames(db)
        self._writes = IndexWrites(db)

    # --- what is learnt -------------------------------------------------------------------------------------

    async def record(
        self, view: View, user: IndexedUser, links: Iterable[LinkEntry], *, ends: Sequence[str] = ()
    ) -> None:
        """Record what a write through the bridge has made of a user, with its links, whatever was known.

        In the tenant's other views the user is marked. Where nothing is different, `meta.lastModified`
        included, nothing is written. The journal's entries `ends` are removed in the same transaction.
        """
        rows = value_rows(user.entries, await self._names.ids(e.attribute for e in user.entries))
        change = self._links.change(view.tenant_id, user.id, links, domain=view.domain)

        def is_made(db: Connection) -> bool:
            return change.is_made(db) and is_as(db, view.id, user, rows)

        def make(db: Connection) -> None:
            now = self._clock()
            for view_id in views_of(db, view.tenant_id):
                if view_id == view.id:
                    columns = present_columns(user, now)
                    seq = self._writes.upsert(db, view_id, user.id, columns, view.sweeps)
                    self._writes.write_values(db, view_id, {seq: rows})
                else:
                    self._writes.mark(db, [(view_id, user.id)], now)
            change.make(db)
            if ends:
                remove_entries(db, ends)

        if not ends and await self._db.read_unit(is_made):
            return
        try:
            await self._db.write_unit(make)
        finally:
            change.drop_hints()

    async def record_deleted(self, tenant_id: str, user_id: str) -> None:
        """Record that a user was deleted through the bridge: in no view, and without links."""
        change = self._links.change(tenant_id, user_id, ())

        def make(db: Connection) -> None:
            columns = gone_columns(self._clock())
            for view_id in views_of(db, tenant_id):
                seq = self._writes.upsert(db, view_id, user_id, columns, 0)
                self._writes.delete_values(db, [seq])
            change.make(db)

        try:
            await self._db.write_unit(make)
        finally:
            change.drop_hints()

    async def confirm(
        self,
        view: View,
        read: Mapping[str, tuple[IndexedUser, Iterable[LinkEntry]] | None],
        revisions: Mapping[str, int],
    ) -> bool:
        """`put_many` and `remove` for what reads have shown, None for a user that is gone.

        Says whether anything was different from what the index had. One look where nothing is.
        """
        users = {user_id: found for user_id, found in read.items() if found is not None}
        ids = await self._names.ids(e.attribute for user, _ in users.values() for e in user.entries)
        rows = {user_id: value_rows(user.entries, ids) for user_id, (user, _) in users.items()}
        wanted = {user_id: (user, rows[user_id]) for user_id, (user, _) in users.items()}
        known = self._links.additions(
            view.tenant_id, ((i, e) for i, (_, links) in users.items() for e in links)
        )

        def differing(db: Connection) -> set[str]:
            return different(db, view.id, wanted, revisions) | known.missing(db)

        changed = await self._db.read_unit(differing)
        await self.put_many(view, [(*users[i], revisions[i]) for i in sorted(changed)])
        gone = [user_id for user_id, found in read.items() if found is None]
        for user_id in gone:
            await self.remove(view, user_id, expected=revisions[user_id])
        return bool(changed or gone)

    async def put_many(self, view: View, many: Iterable[tuple[IndexedUser, Iterable[LinkEntry], int]]) -> int:
        """Record what reads have shown, each if the user's revision is still the one given; how many were.

        0 expects that the user is not known. Links are added, none is removed. Two transactions at most; of a
        user given twice the first counts.
        """
        users: dict[str, tuple[IndexedUser, Iterable[LinkEntry], int]] = {}
        for item in many:
            users.setdefault(item[0].id, item)
        ids = await self._names.ids(e.attribute for user, _, _ in users.values() for e in user.entries)
        rows = {user_id: value_rows(item[0].entries, ids) for user_id, item in users.items()}
        new = [user_id for user_id, item in users.items() if not item[2]]
        known = [user_id for user_id, item in users.items() if item[2]]
        count = 0
        # Rows are locked in the order of ids, which those that are inserted would not fall into.
        for part in filter(None, (new, known)):
            count += await self._put_part(view, part, users, rows, fresh=part is new)
        return count

    async def _put_part(
        self,
        view: View,
        part: list[str],
        users: dict[str, tuple[IndexedUser, Iterable[LinkEntry], int]],
        rows: dict[str, Any],
        *,
        fresh: bool,
    ) -> int:
        additions = self._links.additions(view.tenant_id, ((i, link) for i in part for link in users[i][1]))

        def make(db: Connection) -> int:
            if view.id not in views_of(db, view.tenant_id):
                return 0
            now = self._clock()
            columns = {user_id: present_columns(users[user_id][0], now) for user_id in part}
            if fresh:
                done = self._writes.insert_new(db, view.id, columns, view.sweeps)
            else:
                expected = {user_id: (users[user_id][2], columns[user_id]) for user_id in part}
                done = self._writes.update_known(db, view.id, expected, view.sweeps)
            wanted = {seq: rows[user_id] for user_id, seq in done.items()}
            self._writes.write_values(db, view.id, wanted, fresh=fresh)
            additions.make(db, done)
            return len(done)

        try:
            return await self._db.write_unit(make)
        finally:
            additions.drop_hints()

    async def remove(self, view: View, user_id: str, *, expected: int) -> bool:
        """Record that a read found no such user, if the revision is still `expected`; say whether it was."""
        change = self._links.change(view.tenant_id, user_id, ())

        def make(db: Connection) -> bool:
            if view.id not in views_of(db, view.tenant_id):
                return False
            columns = gone_columns(self._clock())
            if expected:
                done = self._writes.update_known(db, view.id, {user_id: (expected, columns)})
            else:
                done = self._writes.insert_new(db, view.id, {user_id: columns}, 0)
            if done:
                self._writes.delete_values(db, list(done.values()))
                change.make(db)
            return bool(done)

        try:
            return await self._db.write_unit(make)
        finally:
            change.drop_hints()

    async def mark(self, tenant_id: str, ids: Iterable[str]) -> None:
        """Record that users may have changed, in all views; those not known are found once they are read."""
        for batch in batches(sorted(set(ids)), _BATCH):

            def make(db: Connection, marked: Sequence[str] = batch) -> None:
                users = [(view_id, user_id) for view_id in views_of(db, tenant_id) for user_id in marked]
                self._writes.mark(db, users, self._clock())

            await self._db.write_unit(make)

    async def seen(self, view_id: int, sweep: int, rows: Iterable[tuple[str, bytes | None]]) -> None:
        """Record that a sweep met these users in the list, with these digests of their rows."""
        statement = (
            update(index_users)
            .where(_users.view_id == view_id, _users.user_id == bindparam("of_user"))
            .values(
                seen=case((_users.seen > sweep, _users.seen), else_=sweep), row_digest=bindparam("new_digest")
            )
        )
        for batch in batches(sorted(dict(rows).items()), _BATCH):
            values = [{"of_user": user_id, "new_digest": digest} for user_id, digest in batch]
            await self._execute(statement, values)

    async def purge(self, view_id: int, before: datetime) -> int:
        """Forget users that were found gone before a time; how many."""
        statement = delete(index_users).where(
            _users.view_id == view_id,
            _users.state == "gone",
            _users.dirty.is_(False),
            _users.read_at < before,
        )
        return await self._execute(statement)

    # --- what is known --------------------------------------------------------------------------------------

    async def known(self, view_id: int, ids: Iterable[str]) -> dict[str, Known]:
        """Answer what is known of those users that are known at all, gone ones included."""

        def read(db: Connection) -> dict[str, Known]:
            found: dict[str, Known] = {}
            for batch in batches(ids, _BATCH):
                for row in db.execute(_KNOWN, {"of_view": view_id, "ids": batch}):
                    user_id, revision, digest, read_at, dirty, state = row
                    found[user_id] = Known(
                        revision=revision,
                        row_digest=digest,
                        read_at=read_at,
                        dirty=dirty,
                        gone=state == "gone",
                    )
            return found

        return await self._db.read_unit(read)

    async def dirty(self, view_id: int, limit: int, *, after: str = "") -> tuple[tuple[str, int], ...]:
        """Answer id and revision of users to be read, the longest waiting first.

        `after` is the last id of the page before; it need not be dirty any more.
        """
        statement = (
            select(_users.user_id, _users.revision)
            .where(_users.view_id == view_id, _users.dirty.is_(True))
            .order_by(_users.dirty_at, _users.user_id)
            .limit(limit)
        )

        def read(db: Connection) -> tuple[tuple[str, int], ...]:
            page = statement
            since = select(_users.dirty_at).where(_users.view_id == view_id, _users.user_id == after)
            if after and (at := db.scalar(since)) is not None:
                page = page.where(
                    _users.dirty_at >= at,
                    or_(_users.dirty_at > at, and_(_users.dirty_at == at, _users.user_id > after)),
                )
            return tuple((row[0], row[1]) for row in db.execute(page))

        return await self._db.read_unit(read)

    async def unseen(self, view_id: int, sweep: int, limit: int) -> tuple[tuple[str, int], ...]:
        """Answer id and revision of users that the platform should have and a sweep has not met."""
        statement = (
            select(_users.user_id, _users.revision)
            .where(_users.view_id == view_id, _users.state.in_(("present", "hidden")), _users.seen < sweep)
            .order_by(_users.user_id)
            .limit(limit)
        )
        rows = await self._db.read_unit(lambda db: db.execute(statement).all())
        return tuple((row[0], row[1]) for row in rows)

    async def stats(self, view_id: int) -> Stats:
        """Answer how many users a view has, and how many are to be read."""
        of_view = _users.view_id == view_id
        present = select(func.count()).where(of_view, _users.state == "present").scalar_subquery()
        statement = select(present, func.count(), func.min(_users.dirty_at)).where(
            of_view, _users.dirty.is_(True)
        )
        row = await self._db.read_unit(lambda db: db.execute(statement).one())
        return Stats(users=row[0], dirty=row[1], oldest_dirty_at=row[2])

    async def find(
        self,
        view_id: int,
        model: ResourceModel,
        filter: Filter | None,
        *,
        sort: AttributeRef | None = None,
        descending: bool = False,
        offset: int = 0,
        after: Position | None = None,
        limit: int,
    ) -> IndexPage:
        """Answer a window of the users that match, in order, and how many match.

        `filter` is bound to `model`; ValueError where it, or `sort`, is not indexed. Ordered by `sort`, users
        without a value at the end (when `descending`, at the beginning); equal ones, and all without `sort`,
        by `meta.created` and id, always ascending. `after` is where another window of the same order ended;
        `offset` counts from there. With limit 0 the total alone is answered.
        """
        search = Search.of(view_id, model, filter, sort, descending)

        def run(db: Connection) -> IndexPage:
            return search.run(db, self._db.dialect, self._names, offset=offset, after=after, limit=limit)

        return await self._db.snapshot(run)
