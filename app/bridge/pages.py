"""One list over one or several resource types (RFC 7644 §3.4.2.1): all of the first, then all of the next."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec
from msgspec.structs import replace

from app.bridge.query import Across, Found, Query
from app.scim.errors import ExpiredCursor
from app.scim.schema import Resource


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One resource type's share in a list; the window of its query does not count."""

    resource_type: str
    query: Query
    run: Callable[[Query], Awaitable[Found]]


class FoundAcross(msgspec.Struct, frozen=True, kw_only=True):
    """One page of results."""

    pages: tuple[list[Resource], ...]
    """What the page has of each part, in their order."""
    total: int
    next: Across | None = None
    """As in `Found`."""


async def by_index(parts: Sequence[Part], start_index: int, count: int) -> FoundAcross:
    """The window of `count` resources from number `start_index`, and the sum of the totals."""
    begin, end = start_index - 1, start_index - 1 + count
    total = 0
    pages = []
    for part in parts:
        # The window's share of what comes after the types before this one.
        first = max(begin, total)
        query = replace(part.query, start_index=first - total + 1, count=max(0, end - first))
        found = await part.run(query)
        pages.append(found.resources)
        total += found.total
    return FoundAcross(pages=tuple(pages), total=total)


async def by_cursor(parts: Sequence[Part], after: Across | None, count: int) -> FoundAcross:
    """The next `count` resources from `after` on, and the sum of the totals. Raises `ExpiredCursor`."""
    types = [part.resource_type for part in parts]
    if after is not None and after.resource_type not in types:
        raise ExpiredCursor("this cursor belongs to resources that are not searched any more: start again")
    begin = 0 if after is None else types.index(after.resource_type)
    left, total = count, 0
    following: Across | None = None
    pages = []
    for number, part in enumerate(parts):
        room = left if number >= begin and following is None else 0
        within = after.within if after is not None and number == begin else None
        query = replace(part.query, count=room, by_cursor=room > 0, after=within if room else None)
        found = await part.run(query)
        pages.append(found.resources)
        total += found.total
        left -= len(found.resources)
        if following is not None or number < begin or count == 0:
            continue
        if room and found.next is not None:
            following = Across(resource_type=part.resource_type, within=found.next)
        elif not room and found.total:
            following = Across(resource_type=part.resource_type, within=None)
    return FoundAcross(pages=tuple(pages), total=total, next=following)
