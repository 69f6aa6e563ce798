"""The background work on the index, and those who wait for it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from bridge_rig import Send, answers, hosted, open_rig
from index_rig import PAGE, IndexRig, open_index_rig

from app.bridge.context import Context
from app.bridge.upkeep import Schedule, Upkeep
from app.embedded.seeding import SeedPlan
from app.mapping.load import load_mapping
from app.platform.errors import PlatformError
from app.platform.recording import recorded
from app.scim.errors import ServiceUnavailable
from app.store.errors import StoreUnavailable

SWEEP_S, REFRESH_S = 900.0, 86_400.0


@pytest.fixture
async def rig(made_once: Path, tmp_path: Path) -> AsyncIterator[IndexRig]:
    async for opened in hosted(open_index_rig(made_once, tmp_path)):
        yield opened


@pytest.fixture(autouse=True)
def logged() -> Any:
    with structlog.testing.capture_logs() as lines:
        yield lines


class Time:
    """A clock for what is due."""

    def __init__(self) -> None:
        self.now = datetime.now(UTC)

    def __call__(self) -> datetime:
        return self.now


async def until(reached: Callable[[], Awaitable[Any]]) -> None:
    """Wait until something is so; a test that waits for nothing fails."""
    async with asyncio.timeout(30):
        while not await reached():  # noqa: ASYNC110 - the database is asked, which rings no bell
            await asyncio.sleep(0.01)


def upkeep(rig: IndexRig, *contexts: Context, wait_s: float = 20.0, **options: Any) -> Upkeep:
    async def usable() -> tuple[Context, ...]:
        return contexts or (rig.context,)

    schedule = Schedule(sweep_s=SWEEP_S, refresh_s=REFRESH_S, tick_s=0.01)
    services = rig.services
    return Upkeep(
        services.indexing,
        services.sweeper,
        **{"contexts": usable, "schedule": schedule, "wait_s": wait_s, **options},
    )


@asynccontextmanager
async def running(work: Upkeep) -> AsyncIterator[Upkeep]:
    await work.open()
    try:
        yield work
    finally:
        await work.aclose()


class Blocked:
    """Holds a call of the platform until it is let go."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def __call__(self, request: httpx.Request, send: Send) -> httpx.Response:
        self.begun.set()
        await self.go.wait()
        return await send(request)


# --- in the background --------------------------------------------------------------------------------------


async def test_sweeps_are_made_when_they_are_due(rig: IndexRig) -> None:
    ids = await rig.seed(2)
    time = Time()

    async def swept(times: int) -> bool:
        view = await rig.view()
        return view.sweeps == times and view.sweep is None and view.swept_at is not None

    rig.services.sweeper.now = time
    async with running(upkeep(rig, now=time)):
        await until(lambda: swept(1))
        assert sorted(await rig.indexed()) == sorted(ids)
        rig.wire.reset()
        await rig.change(ids[0], display_name="Seen", locale="fr")
        await rig.change(ids[1], locale="pt-BR")
        time.now += timedelta(seconds=SWEEP_S - 1)
        await asyncio.sleep(0.1)
        assert await swept(1)
        time.now += timedelta(seconds=1)
        await until(lambda: swept(2))
        assert rig.read() == [ids[0]]
        # The time of a full one has come as well.
        time.now += timedelta(seconds=REFRESH_S)
        rig.wire.reset()
        await until(lambda: swept(3))
        assert sorted(rig.read()) == sorted(ids)
        assert (await rig.view()).refreshed_at == time.now
        assert await rig.indexed('locale eq "pt-BR"') == [ids[1]]


async def test_a_sweep_that_was_interrupted_is_due(rig: IndexRig) -> None:
    await rig.seed(2 * PAGE)
    await rig.sweep()
    rig.wire.from_number(1, answers(403))
    with pytest.raises(PlatformError):
        await rig.sweeper().sweep(rig.context, await rig.view())
    rig.wire.reset()

    async def ended() -> bool:
        return (await rig.view()).sweep is None

    async with running(upkeep(rig)):
        await until(ended)
    assert rig.pages() == [2]


