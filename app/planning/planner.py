"""Filter and order → `Plan`, by the capabilities that the mapping declares. Pure and deterministic."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from app.mapping.rules import ElementRule, FieldRule
from app.mapping.users import UserMapping
from app.planning.plan import ById, Listing, Match, MatchKind, Nothing, Order, Plan, Source, Union
from app.scim.errors import InvalidValue
from app.scim.expression import And, AttrName, Compare, Filter, Or, ValuePath
from app.scim.schema import AttributeRef

PLATFORM_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
"""What can be a platform id. Anything else is answered without a call."""


def plan_users(
    filter: Filter | None,
    mapping: UserMapping,
    *,
    sort: AttributeRef | None = None,
    descending: bool = False,
    groups_at_platform: bool = True,
) -> Plan:
    """The plan for a bound filter (`evaluate.bind`), or for all users.

    Where the platform does not keep the groups, its list cannot filter by them.
    """
    order = None
    if sort is not None:
        order = Order(ref=sort, descending=descending, pushed=mapping.platform.sort.get(sort.text))
    if filter is None:
        return Plan(source=Listing(), residual=None, order=order)
    filters = dict(mapping.platform.filters)
    if not groups_at_platform:
        filters.pop("groups.value", None)
    source, exact = _source(filter, mapping, filters)
    return Plan(source=source, residual=None if exact else filter, order=order)


def match_for(kind: MatchKind, value: str, mapping: UserMapping) -> Match:
    """The lookup of one value, with the search that finds it where the platform's `search` covers it."""
    return Match(kind=kind, value=value, search=_search_text(kind, value, mapping))


def _source(term: Filter, mapping: UserMapping, filters: Mapping[str, str]) -> tuple[Source, bool]:
    """The cheapest source for a term, and whether it yields exactly what matches."""
    if isinstance(term, And):
        found = [_source(t, mapping, filters) for t in term.terms]
        listings = [s for s, _ in found if isinstance(s, Listing) and s.query]
        best = min((s for s, _ in found), key=_cost)
        if not isinstance(best, Listing):
            return best, False
        merged = _merge(listings)
        if merged is None:
            return Nothing(), True
        kept_all = len(merged.query) == len({q for listing in listings for q in listing.query})
        return merged, kept_all and all(exact for _, exact in found)
    if isinstance(term, Or):
        sources = [_source(t, mapping, filters)[0] for t in term.terms]
        direct = [s for s in sources if not isinstance(s, Nothing)]
        if not direct:
            return Nothing(), True
        if all(isinstance(s, ById | Match | Union) for s in direct):
            return Union(sources=tuple(_flatten(direct))), False
        return Listing(), False
    if isinstance(term, ValuePath):
        match = _value_path(term, mapping)
        return (match, False) if match is not None else (Listing(), False)
    if isinstance(term, Compare) and term.op == "eq":
        return _equality(term, mapping, filters)
    return Listing(), False


def _equality(term: Compare, mapping: UserMapping, filters: Mapping[str, str]) -> tuple[Source, bool]:
    name, value = _text(term.path), term.value
    if isinstance(value, str) and name == "id":
        return (ById(id=value), True) if PLATFORM_ID.fullmatch(value) else (Nothing(), True)
    if isinstance(value, str) and value:
        match = _match(name, value, mapping)
        if match is not None:
            # Confirmed by the same comparison that the filter makes.
            return match, True
    if name == "active" and value is False and len(mapping.status.inactive) == 1:
        parameter = next((q for n, q in filters.items() if n.endswith(":status")), None)
        if parameter is not None:
            return Listing(query=((parameter, mapping.status.inactive[0]),)), True
    parameter = filters.get(name)
    if parameter is None or value is None:
        return Listing(), False
    ref = mapping.model.resolve(term.path.name, term.path.sub, urn=term.path.urn)
    if isinstance(value, bool):
        return Listing(query=((parameter, str(value).lower()),)), True
    if ref is not None and ref.leaf.case_exact and ref.leaf.canonical_values:
        if value not in ref.leaf.canonical_values:
            return Nothing(), True
    elif not PLATFORM_ID.fullmatch(str(value)):
        return Nothing(), True
    return Listing(query=((parameter, str(value)),)), True


def _match(name: str, value: str, mapping: UserMapping) -> Match | None:
    kinds: dict[str, MatchKind] = {
        "userName": "userName",
        "externalId": "externalId",
        "emails.value": "email",
    }
    kind = kinds.get(name)
    return None if kind is None else match_for(kind, value, mapping)


def _value_path(term: ValuePath, mapping: UserMapping) -> Match | None:
    """`emails[type eq "work" and value eq "x"]`: a lookup by the address."""
    inner = term.filter.terms if isinstance(term.filter, And) else (term.filter,)
    for part in inner:
        if isinstance(part, Compare) and part.op == "eq" and isinstance(part.value, str) and part.value:
            match = _match(f"{_text(term.path)}.{part.path.name}", part.value, mapping)
            if match is not None:
                return match
    return None


def _search_text(kind: MatchKind, value: str, mapping: UserMapping) -> str | None:
    if kind == "externalId":
        return None
    rule = mapping.rule_for("userName" if kind == "userName" else "emails")
    if not isinstance(rule, FieldRule | ElementRule) or not set(rule.fields) <= set(mapping.platform.search):
        return None
    try:
        text = rule.platform_value(value)
    except InvalidValue:
        # It cannot be written to the platform; whether it can be read from there, the link table knows.
        return None
    return text if isinstance(text, str) else None


def _cost(source: Source) -> int:
    """A rank, cheapest first: how many calls a source is likely to need."""
    match source:
        case Nothing():
            return 0
        case ById():
            return 1
        case Match(kind="userName"):
            return 2
        case Match(kind="externalId"):
            return 3
        case Match():
            return 4
        case Union():
            return 5
        case Listing():
            return 6 if source.query else 7


def _merge(listings: list[Listing]) -> Listing | None:
    """One list with all filters; None where two ask for different values of one parameter."""
    merged: dict[str, str] = {}
    for listing in listings:
        for parameter, value in listing.query:
            if merged.setdefault(parameter, value) != value:
                # A user has one status and one unit, but may be in several groups.
                if parameter == "group_id":
                    continue
                return None
    return Listing(query=tuple(merged.items()))


def _flatten(sources: Sequence[Source]) -> list[ById | Match]:
    flat: list[ById | Match] = []
    for source in sources:
        if isinstance(source, Union):
            flat.extend(source.sources)
        elif isinstance(source, ById | Match):
            flat.append(source)
    return list(dict.fromkeys(flat))


def _text(path: AttrName) -> str:
    name = path.name if path.sub is None else f"{path.name}.{path.sub}"
    return name if path.urn is None else f"{path.urn}:{name}"
