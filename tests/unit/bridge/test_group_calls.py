"""The platform calls behind every request for a group: how many, and which."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from group_rig import BACKENDS, GROUP, Backend, GroupRig, Send, Side, open_group_rig, refused, values

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


@pytest_asyncio.fixture(loop_scope="module", params=BACKENDS)
async def either(group_rig: GroupRig, request: pytest.FixtureRequest) -> Side:
    """Groups kept here or there."""
    backend: Backend = request.param
    return await group_rig.side(backend)


def add(ids: list[str]) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": values(ids)}


def only(ids: list[str]) -> dict[str, Any]:
    return {"op": "replace", "path": "members", "value": values(ids)}


def remove(user_id: str) -> dict[str, Any]:
    return {"op": "remove", "path": f'members[value eq "{user_id}"]'}


@pytest.mark.parametrize("size", [0, 3, 120])
async def test_adding_one_is_one_call_whatever_the_size(side: Side, size: int) -> None:
    *there, new = await side.users(size + 1)
    group = await side.group(members=there)
    answer = await side.patch(group, add([new]))
    assert answer.status_code == 204
    assert side.wire.seen() == ["POST members"]


@pytest.mark.parametrize("size", [1, 3, 120])
async def test_removing_one_who_is_there_is_one_call(side: Side, size: int) -> None:
    there = await side.users(size)
    group = await side.group(members=there)
    answer = await side.patch(group, remove(there[0]))
    assert answer.status_code == 204
    assert side.wire.seen() == ["DELETE member"]
    assert await side.members(group) == set(there[1:])


async def test_removing_one_who_is_not_there_asks_whether_there_is_a_group(side: Side) -> None:
    group = await side.group()
    assert (await side.patch(group, remove("usr_nobody"))).status_code == 204
    assert side.wire.seen() == ["DELETE member", "GET group"]


async def test_two_hundred_and_fifty_are_added_by_three_calls_and_a_look_at_one_page(side: Side) -> None:
    users = await side.users(250)
    group = await side.group()
    answer = await side.patch(group, *(add([u]) for u in users[:50]), add(users[50:]))
    assert answer.status_code == 204
    assert side.wire.seen() == ["GET members", *["POST members"] * 3]
    assert await side.members(group) == set(users)


async def test_adding_nobody_new_is_one_call(side: Side) -> None:
    users = await side.users(2)
    group = await side.group(members=users)
    await side.patch(group, add(users))
    assert side.wire.seen() == ["POST members"]


@pytest.mark.parametrize("size", [1, 150])
async def test_without_members_none_are_read(side: Side, size: int) -> None:
    group = await side.group("Sales", await side.users(size))
    for path, calls in {
        f"/Groups/{group}?excludedAttributes=members": ["GET group"],
        f"/Groups/{group}?attributes=displayName": ["GET group"],
        "/Groups?excludedAttributes=members": ["GET groups"],
        '/Groups?excludedAttributes=members&filter=displayName eq "sales"': ["GET groups"],
        f'/Groups?attributes=id&filter=id eq "{group}"': ["GET group"],
        "/Groups?count=0": ["GET groups"],
        "/Groups?sortBy=displayName&attributes=displayName": ["GET groups"],
        '/Groups?attributes=id&filter=externalId eq "x"': [],
        '/Groups?attributes=id&filter=id eq "../x"': [],
        '/Groups?attributes=id&filter=members.value eq "../x"': [],
    }.items():
        answer = await side.scim.get(path)
        assert answer.status_code == 200, answer.text
        assert "members" not in answer.text.replace("excludedAttributes=members", "")
        assert side.wire.seen() == calls, path


async def test_whether_somebody_is_a_member_reads_no_list(side: Side) -> None:
    users = await side.users(120)
    group = await side.group("Sales", users)
    answer = await side.scim.get(
        "/Groups",
        params={"filter": f'id eq "{group}" and members eq "{users[0]}"', "attributes": "id"},
    )
    assert answer.json()["totalResults"] == 1
    assert sorted(side.wire.seen()) == ["GET group", "GET user"]


async def test_reading_a_group_reads_its_members_in_pages(side: Side) -> None:
    group = await side.group(members=await side.users(150))
    await side.scim.get(f"/Groups/{group}")
    assert side.wire.seen() == ["GET group", "GET members", "GET members"]


async def test_another_attribute_never_touches_members(either: Side) -> None:
    users = await either.users(2)
    group = await either.group("Sales", users)
    for operation in (
        {"op": "replace", "path": "displayName", "value": "Marketing"},
        {"op": "replace", "value": {"id": group, "displayName": "Service"}},
        {"op": "replace", "path": "externalId", "value": "e"},
        {"op": "remove", "path": "externalId"},
    ):
        assert (await either.patch(group, operation)).status_code == 204
        assert not [c for c in either.wire.seen() if "member" in c or "user" in c]
    assert await either.members(group) == set(users)


async def test_a_put_without_members_never_touches_them(either: Side) -> None:
    users = await either.users(2)
    group = await either.group("Sales", users)
    answer = await either.scim.put(
        f"/Groups/{group}?excludedAttributes=members",
        json={"schemas": [GROUP], "displayName": "Service"},
    )
    assert answer.status_code == 200
    assert not [c for c in either.wire.seen() if "member" in c or "user" in c]
    assert await either.members(group) == set(users)


async def test_a_strict_put_without_members_clears_them(group_rig: GroupRig) -> None:
    for backend in BACKENDS:
        side = await group_rig.side(backend, strict=True)
        group = await side.group("Sales", await side.users(2))
        answer = await side.scim.put(f"/Groups/{group}", json={"schemas": [GROUP], "displayName": "Service"})
        assert answer.status_code == 200
        assert await side.members(group) == set()


async def test_one_unknown_member_in_strict_mode_changes_nothing(group_rig: GroupRig) -> None:
    for backend in BACKENDS:
        side = await group_rig.side(backend, strict=True)
        ann, bob = await side.users(2)
        group = await side.group("Sales", [ann])
        for operation in (add([bob, "usr_nobody"]), only([bob, "usr_nobody"])):
            answer = await side.patch(group, operation)
            assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
            assert "usr_nobody" in answer.json()["detail"]
        body = {"schemas": [GROUP], "displayName": "X", "members": values([bob, "usr_nobody"])}
        assert (await side.scim.put(f"/Groups/{group}", json=body)).status_code == 400
        assert (await side.scim.post("/Groups", json=body)).status_code == 400
        assert await side.members(group) == {ann}
        found = (await side.scim.get("/Groups")).json()
        assert [g["displayName"] for g in found["Resources"]] == ["Sales"]


async def test_a_refused_batch_is_looked_up_and_the_known_are_sent(side: Side) -> None:
    users = await side.users(2)
    group = await side.group()
    assert (await side.patch(group, add([users[0], "usr_nobody", users[1]]))).status_code == 204
    calls = side.wire.seen()
    assert calls[0] == calls[-1] == "POST members"
    assert Counter(calls) == {"POST members": 2, "GET user": 3}
    assert await side.members(group) == set(users)


async def test_an_impossible_id_is_not_asked_for(side: Side) -> None:
    (user,) = await side.users(1)
    group = await side.group()
    assert (await side.patch(group, add(["../x", user, "a b", "x" * 129]))).status_code == 204
    assert side.wire.seen() == ["POST members"]
    assert await side.members(group) == {user}
    answer = await side.patch(group, add(["../x"]))
    assert answer.status_code == 400
    assert side.wire.seen() == []


async def test_unknown_members_alone_add_nobody(side: Side) -> None:
    group = await side.group(members=await side.users(1))
    before = await side.members(group)
    for operation in (add(["usr_nobody"]), only(["usr_nobody"])):
        answer = await side.patch(group, operation)
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
        assert "DELETE member" not in side.wire.seen()
        assert await side.members(group) == before


async def test_a_creation_is_a_look_a_post_and_its_members(side: Side) -> None:
    users = await side.users(2)
    for body in ({"displayName": "Sales"}, {"displayName": "Empty", "members": []}):
        assert (await side.scim.post("/Groups", json={"schemas": [GROUP], **body})).status_code == 201
        assert side.wire.seen() == ["GET groups", "POST groups"]
    body = {"schemas": [GROUP], "displayName": "Service", "members": values(users)}
    await side.scim.post("/Groups?excludedAttributes=members", json=body)
    assert side.wire.seen()[:3] == ["GET groups", "POST groups", "POST members"]


async def test_a_replacement_with_the_same_members_removes_nobody(side: Side) -> None:
    users = await side.users(3)
    group = await side.group(members=users)
    await side.patch(group, only(users))
    assert side.wire.seen() == ["GET members"]


def stopped_at(number: int, status: int = 500) -> Any:
    """The platform fails at this write and every call after it."""
    writes = 0

    async def course(name: str, request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal writes
        writes += not name.startswith("GET")
        return await send(request) if writes < number else refused(status)

    return course


@pytest.mark.parametrize("number", range(1, 7))
async def test_a_replacement_that_fails_half_way_loses_nobody_who_belongs(side: Side, number: int) -> None:
    users = await side.users(8)
    before, wanted = set(users[:5]), set(users[3:])
    group = await side.group(members=users[:5])
    side.wire.course = stopped_at(number)
    answer = await side.patch(group, only(users[3:]))
    side.wire.course = None
    after = await side.members(group)
    assert before & wanted <= after
    assert after <= before | wanted
    if answer.status_code == 204:
        assert after == wanted
    else:
        assert answer.status_code == 503
        assert answer.headers["retry-after"].isdigit()
    # What the client does then.
    assert (await side.patch(group, only(users[3:]))).status_code == 204
    assert await side.members(group) == wanted


@pytest.mark.parametrize("number", range(1, 4))
async def test_a_creation_that_fails_half_way_leaves_no_group(side: Side, number: int) -> None:
    users = await side.users(2)
    body = {"schemas": [GROUP], "displayName": "Half", "members": values(users)}
    writes = 0

    async def course(name: str, request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal writes
        writes += not name.startswith(("GET", "DELETE"))
        return refused(403) if writes == number and name != "DELETE group" else await send(request)

    side.wire.course = course
    answer = await side.scim.post("/Groups", json=body)
    side.wire.course = None
    found = (await side.scim.get("/Groups", params={"filter": 'displayName eq "half"'})).json()
    assert found["totalResults"] == (1 if answer.status_code == 201 else 0)
    if number <= 2:
        assert answer.status_code == 403


async def test_an_addition_whose_answer_is_lost_is_repeated(side: Side) -> None:
    users = await side.users(2)
    group = await side.group(members=users[:1])
    lost = 0

    async def course(name: str, request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal lost
        answer = await send(request)
        if name in ("POST members", "DELETE member") and lost < 2:
            lost += 1
            await answer.aread()
            raise httpx.ReadError("lost")
        return answer

    side.wire.course = course
    assert (await side.patch(group, add(users[1:]))).status_code == 204
    lost = 0
    assert (await side.patch(group, remove(users[0]))).status_code == 204
    side.wire.course = None
    assert await side.members(group) == {users[1]}


async def test_a_user_deleted_while_being_added_is_no_member(either: Side) -> None:
    """The deletion begins after the bridge has seen the user, and is over before the addition is written."""
    ann = await either.user()
    group = await either.group()
    deleted = False

    async def course(name: str, request: httpx.Request, send: Send) -> httpx.Response:
        nonlocal deleted
        answer = await send(request)
        if name == "GET user" and request.url.path.endswith(ann) and not deleted:
            deleted = True
            await answer.aread()
            assert (await either.scim.delete(f"/Users/{ann}")).status_code == 204
        return answer

    if either.backend == "local":
        either.wire.course = course
    await either.patch(group, add([ann]))
    either.wire.course = None
    if either.backend == "platform":
        assert (await either.scim.delete(f"/Users/{ann}")).status_code == 204
    assert await either.members(group) == set()


async def test_local_groups_look_up_only_who_is_new(group_rig: GroupRig) -> None:
    side = await group_rig.side("local")
    users = await side.users(4)
    group = await side.group(members=users[:3])
    assert (await side.patch(group, add([users[0]]))).status_code == 204
    assert side.wire.seen() == []
    assert (await side.patch(group, add(users))).status_code == 204
    assert side.wire.seen() == ["GET user"]
    assert (await side.patch(group, remove(users[0]))).status_code == 204
    assert side.wire.seen() == []
    assert (await side.patch(group, only(users[1:]))).status_code == 204
    assert side.wire.seen() == []
    await side.scim.get(f"/Groups/{group}")
    assert side.wire.seen() == []


async def test_users_on_the_other_backend_show_the_groups_of_theirs(group_rig: GroupRig) -> None:
    """Two connections to one tenant: each sees the groups of the place that it uses."""
    there = await group_rig.side("platform")
    here = await group_rig.side("local", tenant_id=there.tenant_id)
    (user,) = await there.users(1)
    at_platform, at_bridge = await there.group("A", [user]), await here.group("B", [user])
    for side, group in ((there, at_platform), (here, at_bridge)):
        shown = (await side.scim.get(f"/Users/{user}")).json()["groups"]
        assert [g["value"] for g in shown] == [group]
        assert (await side.scim.get("/Groups")).json()["totalResults"] == 1


async def test_the_policy_that_answers(group_rig: GroupRig) -> None:
    for backend in BACKENDS:
        side = await group_rig.side(backend, answers=True)
        (user,) = await side.users(1)
        group = await side.group()
        answer = await side.patch(group, add([user]))
        assert answer.status_code == 200
        assert [m["value"] for m in answer.json()["members"]] == [user]
        assert answer.headers["etag"] == answer.json()["meta"]["version"]
