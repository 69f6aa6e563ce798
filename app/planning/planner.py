"""Filter and order → `Plan`, by the capabilities that the mapping declares. Pure and deterministic."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from app.mapping.users import UserMapping
from app.planning import notes
from app.planning.lookups import PLATFORM_ID as PLATFORM_ID
from app.planning.lookups import lookup
from app.planning.lookups import match_for as match_for
from app.planning.plan import IndexQuery, Listing, Nothing, Order, Plan, Source
from app.planning.pushdown import listing
from app.planning.terms import conjunction, conjuncts, is_selective
from app.scim.expression import Filter
from app.scim.schema import AttributeRef


def _never(_: object) -> bool:
    return False


def plan_users(
    filter: Filter | None,
    mapping: UserMapping,
    *,
    sort: AttributeRef | None = None,
    descending: bool = False,
    groups_at_platform: bool = True,
    hides: bool = False,
    index: bool,
    can_index: Callable[[Filter], bool] = _never,
    can_sort: Callable[[AttributeRef], bool] = _never,
) -> Plan:
    """The plan for a bound filter (`evaluate.bind`), or for all users.

    `index` says whether there is a complete index; `can_index` which filters it answers, `can_sort` which
    orders. Where the platform does not keep the groups, its list cannot filter by them. `hides` says that the
    platform has users that SCIM does not show: its list is then a source to be read whole, the index is not.

    Preferred, in this order: no call; the users that the filter names (by id, by a matching attribute); the
    platform's list where it is exact, as it is the truth of this moment and a page costs one call; the index;
    a list that yields more than matches; all users.
    """
    request = _Request(
        mapping=mapping,
        filters=_list_filters(mapping, groups_at_platform),
        sort=sort,
        descending=descending,
        hides=hides,
        index=index,
        can_index=can_index,
        can_sort=can_sort,
    )
    if filter is None:
        return request.plan_all()
    return request.plan(filter)


def _list_filters(mapping: UserMapping, groups_at_platform: bool) -> Mapping[str, str]:
    filters = mapping.platform.filters
    return {n: p for n, p in filters.items() if groups_at_platform or not n.startswith("groups.")}


class _Request(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked beside the filter, and what can be used to answer."""

    mapping: UserMapping
    filters: Mapping[str, str]
    sort: AttributeRef | None
    descending: bool
    hides: bool
    index: bool
    can_index: Callable[[Filter], bool]
    can_sort: Callable[[AttributeRef], bool]

    def plan_all(self) -> Plan:
        """All users: the platform's pages, or those of the index where only it has the order."""
        if self._index_orders and (self.hides or not self._platform_orders):
            return self._made(IndexQuery(filter=None), None)
        return self._made(Listing(), None)

    def plan(self, filter: Filter) -> Plan:
        """The users that match a filter."""
        found = lookup(filter, self.mapping)
        if found is not None and found[1]:
            return self._made(found[0], None)
        listed, exact = listing(filter, self.mapping, self.filters)
        if isinstance(listed, Nothing):
            return self._made(Nothing(), None)
        if found is not None:
            return self._made(found[0], filter)
        if exact and not self.hides and (self._platform_orders or not self._index_orders):
            return self._made(listed, None)
        if self.index and self.can_index(filter):
            # Where the whole result is read before it is put in order, it is also checked.
            return self._made(IndexQuery(filter=filter), None if self._index_orders else filter)
        if exact:
            return self._made(listed, None)
        return self._partial(filter, listed)

    def _partial(self, filter: Filter, listed: Listing) -> Plan:
        """A source for a part of the filter, the rest to be checked: the index, or the list for its part."""
        terms = conjuncts(filter)
        indexed = [t for t in terms if self.index and self.can_index(t)]
        part = conjunction(indexed)
        if part is None or (listed.query and not is_selective(part)):
            why = notes.for_listing(
                filter, self.mapping, self.filters, self.can_index if self.index else None
            )
            return self._made(listed, filter, why)
        rest = [t for t in terms if t not in indexed]
        return self._made(IndexQuery(filter=part), filter, notes.for_rest(rest))

    def _made(self, source: Source, residual: Filter | None, why: tuple[str, ...] = ()) -> Plan:
        order = None if self.sort is None or isinstance(source, Nothing) else self._order(source, residual)
        if order is not None and order.made == "memory" and isinstance(source, Listing | IndexQuery):
            why = why or notes.for_order(order.ref, self.index)
        if self.hides and residual is None and isinstance(source, Listing):
            why = why or notes.FOR_HIDDEN
        return Plan(source=source, residual=residual, order=order, hides=self.hides, notes=why)

    def _order(self, source: Source, residual: Filter | None) -> Order:
        assert self.sort is not None  # noqa: S101 - asked before, for the type checker
        order = Order(ref=self.sort, descending=self.descending, made="memory")
        if residual is not None:
            return order
        if isinstance(source, Listing) and self._platform_orders and not self.hides:
            sort_by = self.mapping.platform.sort[self.sort.text]
            return msgspec.structs.replace(order, made="platform", sort_by=sort_by)
        if isinstance(source, IndexQuery) and self._index_orders:
            return msgspec.structs.replace(order, made="index")
        return order

    @property
    def _platform_orders(self) -> bool:
        return self.sort is None or self.sort.text in self.mapping.platform.sort

    @property
    def _index_orders(self) -> bool:
        return self.index and (self.sort is None or self.can_sort(self.sort))