async def test_marked_users_are_read_soon(rig: IndexRig) -> None:
    (user_id,) = await rig.seed(1)
    await rig.sweep()
    schedule = Schedule(sweep_s=0, tick_s=1000)
    async with running(upkeep(rig, schedule=schedule)):
        await rig.change(user_id, locale="pt-BR")
        rig.wire.reset()
        await rig.services.indexing.mark(rig.tenant_id, [user_id])

        async def caught_up() -> bool:
            return await rig.indexed('locale eq "pt-BR"') == [user_id]

        await until(caught_up)
    assert rig.wire.calls == ["GET user"]


async def test_users_that_another_process_marked_are_read_at_the_next_tick(rig: IndexRig) -> None:
    (user_id,) = await rig.seed(1)
    await rig.sweep()
    await rig.delete(user_id)
    async with running(upkeep(rig)):
        await rig.services.store.index.mark(rig.tenant_id, [user_id])

        async def gone() -> bool:
            return await rig.indexed() == []

        await until(gone)


async def test_what_fails_is_logged_and_tried_again(rig: IndexRig, logged: list[dict[str, Any]]) -> None:
    first, second = await rig.seed(2)
    await rig.sweep()
    rig.wire.always("GET user", answers(403))
    time = Time()
    rig.services.sweeper.now = time
    time.now += timedelta(seconds=REFRESH_S + 1)
    await rig.services.indexing.mark(rig.tenant_id, [first])

    async def failed(work: str) -> bool:
        return [line["event"] for line in logged].count(f"{work} interrupted") > 1

    async with running(upkeep(rig, now=time)):
        await until(lambda: failed("sweep"))
        await until(lambda: failed("reading of marked users"))
        rig.wire.reset()

        async def done() -> bool:
            view = await rig.view()
            return view.refreshed_at == time.now and view.sweep is None

        await until(done)
    line = next(line for line in logged if line["event"] == "sweep interrupted")
    assert (line["tenant_id"], line["domain"]) == (rig.tenant_id, "default")
    assert "platform says no" in line["error"]
    assert sorted(await rig.indexed()) == sorted([first, second])


async def test_connections_that_cannot_be_read_are_asked_for_again(
    rig: IndexRig, logged: list[dict[str, Any]]
) -> None:
    await rig.seed(1)
    await rig.sweep()
    asked = 0

    async def failing() -> tuple[Context, ...]:
        nonlocal asked
        asked += 1
        raise StoreUnavailable("the database is away")

    async def several() -> bool:
        return asked > 4

    time = Time()
    time.now += timedelta(days=30)
    async with running(upkeep(rig, contexts=failing, now=time)):
        await until(several)
    assert any(line["event"] == "look for what is due interrupted" for line in logged)
    # No view was taken for one that nobody uses.
    assert len(await rig.indexed()) == 1


async def test_one_connection_that_cannot_be_used_stops_no_other(
    rig: IndexRig, logged: list[dict[str, Any]]
) -> None:
    await rig.seed(1)
    (rig.place / "passing.toml").write_text((rig.place / "small.toml").read_text())
    store = rig.services.store
    await store.connections.add(name="broken", tenant_id=rig.tenant_id, mapping="passing", domain="b")
    (rig.place / "passing.toml").unlink()
    # The services' own background work.
    await rig.services.upkeep.open()

    async def complete() -> bool:
        return (await rig.view()).complete_since is not None

    await until(complete)
    assert [c.connection_id for c in rig.services.contexts.usable(await store.connections.list())] == [
        rig.context.connection_id
    ]
    assert any(line.get("connection") == "broken" and "passing.toml" in line["error"] for line in logged)


async def test_connections_of_one_view_are_swept_once(rig: IndexRig) -> None:
    await rig.seed(1)
    twin = msgspec.structs.replace(rig.context, connection_id="con_other", base_url="http://other")
    domain = msgspec.structs.replace(rig.context, domain="other")
    async with running(upkeep(rig, rig.context, twin, domain)):

        async def complete() -> bool:
            return all([(await rig.view(c)).complete_since for c in (rig.context, domain)])

        await until(complete)
    assert rig.seen() == {"GET users": 4, "GET user": 2}


# --- waiting ------------------------------------------------------------------------------------------------


