"""The count behind the guard: each user once, within a window, until it stops the connection."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from app.store.deprovisionings import Counted, GuardLimits, SizeNeeded, Stopped
from app.store.errors import ConnectionNotFound
from app.store.group_records import RecordChange
from app.store.store import Store

THREE = GuardLimits(number=3, share=0.0, window_s=3600)
SHARE = GuardLimits(number=2, share=0.5, window_s=3600)


@pytest.fixture
async def okta(store: Store) -> str:
    return (await store.connections.add(name="okta", tenant_id="t")).id


async def count(store: Store, connection_id: str, *users: str, **options: Any) -> list[Any]:
    options = {"removes": False, "size": None, **options}
    limits = options.pop("limits", THREE)
    return [await store.deprovisionings.count(connection_id, u, limits, **options) for u in users]


async def test_more_than_the_number_stops(store: Store, okta: str, clock: Any) -> None:
    found = await count(store, okta, "a", "b", "c", "d", "e")
    assert found == [Counted(new=True)] * 3 + [Stopped(at=clock.now, counted=3)] * 2
    assert await store.deprovisionings.stopped() == {okta: Stopped(at=clock.now, counted=3)}


async def test_a_user_counts_once(store: Store, okta: str) -> None:
    assert await count(store, okta, "a", "a", "a", removes=True) == [
        Counted(new=True),
        Counted(new=False),
        Counted(new=False),
    ]
    await count(store, okta, "b", "c", "d")
    # Also after the connection was stopped: a call whose answer was lost is repeated.
    assert await count(store, okta, "c") == [Counted(new=False)]


async def test_a_tenant_below_the_least_size_is_let_alone(store: Store, okta: str) -> None:
    limits = GuardLimits(number=1, share=0.0, window_s=3600, least_size=10)
    assert await count(store, okta, "a", "b", limits=limits) == [Counted(new=True), SizeNeeded(removed=0)]
    assert await count(store, okta, "b", "c", limits=limits, size=9) == [Counted(new=True)] * 2
    assert isinstance((await count(store, okta, "d", limits=limits, size=10))[0], Stopped)


async def test_the_window_moves_on_and_a_stop_does_not(store: Store, okta: str, clock: Any) -> None:
    await count(store, okta, "a", "b", "c")
    clock.advance(3601)
    assert await count(store, okta, "a", "d", "e") == [Counted(new=True)] * 3
    assert isinstance((await count(store, okta, "f"))[0], Stopped)
    clock.advance(3601)
    assert isinstance((await count(store, okta, "f"))[0], Stopped)


async def test_a_release_starts_anew(store: Store, okta: str) -> None:
    await count(store, okta, "a", "b", "c", "d")
    assert await store.deprovisionings.release("okta") == 3
    assert await store.deprovisionings.stopped() == {}
    assert await count(store, okta, "d", "e", "f") == [Counted(new=True)] * 3
    assert await store.deprovisionings.release(okta) == 3
    with pytest.raises(ConnectionNotFound, match="entra"):
        await store.deprovisionings.release("entra")


@pytest.mark.parametrize(("size", "allowed"), [(3, 2), (4, 2), (7, 3), (10, 5), (11, 5)])
async def test_the_larger_of_number_and_share_is_allowed(
    store: Store, okta: str, size: int, allowed: int
) -> None:
    users = [f"u{n}" for n in range(allowed + 1)]
    found = await count(store, okta, *users, limits=SHARE, size=size)
    assert [type(each) for each in found] == [Counted] * allowed + [Stopped]


async def test_the_size_is_asked_for_when_the_number_is_used_up(store: Store, okta: str) -> None:
    assert await count(store, okta, "a", limits=SHARE, removes=True) == [Counted(new=True)]
    assert await count(store, okta, "b", limits=SHARE) == [Counted(new=True)]
    assert await count(store, okta, "c", limits=SHARE) == [SizeNeeded(removed=1)]
    # Who was deactivated and is deleted afterwards is one of those removed.
    assert await count(store, okta, "b", limits=SHARE, removes=True) == [Counted(new=False)]
    assert await count(store, okta, "c", limits=SHARE) == [SizeNeeded(removed=2)]


async def test_what_was_refused_does_not_count(store: Store, okta: str) -> None:
    await count(store, okta, "a", "b", "c", "d")
    await store.deprovisionings.forget(okta, "b")
    assert await count(store, okta, "d") == [Counted(new=True)]
    assert isinstance((await count(store, okta, "b"))[0], Stopped)


async def test_connections_count_for_themselves_and_end_with_what_they_counted(
    store: Store, okta: str
) -> None:
    other = (await store.connections.add(name="entra", tenant_id="t")).id
    await count(store, okta, "a", "b", "c", "d")
    assert await count(store, other, "a") == [Counted(new=True)]
    await store.connections.remove("okta")
    assert await store.deprovisionings.stopped() == {}


async def test_many_at_once_and_in_two_replicas_are_counted_exactly(
    url: str, store: Store, okta: str, clock: Any
) -> None:
    twin = await Store.open(url, clock=clock)
    limits = GuardLimits(number=7, share=0.0, window_s=3600)
    found = await asyncio.gather(
        *(
            each.deprovisionings.count(okta, f"u{n}", limits, removes=True, size=None)
            for n in range(20)
            for each in (store, twin)
        )
    )
    assert sum(isinstance(each, Counted) and each.new for each in found) == 7
    assert await twin.deprovisionings.release("okta") == 7
    await twin.close()


async def test_the_first_to_make_a_group_is_its_creator(store: Store) -> None:
    records = store.group_records
    for creator in ("con_1", "con_2", None):
        await records.settle("t", "g", RecordChange(domain="d", creator=creator))
    assert await records.creator("t", "g") == "con_1"
    assert await records.creator("u", "g") is None
    await records.forget("t", "g")
    assert await records.creator("t", "g") is None
