"""Sweeps: who is read, who is found, who leaves, and what is left of a sweep that was interrupted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from bridge_rig import answers, call_name, hosted
from index_rig import PAGE, IndexRig, open_index_rig
from sqlalchemy import text

from app.bridge.sweeping import LEASE_S, MAX_PASSES, TOMBSTONE_LIFE, Sweeper
from app.platform.errors import PlatformError
from app.store.errors import LeaseTimeout
from app.store.index_records import Sweep
from app.store.leases import Leases


@pytest.fixture
async def rig(made_once: Path, tmp_path: Path) -> AsyncIterator[IndexRig]:
    async for opened in hosted(open_index_rig(made_once, tmp_path)):
        yield opened


async def interrupted(rig: IndexRig, number: int, **options: Any) -> None:
    """A sweep that the platform stops at its call of this number."""
    rig.wire.from_number(number, answers(403))
    with pytest.raises(PlatformError):
        await rig.sweeper().sweep(rig.context, await rig.view(), **options)


# --- the first sweep ----------------------------------------------------------------------------------------


async def test_the_first_sweep_reads_everybody_once(rig: IndexRig) -> None:
    ids = await rig.seed(2 * PAGE + 1)
    began = datetime.now(UTC)
    assert sorted(await rig.sweep()) == sorted(ids)
    # A second pass finds nobody new.
    assert rig.pages() == [1, 2, 3, 1, 2, 3]
    assert sorted(await rig.indexed()) == sorted(ids)
    assert len(await rig.indexed('userName eq "user000003"')) == 1
    view = await rig.view()
    assert (view.sweep, view.sweeps) == (None, 1)
    for time in (view.complete_since, view.swept_at, view.refreshed_at):
        assert time is not None
        assert began <= time <= datetime.now(UTC)


@pytest.mark.parametrize("count", [0, 1, PAGE, 2 * PAGE])
async def test_a_page_that_would_be_empty_is_not_asked_for(rig: IndexRig, count: int) -> None:
    await rig.seed(count)
    assert len(await rig.sweep()) == count
    pages = max(1, count // PAGE)
    assert rig.pages() == [*range(1, pages + 1)] * (2 if count else 1)
    assert (await rig.view()).complete_since is not None


async def test_who_slips_between_two_pages_is_found(rig: IndexRig) -> None:
    ids = await rig.seed(2 * PAGE + 2)

    async def delete(_: httpx.Request) -> None:
        await rig.delete(ids[0])

    rig.wire.reset()
    rig.before("GET users", 1, delete)
    assert await rig.sweeper().sweep(rig.context, await rig.view())
    # The first of the second page stood on the first page when the second was read.
    assert rig.pages() == [1, 2, 3, *[1, 2, 3] * 2]
    assert sorted(rig.read()) == sorted(ids)
    assert sorted(await rig.indexed()) == sorted(ids)
    # Who was met before being deleted is left to the next sweep.
    assert await rig.sweep() == [ids[0]]
    assert sorted(await rig.indexed()) == sorted(ids[1:])


async def test_a_tenant_that_never_rests_has_an_end(rig: IndexRig) -> None:
    await rig.seed(2)
    made = 2

    async def create(request: httpx.Request, send: Any) -> httpx.Response:
        nonlocal made
        made += 1
        await rig.seed(1, first=made)
        answer: httpx.Response = await send(request)
        return answer

    rig.wire.reset()
    rig.wire.fault = lambda _, name: create if name == "GET users" else None
    assert await rig.sweeper().sweep(rig.context, await rig.view())
    assert rig.wire.calls.count("GET users") >= MAX_PASSES
    assert (await rig.view()).complete_since is not None
    assert sorted(await rig.indexed()) == sorted(await rig.listed())


async def test_progress(rig: IndexRig) -> None:
    await rig.seed(2 * PAGE + 1)
    seen: list[Sweep] = []
    await rig.sweep(progress=seen.append)
    total = 2 * PAGE + 1
    assert [(p.passes, p.page, p.listed, p.read, p.total) for p in seen] == [
        (0, 1, PAGE, PAGE, total),
        (0, 2, 2 * PAGE, 2 * PAGE, total),
        (1, 0, total, total, total),
        (1, 1, PAGE, total, total),
        (1, 2, 2 * PAGE, total, total),
    ]


# --- later ones ---------------------------------------------------------------------------------------------


async def test_a_light_sweep_reads_who_may_have_changed(rig: IndexRig) -> None:
    ids = await rig.seed(PAGE + 1)
    await rig.sweep()
    assert await rig.sweep() == []
    assert rig.pages() == [1, 2]
    await rig.change(ids[0], display_name="Shown in the row")
    await rig.change(ids[1], locale="pt-BR")
    await rig.services.store.index.mark(rig.tenant_id, [ids[2]])
    everybody = await rig.seed(1, first=100)
    (new,) = set(everybody) - set(ids)
    # The row does not show a locale.
    assert sorted(await rig.sweep()) == sorted([ids[0], ids[2], new])
    assert await rig.sweep() == []
    assert await rig.indexed('displayName eq "shown in the row"') == [ids[0]]
    assert await rig.indexed('locale eq "pt-BR"') == []


async def test_a_full_sweep_reads_everybody(rig: IndexRig) -> None:
    ids = await rig.seed(PAGE + 1)
    await rig.sweep()
    first = await rig.view()
    await rig.change(ids[1], locale="pt-BR")
    await rig.sweep()
    assert (await rig.view()).refreshed_at == first.refreshed_at
    assert sorted(await rig.sweep(full=True)) == sorted(ids)
    assert rig.pages() == [1, 2]
    assert await rig.indexed('locale eq "pt-BR"') == [ids[1]]
    view = await rig.view()
    assert view.refreshed_at == view.swept_at
    assert view.complete_since == first.complete_since


@pytest.mark.parametrize("count", [1, 2 * PAGE + 1])
async def test_who_is_gone_leaves(rig: IndexRig, count: int) -> None:
    """Whatever sweep comes after however many: each asks for those whom it did not meet itself."""
    ids = await rig.seed(count + 3)
    await rig.sweep()
    for user_id in ids[:3]:
        await rig.sweep()
        await rig.delete(user_id)
        assert await rig.sweep() == [user_id]
        assert sorted(await rig.indexed()) == sorted(await rig.listed())
    assert await rig.services.store.links.find(rig.tenant_id, "userName", "user000001") == ()


async def test_who_only_slipped_stays(rig: IndexRig) -> None:
    ids = await rig.seed(2 * PAGE + 2)
    await rig.sweep()

    async def delete(_: httpx.Request) -> None:
        await rig.delete(ids[0])

    rig.wire.reset()
    rig.before("GET users", 1, delete)
    assert await rig.sweeper().sweep(rig.context, await rig.view())
    # Met on no page, they were asked for: one was deleted on the page that was read, one had slipped.
    assert rig.read() == [ids[PAGE]]
    assert sorted(await rig.indexed()) == sorted(ids)
    # The row that was not met is not known: it is read once more.
    assert sorted(await rig.sweep()) == sorted([ids[0], ids[PAGE]])
    assert sorted(await rig.indexed()) == sorted(ids[1:])


async def test_who_is_listed_and_gone_when_read_leaves_at_once(rig: IndexRig) -> None:
    ids = await rig.seed(2)
    await rig.sweep()
    await rig.services.store.index.mark(rig.tenant_id, [ids[0]])

    async def delete(_: httpx.Request) -> None:
        await rig.delete(ids[0])

    rig.wire.reset()
    rig.before("GET user", 0, delete)
    assert await rig.sweeper().sweep(rig.context, await rig.view())
    assert await rig.indexed() == [ids[1]]


async def test_a_view_is_read_once_for_a_domain_and_a_mapping(rig: IndexRig) -> None:
    await rig.seed(2)
    await rig.sweep()
    indexing = rig.services.indexing
    other = msgspec.structs.replace(rig.context, domain="other")
    assert (await indexing.view(other)).complete_since is None
    live = msgspec.structs.replace(rig.context, indexed=False)
    assert (await indexing.view(live)).id not in ((await rig.view()).id, (await indexing.view(other)).id)


# --- late reads ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("moment", ["listed", "read"])
async def test_an_own_deletion_is_not_undone(rig: IndexRig, moment: str, known: bool) -> None:
    """Deleted through the bridge between the page, or the GET, and what is written of it."""
    (user_id,) = await rig.seed(1)
    if known:
        await rig.sweep()
        await rig.services.store.index.mark(rig.tenant_id, [user_id])
    inside = False

    async def delete(_: httpx.Request) -> None:
        nonlocal inside
        if not inside:
            inside = True
            await rig.services.users.delete(rig.context, user_id)

    rig.wire.reset()
    rig.after("GET users" if moment == "listed" else "GET user", 0, delete)
    assert await rig.sweeper().sweep(rig.context, await rig.view())
    assert inside
    assert await rig.indexed() == []
    assert await rig.sweep() == []


async def test_a_user_restored_at_the_platform_comes_back(rig: IndexRig) -> None:
    (user_id,) = await rig.seed(1)
    await rig.services.store.index.record_deleted(rig.tenant_id, user_id)
    assert await rig.sweep() == [user_id]
    assert await rig.indexed() == [user_id]


async def test_an_own_write_is_not_undone_by_an_earlier_read(rig: IndexRig) -> None:
    (user_id,) = await rig.seed(1)
    inside = False

    async def write(_: httpx.Request) -> None:
        nonlocal inside
        if not inside:
            inside = True
            body = {"Operations": [{"op": "replace", "path": "title", "value": "new"}]}
            await rig.services.users.patch(rig.context, user_id, body)

    rig.after("GET user", 0, write)
    assert await rig.sweeper().sweep(rig.context, await rig.view())
    assert await rig.indexed('title eq "new"') == [user_id]


async def test_a_read_that_was_overtaken_is_made_again(rig: IndexRig) -> None:
    """Somebody else's read came in between, which may be older than the row: the row does not count."""
    (user_id,) = await rig.seed(1)
    await rig.sweep()
    store, view = rig.services.store, await rig.view()
    stale = await rig.services.indexing.revisions(rig.context, [user_id])
    user = await rig.services.users.get(rig.context, user_id)
    await rig.change(user_id, display_name="Later")

    async def overtake(_: httpx.Request) -> None:
        await store.links.forget(rig.tenant_id, user_id)
        assert await rig.services.indexing.confirm(rig.context, {user_id: user}, stale)

    rig.wire.reset()
    rig.after("GET user", 0, overtake)
    assert await rig.sweeper().sweep(rig.context, view)
    assert await rig.indexed('displayName eq "later"') == []
    assert await rig.sweep() == [user_id]
    assert await rig.indexed('displayName eq "later"') == [user_id]


