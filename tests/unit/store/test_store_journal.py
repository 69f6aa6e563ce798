"""The journal: one owner at a time, by the database's clock, and gone with the write that it is about."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from app.store.errors import EntryLost
from app.store.group_records import RecordChange
from app.store.index_records import IndexedUser
from app.store.journal_records import Counts

ME, OTHER = "own_me", "own_other"
OVER, LONG = -1.0, 600.0


@pytest.fixture
def journal(store):
    return store.journal


async def begin(journal, entry_id="jrn_1", *, keys=("t user u1",), lease_s=LONG, **more):
    values = {
        "tenant_id": "t",
        "connection_id": "con_1",
        "domain": "okta",
        "kind": "user-update",
        "plan": "{}",
        "resource_id": "u1",
        "owner": ME,
        **more,
    }
    await journal.begin(entry_id, keys=keys, lease_s=lease_s, **values)
    return entry_id


async def test_an_entry_is_read_as_it_was_written(journal):
    entry_id = await begin(journal, keys=["t userName ada", "t user u1"], plan='{"a": 1}')
    entry = await journal.get(entry_id)
    assert (entry.tenant_id, entry.connection_id, entry.domain) == ("t", "con_1", "okta")
    assert (entry.kind, entry.state, entry.plan, entry.done) == ("user-update", "open", '{"a": 1}', 0)
    assert (entry.resource_id, entry.owner, entry.attempts, entry.error) == ("u1", ME, 0, None)
    assert entry.keys == ("t user u1", "t userName ada")
    assert entry.blocks
    assert LONG - 60 < entry.wait_s <= LONG
    assert await journal.get("jrn_nobody") is None


async def test_it_is_found_by_any_of_its_keys_and_by_no_other(journal):
    await begin(journal, "jrn_1", keys=["a", "b"])
    await begin(journal, "jrn_2", keys=["b", "c"])
    assert [e.id for e in await journal.find(["a"])] == ["jrn_1"]
    assert [e.id for e in await journal.find(["b", "a"])] == ["jrn_1", "jrn_2"]
    assert await journal.find(["d"]) == ()
    assert await journal.find([]) == ()


async def test_what_is_learnt_is_added(journal):
    entry_id = await begin(journal, keys=["name"], resource_id=None)
    await journal.advance(
        entry_id, ME, lease_s=LONG, done=2, state="undo", plan="[]", resource_id="u9", keys=["id", "name"]
    )
    entry = await journal.get(entry_id)
    assert (entry.done, entry.state, entry.plan, entry.resource_id) == (2, "undo", "[]", "u9")
    assert entry.keys == ("id", "name")
    await journal.advance(entry_id, ME, lease_s=OVER)
    again = await journal.get(entry_id)
    assert (again.done, again.state, again.plan, again.resource_id) == (2, "undo", "[]", "u9")
    assert again.wait_s == 0


async def test_while_it_is_held_nobody_else_gets_it(journal):
    entry_id = await begin(journal)
    assert await journal.claim(entry_id, OTHER, LONG) is None
    assert await journal.due(10) == ()


async def test_when_its_holder_has_died_one_of_many_gets_it(journal):
    entry_id = await begin(journal, lease_s=OVER)
    assert [e.id for e in await journal.due(10)] == [entry_id]
    claims = await asyncio.gather(*(journal.claim(entry_id, f"own_{n}", LONG) for n in range(20)))
    assert len([c for c in claims if c is not None]) == 1
    assert await journal.due(10) == ()


async def test_who_lost_it_can_do_nothing_more(journal):
    entry_id = await begin(journal, lease_s=OVER)
    assert await journal.claim(entry_id, OTHER, LONG) is not None
    with pytest.raises(EntryLost):
        await journal.advance(entry_id, ME, lease_s=LONG, done=1)
    with pytest.raises(EntryLost):
        await journal.leave(entry_id, ME, due_in_s=0)
    assert (await journal.get(entry_id)).done == 0


async def test_what_was_left_waits_for_its_time(journal):
    entry_id = await begin(journal)
    await journal.leave(entry_id, ME, due_in_s=LONG, error="x" * 1000, refused=True)
    entry = await journal.get(entry_id)
    assert (entry.owner, entry.attempts, len(entry.error)) == (None, 1, 300)
    assert await journal.claim(entry_id, OTHER, LONG) is None
    assert await journal.retry(entry_id)
    assert (await journal.get(entry_id)).attempts == 0
    assert (await journal.claim(entry_id, OTHER, LONG)).owner == OTHER


async def test_what_is_stuck_waits_for_an_operator(journal):
    entry_id = await begin(journal)
    await journal.leave(entry_id, ME, due_in_s=OVER, state="stuck")
    assert not (await journal.get(entry_id)).blocks
    assert await journal.claim(entry_id, OTHER, LONG) is None
    assert await journal.retry(entry_id)
    assert (await journal.claim(entry_id, OTHER, LONG)).state == "open"


async def test_only_what_waits_can_be_retried(journal):
    held = await begin(journal, "jrn_held")
    done = await begin(journal, "jrn_done")
    await journal.leave(done, ME, due_in_s=0, state="done-unacknowledged")
    assert [await journal.retry(i) for i in (held, done, "jrn_nobody")] == [False] * 3


async def test_a_finished_creation_is_kept_for_a_while(journal):
    entry_id = await begin(journal)
    await journal.advance(entry_id, ME, lease_s=LONG, state="done-unacknowledged")
    other = await begin(journal, "jrn_2", lease_s=OVER)
    assert await journal.purge(LONG) == 0
    assert await journal.purge(OVER) == 1
    assert [e.id for e in await journal.list()] == [other]


async def test_counts_leave_out_what_is_being_worked_on(journal):
    assert await journal.counts() == Counts()
    await begin(journal, "jrn_held")
    done = await begin(journal, "jrn_done")
    await journal.advance(done, ME, lease_s=OVER, state="done-unacknowledged")
    assert await journal.counts() == Counts()
    await begin(journal, "jrn_dead", lease_s=OVER)
    left = await begin(journal, "jrn_left")
    await journal.leave(left, ME, due_in_s=LONG)
    stuck = await begin(journal, "jrn_stuck")
    await journal.leave(stuck, ME, due_in_s=OVER, state="stuck")
    found = await journal.counts()
    assert (found.unfinished, found.stuck) == (2, 1)
    assert 0 <= found.oldest_s < 60


async def test_an_entry_ends_with_the_record_of_its_user(store, journal):
    await begin(journal, "jrn_1")
    await begin(journal, "jrn_2")
    view = await store.index.view("t", "okta", "m")
    user = IndexedUser(id="u1", created="2026-01-01T00:00:00Z", entries=())
    await store.index.record(view, user, (), ends=["jrn_1"])
    assert [e.id for e in await journal.list()] == ["jrn_2"]
    # Nothing about the user is new, and the entry ends all the same.
    await store.index.record(view, user, (), ends=["jrn_2"])
    assert await journal.list() == ()


async def test_an_entry_ends_with_the_record_of_its_group(store, journal):
    await begin(journal)
    change = RecordChange(domain="okta", external_id="e", ends=("jrn_1",))
    assert await store.group_records.settle("t", "g1", change) == 1
    assert await journal.list() == ()
    assert await store.group_records.external_ids("t", "okta", ["g1"]) == {"g1": "e"}
    await begin(journal)
    await store.group_records.forget("t", "g1", ends=["jrn_1"])
    assert await journal.list() == ()


async def test_ending_twice_is_no_error(journal):
    entry_id = await begin(journal)
    await journal.end([entry_id])
    await journal.end([entry_id, "jrn_nobody"])
    await journal.end([])
    assert await journal.find(["t user u1"]) == ()


async def test_times_are_those_of_the_database(journal, clock):
    clock.advance(-86_400 * 365)
    entry_id = await begin(journal)
    entry = await journal.get(entry_id)
    assert abs(entry.now - entry.created_at) < timedelta(minutes=1)
    assert await journal.claim(entry_id, OTHER, LONG) is None