async def test_who_waits_begins_the_first_sweep_and_others_join(rig: IndexRig) -> None:
    ids = await rig.seed(PAGE + 1)
    work = upkeep(rig)
    await asyncio.gather(*(work.ensure_complete(rig.context) for _ in range(5)))
    assert sorted(rig.read()) == sorted(ids)
    rig.wire.reset()
    await work.ensure_complete(rig.context)
    assert rig.wire.calls == []


async def test_who_cannot_wait_is_told_how_far_it_is(rig: IndexRig) -> None:
    ids = await rig.seed(2 * PAGE + 1)
    blocked = Blocked()
    # The second page's list.
    rig.wire.fault = lambda number, _: blocked if number == PAGE + 1 else None
    work = upkeep(rig, wait_s=0.001)
    with pytest.raises(ServiceUnavailable):
        await work.ensure_complete(rig.context)
    await blocked.begun.wait()
    with pytest.raises(ServiceUnavailable, match=f"{PAGE} of {2 * PAGE + 1} so far") as caught:
        await work.ensure_complete(rig.context)
    assert caught.value.status == 503
    assert caught.value.retry_after_s
    # The sweep goes on without them.
    blocked.go.set()

    async def complete() -> bool:
        return (await rig.view()).complete_since is not None

    await until(complete)
    await work.ensure_complete(rig.context)
    assert sorted(await rig.indexed()) == sorted(ids)


async def test_a_lookup_says_when_to_come_back(made_once: Path, tmp_path: Path) -> None:
    blocked = Blocked()
    async with open_rig(made_once, tmp_path, link_wait_s=0.001) as served:
        await served.directory.seed_users(served.tenant_id, 3, SeedPlan())
        served.wire.fault = lambda _, name: blocked if name == "GET user" else None
        answer = await served.scim("GET", '/Users?filter=externalId eq "x"')
        assert answer.status_code == 503
        assert int(answer.headers["retry-after"]) > 0
        # What needs no index is answered meanwhile.
        await blocked.begun.wait()
        assert (await served.scim("GET", "/Users?count=0")).json()["totalResults"] == 3
        blocked.go.set()

        async def answered() -> bool:
            return (await served.scim("GET", '/Users?filter=externalId eq "x"')).status_code == 200

        await until(answered)


async def test_the_sweep_of_another_process_is_waited_for(rig: IndexRig) -> None:
    await rig.seed(1)
    view = await rig.view()
    async with rig.services.store.leases.try_hold(f"{view.tenant_id} sweep {view.id}", 60):
        with pytest.raises(ServiceUnavailable, match="first time"):
            await upkeep(rig, wait_s=0.05).ensure_complete(rig.context)
        waiting = asyncio.create_task(upkeep(rig).ensure_complete(rig.context))
        await asyncio.sleep(0.05)
        assert not waiting.done()
        assert rig.wire.calls == []
    await waiting
    assert rig.seen() == {"GET users": 2, "GET user": 1}


async def test_what_stops_the_sweep_stops_who_waits(rig: IndexRig, logged: list[dict[str, Any]]) -> None:
    await rig.seed(1)
    rig.wire.always("GET users", answers(403))
    work = upkeep(rig)
    with pytest.raises(PlatformError):
        await work.ensure_complete(rig.context)
    assert [line["event"] for line in logged] == ["sweep interrupted"]
    rig.wire.reset()
    await work.ensure_complete(rig.context)


async def test_a_failure_that_nobody_waits_for_is_logged(rig: IndexRig, logged: list[dict[str, Any]]) -> None:
    await rig.seed(1)
    blocked = Blocked()

    async def fail(request: httpx.Request, send: Send) -> httpx.Response:
        await blocked(request, send)
        return await answers(403)(request, send)

    rig.wire.always("GET users", fail)
    with pytest.raises(ServiceUnavailable):
        await upkeep(rig, wait_s=0.001).ensure_complete(rig.context)
    await blocked.begun.wait()
    blocked.go.set()

    async def told() -> bool:
        return any(line["event"] == "sweep interrupted" for line in logged)

    await until(told)


async def test_a_sweep_is_not_part_of_the_request_that_began_it(rig: IndexRig) -> None:
    await rig.seed(2)
    with recorded() as calls:
        await upkeep(rig).ensure_complete(rig.context)
    assert rig.wire.calls
    assert calls == []


