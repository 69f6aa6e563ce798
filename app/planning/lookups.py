"""Filters that name their users: by id, or by a matching attribute. No list and no index is needed."""

from __future__ import annotations

import re

from app.mapping.rules import ElementRule, FieldRule
from app.mapping.users import UserMapping
from app.planning.plan import ById, Match, MatchKind, Nothing, Union
from app.planning.pushdown import exact_needle, is_searchable
from app.planning.terms import flattened
from app.scim.expression import And, Compare, Filter, Or, ValuePath
from app.scim.filter import print_name
from app.scim.schema import PLATFORM_USER

PLATFORM_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What can be a platform id. Anything else is answered without a call."""

_IDS = frozenset({"id", "groups.value", f"{PLATFORM_USER}:ouId"})
_KINDS: dict[str, MatchKind] = {"userName": "userName", "externalId": "externalId", "emails.value": "email"}
_COST: dict[MatchKind, int] = {"userName": 2, "externalId": 3, "email": 4}


def lookup(term: Filter, mapping: UserMapping) -> tuple[Nothing | ById | Match | Union, bool] | None:
    """The users that a bound filter names, and whether it asks nothing else of them.

    None where it names none. Of several in a conjunction, the one that needs the fewest calls.
    """
    term = flattened(term)
    match term:
        case And():
            found = [f for t in term.terms if (f := lookup(t, mapping)) is not None]
            best = min((source for source, _ in found), key=_cost, default=None)
            return None if best is None else (best, isinstance(best, Nothing))
        case Or():
            return _union(term, mapping)
        case ValuePath(filter=And(terms=inner), path=path):
            # `emails[type eq "work" and value eq "x"]`: a lookup by the address.
            parts = (lookup(flattened(ValuePath(path=path, filter=part)), mapping) for part in inner)
            return next(((source, False) for source, _ in filter(None, parts)), None)
        case Compare(op="eq", value=str(value), path=path):
            name = print_name(path)
            if name in _IDS and not PLATFORM_ID.fullmatch(value):
                return Nothing(), True
            if name == "id":
                return ById(id=value), True
            kind = _KINDS.get(name)
            # Confirmed by the same comparison that the filter makes.
            return (match_for(kind, value, mapping), True) if kind is not None and value else None
    return None


def match_for(kind: MatchKind, value: str, mapping: UserMapping) -> Match:
    """The lookup of one value, with the search that finds it where the platform's `search` covers it."""
    return Match(kind=kind, value=value, search=_search_text(kind, value, mapping))


def _union(term: Or, mapping: UserMapping) -> tuple[Nothing | ById | Match | Union, bool] | None:
    """The lookups of all branches; None where one names no users."""
    flat: list[ById | Match] = []
    whole = True
    for branch in term.terms:
        found = lookup(branch, mapping)
        if found is None:
            return None
        source, exact = found
        whole = whole and exact
        match source:
            case Union():
                flat.extend(source.sources)
            case ById() | Match():
                flat.append(source)
    each = tuple(dict.fromkeys(flat))
    if not each:
        return Nothing(), True
    return (each[0] if len(each) == 1 else Union(sources=each)), whole


def _search_text(kind: MatchKind, value: str, mapping: UserMapping) -> str | None:
    rule = mapping.rule_for("userName" if kind == "userName" else "emails")
    if kind == "externalId" or not isinstance(rule, FieldRule | ElementRule):
        return None
    if not is_searchable(rule, mapping.platform):
        return None
    needle = exact_needle(value)
    if kind == "email":
        # Rows show the address, and those that have another are not read.
        return needle if needle == value and rule.fields == ("email",) else None
    return needle


def _cost(source: Nothing | ById | Match | Union) -> int:
    """A rank, cheapest first: how many calls a source is likely to need."""
    match source:
        case Nothing():
            return 0
        case ById():
            return 1
        case Match(kind=kind):
            return _COST[kind]
        case Union():
            return 5
