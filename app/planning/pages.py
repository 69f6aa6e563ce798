"""Which pages of a platform's list cover a window, and the order in which they hold still."""

from __future__ import annotations

from collections.abc import Mapping

from app.mapping.model import Capabilities


def pages_for(offset: int, count: int, per_page_max: int) -> tuple[int, tuple[int, ...]]:
    """The `per_page` and page numbers that cover the window of `count` rows from `offset` (0-based).

    One page where any page size puts the window into one, else as few as can be.
    """
    for size in range(count, per_page_max + 1):
        if offset // size == (offset + count - 1) // size:
            return size, (offset // size + 1,)
    size = min(count, per_page_max)
    first, last = offset // size, (offset + count - 1) // size
    return size, tuple(range(first + 1, last + 2))


def pinned(query: Mapping[str, str], capabilities: Capabilities) -> dict[str, str]:
    """A query with an order that holds still while pages are read."""
    return {"sort_by": capabilities.default_sort, "sort_order": "asc", **query}
