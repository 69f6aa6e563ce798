"""Filter and order of a group list → `GroupPlan`. Pure and deterministic, like the plans for users."""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from app.planning.plan import ById, Nothing
from app.planning.planner import PLATFORM_ID
from app.scim.expression import And, Compare, Filter, Not, Or, Present, ValuePath
from app.scim.schema import AttributeRef


class ByName(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The groups of one displayName."""

    name: str


class ByExternalId(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The groups of one externalId, from the bridge's database."""

    value: str


class OfMember(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The groups that one user or group is a member of."""

    id: str


class AllGroups(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Every group of the tenant."""


Direct: TypeAlias = ById | ByName | ByExternalId | OfMember


class AnyOf(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The groups of any of these sources, each once."""

    sources: tuple[Direct, ...]


GroupSource: TypeAlias = Nothing | Direct | AnyOf | AllGroups


class GroupPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a query for groups is answered. The source is a superset of what matches."""

    source: GroupSource
    residual: Filter | None
    """Applied to every group of the source."""
    order: AttributeRef | None
    descending: bool
    member_ids: frozenset[str]
    """Members whose presence the residual asks for; knowing of them is as good as the whole list."""
    all_members: bool
    """Whether residual or order need the whole list of members."""

    @property
    def pages_at_backend(self) -> bool:
        """Whether the backend's own window and total answer the query."""
        return isinstance(self.source, AllGroups) and self.residual is None and self.order is None


def plan_groups(
    filter: Filter | None,
    *,
    sort: AttributeRef | None = None,
    descending: bool = False,
) -> GroupPlan:
    """The plan for a bound filter, or for all groups. Their own order is by `meta.created`."""
    ids: set[str] = set()
    whole = filter is not None and _needs_members(filter, ids)
    order = None if sort is not None and sort.text == "meta.created" and not descending else sort
    return GroupPlan(
        source=AllGroups() if filter is None else _source(filter),
        residual=filter,
        order=order,
        descending=descending,
        member_ids=frozenset(ids),
        all_members=whole or (order is not None and order.attribute.name == "members"),
    )


def _source(term: Filter) -> GroupSource:
    if isinstance(term, And):
        return min((_source(t) for t in term.terms), key=_cost)
    if isinstance(term, Or):
        sources = [s for s in map(_source, term.terms) if not isinstance(s, Nothing)]
        if not sources:
            return Nothing()
        if any(isinstance(s, AllGroups) for s in sources):
            return AllGroups()
        flat: list[Direct] = []
        for source in sources:
            flat.extend(source.sources if isinstance(source, AnyOf) else [source])  # type: ignore[list-item]
        return AnyOf(sources=tuple(dict.fromkeys(flat)))
    member_id = _member_asked_for(term)
    if member_id is not None:
        return OfMember(id=member_id) if PLATFORM_ID.fullmatch(member_id) else Nothing()
    if (
        isinstance(term, Compare)
        and term.op == "eq"
        and isinstance(term.value, str)
        and term.path.sub is None
    ):
        match term.path.name:
            case "id":
                return ById(id=term.value) if PLATFORM_ID.fullmatch(term.value) else Nothing()
            case "displayName" if term.value:
                return ByName(name=term.value)
            case "externalId" if term.value:
                return ByExternalId(value=term.value)
    return AllGroups()


def _member_asked_for(term: Filter) -> str | None:
    """The id in `members.value eq "u"` and `members[value eq "u"]`."""
    if isinstance(term, ValuePath) and term.path.name == "members":
        inner = term.filter
        if isinstance(inner, Compare) and inner.op == "eq" and inner.path.name == "value":
            return inner.value if isinstance(inner.value, str) else None
    if (
        isinstance(term, Compare)
        and term.op == "eq"
        and term.path.name == "members"
        and term.path.sub == "value"
    ):
        return term.value if isinstance(term.value, str) else None
    return None


def _needs_members(term: Filter, ids: set[str]) -> bool:
    """Whether the whole list is needed; where single members do, their ids are put into `ids`."""
    match term:
        case And() | Or():
            return any([_needs_members(t, ids) for t in term.terms])
        case Not():
            return _needs_members(term.term, ids)
        case Compare() | Present() | ValuePath():
            if term.path.name != "members" or term.path.urn is not None:
                return False
            member_id = _member_asked_for(term)
            if member_id is None:
                return True
            ids.add(member_id)
            return False


def _cost(source: GroupSource) -> int:
    order = (Nothing, ById, ByName, ByExternalId, OfMember, AnyOf, AllGroups)
    return order.index(type(source))
