"""How a bulk request is carried out: side by side, in order, to the end of its time; seen at the platform."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from group_rig import USER, GroupRig, Send, Side, open_group_rig, refused

CONCURRENCY = 4
BOUND_S = 30.0

Open = Callable[..., Awaitable[Side]]


@pytest_asyncio.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Open]:
    """Opens bridges of settings of their own; closed by the task that opened them."""
    asked: asyncio.Queue[tuple[dict[str, Any], asyncio.Future[Side]] | None] = asyncio.Queue()

    async def host() -> None:
        async with AsyncExitStack() as stack:
            while (item := await asked.get()) is not None:
                settings, ready = item
                rig: GroupRig = await stack.enter_async_context(open_group_rig(tmp_path, **settings))
                ready.set_result(await rig.side("local"))

    task = asyncio.create_task(host())

    async def make(**settings: Any) -> Side:
        ready: asyncio.Future[Side] = asyncio.get_running_loop().create_future()
        await asked.put(({"bulk_concurrency": CONCURRENCY, **settings}, ready))
        await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        return await ready

    yield make
    await asked.put(None)
    await task


def user(bulk_id: str, **data: Any) -> dict[str, Any]:
    body = {"schemas": [USER], "userName": f"{uuid.uuid4().hex}@example.com", **data}
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": body}


def title(path: str, value: str) -> dict[str, Any]:
    data = {"Operations": [{"op": "replace", "path": "title", "value": value}]}
    return {"method": "PATCH", "path": path, "data": data}


async def send(side: Side, *operations: Any, **members: Any) -> httpx.Response:
    answer = await side.scim.post("/Bulk", json={"Operations": list(operations), **members}, timeout=BOUND_S)
    assert answer.status_code == 200, answer.text
    return answer


def results(answer: httpx.Response) -> list[str]:
    return [o["status"] for o in answer.json()["Operations"]]


class Held:
    """Holds calls of one name until they are let go, and counts how many are under way at once."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.go = asyncio.Event()
        self.waiting = 0
        self.most = 0
        self._changed = asyncio.Condition()

    async def __call__(self, name: str, request: httpx.Request, send: Send) -> httpx.Response:
        if name != self.name:
            return await send(request)
        await self._count(1)
        try:
            await self.go.wait()
            return await send(request)
        finally:
            await self._count(-1)

    async def _count(self, by: int) -> None:
        async with self._changed:
            self.waiting += by
            self.most = max(self.most, self.waiting)
            self._changed.notify_all()

    async def until(self, count: int) -> None:
        async with asyncio.timeout(BOUND_S), self._changed:
            await self._changed.wait_for(lambda: self.waiting == count)


async def test_independent_operations_overlap_within_the_bound(opened: Open) -> None:
    side = await opened()
    held = side.wire.course = Held("POST users")
    sent = asyncio.create_task(send(side, *[user(str(n)) for n in range(3 * CONCURRENCY)]))
    await held.until(CONCURRENCY)
    held.go.set()
    assert results(await sent) == ["201"] * 3 * CONCURRENCY
    assert held.most == CONCURRENCY


async def test_what_concerns_one_resource_does_not_overlap(opened: Open) -> None:
    side = await opened()
    path = f"/Users/{await side.user()}"
    held = side.wire.course = Held("PATCH user")
    sent = asyncio.create_task(send(side, *[title(path, str(n)) for n in range(CONCURRENCY)]))
    await held.until(1)
    held.go.set()
    assert results(await sent) == ["200"] * CONCURRENCY
    assert held.most == 1
    assert (await side.scim.get(path)).json()["title"] == str(CONCURRENCY - 1)


async def test_of_two_for_one_name_the_first_gets_it(opened: Open) -> None:
    side = await opened()
    held = side.wire.course = Held("POST users")
    one, other = user("first", userName="Same@example.com"), user("second", userName="same@example.com")
    sent = asyncio.create_task(send(side, one, other, user("third")))
    await held.until(2)
    held.go.set()
    assert results(await sent) == ["201", "409", "201"]
    assert held.most == 2


async def test_a_name_that_is_still_to_be_freed_is_waited_for(opened: Open) -> None:
    side = await opened()
    gone = (await side.scim.get(f"/Users/{await side.user()}")).json()
    held = side.wire.course = Held("DELETE user")
    taker = user("a", userName=gone["userName"])
    sent = asyncio.create_task(send(side, {"method": "DELETE", "path": f"/Users/{gone['id']}"}, taker))
    await held.until(1)
    held.go.set()
    assert results(await sent) == ["204", "201"]


async def test_with_fail_on_errors_nothing_overlaps_or_follows(opened: Open) -> None:
    side = await opened()
    held = side.wire.course = Held("POST users")
    operations = [user("a"), user("b"), title("/Users/nobody", "x"), user("c"), user("d")]
    sent = asyncio.create_task(send(side, *operations, failOnErrors=1))
    await held.until(1)
    held.go.set()
    assert results(await sent) == ["201", "201", "404"]
    assert held.most == 1
    assert side.wire.calls.count("POST users") == 2


async def test_a_circle_that_cannot_be_completed_is_taken_back(opened: Open) -> None:
    side = await opened()

    async def course(name: str, request: httpx.Request, send: Send) -> httpx.Response:
        return refused(403) if name == "PATCH user" else await send(request)

    side.wire.course = course
    manager = {"value": "bulkId:b"}
    operations = [
        user("a", manager=manager),
        user("b", manager={"value": "bulkId:a"}),
        user("c", manager=manager),
    ]
    answer = await send(side, *operations)
    assert results(answer) == ["403", "409", "409"]
    assert side.wire.calls.count("DELETE user") == 2
    side.wire.course = None
    assert (await side.scim.get("/Users")).json()["totalResults"] == 0


async def test_one_operation_that_breaks_does_not_break_the_others(opened: Open) -> None:
    side = await opened()

    async def course(name: str, request: httpx.Request, send: Send) -> httpx.Response:
        return refused(500) if name == "PATCH user" else await send(request)

    path = f"/Users/{await side.user()}"
    side.wire.course = course
    answer = await send(side, user("a"), title(path, "x"), title("/Users/bulkId:a", "x"), user("b"))
    assert results(answer) == ["201", "503", "503", "201"]
    failed = answer.json()["Operations"][1]
    assert "(reference " in failed["response"]["detail"]
    assert failed["location"].endswith(path)
    assert int(answer.headers["retry-after"]) >= 1


async def test_operations_count_against_the_rate_of_the_connection(opened: Open) -> None:
    side = await opened(requests_per_second=0.001, request_burst=10)
    few = [title("/Users/nobody", "x")] * 4
    assert results(await send(side, *few)) == ["404"] * 4
    # More than the rest of the burst: all are carried out, and whoever comes next waits.
    assert results(await send(side, *few * 5)) == ["404"] * 20
    answer = await side.scim.get("/Users")
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) >= 14_000
