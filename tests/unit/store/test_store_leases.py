"""Leases: one holder at a time, whatever becomes of the holders."""

from __future__ import annotations

import asyncio
import time

import pytest
from sqlalchemy import text

from app.store.errors import LeaseTimeout, StoreUnavailable
from app.store.store import Store


@pytest.fixture
async def replicas(url):
    stores = [await Store.open(url) for _ in range(2)]
    yield stores
    for store in stores:
        await store.close()


async def _rows(store):
    async with store.db.read() as db:
        return (await db.execute(text("SELECT key, owner, expires_at FROM leases"))).all()


async def test_twenty_tasks_in_two_replicas_take_turns(replicas):
    inside = most = done = 0

    async def work(store):
        nonlocal inside, most, done
        async with store.leases.hold("t/users/u1", 30, 30):
            inside += 1
            most = max(most, inside)
            await asyncio.sleep(0.002)
            inside -= 1
            done += 1

    await asyncio.gather(*(work(replicas[number % 2]) for number in range(20)))
    assert (most, done) == (1, 20)
    assert await _rows(replicas[0]) == []


async def test_different_keys_do_not_wait(replicas):
    async with (
        replicas[0].leases.hold("a", 30, 0),
        replicas[1].leases.hold("b", 30, 0),
        replicas[1].leases.hold("x" * 5000 + "1", 30, 0),
        replicas[1].leases.hold("x" * 5000 + "2", 30, 0),
    ):
        with pytest.raises(LeaseTimeout):
            async with replicas[0].leases.hold("x" * 5000 + "1", 30, 0):
                pass


async def test_it_waits_no_longer_than_told(replicas):
    async with replicas[0].leases.hold("k", 30, 0):
        started = time.monotonic()
        with pytest.raises(LeaseTimeout) as raised:
            async with replicas[1].leases.hold("k", 30, 0.2):
                raise AssertionError("held twice")
        assert 0.2 <= time.monotonic() - started < 2
    assert isinstance(raised.value, StoreUnavailable)
    # Who gave up has not taken the lease from its holder, nor left anything behind.
    assert await _rows(replicas[0]) == []


async def test_a_dead_owner_stops_nobody_for_long(replicas):
    lease = replicas[0].leases
    assert await lease._try("k", "dead", 0.15)
    started = time.monotonic()
    async with replicas[1].leases.hold("k", 30, 10):
        assert 0.1 <= time.monotonic() - started < 3
        ((_, owner, _),) = await _rows(replicas[0])
        assert owner.startswith("lea_")


async def test_it_is_renewed_for_as_long_as_it_is_held(replicas):
    async with replicas[0].leases.hold("k", 3.0, 0):
        for _ in range(8):
            await asyncio.sleep(0.5)
            with pytest.raises(LeaseTimeout):
                async with replicas[1].leases.hold("k", 30, 0):
                    pass


async def _take_away(store):
    async with store.db.write() as db:
        await db.execute(
            text("UPDATE leases SET owner = 'lea_other', expires_at = '2999-01-01 00:00:00+00:00'")
        )


async def test_who_lost_it_is_stopped_and_does_not_end_the_next_lease(replicas, caplog):
    went_on = False
    with pytest.raises(LeaseTimeout):
        async with replicas[0].leases.hold("k", 0.3, 0):
            await _take_away(replicas[1])
            await asyncio.sleep(10)
            went_on = True
    assert not went_on
    assert "ran out before its holder was done" in caplog.text
    ((_, owner, _),) = await _rows(replicas[0])
    assert owner == "lea_other"


async def test_who_cannot_renew_it_is_stopped_before_others_are_let_in(replicas, caplog):
    with pytest.raises(LeaseTimeout):
        async with replicas[0].leases.hold("k", 0.6, 0):
            await replicas[0].close()
            with pytest.raises(asyncio.CancelledError):
                await asyncio.sleep(10)
            with pytest.raises(LeaseTimeout):
                async with replicas[1].leases.hold("k", 30, 0):
                    pass
            raise asyncio.CancelledError
    assert "could not be renewed" in caplog.text


async def test_a_cancellation_from_outside_stays_one(replicas):
    held = asyncio.Event()

    async def hang():
        async with replicas[0].leases.hold("k", 0.3, 0):
            held.set()
            await asyncio.sleep(60)

    holder = asyncio.create_task(hang())
    await held.wait()
    holder.cancel()
    with pytest.raises(asyncio.CancelledError):
        await holder
    assert await _rows(replicas[1]) == []


async def test_the_clock_of_the_process_does_not_matter(url, clock):
    clock.advance(-86_400 * 365)
    slow, fast = await Store.open(url, clock=clock), await Store.open(url)
    async with slow.leases.hold("k", 30, 0):
        with pytest.raises(LeaseTimeout):
            async with fast.leases.hold("k", 30, 0):
                pass
    async with fast.leases.hold("k", 30, 0):
        with pytest.raises(LeaseTimeout):
            async with slow.leases.hold("k", 30, 0):
                pass
    await slow.close()
    await fast.close()


async def test_it_is_released_when_the_block_raises_or_is_cancelled(replicas):
    with pytest.raises(LookupError):
        async with replicas[0].leases.hold("k", 30, 0):
            raise LookupError
    held = asyncio.Event()

    async def hang():
        async with replicas[0].leases.hold("k", 30, 0):
            held.set()
            await asyncio.sleep(60)

    holder = asyncio.create_task(hang())
    await held.wait()
    waiting = asyncio.create_task(hang())
    await asyncio.sleep(0.02)
    for task in (waiting, holder):
        task.cancel()
    await asyncio.gather(waiting, holder, return_exceptions=True)
    async with replicas[1].leases.hold("k", 30, 0):
        pass


async def test_others_write_while_it_is_held(replicas):
    async with replicas[0].leases.hold("k", 30, 0), asyncio.timeout(5):
        await replicas[1].local_groups.create("t", "Group")
        await replicas[0].local_groups.create("t", "Another")


async def test_a_release_that_fails_does_not_undo_what_was_done(url, caplog):
    store = await Store.open(url)
    async with store.leases.hold("k", 30, 0):
        await store.close()
    assert "left to run out" in caplog.text
