"""Writes to groups at the platform that break half-way: finished, taken back, or said to be neither."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
import pytest_asyncio
from group_rig import GROUP, GroupRig, Send, Side, open_group_rig, refused, values

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def group_rig(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[GroupRig]:
    """One bridge for the module, opened and closed by one task: anyio does not allow two."""
    ready: asyncio.Future[GroupRig] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def host() -> None:
        async with open_group_rig(tmp_path_factory.mktemp("rig")) as rig:
            ready.set_result(rig)
            await over.wait()

    task = asyncio.create_task(host())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    yield ready.result()
    over.set()
    await task


@pytest_asyncio.fixture(loop_scope="module")
async def side(group_rig: GroupRig) -> Side:
    """Groups kept by the platform."""
    return await group_rig.side("platform")


def fails(call: str, number: int = 1, *, status: int = 403) -> Callable[..., Any]:
    """The call of this name and number fails, and only that."""
    seen = 0

    async def course(name: str, request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal seen
        seen += name == call
        return refused(status) if name == call and seen == number else await send(request)

    return course


def loses(call: str) -> Callable[..., Any]:
    """The answers to these calls are lost, and no look comes through after it."""
    lost = False

    async def course(name: str, request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal lost
        if lost and name != call:
            return refused(500)
        answer = await send(request)
        if name == call:
            lost = True
            await answer.aread()
            raise httpx.ReadError("lost")
        return answer

    return course


def change(add: list[str], remove: list[str], name: str) -> list[dict[str, Any]]:
    return [
        {"op": "replace", "path": "displayName", "value": name},
        {"op": "add", "path": "members", "value": values(add)},
        {"op": "remove", "path": "members", "value": values(remove)},
    ]


@pytest.mark.parametrize("call", ["PATCH group", "POST members", "DELETE member"])
@pytest.mark.parametrize("number", [1, 2])
async def test_a_refused_change_is_taken_back(side: Side, call: str, number: int) -> None:
    users = await side.users(5)
    group = await side.group("Old", users[:3])
    side.wire.course = fails(call, number)
    answer = await side.patch(group, *change([users[2], *users[3:]], users[:2], "New"))
    side.wire.course = None
    if number == 2 and call != "DELETE member":
        assert answer.status_code == 204
        return
    assert answer.status_code == 403
    assert await side.members(group) == set(users[:3])
    shown = (await side.scim.get(f"/Groups/{group}?excludedAttributes=members")).json()
    assert shown["displayName"] == "Old"
    again = await side.patch(group, *change(users[3:], users[:2], "New"))
    assert again.status_code == 204
    assert await side.members(group) == set(users[2:])


async def test_a_refused_batch_takes_back_only_who_was_not_there_before(side: Side) -> None:
    users = await side.users(205)
    group = await side.group(members=users[:3])
    side.wire.course = fails("POST members", 3)
    answer = await side.patch(group, {"op": "add", "path": "members", "value": values(users)})
    side.wire.course = None
    assert answer.status_code == 403
    assert await side.members(group) == set(users[:3])


async def test_what_cannot_be_taken_back_is_finished_and_said(side: Side) -> None:
    there, new = await side.users(101), await side.users(201)
    group = await side.group(members=there)
    version = (await side.scim.get(f"/Groups/{group}")).headers["etag"]
    side.wire.course = fails("POST members", 2)
    answer = await side.patch(group, {"op": "add", "path": "members", "value": values(new)})
    side.wire.course = None
    assert answer.status_code == 403
    assert "the rest of the change was made" in answer.json()["detail"]
    assert await side.members(group) == {*there, *new[:100], *new[200:]}
    assert (await side.scim.get(f"/Groups/{group}")).headers["etag"] != version


async def test_unknown_members_alone_leave_the_name_as_it_was(side: Side) -> None:
    (user,) = await side.users(1)
    group = await side.group("Old", [user])
    before = (await side.scim.get(f"/Groups/{group}")).json()
    unknown = [f"usr_nobody{n}" for n in range(20)]
    for request in (
        side.patch(group, *change(unknown, [user], "New")),
        side.scim.put(
            f"/Groups/{group}",
            json={"schemas": [GROUP], "displayName": "New", "members": values(unknown)},
        ),
    ):
        side.wire.seen()
        answer = await request
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
        assert [call for call in side.wire.seen() if not call.startswith("GET")] == []
        assert (await side.scim.get(f"/Groups/{group}")).json() == before


async def test_a_new_name_and_a_known_member_among_unknown_ones_are_taken(side: Side) -> None:
    users = await side.users(2)
    group = await side.group("Old", users[:1])
    answer = await side.patch(group, *change(["usr_nobody", users[1]], [], "New"))
    assert answer.status_code == 204
    assert (await side.scim.get(f"/Groups/{group}")).json()["displayName"] == "New"
    assert await side.members(group) == set(users)


async def test_a_repeated_post_completes_the_first_one(side: Side) -> None:
    users = await side.users(3)
    body = {"schemas": [GROUP], "displayName": "Sales", "externalId": "e", "members": values(users[:2])}
    side.wire.course = loses("POST groups")
    assert (await side.scim.post("/Groups", json=body)).status_code == 503
    side.wire.course = None
    again = await side.scim.post("/Groups", json={**body, "members": values(users[1:])})
    assert again.status_code == 201
    assert again.json()["externalId"] == "e"
    assert {m["value"] for m in again.json()["members"]} == set(users[1:])
    assert (await side.scim.get("/Groups")).json()["totalResults"] == 1
    assert (await side.scim.post("/Groups", json=body)).status_code == 409


@pytest.mark.parametrize("then", ["deleted", "renamed"])
async def test_a_group_that_is_another_by_now_is_not_completed(side: Side, then: str) -> None:
    (user,) = await side.users(1)
    body = {"schemas": [GROUP], "displayName": "Sales", "members": values([user])}
    side.wire.course = loses("POST members")
    assert (await side.scim.post("/Groups", json=body)).status_code == 503
    side.wire.course = None
    (row,) = (await side.platform.get("/groups")).json()["data"]
    if then == "deleted":
        assert (await side.scim.delete(f"/Groups/{row['id']}")).status_code == 204
    else:
        assert (
            await side.platform.patch(f"/groups/{row['id']}", json={"name": "Service"})
        ).status_code == 200
    again = await side.scim.post("/Groups", json=body)
    assert again.status_code == 201
    assert again.json()["id"] != row["id"]


async def test_a_read_that_fails_after_the_write_is_no_refusal(side: Side) -> None:
    users = await side.users(2)
    group = await side.group("Old", users[:1])
    side.wire.course = fails("GET group", 2)
    body = {"schemas": [GROUP], "displayName": "New", "members": values(users)}
    answer = await side.scim.put(f"/Groups/{group}", json=body)
    side.wire.course = None
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert (await side.scim.put(f"/Groups/{group}", json=body)).json()["displayName"] == "New"
    assert await side.members(group) == set(users)


async def test_a_local_group_is_made_whole_or_not_at_all(group_rig: GroupRig) -> None:
    side = await group_rig.side("local")
    users = await side.users(3)
    side.wire.course = fails("GET user", 2, status=500)
    body = {"schemas": [GROUP], "displayName": "Sales", "externalId": "e", "members": values(users)}
    retried = await side.scim.post("/Groups", json=body)
    assert retried.status_code == 201
    side.wire.course = fails("GET user", 2)
    assert (await side.scim.post("/Groups", json={**body, "displayName": "Two"})).status_code == 403
    side.wire.course = None
    found = (await side.scim.get("/Groups")).json()
    assert [(g["displayName"], g["externalId"], len(g["members"])) for g in found["Resources"]] == [
        ("Sales", "e", 3)
    ]