async def test_tombstones_are_purged_when_no_read_can_be_so_late(rig: IndexRig) -> None:
    first, second = await rig.seed(2)
    await rig.sweep()
    await rig.delete(first)
    await rig.sweep()
    view = await rig.view()
    index = rig.services.store.index
    assert (await index.known(view.id, [first]))[first].gone
    later = datetime.now(UTC) + TOMBSTONE_LIFE + timedelta(seconds=1)
    await rig.sweep(rig.sweeper(now=lambda: later))
    assert set(await index.known(view.id, [first, second])) == {second}


# --- interruptions ------------------------------------------------------------------------------------------


async def test_another_process_goes_on_from_the_page(rig: IndexRig) -> None:
    ids = await rig.seed(3 * PAGE)
    # Two pages with their users, and the third page's list.
    await interrupted(rig, 2 * (PAGE + 1) + 1)
    place = (await rig.view()).sweep
    assert place is not None
    assert (place.page, place.passes, place.read, place.total) == (2, 0, 2 * PAGE, 3 * PAGE)
    assert (await rig.view()).complete_since is None
    assert len(await rig.indexed()) == 2 * PAGE
    read = await rig.sweep()
    assert rig.pages() == [3, 1, 2, 3]
    assert sorted(read) == sorted(ids[2 * PAGE :])
    assert sorted(await rig.indexed()) == sorted(ids)
    assert (await rig.view()).sweeps == 1


