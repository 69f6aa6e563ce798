"""The typed steps of a plan (RFC 7644 §3.4.2).

One rule keeps every plan right: what its source yields is a superset of what matches, and the residual
filter, applied to full resources, removes the rest. A plan without residual has a source that is exact.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from app.scim.expression import Filter
from app.scim.schema import AttributeRef

MatchKind: TypeAlias = Literal["userName", "externalId", "email"]


class Nothing(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """No user can match: no call is made."""


class ById(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """One GET."""

    id: str


class Match(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The users with this value of a matching attribute: link table, then confirmation by GET.

    On a miss `search` is asked where it covers the attribute, else the link table must be complete.
    """

    kind: MatchKind
    value: str
    """As the client wrote it."""
    search: str | None
    """What to search the platform for, or None where `search` does not cover the attribute."""


class Listing(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The platform's list with these filters (query parameter → value); all users where there are none."""

    query: tuple[tuple[str, str], ...] = ()


class Union(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The users of any of these sources, each once."""

    sources: tuple[ById | Match, ...]


Source: TypeAlias = Nothing | ById | Match | Listing | Union


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The order of the results."""

    ref: AttributeRef
    descending: bool
    pushed: str | None
    """The platform's `sort_by` that gives exactly this order, or None when it is made here."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a query is answered."""

    source: Source
    residual: Filter | None
    """Applied to full resources; None where the source is exact."""
    order: Order | None = None

    @property
    def pages_at_platform(self) -> bool:
        """Whether totals and pages can be the platform's own, so that only one window is read."""
        sorted_here = self.order is not None and self.order.pushed is None
        return isinstance(self.source, Listing) and self.residual is None and not sorted_here
