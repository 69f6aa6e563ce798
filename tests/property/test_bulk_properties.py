"""Bulk requests over resources in memory: references, not the order of operations, decide the end."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable
from types import SimpleNamespace
from typing import Any, cast

from hypothesis import given, settings
from hypothesis import strategies as st

from app.bridge.bulk import Allowance, Bulk, Report
from app.bridge.bulk_endpoints import Done, Failed, Outcome
from app.bridge.context import Context
from app.scim.bulk import BulkOperation, read_bulk
from app.scim.bulk_references import PREFIX
from app.scim.dialect import LENIENT
from app.scim.errors import InvalidValue, NotFound, ScimError, Uniqueness

NOBODY = cast(Context, SimpleNamespace(groups="platform"))
"""The endpoints here have no use for a context."""


class Memory:
    """Resources that refer to each other by id; a reference to what is not there is refused."""

    def __init__(self, seed: int = 0) -> None:
        self.kept: dict[str, dict[str, Any]] = {}
        self.calls = 0
        self._random = random.Random(seed)  # noqa: S311 - turns, not secrets

    async def create(self, context: Context, data: object) -> Done:
        await self._pause()
        checked = self._checked(data)
        if any(each["name"] == checked["name"] for each in self.kept.values()):
            raise Uniqueness("taken")
        self.calls += 1
        made = f"id-{self.calls}"
        self.kept[made] = checked
        await self._pause()
        return Done(id=made, status=201)

    async def replace(self, context: Context, target: str, data: object, if_match: str | None) -> Done:
        await self._pause()
        self._there(target)
        self.kept[target] = self._checked(data)
        return Done(id=target, status=200)

    async def complete(self, context: Context, target: str, data: object) -> Done:
        return await self.replace(context, target, data, None)

    async def patch(self, context: Context, target: str, data: object, if_match: str | None) -> Done:
        await self._pause()
        self._there(target)
        for operation in cast(dict[str, Any], data)["Operations"]:
            now = self.kept[target]["refers"]
            self.kept[target]["refers"] = [*now, *self._checked({"refers": operation["value"]})["refers"]]
        return Done(id=target, status=200)

    async def delete(self, context: Context, target: str, if_match: str | None) -> Done:
        await self._pause()
        self._there(target)
        del self.kept[target]
        return Done(id=target, status=204)

    def state(self) -> dict[str, set[str]]:
        """Who refers to whom, by name."""
        names = {made: each["name"] for made, each in self.kept.items()}
        return {each["name"]: {names[r] for r in each["refers"]} for each in self.kept.values()}

    async def _pause(self) -> None:
        for _ in range(self._random.randrange(4)):
            await asyncio.sleep(0)

    def _there(self, target: str) -> None:
        if target not in self.kept:
            raise NotFound(target)

    def _checked(self, data: object) -> dict[str, Any]:
        found = {"refers": [], **cast(dict[str, Any], data)}
        for each in found["refers"]:
            if each not in self.kept:
                raise InvalidValue(each)
        return found


async def guard(operation: BulkOperation, work: Awaitable[Done]) -> Outcome:
    try:
        return await work
    except ScimError as error:
        return Failed(error=error)


async def run(memory: Any, operations: list[dict[str, Any]], **members: Any) -> Report:
    body = {"Operations": operations, **members}
    request = read_bulk(body, LENIENT, max_operations=100, max_patch_operations=10)
    forever = Allowance(start_until=float("inf"), answer_at=asyncio.get_running_loop().time() + 3600)
    return await Bulk({"Users": memory, "Groups": memory}, concurrency=3).run(NOBODY, request, guard, forever)


def post(path: str, name: str, refers: set[str]) -> dict[str, Any]:
    data = {"name": name, "refers": [PREFIX + each for each in sorted(refers)]}
    return {"method": "POST", "path": path, "bulkId": name, "data": data}


def add(path: str, name: str, other: str) -> dict[str, Any]:
    operation = {"op": "add", "path": "refers", "value": [PREFIX + other]}
    return {"method": "PATCH", "path": f"{path}/{PREFIX}{name}", "data": {"Operations": [operation]}}


@st.composite
def graphs(draw: st.DrawFn) -> tuple[list[dict[str, Any]], dict[str, set[str]], int]:
    """Operations in any order, and who shall refer to whom: users to anybody, groups to users and to groups
    before them."""
    users = [f"u{n}" for n in range(draw(st.integers(1, 6)))]
    groups = [f"g{n}" for n in range(draw(st.integers(0, 4)))]
    wanted = {u: draw(st.sets(st.sampled_from([*users, *groups]), max_size=3)) for u in users}
    for number, name in enumerate(groups):
        wanted[name] = draw(st.sets(st.sampled_from([*users, *groups[:number]]), max_size=3))
    operations = [post("/Users", u, wanted[u]) for u in users]
    operations += [post("/Groups", g, wanted[g]) for g in groups]
    for name in draw(st.lists(st.sampled_from([*users, *groups]), max_size=5)):
        other = draw(st.sampled_from(users))
        operations.append(add("/Users" if name in users else "/Groups", name, other))
        wanted[name] = wanted[name] | {other}
    return draw(st.permutations(operations)), wanted, draw(st.integers(0, 1000))


@settings(deadline=None, derandomize=True, max_examples=200)
@given(graphs(), st.booleans())
def test_any_order_gives_the_same_end(
    graph: tuple[list[dict[str, Any]], dict[str, set[str]], int], strictly: bool
) -> None:
    operations, wanted, seed = graph
    memory = Memory(seed)
    report = asyncio.run(run(memory, operations, failOnErrors=1 if strictly else None))
    assert all(isinstance(outcome, Done) for outcome in report.outcomes)
    assert memory.state() == wanted
    assert not report.under_way


@settings(deadline=None, derandomize=True, max_examples=200)
@given(graphs(), st.data())
def test_of_what_fails_nothing_is_left(
    graph: tuple[list[dict[str, Any]], dict[str, set[str]], int], data: st.DataObject
) -> None:
    """Whatever refers to what failed, over any number of steps, fails too; the rest is done."""
    operations, _, seed = graph
    bad = data.draw(st.sampled_from([o["bulkId"] for o in operations if o["method"] == "POST"]))
    memory = Memory(seed)
    memory.kept["before"] = {"name": bad, "refers": []}
    report = asyncio.run(run(memory, operations))
    refers = {
        o["bulkId"]: {r.removeprefix(PREFIX) for r in o["data"]["refers"]}
        for o in operations
        if "bulkId" in o
    }
    lost = {bad}
    while more := {name for name, others in refers.items() if others & lost} - lost:
        lost |= more
    for operation, outcome in zip(operations, report.outcomes, strict=True):
        if "bulkId" in operation:
            assert isinstance(outcome, Failed) == (operation["bulkId"] in lost)
    assert {each["name"] for each in memory.kept.values()} == (refers.keys() - lost) | {bad}


class Slow(Memory):
    """Creation waits to be let go."""

    def __init__(self) -> None:
        super().__init__()
        self.go = asyncio.Event()
        self.begun = 0

    async def create(self, context: Context, data: object) -> Done:
        self.begun += 1
        await self.go.wait()
        return await super().create(context, data)


async def test_at_the_end_of_its_time_a_request_answers_and_loses_nothing() -> None:
    memory = Slow()
    operations = [post("/Users", f"u{n}", set()) for n in range(5)] + [add("/Users", "u0", "u1")]
    request = read_bulk({"Operations": operations}, LENIENT, max_operations=10, max_patch_operations=10)
    loop = asyncio.get_running_loop()
    soon = Allowance(start_until=loop.time() + 3600, answer_at=loop.time() + 0.05)
    report = await Bulk({"Users": memory}, concurrency=3).run(NOBODY, request, guard, soon)
    assert [o.error.status for o in report.outcomes if isinstance(o, Failed)] == [503] * 6
    details = [o.error.detail for o in report.outcomes if isinstance(o, Failed)]
    assert ["goes on" in each for each in details] == [True] * 3 + [False] * 3
    assert ["not begun" in each for each in details] == [False] * 3 + [True] * 3
    memory.go.set()
    await asyncio.gather(*report.under_way)
    assert memory.state() == {"u0": set(), "u1": set(), "u2": set()}
    assert memory.begun == 3


async def test_nothing_is_begun_after_its_time() -> None:
    memory = Memory()
    request = read_bulk(
        {"Operations": [post("/Users", "a", set()), post("/Users", "b", {"a"})]},
        LENIENT,
        max_operations=10,
        max_patch_operations=10,
    )
    over = Allowance(start_until=0.0, answer_at=float("inf"))
    report = await Bulk({"Users": memory}, concurrency=3).run(NOBODY, request, guard, over)
    assert [o.error.status for o in report.outcomes if isinstance(o, Failed)] == [503, 503]
    assert memory.kept == {}