async def test_a_page_that_was_interrupted_is_read_anew(rig: IndexRig) -> None:
    ids = await rig.seed(PAGE)
    await interrupted(rig, PAGE)
    assert await rig.indexed() == []
    assert (await rig.view()).sweeps == 1
    assert sorted(await rig.sweep()) == sorted(ids)


async def test_a_full_sweep_does_not_read_again_whom_it_has_read(rig: IndexRig) -> None:
    ids = await rig.seed(2 * PAGE)
    await rig.sweep()
    await interrupted(rig, PAGE + 2, full=True)
    assert sorted(await rig.sweep(full=True)) == sorted(ids[PAGE:])
    assert (await rig.view()).sweeps == 2


async def test_a_full_sweep_is_not_content_with_the_rest_of_a_light_one(rig: IndexRig) -> None:
    ids = await rig.seed(2 * PAGE)
    await rig.sweep()
    await interrupted(rig, 1)
    place = (await rig.view()).sweep
    assert place is not None
    assert not place.full
    assert sorted(await rig.sweep(full=True)) == sorted(ids)
    view = await rig.view()
    assert view.refreshed_at == view.swept_at


async def test_a_light_sweep_ends_a_full_one(rig: IndexRig) -> None:
    ids = await rig.seed(2 * PAGE)
    await rig.sweep()
    await interrupted(rig, PAGE + 2, full=True)
    assert sorted(await rig.sweep()) == sorted(ids[PAGE:])
    view = await rig.view()
    assert view.refreshed_at == view.swept_at


