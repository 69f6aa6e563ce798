"""Searches among many users: far into an order, among equal values, with keys of any length.

That they find what the predicates find is shown in tests/property; here are the sizes at which a search goes
another way.
"""

from __future__ import annotations

import random

import pytest

from app.scim.evaluate import bind, predicate, sort_resources
from app.scim.filter import parse_filter
from app.scim.index import index_entries
from app.scim.schema import ENTERPRISE_USER, user_model
from app.store.index_query import after_prefix
from app.store.index_records import IndexedUser
from app.store.store import Store

MODEL = user_model()
USERS = 7000
SORTS = {
    "title": MODEL.resolve("title"),
    "familyName": MODEL.resolve("name", "familyName"),
    "active": MODEL.resolve("active"),
    "department": MODEL.resolve("department", urn=ENTERPRISE_USER),
    "created": MODEL.resolve("meta", "created"),
    "id": MODEL.resolve("id"),
}


def _people() -> list[dict]:
    """Users of whom most are active, created in two bulks, and have one of few long titles, or none."""
    rng = random.Random(4)  # noqa: S311 - the same users every time
    found = []
    for i in range(USERS):
        created = "2026-01-01T00:00:00Z" if i < 5500 else f"2026-02-01T00:00:{i % 60:02d}Z"
        person = {
            "id": f"u{rng.randrange(10**9):09d}",
            "userName": f"user{i}",
            "name": {"familyName": f"name {rng.randrange(40)}"},
            "active": rng.random() < 0.9,
            ENTERPRISE_USER: {"department": rng.choice(["Sales", "R&D", "HR"])},
            "meta": {"created": created},
        }
        if i % 7:
            person["title"] = "x" * 199 + rng.choice(["", "a", "ab", "ac", "b"])
        found.append(person)
    return sorted(found, key=lambda p: (p["meta"]["created"], p["id"]))


PEOPLE = _people()


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def many_url(request, tmp_path_factory):
    """A database that the module's tests only read."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path_factory.mktemp('many')}/bridge.db"
        return
    server = request.getfixturevalue("postgres_server")
    url = server.make()
    yield url
    server.drop(url)


@pytest.fixture
async def store(many_url):
    store = await Store.open(many_url)
    view = await store.index.view("t", "okta", "m")
    if (await store.index.stats(view.id)).users == 0:
        many = [
            (
                IndexedUser(id=p["id"], created=p["meta"]["created"], entries=index_entries(p, MODEL)),
                (),
                0,
            )
            for p in PEOPLE
        ]
        assert await store.index.put_many(view, many) == USERS
    yield store
    await store.close()


@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("sort", [None, *SORTS])
@pytest.mark.parametrize("text", [None, "active eq true", 'not (department eq "Sales")'])
async def test_windows_anywhere(store, text, sort, descending):
    view = await store.index.view("t", "okta", "m")
    bound = None if text is None else bind(parse_filter(text), MODEL)
    expected = PEOPLE if sort is None else sort_resources(PEOPLE, SORTS[sort], descending)
    if bound is not None:
        expected = list(filter(predicate(bound, MODEL), expected))
    ids = [p["id"] for p in expected]
    for offset in (0, 700, 3500, len(ids) - 1490, len(ids) - 3, len(ids)):
        options = {"sort": None if sort is None else SORTS[sort], "descending": descending, "limit": 60}
        page = await store.index.find(view.id, MODEL, bound, offset=offset, **options)
        assert page.total == len(ids)
        assert [row.id for row in page.rows] == ids[offset : offset + 60]
        if page.rows:
            after = page.rows[-1].position
            page = await store.index.find(view.id, MODEL, bound, after=after, offset=5, **options)
            assert [row.id for row in page.rows] == ids[offset + 65 : offset + 125]


async def test_a_filter_of_the_largest_size(store):
    view = await store.index.view("t", "okta", "m")
    names = [f'userName sw "user{i}"' for i in range(1000, 1190)]
    for text in (" or ".join(names), " and ".join(f"not ({name})" for name in names)):
        bound = bind(parse_filter(text), MODEL)
        page = await store.index.find(view.id, MODEL, bound, limit=3)
        assert page.total == sum(map(predicate(bound, MODEL), PEOPLE))


def test_the_end_of_a_prefix():
    assert after_prefix("ab") == "ac"
    assert after_prefix("a\ud7ff") == "a\ue000"
    assert after_prefix("a\U0010ffff\U0010ffff") == "b"
    assert after_prefix("\U0010ffff") is None
