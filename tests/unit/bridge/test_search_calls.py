"""The fewest platform calls of searches, and what becomes of an index that others have left behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from bridge_rig import hosted
from index_rig import PAGE, IndexRig, open_index_rig
from sqlalchemy import text

from app.bridge.query import Keyset
from app.scim.errors import ExpiredCursor, TooMany
from app.scim.schema import ENTERPRISE_USER
from app.store.connections import Policies

GET, LIST = "GET user", "GET users"


@pytest.fixture
async def rig(made_once: Path, tmp_path: Path) -> AsyncIterator[IndexRig]:
    """With the pages of the default mapping."""
    async for opened in hosted(open_index_rig(made_once, tmp_path, mapping="default")):
        yield opened


@pytest.fixture
async def live(made_once: Path, tmp_path: Path) -> AsyncIterator[IndexRig]:
    """Where searches use no index."""
    opening = open_index_rig(made_once, tmp_path, policies=Policies(search="live"), scan_limit=20)
    async for opened in hosted(opening):
        yield opened


def ids(found: Any) -> list[str]:
    return [resource["id"] for resource in found.resources]


async def person(rig: IndexRig, name: str, **fields: Any) -> str:
    return await rig.create(f"{name}@example.com", username=name, **fields)


# --- lookups ------------------------------------------------------------------------------------------------


async def test_a_known_name_is_one_call(rig: IndexRig) -> None:
    ada = await person(rig, "ada")
    await rig.sweep()
    for name in ("ada", "ADA"):
        assert ids(await rig.found(f'userName eq "{name}"')) == [ada]
        assert rig.seen() == {GET: 1}


async def test_an_unknown_name_is_a_search_and_its_rows(rig: IndexRig) -> None:
    await rig.sweep()
    assert (await rig.found('userName eq "ada"')).total == 0
    assert rig.seen() == {LIST: 1}
    await person(rig, "adam")
    await person(rig, "adamant")
    assert (await rig.found('userName eq "ada"')).total == 0
    assert rig.seen() == {LIST: 1, GET: 2}
    ada = await rig.create("lovelace@example.com", username="ada")
    assert ids(await rig.found('userName eq "ada"')) == [ada]
    assert rig.seen()[LIST] == 1
    # What a search has shown is known from then on.
    assert ids(await rig.found('userName eq "ada"')) == [ada]
    assert rig.seen() == {GET: 1}


async def test_an_external_id_is_one_call_or_none(rig: IndexRig) -> None:
    ada = await person(rig, "ada", custom_attributes={"scim_external_ids": {"default": "x-1"}})
    await rig.sweep()
    assert ids(await rig.found('externalId eq "x-1"')) == [ada]
    assert rig.seen() == {GET: 1}
    assert (await rig.found('externalId eq "x-2"')).total == 0
    assert rig.seen() == {}


@pytest.mark.parametrize(
    "filter",
    [
        'emails[type eq "work"].value eq "{}"',
        'emails[type eq "work" and value eq "{}"]',
        'emails.value eq "{}"',
        'emails eq "{}"',
    ],
)
async def test_a_known_address_is_one_call(rig: IndexRig, filter: str) -> None:
    ada = await person(rig, "ada")
    await person(rig, "bob")
    await rig.sweep()
    assert ids(await rig.found(filter.format("Ada@example.com"))) == [ada]
    assert rig.seen() == {GET: 1}
    assert (await rig.found(filter.format("nobody@example.com"))).total == 0
    assert rig.seen() == {LIST: 1}


# --- pages --------------------------------------------------------------------------------------------------


async def test_a_page_is_one_list_and_a_get_for_each(rig: IndexRig) -> None:
    await rig.seed(130)
    await rig.sweep()
    found = await rig.found()
    assert (len(found.resources), found.total) == (100, 130)
    assert rig.seen() == {LIST: 1, GET: 100}
    found = await rig.found(attributes=["displayName", "active"])
    assert (len(found.resources), found.total) == (100, 130)
    assert rig.seen() == {LIST: 1}


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ({}, 7),
        ({"count": 3}, 3),
        ({"count": 3, "startIndex": 6}, 2),
        ({"startIndex": 8}, 0),
        ({"count": 0}, 0),
        ({"count": 3, "sortBy": "userName", "sortOrder": "descending"}, 3),
        ({"count": 3, "sortBy": "name.familyName", "startIndex": 4}, 3),
        ({"count": 3, "cursor": ""}, 3),
    ],
)
async def test_an_indexed_filter_reads_its_page_alone(
    rig: IndexRig, members: dict[str, Any], expected: int
) -> None:
    for number in range(7):
        await person(rig, f"in{number}", last_name=f"N{number}")
        await person(rig, f"out{number}")
    await rig.sweep()
    found = await rig.found('userName sw "in" and not (title pr)', **members)
    assert (len(found.resources), found.total) == (expected, 7)
    assert rig.seen() == ({GET: expected} if expected else {})


async def test_an_order_that_only_the_index_has(rig: IndexRig) -> None:
    """Deep in it, a page costs what the first one does."""
    seeded = await rig.seed(60)
    await rig.sweep()
    found = await rig.found(sortBy="userName", startIndex=51, count=5)
    assert ids(found) == seeded[50:55]
    assert found.total == 60
    assert rig.seen() == {GET: 5}
    found = await rig.found(sortBy="userName", sortOrder="descending", startIndex=51, count=5)
    assert ids(found) == seeded[9:4:-1]
    assert rig.seen() == {GET: 5}


async def test_a_term_that_is_not_indexed_is_checked(rig: IndexRig) -> None:
    one, two = await person(rig, "in1"), await person(rig, "in2")
    await person(rig, "out")
    await rig.sweep()
    filter = 'userName sw "in" and not (groups.display eq "none")'
    assert sorted(ids(await rig.found(filter))) == sorted([one, two])
    assert rig.seen() == {GET: 2}
    # Who is found to look otherwise is repaired on this way, too.
    await rig.change(two, username="out2")
    assert ids(await rig.found(filter)) == [one]
    assert rig.seen() == {GET: 2}
    assert ids(await rig.found(filter)) == [one]
    assert rig.seen() == {GET: 1}


# --- what others have done ----------------------------------------------------------------------------------


async def test_a_row_that_is_not_true_any_more_is_dropped_and_repaired(rig: IndexRig) -> None:
    made = [await person(rig, f"in{number}") for number in range(5)]
    await rig.sweep()
    await rig.change(made[1], username="elsewhere")
    found = await rig.found('userName sw "in"', count=3)
    assert (ids(found), found.total) == ([made[0], made[2], made[3]], 4)
    # The page that was read, and the one who moved up.
    assert rig.seen() == {GET: 4}
    found = await rig.found('userName sw "in"', count=3)
    assert (ids(found), found.total) == ([made[0], made[2], made[3]], 4)
    assert rig.seen() == {GET: 3}
    assert ids(await rig.found('userName sw "else"')) == [made[1]]


async def test_a_user_deleted_by_others_is_dropped_and_forgotten(rig: IndexRig) -> None:
    made = [await person(rig, f"in{number}") for number in range(4)]
    await rig.sweep()
    for user_id in made[:2]:
        await rig.delete(user_id)
    found = await rig.found('userName sw "in"')
    assert (ids(found), found.total) == (made[2:], 2)
    assert rig.seen() == {GET: 4}
    assert ids(await rig.found('userName sw "in"')) == made[2:]
    assert rig.seen() == {GET: 2}
    assert (await rig.found('userName sw "in"', count=0)).total == 2
    assert rig.seen() == {}


async def test_an_order_that_is_not_true_any_more(rig: IndexRig) -> None:
    made = [await person(rig, f"u{number}") for number in range(4)]
    await rig.sweep()
    await rig.change(made[0], username="zoe")
    found = await rig.found('userName pr and locale eq "en"', sortBy="userName", count=2)
    assert (ids(found), found.total) == (made[1:3], 4)
    assert rig.seen() == {GET: 3}


async def test_everything_has_changed(rig: IndexRig) -> None:
    """However far behind the index is, nobody is shown who does not match, and the total says so."""
    made = [await person(rig, f"in{number:02}") for number in range(20)]
    await rig.sweep()
    for user_id in made:
        await rig.delete(user_id)
    found = await rig.found('userName sw "in"', count=2)
    assert ids(found) == []
    assert found.total == 20 - len(rig.read())
    assert len(set(rig.read())) == len(rig.read())
    while (await rig.found('userName sw "in"', count=2)).total:
        assert rig.seen()[GET] <= 8
    assert await rig.indexed() == []


async def test_marked_users_are_read_before_the_answer(rig: IndexRig) -> None:
    made = [await person(rig, f"in{number}") for number in range(3)]
    await rig.sweep()
    new = await person(rig, "in9")
    await rig.change(made[0], username="out")
    await rig.services.indexing.mark(rig.tenant_id, [made[0], new])
    found = await rig.found('userName sw "in"')
    assert (ids(found), found.total) == ([*made[1:], new], 3)
    assert rig.seen() == {GET: 5}
    await rig.found('userName sw "in"')
    assert rig.seen() == {GET: 3}


# --- cursors ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "key"),
    [
        ({}, None),
        ({"filter": 'userName sw "w"'}, None),
        ({"sortBy": "userName"}, "userName"),
        ({"sortBy": "userName", "sortOrder": "descending"}, "userName"),
        ({"sortBy": "nickName"}, None),
    ],
    ids=str,
)
async def test_a_walk_by_cursor_repeats_and_skips_nobody(
    rig: IndexRig, members: dict[str, Any], key: str | None
) -> None:
    """While others are deleted and renamed between two pages; not so their place in what is still to come."""
    made = [await person(rig, f"w{number:02}") for number in range(30)]
    await rig.sweep()
    filter = members.pop("filter", None)
    order = made[::-1] if members.get("sortOrder") else made
    # Before and behind the place reached, and renamed over it in both directions.
    deleted = {0: [order[1], order[20]], 1: [order[5], order[6]], 2: [order[12], order[29]]}
    renamed = {
        0: {order[2]: "w99" if order is made else "w"},
        1: {order[25]: "w" if order is made else "w99"},
    }
    changed = {user_id for page in renamed.values() for user_id in page}
    gone = {user_id for page in deleted.values() for user_id in page}
    seen: list[str] = []
    after, pages = None, 0
    while True:
        found = await rig.found(filter, cursor="", count=5, after=after, **members)
        assert rig.seen().get(LIST) is None
        seen += ids(found)
        after = found.next
        if after is None:
            break
        assert isinstance(after, Keyset)
        for user_id in deleted.get(pages, []):
            await rig.delete(user_id)
            await rig.services.indexing.mark(rig.tenant_id, [user_id])
        for user_id, name in renamed.get(pages, {}).items():
            await rig.change(user_id, username=name)
            await rig.services.indexing.mark(rig.tenant_id, [user_id])
        pages += 1
    unchanged = [user_id for user_id in order if user_id not in changed | gone]
    assert [user_id for user_id in seen if user_id in unchanged] == unchanged
    # Those behind the place reached were not seen after their deletion.
    assert not {order[20], order[29]} & set(seen)
    if key is None:
        assert len(set(seen)) == len(seen)
        assert changed <= set(seen)


async def test_a_walk_does_not_outlive_its_view(rig: IndexRig) -> None:
    await rig.seed(3)
    await rig.sweep()
    found = await rig.found(cursor="", count=1)
    assert isinstance(found.next, Keyset)
    await rig.services.store.index.drop((await rig.view()).id)
    with pytest.raises(ExpiredCursor):
        await rig.found(cursor="", count=1, after=found.next)
    await rig.sweep()
    with pytest.raises(ExpiredCursor):
        await rig.found(cursor="", count=1, after=found.next)


# --- live ---------------------------------------------------------------------------------------------------


async def test_live_searches_read_what_the_platform_narrows(live: IndexRig) -> None:
    """The platform's `search` yields more than matches; the rest is read and left out."""
    made = [await person(live, f"in{number}") for number in range(PAGE + 1)]
    await person(live, "login0")
    for number in range(30):
        await person(live, f"out{number}")
    found = await live.found('userName sw "in"')
    assert (ids(found), found.total) == (made, len(made))
    assert live.seen() == {LIST: 2, GET: PAGE + 2}