# --- pace and turns -----------------------------------------------------------------------------------------


async def test_every_call_waits_for_its_turn(rig: IndexRig) -> None:
    await rig.seed(PAGE + 1)
    turns: list[str] = []

    class Counting(Sweeper):
        async def paced(self, call: Any) -> Any:
            turns.append("turn")
            return await super().paced(call)

    sweeper = rig.sweeper()
    sweeper.__class__ = Counting
    await rig.sweep(sweeper)
    ids = await rig.listed()
    await rig.delete(ids[0])
    before = len(rig.wire.calls)
    assert await sweeper.sweep(rig.context, await rig.view())
    assert before == 2 * 2 + PAGE + 1
    assert len(turns) == len(rig.wire.calls)


async def test_the_rate_bounds_the_calls(rig: IndexRig) -> None:
    """At a call in a thousand seconds, only one is made."""
    await rig.seed(3)
    sweeper = rig.sweeper(rate=0.001)
    first = asyncio.Event()

    async def noticed(_: httpx.Request) -> None:
        first.set()

    rig.after("GET users", 0, noticed)
    sweep = asyncio.create_task(sweeper.sweep(rig.context, await rig.view()))
    await first.wait()
    for _ in range(200):
        await asyncio.sleep(0)
    await rig.services.store.ping()
    assert rig.wire.calls == ["GET users"]
    sweep.cancel()
    await asyncio.gather(sweep, return_exceptions=True)


async def test_one_process_sweeps_a_view_at_a_time(rig: IndexRig) -> None:
    await rig.seed(1)
    answered: list[bool] = []

    async def meanwhile(_: httpx.Request) -> None:
        answered.append(await rig.sweeper().sweep(rig.context, await rig.view()))

    rig.wire.reset()
    rig.before("GET user", 0, meanwhile)
    assert await rig.sweeper().sweep(rig.context, await rig.view())
    assert answered == [False]
    assert rig.wire.calls == ["GET users", "GET user", "GET users"]
    # Afterwards it is free again.
    assert await rig.sweeper().sweep(rig.context, await rig.view())


class CountedLeases(Leases):
    renewals = 0

    async def renew(self, key: str, owner: str, ttl_s: float) -> None:
        self.renewals += 1
        await super().renew(key, owner, ttl_s)


