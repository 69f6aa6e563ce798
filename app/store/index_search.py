"""One search over the index: how many users match, and a window of them in order.

The window comes either from the candidates that the total was counted from, which are sorted, or from a walk
along an order that the database keeps, which ends with the window; what looks at fewer rows is taken. All
statements of a search see one state.
"""

from __future__ import annotations

from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Connection, Row, Select, func, literal, select

from app.scim.expression import Filter
from app.scim.index import sort_is_indexed, sort_leaf
from app.scim.index_terms import EVERYTHING, Has, IndexTerm, all_of, index_term, names_of, pruned
from app.scim.schema import AttributeRef, ResourceModel
from app.store.index_count import MANY, Counted
from app.store.index_names import AttributeNames
from app.store.index_order import Order, Part
from app.store.index_query import TermSql
from app.store.index_records import IndexPage, IndexRow, Position
from app.store.index_writes import KEY_LENGTH
from app.store.tables import index_users

_FEW = 1_000
"""Candidates that are always sorted."""
_DEEP = 500
"""An offset from which on the way to it is counted along the keys alone."""
_LARGE_BLOCK = 5_000
"""Users with the same value, from which on they are walked in their order and not sorted."""

_Rows = list[Row[Any]]


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """A filter and an order over one view."""

    view_id: int
    term: IndexTerm
    sort: str | None
    descending: bool

    @classmethod
    def of(
        cls,
        view_id: int,
        model: ResourceModel,
        filter: Filter | None,
        sort: AttributeRef | None,
        descending: bool,
    ) -> Search:
        """Raises ValueError where the filter or the order is not indexed."""
        name = None
        if sort is not None:
            leaf = sort_leaf(sort)
            if leaf is None or not sort_is_indexed(sort):
                raise ValueError(f"{sort.text} is not in the index")
            name = leaf.text
        term = EVERYTHING if filter is None else index_term(filter, model)
        return cls(view_id=view_id, term=term, sort=name, descending=descending)

    def run(
        self,
        db: Connection,
        dialect: str,
        names: AttributeNames,
        *,
        offset: int,
        after: Position | None,
        limit: int,
    ) -> IndexPage:
        """Answer the total and, past `after` and `offset`, up to `limit` rows; `db` shows one state."""
        asked = names_of(self.term) | ({self.sort} if self.sort is not None else frozenset())
        known = names.known(db, asked)
        counted = Counted(db, TermSql(dialect, self.view_id, known), pruned(self.term, known))
        rows: _Rows = []
        if limit > 0 and counted.total and (after is not None or offset < counted.total):
            order = Order.of(self.sort, known, descending=self.descending)
            rows = _Window(counted, order, self.sort or "").rows(after, offset, limit)
        found = (
            IndexRow(
                id=row.user_id,
                revision=row.revision,
                position=Position(key=row.value, created=row.created, id=row.user_id),
            )
            for row in rows
        )
        return IndexPage(rows=tuple(found), total=counted.total)


class _Window:
    """Rows of a counted term in an order."""

    def __init__(self, counted: Counted, order: Order, sort: str) -> None:
        self._counted = counted
        self._order = order
        self._sort = sort
        self._many = False

    def rows(self, after: Position | None, offset: int, limit: int) -> _Rows:
        """Up to `limit` rows past a position and, from there, an offset."""
        counted, order = self._counted, self._order
        walking = counted.candidates is None or counted.size > _FEW
        if walking:
            passed = (offset + limit) * counted.present // counted.total
            walking = counted.candidates is None or counted.size > passed
            self._many = passed >= MANY
        parts = order.parts
        if after is not None and len(parts) == 2:
            begin: Part = "missing" if after.key is None else "valued"
            parts = parts[parts.index(begin) :]
        found: _Rows = []
        for part in parts:
            if walking and part == "missing" and order.by == "attribute" and after is None:
                # A walk that meets nobody goes through all.
                size = self._missing()
                if size <= offset:
                    offset -= size
                    continue
            got = self._part(part, after, offset, limit - len(found), walking)
            found += got
            if len(found) == limit:
                break
            if got:
                offset = 0
            elif offset:
                offset -= self._count(self._statement(part, after, walking))
            after = None
        return found

    def _missing(self) -> int:
        """Matching users without a value to be sorted by."""
        counted = self._counted
        has_value = Has(attribute=self._sort, op="gt", keys=("",), first=True)
        if counted.count(has_value) == counted.present:
            return 0
        return counted.total - counted.count(all_of((counted.term, has_value)))

    def _part(self, part: Part, after: Position | None, offset: int, limit: int, walking: bool) -> _Rows:
        if (
            walking
            and after is None
            and part == "valued"
            and offset >= _DEEP
            and self._order.is_sorted_within
        ):
            return self._deep(offset, limit)
        return self._fetch(self._statement(part, after, walking), offset, limit)

    def _statement(self, part: Part, after: Position | None, walking: bool) -> Select[Any]:
        counted, seq = self._counted, index_users.c.seq
        if walking:
            return self._matching(self._order.statement(part, counted.sql.view_id, after), seq)
        assert counted.candidates is not None  # noqa: S101 - without candidates there is a walk
        statement = self._order.statement(part, None, after).where(seq.in_(counted.candidates.seqs))
        if counted.candidates.rest is not None:
            statement = statement.where(counted.sql.holds(counted.candidates.rest, seq))
        return statement

    def _matching(self, statement: Select[Any], seq: ColumnElement[int]) -> Select[Any]:
        counted = self._counted
        if counted.term == EVERYTHING:
            return statement
        return statement.where(counted.sql.holds(counted.term, seq, many=self._many))

    def _deep(self, offset: int, limit: int) -> _Rows:
        """Users with a value, from an offset far away: to its key without a look at the users."""
        order, view_id = self._order, self._counted.sql.view_id
        seq = index_users.c.seq
        key = self._counted.db.scalar(self._matching(order.keys(view_id), order.seq).limit(1).offset(offset))
        if key is None:
            return []
        offset -= self._count(self._matching(order.keys(view_id, order.before(key)), order.seq))
        block = self._count(order.keys(view_id, order.at(key)).limit(_LARGE_BLOCK))
        if block < _LARGE_BLOCK or len(key) >= KEY_LENGTH:
            walk = order.statement("valued", view_id, within=order.from_(key))
            return self._fetch(self._matching(walk, seq), offset, limit)
        found = self._fetch(self._matching(self._block(key), seq), offset, limit)
        walk = order.statement("valued", view_id, within=order.beyond(key))
        return found + self._fetch(self._matching(walk, seq), 0, limit - len(found))

    def _block(self, key: str) -> Select[Any]:
        """The users with one key, along the order of users."""
        order, sql = self._order, self._counted.sql
        if order.by != "attribute":
            return order.statement("valued", sql.view_id, within=order.at(key))
        users = Order(by="time").statement("missing", sql.view_id)
        has_key = Has(attribute=self._sort, op="eq", keys=(key,), first=True)
        return users.where(sql.holds(has_key, index_users.c.seq, many=self._many)).with_only_columns(
            *list(users.selected_columns)[:-1], literal(key).label("value")
        )

    def _fetch(self, statement: Select[Any], offset: int, limit: int) -> _Rows:
        if limit <= 0:
            return []
        return list(self._counted.db.execute(statement.limit(limit).offset(offset)))

    def _count(self, statement: Select[Any]) -> int:
        counting = select(func.count()).select_from(statement.order_by(None).subquery())
        return int(self._counted.db.scalar(counting) or 0)