async def test_live_searches_that_nothing_narrows_are_bounded(live: IndexRig) -> None:
    await live.seed(20)
    assert (await live.found("userName pr")).total == 20
    assert live.seen() == {LIST: 20 // PAGE, GET: 20}
    await live.seed(1, first=21)
    with pytest.raises(TooMany):
        await live.found("not (title pr)")
    assert live.seen() == {LIST: 1}


async def test_live_views_hold_what_lookups_need(live: IndexRig) -> None:
    ada = await person(live, "ada", custom_attributes={"scim_external_ids": {"default": "x-1"}})
    await live.sweep()
    assert ids(await live.found('externalId eq "x-1"')) == [ada]
    assert live.seen() == {GET: 1}
    async with live.services.store.db.read() as db:
        assert await db.scalar(text("SELECT count(*) FROM index_values")) == 0


async def test_departments_are_found_without_reading_everybody(rig: IndexRig) -> None:
    for number in range(9):
        department = "Engines" if number % 3 == 0 else "Looms"
        await person(rig, f"u{number}", custom_attributes={"department": department})
    await rig.sweep()
    found = await rig.found(f'{ENTERPRISE_USER}:department eq "engines" and active eq true')
    assert len(found.resources) == found.total == 3
    assert rig.seen() == {GET: 3}
