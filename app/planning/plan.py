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
    """The platform's list with these query parameters; all users where there are none.

    A parameter is exact or yields a superset (`search`, the mapping's `narrows`); then there is a residual.
    """

    query: tuple[tuple[str, str], ...] = ()


class IndexQuery(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The users that the bridge's index finds."""

    filter: Filter | None
    """Bound, and every attribute of it is in the index; None for all users."""


class Union(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The users of any of these sources, each once."""

    sources: tuple[ById | Match, ...]


Source: TypeAlias = Nothing | ById | Match | Listing | IndexQuery | Union

Window: TypeAlias = Literal["platform", "index"]


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """The order of the results."""

    ref: AttributeRef
    descending: bool
    made: Literal["platform", "index", "memory"]
    """Who puts the users in order. `memory`: the bridge does, when it has read all of them."""
    sort_by: str | None = None
    """The platform's `sort_by`, where `made` is `platform`."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a query is answered."""

    source: Source
    residual: Filter | None
    """What full resources are still checked by; None where the source is exact.

    The whole filter, not only what the source leaves open: users change until they are read.
    """
    order: Order | None = None
    hides: bool = False
    """Whether the platform's lists hold users that SCIM does not show: then their totals are not used."""
    notes: tuple[str, ...] = ()
    """Why no cheaper plan was possible, a sentence each. They name attributes, never values."""

    @property
    def window(self) -> Window | None:
        """Who tells totals and pages, so that only one window of full users is read.

        None: every user of the source is read, checked and put in order first.
        """
        if self.residual is not None or (self.hides and isinstance(self.source, Listing)):
            return None
        made = None if self.order is None else self.order.made
        if isinstance(self.source, Listing) and made in (None, "platform"):
            return "platform"
        if isinstance(self.source, IndexQuery) and made in (None, "index"):
            return "index"
        return None
