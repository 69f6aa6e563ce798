"""Conditions on entries (`app.scim.index_terms`) in SQL.

Of a user at hand, whether a term holds (`holds`), by looks at the rows of this user; and in one go, the users
of whom it may hold (`Candidates`), by a look along the keys.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    FromClause,
    Select,
    and_,
    exists,
    false,
    func,
    literal_column,
    not_,
    or_,
    select,
    true,
    union,
    union_all,
)

from app.scim.index_terms import AllOf, AnyOf, Element, Has, HasColumn, IndexTerm, KeyOp, Without, all_of
from app.store.index_writes import KEY_LENGTH
from app.store.tables import index_users, index_values

_RANKS: Mapping[KeyOp, int] = {"eq": 0, "sw": 1, "gt": 2, "ge": 2, "lt": 2, "le": 2, "co": 3, "ew": 3}
SCAN = 3
"""The rank of what looks at every key of an attribute."""

_MOST_BRANCHES = 400
"""SQLite takes 500 in one compound SELECT."""

_LAST = "\U0010ffff"


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """Users that a term may hold of; all others it does not hold of."""

    seqs: Select[Any]
    """One column, the numbers of users; `distinct` says whether each comes once."""
    looked_at: Select[Any]
    """Rows that have to be looked at for that, to be counted."""
    distinct: bool
    rest: IndexTerm | None
    """What has to hold of them besides; None: nothing."""
    rank: int
    """The lower, the fewer there may be."""


class TermSql:
    """Terms over one view; `attributes` has a number for every name in them."""

    def __init__(self, dialect: str, view_id: int, attributes: Mapping[str, int]) -> None:
        self._dialect = dialect
        self.view_id = view_id
        self._attributes = attributes

    def holds(
        self,
        term: IndexTerm,
        seq: ColumnElement[int],
        element: ColumnElement[int] | None = None,
        *,
        many: bool = False,
    ) -> ColumnElement[bool]:
        """Whether a term holds of the user of this number; with `element`, of one of its elements.

        `many` says that it is asked of so many users that SQLite had better gather first whom it holds of;
        PostgreSQL sees that by itself.
        """
        match term:
            case AllOf(terms=terms):
                every = (self.holds(each, seq, element, many=many) for each in _cheapest_first(terms))
                return and_(true(), *every)
            case AnyOf(terms=terms):
                some = (self.holds(each, seq, element, many=many) for each in _cheapest_first(terms))
                return or_(false(), *some)
            case Without(term=inner):
                return not_(self.holds(inner, seq, element, many=many))
            case HasColumn():
                users = index_users.alias()
                return there_is(users, users.c.seq == seq, self._column_condition(term, users))
            case Has() | Element():
                values = index_values.alias()
                conditions = self._matching(term, values)
                if many and element is None and self._dialect == "sqlite":
                    found = select(values.c.user_seq).where(values.c.view_id == self.view_id, *conditions)
                    # The sum keeps it from going through these users instead of along the order.
                    return (seq + 0).in_(found)
                if element is not None:
                    conditions.append(values.c.element == element)
                return there_is(values, values.c.user_seq == seq, *conditions)

    def _matching(
        self, term: Has | Element, values: FromClause, pivot: Has | None = None
    ) -> list[ColumnElement[bool]]:
        """The conditions on the entry, or on an entry of the element, by which a term holds.

        An entry that has to be there anyway, the `pivot`, stands for its element.
        """
        if isinstance(term, Has):
            return [self._entry_condition(term, values)]
        terms = _terms_of(term.term)
        if pivot is None:
            pivot = next((each for each in _cheapest_first(terms) if isinstance(each, Has)), None)
        conditions: list[ColumnElement[bool]]
        if pivot is None:
            conditions = [values.c.attribute_id.in_([self._attributes[name] for name in term.names])]
        else:
            conditions = [self._entry_condition(pivot, values)]
        others = (each for each in _cheapest_first(terms) if each is not pivot)
        return conditions + [self.holds(each, values.c.user_seq, values.c.element) for each in others]

    def candidates(self, term: IndexTerm) -> list[Candidates]:
        """Ways to the users that a term may hold of, the most promising first; none for what is not there."""
        match term:
            case Has():
                distinct = (term.single and len(term.keys) == 1) or term.first
                return [self._entries(term, None, distinct=distinct)]
            case Element(term=inner):
                pivots = [each for each in _terms_of(inner) if isinstance(each, Has)]
                return [self._entries(term, pivot) for pivot in _cheapest_first(pivots) or [None]]
            case HasColumn():
                users = index_users.alias()
                here = present_in(users, self.view_id)
                seqs = select(users.c.seq).where(*here, self._column_condition(term, users))
                rank = _RANKS[term.op]
                return [Candidates(seqs=seqs, looked_at=seqs, distinct=True, rest=None, rank=rank)]
            case AllOf(terms=terms):
                found: list[Candidates] = []
                for each in terms:
                    others = tuple(other for other in terms if other is not each)
                    for way in self.candidates(each):
                        more = all_of((*others, *(() if way.rest is None else (way.rest,))))
                        found.append(msgspec.structs.replace(way, rest=more))
                return sorted(found, key=lambda way: way.rank)
            case AnyOf(terms=terms):
                first = [ways[0] for each in terms if (ways := self.candidates(each))]
                if not 0 < len(first) == len(terms) <= _MOST_BRANCHES:
                    return []
                every = None if all(way.rest is None for way in first) else term
                seqs = select(union(*(way.seqs for way in first)).subquery().c[0])
                looked_at = select(union_all(*(way.looked_at for way in first)).subquery().c[0])
                rank = max(way.rank for way in first)
                return [Candidates(seqs=seqs, looked_at=looked_at, distinct=True, rest=every, rank=rank)]
            case Without():
                return []

    def _column_condition(self, term: HasColumn, users: FromClause) -> ColumnElement[bool]:
        column = users.c.user_id if term.column == "id" else users.c.created
        return self._text(column, term.op, term.key)

    def _entries(self, term: Has | Element, pivot: Has | None, *, distinct: bool = False) -> Candidates:
        values = index_values.alias()
        rows = select(values.c.user_seq).where(values.c.view_id == self.view_id)
        conditions = self._matching(term, values, pivot)
        by = term if isinstance(term, Has) else pivot
        return Candidates(
            seqs=rows.where(*conditions),
            looked_at=rows.where(conditions[0]),
            distinct=distinct,
            rest=None,
            rank=SCAN if by is None else _RANKS[by.op],
        )

    def _entry_condition(self, term: Has, values: FromClause) -> ColumnElement[bool]:
        conditions = [values.c.attribute_id == self._attributes[term.attribute]]
        if term.first:
            conditions.append(values.c.element == 0)
        if term.op == "eq":
            conditions.append(_equal(values, term.keys))
        else:
            conditions.append(self._compared(values, term.op, term.keys[0]))
        return and_(*conditions)

    def _compared(self, values: FromClause, op: KeyOp, key: str) -> ColumnElement[bool]:
        """A comparison with the whole of a key, by way of its beginning where that helps."""
        column = values.c.key
        whole = func.coalesce(values.c.whole, column)
        if op in ("co", "ew"):
            return self._text(whole, op, key)
        if len(key) < KEY_LENGTH or (op == "sw" and len(key) == KEY_LENGTH):
            return self._text(column, op, key)
        beginning = key[:KEY_LENGTH]
        exact = and_(column == beginning, self._text(whole, op, key))
        if op == "sw":
            return exact
        if op in ("gt", "ge"):
            return and_(column >= beginning, or_(column > beginning, exact))
        return and_(column <= beginning, or_(column < beginning, exact))

    def _text(self, column: ColumnElement[str], op: KeyOp, text: str) -> ColumnElement[bool]:
        match op:
            case "eq":
                return column == text
            case "gt":
                return column > text
            case "ge":
                return column >= text
            case "lt":
                return column < text
            case "le":
                return column <= text
            case _ if not text:
                return true()
            case "sw":
                end = after_prefix(text)
                return column >= text if end is None else and_(column >= text, column < end)
            case "ew":
                start = func.length(column) - len(text) + 1
                return and_(start > 0, func.substr(column, start) == text)
            case "co":
                # Not LIKE: in SQLite it ignores case, and in both it knows wildcards.
                place = func.instr if self._dialect == "sqlite" else func.strpos
                return place(column, text) > 0


def _equal(values: FromClause, keys: tuple[str, ...]) -> ColumnElement[bool]:
    column = values.c.key
    short = [key for key in keys if len(key) < KEY_LENGTH]
    found: list[ColumnElement[bool]] = []
    if short:
        found.append(column == short[0] if len(short) == 1 else column.in_(short))
    for key in keys:
        if len(key) >= KEY_LENGTH:
            whole = values.c.whole
            same = whole.is_(None) if len(key) == KEY_LENGTH else whole == key
            found.append(and_(column == key[:KEY_LENGTH], same))
    return found[0] if len(found) == 1 else or_(*found)


def after_prefix(prefix: str) -> str | None:
    """The first text behind all that start so, by code point; None if there is none."""
    stem = prefix.rstrip(_LAST)
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    # No text holds surrogates.
    return stem[:-1] + chr(0xE000 if following == 0xD800 else following)


def present_in(users: FromClause, view_id: int) -> list[ColumnElement[bool]]:
    """The condition on a row of `index_users` that the user can be found in a view."""
    return [users.c.view_id == view_id, users.c.state == "present"]


def there_is(source: FromClause, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether there is a row; the conditions name what stands outside."""
    return exists(select(literal_column("1")).select_from(source).where(*conditions).correlate_except(source))


def _terms_of(inner: IndexTerm | None) -> tuple[IndexTerm, ...]:
    """What has to hold of an element, each part on its own."""
    if inner is None:
        return ()
    return inner.terms if isinstance(inner, AllOf) else (inner,)


def _cheapest_first(terms: Sequence[Any]) -> list[Any]:
    """What is settled by one look at an index stands before what takes many."""

    def cost(term: IndexTerm | None) -> int:
        match term:
            case Has(op=op) | HasColumn(op=op):
                return _RANKS[op]
            case Without(term=inner):
                return cost(inner)
            case _:
                return SCAN + 1

    return sorted(terms, key=cost)
