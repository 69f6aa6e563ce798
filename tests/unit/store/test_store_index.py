"""The index of users: who may say what a user looks like, and when."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from sqlalchemy import Engine, event, text

from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.scim.index import index_entries
from app.scim.schema import user_model
from app.store.index_records import IndexedUser, Known, Stats, Sweep
from app.store.links import LinkEntry

MODEL = user_model()
NO_LINKS: list[LinkEntry] = []


def user(user_id, name="ann", *, title=None, day=1):
    created = f"2026-01-{day:02d}T00:00:00Z"
    resource = {"id": user_id, "userName": name, "meta": {"created": created}}
    if title is not None:
        resource["title"] = title
    return IndexedUser(id=user_id, created=created, entries=index_entries(resource, MODEL))


def link(value):
    return LinkEntry(kind="userName", value=value)


async def put(store, view, user, links, *, expected):
    """What one read has shown; whether it counts."""
    return await store.index.put_many(view, [(user, links, expected)]) == 1


@pytest.fixture
async def view(store):
    return await store.index.view("t", "okta", "m1")


@pytest.fixture
async def other(store):
    """Another view of the tenant."""
    return await store.index.view("t", "entra", "m1")


@pytest.fixture
def find(store):
    async def search(view, text=None, **options):
        bound = None if text is None else bind(parse_filter(text), MODEL)
        page = await store.index.find(view.id, MODEL, bound, **{"limit": 100, **options})
        assert page.total >= len(page.rows)
        return [row.id for row in page.rows]

    return search


async def known(store, view, user_id="u1"):
    return (await store.index.known(view.id, [user_id])).get(user_id)


async def revision(store, view, user_id="u1"):
    found = await known(store, view, user_id)
    return 0 if found is None else found.revision


async def count(store, table, where="1 = 1"):
    async with store.db.read() as db:
        return await db.scalar(text(f"SELECT count(*) FROM {table} WHERE {where}"))  # noqa: S608 - a table's name


# --- views --------------------------------------------------------------------------------------------------


async def test_a_view_is_made_once(store, view, other):
    assert view.id != other.id
    assert await store.index.view("t", "okta", "m1") == view
    made = await asyncio.gather(*(store.index.view("t2", "okta", "m1") for _ in range(5)))
    assert len({each.id for each in made}) == 1
    assert [each.id for each in await store.index.views("t")] == [view.id, other.id]
    assert len(await store.index.views()) == 3
    assert await store.index.views("nobody") == []


async def test_progress_is_kept(store, view, clock):
    sweep = Sweep(number=1, full=True, started_at=clock.now, page=3, read=250, total=1000)
    await store.index.save(view.id, sweep=sweep)
    found = await store.index.view("t", "okta", "m1")
    assert (found.sweep, found.sweeps, found.swept_at) == (sweep, 1, None)
    await store.index.save(view.id, sweep=None, swept_at=clock.now, complete_since=clock.now)
    await store.index.save(view.id, sweep=None, refreshed_at=clock.now)
    found = await store.index.view("t", "okta", "m1")
    assert found == msgspec.structs.replace(
        view, sweeps=1, swept_at=clock.now, complete_since=clock.now, refreshed_at=clock.now
    )
    await store.index.save(view.id, sweep=None, complete_since=None)
    assert (await store.index.views("t"))[0].complete_since is None


async def test_a_dropped_view_is_gone_with_all_in_it(store, view, other, find):
    await store.index.put_many(view, [(user(f"u{i}"), NO_LINKS, 0) for i in range(450)])
    await put(store, other, user("u1"), [link("ann")], expected=0)
    await store.index.drop(view.id)
    assert [each.id for each in await store.index.views("t")] == [other.id]
    assert await find(view) == []
    assert await find(other) == ["u1"]
    assert await count(store, "index_users") == 1
    assert await count(store, "index_values", f"view_id = {view.id}") == 0
    # Who has not heard of it writes nothing there, and the rest of what it says is kept.
    assert not await put(store, view, user("u9"), [link("bob")], expected=0)
    assert not await store.index.remove(view, "u9", expected=0)
    await store.index.record(view, user("u2", "eve"), [link("eve")])
    assert await store.links.find("t", "userName", "eve") == ("u2",)
    assert await count(store, "index_users", f"view_id = {view.id}") == 0
    again = await store.index.view("t", "okta", "m1")
    assert again.id not in (view.id, other.id)


# --- reads --------------------------------------------------------------------------------------------------


async def test_a_read_is_found_by_its_values(store, view, other, find, clock):
    assert await put(store, view, user("u1", "Ann"), [link("Ann")], expected=0)
    assert await find(view, 'userName eq "ANN"') == ["u1"]
    assert await find(view, 'userName eq "bob"') == []
    assert await find(other) == []
    assert await store.links.find("t", "userName", "ann") == ("u1",)
    assert await known(store, view) == Known(
        revision=1, row_digest=None, read_at=clock.now, dirty=False, gone=False
    )
    assert await store.index.known(view.id, ["u2"]) == {}


async def test_a_read_counts_only_at_the_expected_revision(store, view, find):
    assert await put(store, view, user("u1", "ann"), NO_LINKS, expected=0)
    # Somebody else read it for the first time as well.
    assert not await put(store, view, user("u1", "old"), [link("old")], expected=0)
    assert await put(store, view, user("u1", "eve"), NO_LINKS, expected=1)
    assert not await put(store, view, user("u1", "old"), [link("old")], expected=1)
    assert await find(view, 'userName eq "eve"') == ["u1"]
    assert await store.links.find("t", "userName", "old") == ()
    assert await revision(store, view) == 2


@pytest.mark.parametrize("news", ["mark", "record", "record_deleted", "record_elsewhere"])
async def test_a_late_read_does_not_undo_news(store, view, other, find, news):
    await put(store, view, user("u1", "old"), NO_LINKS, expected=0)
    expected = await revision(store, view)
    match news:
        case "mark":
            await store.index.mark("t", ["u1"])
        case "record":
            await store.index.record(view, user("u1", "new"), NO_LINKS)
        case "record_elsewhere":
            await store.index.record(other, user("u1", "new"), NO_LINKS)
        case "record_deleted":
            await store.index.record_deleted("t", "u1")
    assert not await put(store, view, user("u1", "late"), NO_LINKS, expected=expected)
    assert not await store.index.remove(view, "u1", expected=expected)
    assert await find(view, 'userName eq "late"') == []
    # What was read after the news counts.
    now = await revision(store, view)
    assert now == expected + 1
    assert await put(store, view, user("u1", "fresh"), NO_LINKS, expected=now)
    assert await find(view, 'userName eq "fresh"') == ["u1"]
    assert not (await known(store, view)).dirty


async def test_a_tombstone_is_not_brought_back_by_who_did_not_know_it(store, view, find):
    await store.index.record_deleted("t", "u1")
    assert not await put(store, view, user("u1"), NO_LINKS, expected=0)
    assert await find(view) == []
    assert (await known(store, view)).gone
    await store.index.record(view, user("u1", "again"), NO_LINKS)
    assert await find(view, 'userName eq "again"') == ["u1"]
    assert not (await known(store, view)).gone


async def test_a_user_that_a_read_did_not_find(store, view, other, find):
    for each in (view, other):
        await put(store, each, user("u1"), [link("ann")], expected=0)
    assert not await store.index.remove(view, "u1", expected=0)
    assert await find(view) == ["u1"]
    assert await store.index.remove(view, "u1", expected=1)
    assert await find(view) == []
    assert await find(view, 'not (userName eq "bob")') == []
    assert await store.links.find("t", "userName", "ann") == ()
    assert await revision(store, view) == 2
    assert await count(store, "index_values", f"view_id = {view.id}") == 0
    assert await find(other) == ["u1"]
    # Of one never seen a tombstone is made, too.
    assert await store.index.remove(view, "u2", expected=0)
    assert not await put(store, view, user("u2"), NO_LINKS, expected=0)


async def test_many_are_put_together(store, view, find):
    await put(store, view, user("u3", "c"), NO_LINKS, expected=0)
    await put(store, view, user("u4", "d"), NO_LINKS, expected=0)
    many = [
        (user("u5", "e"), [link("e")], 0),
        (user("u3", "x"), [link("x")], 0),
        (user("u4", "dd"), [link("dd")], 1),
        (user("u5", "twice"), NO_LINKS, 0),
        (user("u6", "f"), [link("f")], 7),
    ]
    assert await store.index.put_many(view, many) == 2
    assert await find(view, sort=MODEL.resolve("userName")) == ["u3", "u4", "u5"]
    for name, ids in {"e": ("u5",), "x": (), "dd": ("u4",), "f": ()}.items():
        assert await store.links.find("t", "userName", name) == ids
    assert await store.index.put_many(view, []) == 0


async def test_reads_are_confirmed_together(store, view, find):
    await store.index.put_many(view, [(user(i, i), [link(i)], 0) for i in ("u1", "u2", "u3", "u4")])
    await store.index.mark("t", ["u4"])
    read = {"u1": (user("u1", "u1"), [link("u1")]), "u2": (user("u2", "x"), [link("x")]), "u3": None}
    assert await store.index.confirm(view, read, dict.fromkeys(read, 1))
    assert await find(view) == ["u1", "u2", "u4"]
    assert await find(view, 'userName eq "x"') == ["u2"]
    assert await store.links.find("t", "userName", "x") == ("u2",)
    assert [await revision(store, view, i) for i in ("u1", "u2", "u3")] == [1, 2, 2]
    # What was overtaken is told as a difference, and does not count.
    assert await store.index.confirm(view, {"u4": (user("u4", "late"), [])}, {"u4": 1})
    assert await find(view, 'userName eq "late"') == []
    assert await store.index.confirm(view, {"u4": None}, {"u4": 1})
    assert await find(view) == ["u1", "u2", "u4"]
    # A link that was lost comes back.
    await store.links.forget("t", "u1")
    assert await store.index.confirm(view, {"u1": read["u1"]}, {"u1": 1})
    assert await store.links.find("t", "userName", "u1") == ("u1",)


async def test_links_are_added_by_reads_and_replaced_by_writes(store, view):
    await put(store, view, user("u1"), [link("a")], expected=0)
    await put(store, view, user("u1", "b"), [link("b")], expected=1)
    assert await store.links.find("t", "userName", "a") == ("u1",)
    await store.index.record(view, user("u1", "c"), [link("c")])
    assert await store.links.find("t", "userName", "a") == ()
    assert await store.links.find("t", "userName", "c") == ("u1",)
    await store.index.record_deleted("t", "u1")
    assert await store.links.find("t", "userName", "c") == ()


async def test_changed_values_replace_the_old_ones(store, view, find):
    await put(store, view, user("u1", "ann", title="x" * 300), NO_LINKS, expected=0)
    await put(store, view, user("u1", "ann", title="x" * 301), NO_LINKS, expected=1)
    assert await find(view, f'title eq "{"x" * 300}"') == []
    assert await find(view, f'title eq "{"X" * 301}"') == ["u1"]
    await put(store, view, user("u1", "ann"), NO_LINKS, expected=2)
    assert await find(view, "title pr") == []
    assert await find(view, 'userName eq "ann"') == ["u1"]


# --- writes -------------------------------------------------------------------------------------------------


async def test_a_write_is_recorded_here_and_marked_elsewhere(store, view, other, find):
    foreign = await store.index.view("t2", "okta", "m1")
    await put(store, other, user("u1", "old"), NO_LINKS, expected=0)
    await store.index.mark("t", ["u1"])
    await store.index.record(view, user("u1", "new"), NO_LINKS)
    assert await find(view, 'userName eq "new"') == ["u1"]
    assert await find(other, 'userName eq "old"') == ["u1"]
    assert not (await known(store, view)).dirty
    assert (await known(store, other)).dirty
    assert await known(store, foreign) is None
    # A new user is one that the other views have yet to read.
    await store.index.record(view, user("u2"), NO_LINKS)
    assert await find(other) == ["u1"]
    assert ("u2", 1) in await store.index.dirty(other.id, 10)


async def test_what_is_as_it_was_is_not_written(store, view, other, clock):
    await store.index.record(view, user("u1"), [link("ann")])
    await store.index.record(other, user("u1"), [link("ann")])
    await put(store, view, user("u1"), [link("ann")], expected=2)
    written = []

    @event.listens_for(Engine, "before_cursor_execute")
    def watch(_c, _cursor, statement, *_):
        if not statement.lstrip().upper().startswith(("SELECT", "BEGIN")):
            written.append(statement)

    try:
        clock.advance(1)
        await store.index.record(view, user("u1"), [link("ann")])
        assert not await store.index.confirm(view, {"u1": (user("u1"), [link("ann")])}, {"u1": 3})
        assert written == []
        await store.index.record(view, user("u1"), [link("bob")])
        assert written
    finally:
        event.remove(Engine, "before_cursor_execute", watch)
    assert await store.links.find("t", "userName", "bob") == ("u1",)


async def test_a_deletion_reaches_all_views(store, view, other, find):
    await put(store, view, user("u1"), [link("ann")], expected=0)
    await store.index.record_deleted("t", "u1")
    for each in (view, other):
        assert await find(each) == []
        assert (await known(store, each)).gone
        assert not await put(store, each, user("u1"), NO_LINKS, expected=0)
    assert await store.links.find("t", "userName", "ann") == ()
    assert await count(store, "index_values") == 0


# --- news ---------------------------------------------------------------------------------------------------


async def test_unknown_users_wait_to_be_read(store, view, find):
    await store.index.mark("t", ["u1", "u1"])
    assert await find(view) == []
    assert await find(view, 'not (userName eq "x")') == []
    assert await known(store, view) == Known(
        revision=1, row_digest=None, read_at=None, dirty=True, gone=False
    )
    assert not await put(store, view, user("u1"), NO_LINKS, expected=0)
    assert await put(store, view, user("u1"), NO_LINKS, expected=1)
    assert await find(view) == ["u1"]


async def test_the_longest_waiting_come_first(store, view, clock):
    for user_id in ("u3", "u1", "u2"):
        await store.index.mark("t", [user_id])
        clock.advance(1)
    await store.index.mark("t", ["u4", "u5"])
    # Marked again, it does not lose its place.
    await store.index.mark("t", ["u3"])
    index, view_id = store.index, view.id
    assert await index.dirty(view_id, 10) == (("u3", 2), ("u1", 1), ("u2", 1), ("u4", 1), ("u5", 1))
    assert await index.dirty(view_id, 2) == (("u3", 2), ("u1", 1))
    assert await index.dirty(view_id, 2, after="u1") == (("u2", 1), ("u4", 1))
    await put(store, view, user("u1"), NO_LINKS, expected=1)
    assert await index.dirty(view_id, 2, after="u1") == (("u2", 1), ("u4", 1))
    assert await index.dirty(view_id, 9, after="u5") == ()
    assert await index.stats(view_id) == Stats(
        users=1, dirty=4, oldest_dirty_at=clock.now - timedelta(seconds=3)
    )


async def test_a_marked_tombstone_is_read_again(store, view, find):
    await store.index.record_deleted("t", "u1")
    await store.index.mark("t", ["u1"])
    assert await store.index.dirty(view.id, 5) == (("u1", 2),)
    assert (await known(store, view)).gone
    assert await put(store, view, user("u1"), NO_LINKS, expected=2)
    assert await find(view) == ["u1"]


async def test_news_of_many_in_a_tenant_without_views(store, view):
    await store.index.mark("nobody", [f"u{i}" for i in range(3)])
    await store.index.mark("t", [f"u{i}" for i in range(1200)])
    assert len(await store.index.dirty(view.id, 2000)) == 1200


# --- sweeps -------------------------------------------------------------------------------------------------


async def test_a_sweep_tells_who_was_not_met(store, view, clock):
    index = store.index
    await index.put_many(view, [(user(f"u{i}"), NO_LINKS, 0) for i in range(4)])
    await index.record_deleted("t", "u3")
    await index.mark("t", ["u9"])
    await index.save(view.id, sweep=Sweep(number=1, full=False, started_at=clock.now))
    view = await index.view("t", "okta", "m1")
    await index.seen(view.id, 1, [("u0", b"row"), ("nobody", b"x")])
    assert await index.unseen(view.id, 1, 10) == (("u1", 1), ("u2", 1))
    assert await index.unseen(view.id, 1, 1) == (("u1", 1),)
    assert (await known(store, view, "u0")).row_digest == b"row"
    assert (await known(store, view, "nobody")) is None
    # A read and a write in the course of the sweep have met the user.
    assert await put(store, view, user("u1"), NO_LINKS, expected=1)
    await index.record(view, user("u2", "changed"), NO_LINKS)
    await index.record(view, user("u7"), NO_LINKS)
    assert await index.unseen(view.id, 1, 10) == ()
    # Of an earlier sweep, news are none.
    await index.seen(view.id, 0, [("u0", b"row")])
    assert await index.unseen(view.id, 1, 10) == ()


async def test_tombstones_are_purged(store, view, other, clock):
    index = store.index
    await put(store, view, user("u1"), NO_LINKS, expected=0)
    for user_id in ("u2", "u3"):
        await index.record_deleted("t", user_id)
        clock.advance(60)
    await index.record_deleted("t", "u4")
    await index.mark("t", ["u2"])
    assert await index.purge(view.id, clock.now) == 1
    assert set(await index.known(view.id, ["u1", "u2", "u3", "u4"])) == {"u1", "u2", "u4"}
    assert await known(store, other, "u3") is not None
    assert await index.purge(view.id, clock.now + timedelta(seconds=1)) == 1


async def test_stats_of_an_empty_view(store, view):
    assert await store.index.stats(view.id) == Stats(users=0, dirty=0, oldest_dirty_at=None)


# --- all at once --------------------------------------------------------------------------------------------


async def test_writers_of_the_same_users_do_not_wait_for_each_other(store, view, other, find):
    ids = [f"u{i}" for i in range(6)]

    async def sweep(of, turned):
        for round_ in range(6):
            revisions = {i: k.revision for i, k in (await store.index.known(of.id, ids)).items()}
            many = [
                (user(i, f"{i}-{round_}"), [link(f"{i}-{round_}")], revisions.get(i, 0))
                for i in (reversed(ids) if turned else ids)
            ]
            await store.index.put_many(of, many)

    async def write(of, own):
        for round_ in range(6):
            await store.index.record(of, user(own, f"{own}-own{round_}"), [link(f"{own}-own{round_}")])
            await store.index.mark("t", [own, *reversed(ids)])

    async with asyncio.timeout(60):
        await asyncio.gather(
            *(sweep(each, turned) for each in (view, other) for turned in (True, False)),
            *(write(each, own) for each in (view, other) for own in ids[:3]),
        )
    for each in (view, other):
        assert sorted(await find(each)) == ids
        assert await count(store, "index_values", f"view_id = {each.id}") == len(ids)
