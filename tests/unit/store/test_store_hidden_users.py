"""Users that the platform has and SCIM has not: in the index by their links alone, and known to be there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.mapping.load import load_mapping
from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.scim.index import index_entries
from app.store.index_records import IndexedUser, View
from app.store.links import LinkEntry
from app.store.store import Store

MODEL = load_mapping("default").model
NAME = LinkEntry(kind="userName", value="ann")


def shown(user_id: str, name: str) -> IndexedUser:
    resource = {"id": user_id, "userName": name, "active": True, "meta": {"created": "2026-01-01T00:00:00Z"}}
    return IndexedUser(
        id=user_id, created="2026-01-01T00:00:00Z", entries=tuple(index_entries(resource, MODEL))
    )


def hidden(user_id: str) -> IndexedUser:
    return msgspec.structs.replace(shown(user_id, ""), entries=(), hidden=True)


async def found(store: Store, view: View, text: str | None = None) -> list[str]:
    asked = None if text is None else bind(parse_filter(text), MODEL)
    page = await store.index.find(view.id, MODEL, asked, limit=10)
    assert page.total == len(page.rows)
    return [row.id for row in page.rows]


@pytest.fixture
async def view(store: Store) -> View:
    return await store.index.view("t", "default", "m")


async def test_a_hidden_user_is_not_found_and_holds_its_name(store: Store, view: View) -> None:
    await store.index.record(view, shown("a", "ann"), [NAME])
    await store.index.record(view, shown("b", "bob"), [])
    assert (await store.index.view("t", "default", "m")).hides is False
    await store.index.record(view, hidden("a"), [NAME])
    assert await found(store, view) == ["b"]
    assert await found(store, view, 'userName eq "ann"') == []
    assert await found(store, view, 'not (userName eq "bob")') == []
    assert (await store.index.stats(view.id)).users == 1
    assert await store.links.find("t", "userName", "ann", "", fresh=True) == ("a",)
    assert (await store.index.view("t", "default", "m")).hides is True
    # It comes back, and can be gone for good.
    await store.index.record(view, shown("a", "ann"), [NAME])
    assert await found(store, view) == ["a", "b"]
    assert (await store.index.view("t", "default", "m")).hides is False
    await store.index.record(view, hidden("a"), [NAME])
    await store.index.record_deleted("t", "a")
    assert (await store.index.view("t", "default", "m")).hides is False


async def test_every_view_of_the_tenant_knows_and_no_other_does(store: Store, view: View) -> None:
    other = await store.index.view("t", "other", "m")
    await store.index.record(view, hidden("a"), [NAME])
    assert [v.hides for v in await store.index.views("t")] == [True, True]
    assert (await store.index.view("u", "default", "m")).hides is False
    assert [i for i, _ in await store.index.dirty(other.id, 10)] == ["a"]


async def test_a_read_learns_of_it_and_a_sweep_asks_for_it(store: Store, view: View) -> None:
    await store.index.put_many(view, [(hidden("a"), [NAME], 0)])
    known: Any = (await store.index.known(view.id, ["a"]))["a"]
    assert (known.gone, known.dirty) == (False, False)
    # A read that shows the same writes nothing; one that shows it again does.
    read = {"a": (hidden("a"), [NAME])}
    assert not await store.index.confirm(view, read, {"a": known.revision})
    assert (await store.index.known(view.id, ["a"]))["a"].revision == known.revision
    assert await store.index.confirm(view, {"a": (shown("a", "ann"), [NAME])}, {"a": known.revision})
    assert await found(store, view) == ["a"]
    (known,) = (await store.index.known(view.id, ["a"])).values()
    assert await store.index.confirm(view, read, {"a": known.revision})
    (known,) = (await store.index.known(view.id, ["a"])).values()
    assert await store.index.unseen(view.id, 1, 10) == (("a", known.revision),)
