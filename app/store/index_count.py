"""How many users a term holds of, and from which candidates that is told best.

Counted are candidates: the users that the most selective part of a term may hold of. Where a term has no such
part (`not`, `ne`), its opposite has, and is counted instead.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

from sqlalchemy import Connection, Select, func, select

from app.scim.index_terms import EVERYTHING, NOTHING, IndexTerm, negation
from app.store.index_query import SCAN, Candidates, TermSql, present_in
from app.store.tables import index_users

_FEW = 100
"""Candidates among which no fewer are looked for."""
MANY = 10_000
"""Users of whom so much is asked that it is worth to prepare; where counting candidates ends."""
_MOST_WAYS = 10
"""Ways of a conjunction that are tried."""


class Counted:
    """A term over a view in one snapshot, with its total and its best candidates."""

    def __init__(self, db: Connection, sql: TermSql, term: IndexTerm) -> None:
        self.db = db
        self.sql = sql
        self.term = term
        self._here = present_in(index_users, sql.view_id)
        self.candidates = self._choose(term)
        self.total = self.count(term)

    @cached_property
    def present(self) -> int:
        """How many users there are."""
        return self._number(select(func.count()).where(*self._here))

    @cached_property
    def size(self) -> int:
        """How many users have to be looked at to find all that the term holds of, roughly."""
        if self.candidates is None:
            return self.present
        if self.candidates.rank >= SCAN:
            # Along the keys it goes faster than from user to user.
            return max(self.total, self.present // 5)
        size = self._size(self.candidates)
        return size if size < MANY else self.present

    def count(self, term: IndexTerm) -> int:
        """How many users a term holds of, this one or another."""
        if term in (EVERYTHING, NOTHING):
            return self.present if term == EVERYTHING else 0
        candidates = self.candidates if term is self.term else self._choose(term)
        if candidates is not None:
            return self._count(candidates)
        others = self._choose(negation(term))
        if others is not None:
            return self.present - self._count(others)
        seq = index_users.c.seq
        return self._number(select(func.count()).where(*self._here, self.sql.holds(term, seq, many=True)))

    def _count(self, candidates: Candidates) -> int:
        seqs = candidates.seqs if candidates.distinct else candidates.seqs.distinct()
        found = seqs.subquery()
        statement = select(func.count()).select_from(found)
        if candidates.rest is not None:
            many = candidates.rank >= SCAN or self._size(candidates) == MANY
            statement = statement.where(self.sql.holds(candidates.rest, found.c[0], many=many))
        return self._number(statement)

    def _choose(self, term: IndexTerm) -> Candidates | None:
        """The way with the fewest candidates; a way that looks at every key of an attribute is the last."""
        ways = self.sql.candidates(term)
        if len(ways) < 2:
            return ways[0] if ways else None
        best, least = None, MANY
        for way in ways[:_MOST_WAYS]:
            if way.rank >= SCAN:
                break
            size = self._size(way)
            if size < least:
                best, least = way, size
            if size <= _FEW:
                break
        if best is None:
            best = next((way for way in ways if way.rank >= SCAN), ways[0])
        return best

    def _size(self, candidates: Candidates) -> int:
        return self._number(select(func.count()).select_from(candidates.looked_at.limit(MANY).subquery()))

    def _number(self, statement: Select[Any]) -> int:
        return int(self.db.scalar(statement) or 0)