async def test_a_sweep_goes_on_after_a_restart(rig: IndexRig) -> None:
    await rig.seed(2 * PAGE)
    blocked = Blocked()
    rig.wire.fault = lambda number, _: blocked if number == PAGE + 1 else None
    async with running(upkeep(rig)):
        await blocked.begun.wait()
    place = (await rig.view()).sweep
    assert place is not None
    assert place.page == 1
    rig.wire.reset()
    await upkeep(rig).ensure_complete(rig.context)
    assert rig.pages() == [2, 1, 2]


# --- views --------------------------------------------------------------------------------------------------


def changed(rig: IndexRig) -> Context:
    """The same connection after a change of its mapping."""
    small = (rig.place / "small.toml").read_text()
    assert 'inactive = ["DISABLED"]' in small
    (rig.place / "other.toml").write_text(
        small.replace('inactive = ["DISABLED"]', 'inactive = ["DISABLED", "LOCKED"]')
    )
    return msgspec.structs.replace(rig.context, mapping=load_mapping("other", rig.place))


async def test_a_change_of_the_mapping_makes_a_new_view(rig: IndexRig) -> None:
    await rig.create("ada@example.com", username="ada")
    await rig.sweep()
    before = await rig.view()
    old, rig.context = rig.context, changed(rig)
    after = await rig.view()
    assert after.id != before.id
    assert after.complete_since is None
    assert await rig.indexed() == []
    # Until it is filled, filters are answered without: here by reading everybody.
    found = await rig.found('userName sw "a"')
    assert found.total == 1
    assert rig.seen()["GET users"] == 1
    await rig.sweep()
    found = await rig.found('userName sw "a"')
    assert found.total == 1
    assert rig.seen() == {"GET user": 1}
    assert (await rig.view(old)).id == before.id


async def test_a_view_that_nobody_uses_is_dropped_in_the_end(rig: IndexRig) -> None:
    await rig.seed(1)
    await rig.sweep()
    before = await rig.view()
    rig.context = changed(rig)
    time = Time()
    rig.services.sweeper.now = time
    index = rig.services.store.index

    async def views() -> list[int]:
        return [view.id for view in await index.views(rig.tenant_id)]

    async def complete() -> bool:
        return (await rig.view()).complete_since is not None

    async def dropped() -> bool:
        return before.id not in await views()

    async with running(upkeep(rig, now=time)):
        await until(complete)
        # Another process may still know the mapping of before.
        time.now += timedelta(seconds=REFRESH_S - 60)
        await asyncio.sleep(0.1)
        assert not await dropped()
        time.now += timedelta(seconds=120)
        await until(dropped)
        assert await views() == [(await rig.view()).id]
    assert len(await rig.indexed()) == 1


# --- events -------------------------------------------------------------------------------------------------


async def test_an_own_write_is_told_from_one_that_was_not_recorded(rig: IndexRig) -> None:
    """In whichever view: one where the user is marked is about to read it anyway."""
    (user_id,) = await rig.seed(1)
    await rig.sweep()
    indexing = rig.services.indexing
    earlier, later = (datetime.now(UTC) + timedelta(seconds=s) for s in (-60, 60))
    assert await indexing.recorded_since(rig.tenant_id, user_id, earlier)
    # Read, but before it was written: the process died before it could record the write.
    assert not await indexing.recorded_since(rig.tenant_id, user_id, later)
    assert not await indexing.recorded_since(rig.tenant_id, "usr_new", earlier)
    assert not await indexing.recorded_since("tnt_nobody", user_id, earlier)
    other = msgspec.structs.replace(rig.context, domain="other")
    await rig.view(other)
    assert not await indexing.recorded_since(rig.tenant_id, user_id, earlier)
    await rig.services.users.patch(
        rig.context, user_id, {"Operations": [{"op": "replace", "path": "title", "value": "new"}]}
    )
    assert await indexing.recorded_since(rig.tenant_id, user_id, earlier)
    assert await rig.services.store.index.dirty((await rig.view(other)).id, 9) == ((user_id, 1),)
    assert await rig.services.store.index.dirty((await rig.view()).id, 9) == ()
