"""What a client asks of a list, and what it gets: paged by index (RFC 7644 §3.4.2.4) or cursor (RFC 9865)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import msgspec

from app.scim.attributes import Projection
from app.scim.errors import ExpiredCursor
from app.scim.expression import Filter
from app.scim.schema import AttributeRef, Resource


class Offset(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="offset"):
    """A place in a list that is read by number."""

    next_index: int
    """1-based number of the next page's first resource."""


class Keyset(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="keyset"):
    """A place in the index: behind the user with these values."""

    view: int
    key: str | None
    """The sort key, None for a user without one and where nothing is sorted by."""
    created: str
    id: str


Position: TypeAlias = Offset | Keyset
"""Where a list paged by cursor goes on; JSON-able, and opaque to everybody but who made it."""


class Across(msgspec.Struct, frozen=True, kw_only=True, array_like=True, tag="across"):
    """A place in a list over several resource types, one type after the other."""

    resource_type: str
    """The type that the next page begins with."""
    within: Position | None
    """Where in the list of that type; None: at its beginning."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a list (RFC 7644 §3.4.2), read and bounded by the web layer."""

    filter: Filter | None = None
    """Bound to the model."""
    sort: AttributeRef | None = None
    descending: bool = False
    start_index: int = 1
    """1-based; without meaning where `by_cursor` is set."""
    count: int = 100
    """Resources in the answer at most; 0 asks for the total alone."""
    projection: Projection | None = None
    by_cursor: bool = False
    """Whether the next page is asked for by a cursor: only then does the answer say where it begins."""
    after: Position | None = None
    """Where this page begins, with `by_cursor`; None: at the beginning."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One page of results."""

    resources: list[Resource]
    total: int
    next: Position | None = None
    """Where the next page begins; None: there is none, it was not asked for, or `count` was 0."""


async def by_offset(query: Query, answer: Callable[[Query], Awaitable[Found]]) -> Found:
    """Page by cursor a list that `answer` pages by index.

    A resource that goes away between two pages moves the others up, as with `startIndex`. Raises
    `ExpiredCursor` for a place in the index: what has answered the page before is not there any more.
    """
    if isinstance(query.after, Keyset):
        raise ExpiredCursor("the list is no longer kept in the order of this cursor: start again without it")
    if query.after is not None:
        query = msgspec.structs.replace(query, start_index=query.after.next_index)
    found = await answer(query)
    following = query.start_index + query.count
    if not query.by_cursor or query.count == 0 or following > found.total:
        return found
    return msgspec.structs.replace(found, next=Offset(next_index=following))