async def test_the_lease_is_renewed_within_a_page(rig: IndexRig) -> None:
    """A page may take longer than a lease lasts, where the pace is slow or the platform is."""
    await rig.seed(PAGE)
    leases = CountedLeases(rig.services.store.db)
    time = 0.0

    def monotonic() -> float:
        nonlocal time
        time += LEASE_S / 3
        return time

    services = rig.services
    sweeper = Sweeper(
        services.sweeper.platform,
        services.store.index,
        services.indexing,
        leases,
        calls_per_second=100_000,
        monotonic=monotonic,
    )
    await rig.sweep(sweeper)
    assert leases.renewals == len(rig.wire.calls)


async def test_who_has_lost_the_lease_stops(rig: IndexRig) -> None:
    await rig.seed(PAGE)
    store = rig.services.store
    view = await rig.view()
    time = 0.0

    async def lose(_: httpx.Request) -> None:
        nonlocal time
        time += LEASE_S + 1
        async with store.db.write() as db:
            await db.execute(text("UPDATE leases SET owner = 'somebody else'"))

    rig.wire.reset()
    rig.after("GET users", 0, lose)
    with pytest.raises(LeaseTimeout):
        await rig.sweeper(monotonic=lambda: time).sweep(rig.context, view)
    assert await rig.indexed() == []


async def test_a_failure_gives_the_lease_back(rig: IndexRig) -> None:
    await rig.seed(1)
    await interrupted(rig, 0)
    assert [call_name(r) for r in rig.wire.requests] == ["GET users"]
    assert await rig.sweep()


# --- users whom nobody can read -----------------------------------------------------------------------------


def unreadable(rig: IndexRig, user_id: str) -> None:
    """From now on, the platform answers nonsense for this user."""

    async def nonsense(_request: httpx.Request, _send: Any) -> httpx.Response:
        return httpx.Response(200, json={"data": {"id": user_id}})

    def chosen(_number: int, name: str) -> Any:
        asked = rig.wire.requests[-1].url.path
        return nonsense if name == "GET user" and asked.endswith(user_id) else None

    rig.wire.fault = chosen


async def test_a_user_who_cannot_be_read_stops_nobody(rig: IndexRig) -> None:
    ids = await rig.seed(PAGE + 2)
    await rig.sweep()
    for number, user_id in enumerate(ids):
        await rig.change(user_id, display_name=f"Renamed {number}")
    unreadable(rig, ids[1])
    assert await rig.sweeper().sweep(rig.context, await rig.view())
    renamed = 'displayName sw "renamed"'
    assert sorted(await rig.indexed(renamed)) == sorted(set(ids) - {ids[1]})
    assert sorted(await rig.indexed()) == sorted(ids)
    # Asked for again, as soon as the platform answers.
    assert await rig.sweep() == [ids[1]]
    assert sorted(await rig.indexed(renamed)) == sorted(ids)


async def test_a_view_is_not_complete_without_a_user_who_cannot_be_read(rig: IndexRig) -> None:
    ids = await rig.seed(PAGE)
    unreadable(rig, ids[1])
    with pytest.raises(PlatformError):
        await rig.sweeper().sweep(rig.context, await rig.view())
    assert (await rig.view()).complete_since is None
    assert ids[1] in await rig.sweep()
    assert (await rig.view()).complete_since is not None


async def test_a_marked_user_who_cannot_be_read_fails_no_search_for_others(rig: IndexRig) -> None:
    ids = await rig.seed(PAGE)
    await rig.sweep()
    await rig.change(ids[0], last_name="Renamed")
    await rig.services.indexing.mark(rig.tenant_id, [ids[0], ids[1]])
    unreadable(rig, ids[0])
    found = await rig.found(f'not (id eq "{ids[0]}")', sortBy="name.familyName")
    assert sorted(r["id"] for r in found.resources) == sorted(ids[1:])
    assert await rig.services.indexing.catch_up(rig.context) == 0
    rig.wire.reset()
    assert [r["id"] for r in (await rig.found('name.familyName eq "renamed"')).resources] == [ids[0]]
