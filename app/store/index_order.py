"""The orders of a search in SQL: what they sort by, where a window begins, and the two parts they have.

Ascending, the users with a value come first and then those without, descending the other way round; equal
ones stand by `meta.created` and id, always ascending.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import ColumnElement, Select, and_, func, literal, null, or_, select

from app.store.index_query import present_in, there_is
from app.store.index_records import Position
from app.store.index_writes import KEY_LENGTH
from app.store.tables import index_users, index_values

Part = Literal["valued", "missing"]

_users = index_users.c
_values = index_values.alias("sorted")
_whole = func.coalesce(_values.c.whole, "")
"""Orders keys that begin alike; "" is before all that are longer."""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """`time` (no sorting), a column of users, or an attribute."""

    by: Literal["time", "id", "created", "attribute"]
    attribute_id: int = 0
    descending: bool = False

    @classmethod
    def of(cls, sort: str | None, attributes: Mapping[str, int], *, descending: bool) -> Order:
        """The order by an attribute; where nobody has it, by time."""
        if sort == "id":
            return cls(by="id", descending=descending)
        if sort == "meta.created":
            return cls(by="created", descending=descending)
        if sort is None or sort not in attributes:
            return cls(by="time")
        return cls(by="attribute", attribute_id=attributes[sort], descending=descending)

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts in their order; all users are in one of them."""
        match self.by:
            case "time":
                return ("missing",)
            case "id":
                return ("valued",)
            case _:
                return ("missing", "valued") if self.descending else ("valued", "missing")

    @property
    def is_sorted_within(self) -> bool:
        """Whether the database has to sort users with the same key."""
        return self.by == "attribute" or (self.by == "created" and self.descending)

    def statement(
        self,
        part: Part,
        view_id: int | None,
        after: Position | None = None,
        within: ColumnElement[bool] | None = None,
    ) -> Select[Any]:
        """Rows of id, revision, key of `created` and value, in order, past a position of this part.

        With a view, of all its present users, along an index. Without, the caller says which users, by
        conditions on `index_users.seq`, and the rows are looked up from there. `within` is a range of keys.
        """
        value: ColumnElement[Any] = null()
        conditions: list[ColumnElement[bool]] = []
        order: tuple[ColumnElement[Any], ...] = (_users.created, _users.user_id)
        if after is not None:
            conditions.append(self._past(after, part))
        elif within is not None:
            conditions.append(within)
        if part == "valued" and self.by == "attribute":
            conditions += [*self._entry(view_id), _values.c.user_seq == _users.seq]
            value = func.coalesce(_values.c.whole, _values.c.key)
            order = (self._directed(_values.c.key), self._directed(_whole), *order)
        else:
            if view_id is not None:
                conditions += present_in(index_users, view_id)
            if part == "missing" and self.by == "attribute":
                has_value = (*self._entry(None), _values.c.key > "", _values.c.user_seq == _users.seq)
                conditions.append(~there_is(_values, *has_value))
            elif part == "missing" and self.by == "created":
                conditions.append(_users.created == "")
            elif part == "valued":
                value = self._key
                order = (self._directed(value), _users.user_id)
        if part == "valued" and after is None and within is None:
            conditions.append(self._key > "")
        return (
            select(_users.user_id, _users.revision, _users.created, value.label("value"))
            .where(*conditions)
            .order_by(*order)
        )

    def keys(self, view_id: int, within: ColumnElement[bool] | None = None) -> Select[Any]:
        """The keys in order, the same one again for each user; of all, or of a range."""
        own = self._entry(view_id) if self.by == "attribute" else present_in(index_users, view_id)
        chosen = self._key > "" if within is None else within
        return select(self._key).where(*own, chosen).order_by(self._directed(self._key))

    @property
    def seq(self) -> ColumnElement[int]:
        """The user's number in `keys`."""
        return _values.c.user_seq if self.by == "attribute" else _users.seq

    def before(self, key: str) -> ColumnElement[bool]:
        """The range of keys that come before this one."""
        return self._key > key if self.descending else and_(self._key > "", self._key < key)

    def at(self, key: str) -> ColumnElement[bool]:
        """The range of this key."""
        return self._key == key

    def from_(self, key: str) -> ColumnElement[bool]:
        """The range of this key and those that come after it."""
        return and_(self._key > "", self._key <= key) if self.descending else self._key >= key

    def beyond(self, key: str) -> ColumnElement[bool]:
        """The range of the keys that come after this one."""
        return and_(self._key > "", self._key < key) if self.descending else self._key > key

    @property
    def _key(self) -> ColumnElement[str]:
        match self.by:
            case "attribute":
                return _values.c.key
            case "created":
                return _users.created
            case _:
                return _users.user_id

    def _entry(self, view_id: int | None) -> list[ColumnElement[bool]]:
        """Element 0 is the one that sorting goes by; "" is no value."""
        own = [_values.c.attribute_id == self.attribute_id, _values.c.element == 0]
        return own if view_id is None else [_values.c.view_id == view_id, *own]

    def _directed(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return column.desc() if self.descending else column.asc()

    def _beyond(self, column: ColumnElement[Any], value: str) -> ColumnElement[bool]:
        return column < value if self.descending else column > value

    def _past(self, after: Position, part: Part) -> ColumnElement[bool]:
        later_id = _users.user_id > after.id
        if self.by == "id":
            return self._beyond(_users.user_id, after.id)
        if self.by == "created" and part == "missing":
            return later_id
        if self.by == "created":
            return and_(self.from_(after.created), or_(self._beyond(_users.created, after.created), later_id))
        if part == "missing":
            return and_(_users.created >= after.created, or_(_users.created > after.created, later_id))
        key = after.key or ""
        start, whole = key[:KEY_LENGTH], key if len(key) > KEY_LENGTH else ""
        tie = or_(_users.created > after.created, and_(_users.created == after.created, later_id))
        return and_(
            self.from_(start),
            or_(
                self._beyond(_values.c.key, start),
                self._beyond(_whole, whole),
                and_(_whole == literal(whole), tie),
            ),
        )
