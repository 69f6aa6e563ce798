"""Twenty clients write and read five users through two replicas: some order explains all that they saw."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import pytest
from bridge_rig import CORE, PATCH_OP
from fault_histories import Operation, Values, explained, values
from fault_lanes import Request, Rig, World
from fault_proxy import FAULTS, Fault

pytestmark = pytest.mark.asyncio(loop_scope="session")

CLIENTS, USERS, REQUESTS = 20, 5, 8
SEED = 7
FIELDS = ("displayName", "title", "nickName", "userType", "preferredLanguage")
WATCHED = frozenset({*FIELDS, "active"})
FINISHED_WITHIN_S = 60.0
"""Until when all that was not acknowledged is finished or undone, once the faults are over."""


class Clients:
    """Their requests, drawn at random, and the history of every user."""

    def __init__(self, world: World, users: list[str], *, statuses: bool) -> None:
        self._world = world
        self._users = users
        self._statuses = statuses
        self.histories: dict[str, list[Operation]] = {user: [] for user in users}
        self.unacknowledged = 0

    async def run(self) -> None:
        await asyncio.gather(*(self._client(number) for number in range(CLIENTS)))
        self._world.lane.release()
        assert not await self._world.rig.drained(self._world, FINISHED_WITHIN_S)
        for user in self._users:
            await self._one(user, Request("GET", f"/Users/{user}"), 0, looks_at=WATCHED)

    async def _client(self, number: int) -> None:
        draw = random.Random(f"{SEED} {number}")  # noqa: S311 - a test's choice, not a secret
        for turn in range(REQUESTS):
            user = draw.choice(self._users)
            mark = f"{number}-{turn}"
            pair = {"displayName": f"display {mark}", "title": f"title {mark}"}
            other: dict[str, Any] = {draw.choice(FIELDS[2:]): f"other {mark}"}
            if self._statuses and draw.random() < 0.5:
                other = {"active": draw.random() < 0.5}
            sets = {**pair, **other}
            kind = draw.choice(("read", "patch", "patch", "put"))
            if kind == "read":
                # Between the two calls of a write others see its first half: the platform knows no more.
                await self._one(user, Request("GET", f"/Users/{user}"), number, looks_at=frozenset(FIELDS))
            elif kind == "patch":
                operation = {"op": "replace", "value": sets}
                request = Request(
                    "PATCH", f"/Users/{user}", {"schemas": [PATCH_OP], "Operations": [operation]}
                )
                await self._one(user, request, number, sets=sets)
            else:
                body = {"schemas": [CORE], "userName": f"{user}@example.com", **sets}
                request = Request("PUT", f"/Users/{user}", body)
                await self._one(user, request, number, sets=sets, clears=frozenset(FIELDS))

    async def _one(
        self,
        user: str,
        request: Request,
        number: int,
        *,
        sets: dict[str, Any] | None = None,
        clears: frozenset[str] = frozenset(),
        looks_at: frozenset[str] = WATCHED,
    ) -> None:
        asked_s = time.monotonic()
        answer = await self._world.scim(*request, at=number % 2)
        if answer.status_code != 200:
            # What is not acknowledged may have been done all the same, or not.
            assert answer.status_code == 503, answer.text
            self.unacknowledged += 1
            operation = Operation(asked_s=asked_s, sets=values(sets or {}), clears=clears)
        else:
            operation = Operation(
                asked_s=asked_s,
                answered_s=time.monotonic(),
                sets=values(sets or {}),
                clears=clears,
                seen=seen(answer.json(), looks_at),
                looks_at=looks_at,
            )
        self.histories[user].append(operation)

    def unexplained(self) -> list[str]:
        """The users whose history no order explains."""
        before = values({"active": True})
        return [user for user, history in self.histories.items() if not explained(before, history)]


def seen(resource: dict[str, Any], looks_at: frozenset[str]) -> Values:
    return values({k: resource[k] for k in looks_at if k in resource})


async def clients_of(
    rig: Rig, *, statuses: bool, meets: Callable[[int, str], Fault | None] | None = None
) -> Clients:
    """The clients after they have done all they do; `meets` says which call meets which fault."""
    world = await rig.world()
    users = []
    for number in range(USERS):
        body = {"schemas": [CORE], "userName": f"user{number}@example.com"}
        users.append((await world.made("POST", "/Users", body))["id"])
    for user in users:
        await world.made("PUT", f"/Users/{user}", {"schemas": [CORE], "userName": f"{user}@example.com"})
    world.lane.mark()
    if meets is not None:
        world.lane.meets = meets
    clients = Clients(world, users, statuses=statuses)
    await clients.run()
    return clients


async def test_what_twenty_clients_see_is_explained_by_an_order(replicas: Rig) -> None:
    clients = await clients_of(replicas, statuses=True)
    assert not clients.unacknowledged
    assert not clients.unexplained()


async def test_lost_writes_of_one_call_are_explained_by_an_order(replicas: Rig) -> None:
    draw = random.Random(SEED)  # noqa: S311 - a test's choice, not a secret
    faults = [FAULTS[name] for name in ("reset-after", "reset-before", "error-500")]

    def meets(_number: int, call: str) -> Fault | None:
        return draw.choice(faults) if call == "PATCH user" and draw.random() < 0.5 else None

    clients = await clients_of(replicas, statuses=False, meets=meets)
    assert clients.unacknowledged
    assert not clients.unexplained()


async def test_lost_writes_of_two_calls_are_explained_by_an_order(replicas: Rig) -> None:
    draw = random.Random(SEED)  # noqa: S311 - a test's choice, not a secret

    def meets(_number: int, call: str) -> Fault | None:
        return FAULTS["error-500"] if call == "PUT status" and draw.random() < 0.8 else None

    clients = await clients_of(replicas, statuses=True, meets=meets)
    assert clients.unacknowledged
    assert not clients.unexplained()
