"""Pages over several lists are those of the lists put one behind the other."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any

import pytest

from app.bridge.pages import Part, by_cursor, by_index
from app.bridge.query import Across, Found, Keyset, Offset, Query, by_offset
from app.scim.errors import ExpiredCursor

SIZES = [(0,), (5,), (0, 0), (0, 3), (3, 0), (2, 2), (4, 3), (1, 5), (3, 0, 2)]


def lists(sizes: tuple[int, ...]) -> tuple[list[Part], list[Any]]:
    """Parts that answer by index, and all of it in one."""
    whole = [[{"id": f"{name}{n}"} for n in range(size)] for name, size in enumerate(sizes)]

    async def window(resources: list[Any], query: Query) -> Found:
        start = query.start_index - 1
        return Found(resources=resources[start : start + query.count], total=len(resources))

    async def run(resources: list[Any], query: Query) -> Found:
        return await by_offset(query, partial(window, resources))

    parts = [
        Part(resource_type=str(name), query=Query(), run=partial(run, resources))
        for name, resources in enumerate(whole)
    ]
    return parts, [r for resources in whole for r in resources]


@pytest.mark.parametrize("sizes", SIZES)
async def test_by_index(sizes: tuple[int, ...]) -> None:
    parts, everything = lists(sizes)
    for start, count in product(range(1, sum(sizes) + 4), range(sum(sizes) + 3)):
        found = await by_index(parts, start, count)
        assert [r for page in found.pages for r in page] == everything[start - 1 : start - 1 + count]
        assert (found.total, found.next) == (len(everything), None)


@pytest.mark.parametrize("sizes", SIZES)
async def test_by_cursor(sizes: tuple[int, ...]) -> None:
    parts, everything = lists(sizes)
    for count in range(1, sum(sizes) + 3):
        after: Across | None = None
        pages = []
        while True:
            found = await by_cursor(parts, after, count)
            pages.append([r for page in found.pages for r in page])
            assert found.total == len(everything)
            after = found.next
            if after is None:
                break
        assert pages == [everything[n : n + count] for n in range(0, len(everything), count)] or pages == [[]]
        assert sum(map(len, pages)) == len(everything)


async def test_the_size_of_pages_may_change() -> None:
    parts, everything = lists((4, 3))
    after: Across | None = None
    seen = []
    for count in (1, 4, 0, 10):
        found = await by_cursor(parts, after, count)
        seen += [r for page in found.pages for r in page]
        assert found.total == 7
        after = found.next or after
    assert seen == everything


async def test_the_total_alone_is_no_page() -> None:
    parts, _ = lists((4, 3))
    found = await by_cursor(parts, None, 0)
    assert (found.total, found.pages, found.next) == (7, ([], []), None)


async def test_a_type_that_is_gone() -> None:
    parts, _ = lists((4, 3))
    with pytest.raises(ExpiredCursor):
        await by_cursor(parts, Across(resource_type="2", within=None), 5)


async def test_a_place_in_an_index_that_is_not_asked_any_more() -> None:
    parts, _ = lists((4,))
    place = Keyset(view=1, key=None, created="2026-01-01T00:00:00Z", id="u")
    with pytest.raises(ExpiredCursor):
        await by_cursor(parts, Across(resource_type="0", within=place), 5)


async def test_a_place_behind_the_end() -> None:
    parts, _ = lists((4, 1))
    found = await by_cursor(parts, Across(resource_type="0", within=Offset(next_index=9)), 5)
    assert (found.pages, found.total, found.next) == (([], [{"id": "10"}]), 5, None)
