"""Policy `deprovision`: users that SCIM deletes and the platform keeps, hidden until they come back."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from bridge_rig import PATCH_OP, PLATFORM, Rig, answers, person

from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

DISABLE = Policies(deprovision="disable")
LIVE = Policies(deprovision="disable", search="live")
BOTH = pytest.mark.parametrize("policies", [DISABLE, LIVE], ids=["indexed", "live"])


async def total(rig: Rig, query: str = "", **options: Any) -> tuple[int, list[str]]:
    answer = (await rig.scim("GET", f"/Users?{query}", **options)).json()
    return answer["totalResults"], [u["userName"] for u in answer.get("Resources", [])]


async def three(rig: Rig) -> list[str]:
    made = [
        await rig.make(userName=name, externalId=f"x-{name}", emails=[{"value": f"{name}@example.com"}])
        for name in ("ann", "bob", "cid")
    ]
    return [user["id"] for user in made]


@BOTH
@pytest.mark.parametrize("swept", [True, False], ids=["swept", "never swept"])
async def test_a_deleted_user_is_disabled_and_hidden(shared: Rig, policies: Policies, swept: bool) -> None:
    rig = await shared.alone(policies=policies)
    _, bob, _ = await three(rig)
    if swept:
        await total(rig, 'filter=externalId eq "nobody"')
    assert (await rig.scim("DELETE", f"/Users/{bob}")).status_code == 204
    kept = await rig.at_platform(bob)
    assert kept is not None and kept["status"] == "DISABLED"
    assert kept["custom_attributes"]["scim"]["deleted"]
    for method, body in (
        ("GET", None),
        ("DELETE", None),
        ("PUT", person(userName="bob")),
        ("PATCH", {"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "title", "value": "x"}]}),
    ):
        assert (await rig.scim(method, f"/Users/{bob}", body)).status_code == 404
    assert await total(rig) == (2, ["ann", "cid"])
    assert await total(rig, "count=0") == (2, [])
    assert await total(rig, "startIndex=2&count=1") == (2, ["cid"])
    assert (await total(rig, "sortBy=userName&sortOrder=descending&attributes=userName"))[1] == ["cid", "ann"]
    for query in (
        f'id eq "{bob}"',
        'userName eq "bob"',
        'externalId eq "x-bob"',
        'emails.value eq "bob@example.com"',
        "active eq false",
        f'{PLATFORM}:status eq "DISABLED"',
        'userName sw "b"',
    ):
        assert await total(rig, f"filter={query}") == (0, []), query
    assert await total(rig, 'filter=userName pr and not (userName eq "x")') == (2, ["ann", "cid"])
    assert (await rig.at_platform(bob)) == kept


async def test_pages_by_cursor_leave_it_out(shared: Rig) -> None:
    for policies in (DISABLE, LIVE):
        rig = await shared.alone(policies=policies)
        ann, *_ = await three(rig)
        await rig.scim("DELETE", f"/Users/{ann}")
        found, cursor = [], ""
        while cursor is not None:
            page = (await rig.scim("GET", f"/Users?cursor={cursor}&count=1")).json()
            assert page["totalResults"] == 2
            found += [u["userName"] for u in page["Resources"]]
            cursor = page.get("nextCursor")
        assert found == ["bob", "cid"]


async def test_other_connections_of_the_tenant_do_not_see_it_either(shared: Rig) -> None:
    rig = await shared.alone(policies=DISABLE)
    tokens = [
        await rig.connection(f"{rig.tenant_id}-{search}", policies=Policies(search=search), domain=search)
        for search in ("indexed", "live")
    ]
    ann, *_ = await three(rig)
    for token in tokens:
        assert (await total(rig, token=token))[0] == 3
    await rig.scim("DELETE", f"/Users/{ann}")
    for token in tokens:
        assert await total(rig, token=token) == (2, ["bob", "cid"])
        assert (await rig.scim("GET", f"/Users/{ann}", token=token)).status_code == 404


async def test_a_sweep_finds_those_that_the_index_lost(shared: Rig) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, *_ = await three(rig)
    await rig.scim("DELETE", f"/Users/{ann}")
    for view in await rig.store.index.views(rig.tenant_id):
        await rig.store.index.drop(view.id)
    assert await total(rig) == (2, ["bob", "cid"])
    assert await total(rig, 'filter=externalId eq "x-ann"') == (0, [])
    rig.wire.reset()
    assert await total(rig) == (2, ["bob", "cid"])
    assert rig.wire.seen() == ["GET user", "GET user"]


@BOTH
async def test_a_post_brings_it_back_as_sent(shared: Rig, policies: Policies) -> None:
    rig = await shared.alone(policies=policies)
    user = await rig.make(userName="ann", externalId="1", title="Dr", nickName="A", password="old-Secret-12")
    await rig.scim("DELETE", f"/Users/{user['id']}")
    rig.wire.reset()
    answer = await rig.scim("POST", "/Users", person(userName="Ann", externalId="2", nickName="Annie"))
    assert answer.status_code == 201
    assert "POST users" not in rig.wire.calls
    back = answer.json()
    assert answer.headers["location"].endswith(user["id"])
    assert (back["id"], back["userName"], back["externalId"]) == (user["id"], "Ann", "2")
    assert (back["active"], back["nickName"], "title" in back) == (True, "Annie", False)
    kept = await rig.at_platform(user["id"])
    assert kept is not None and kept["status"] == "ACTIVE"
    assert "deleted" not in kept["custom_attributes"].get("scim", {})
    assert (await rig.scim("GET", f"/Users/{user['id']}")).json() == back
    assert await total(rig) == (1, ["Ann"])
    assert (await rig.scim("POST", "/Users", person(userName="ann"))).status_code == 409


@pytest.mark.parametrize(
    ("before", "sent", "after"),
    [
        ("ACTIVE", {}, "ACTIVE"),
        ("ACTIVE", {"active": True}, "ACTIVE"),
        ("ACTIVE", {"active": False}, "DISABLED"),
        ("DISABLED", {"active": True}, "ACTIVE"),
        ("LOCKED", {"active": True}, "LOCKED"),
        ("LOCKED", {"active": False}, "DISABLED"),
        ("PENDING_APPROVAL", {}, "PENDING_APPROVAL"),
        ("ACTIVE", {PLATFORM: {"status": "DISABLED"}}, "DISABLED"),
    ],
)
async def test_the_status_is_what_it_was_unless_sent(
    shared: Rig, before: str, sent: dict[str, Any], after: str
) -> None:
    rig = await shared.alone(policies=DISABLE)
    user = await rig.make()
    await rig.set_status(user["id"], before)
    assert (await rig.scim("DELETE", f"/Users/{user['id']}")).status_code == 204
    answer = await rig.scim("POST", "/Users", person(**sent))
    assert (answer.status_code, answer.json()["id"]) == (201, user["id"])
    kept = await rig.at_platform(user["id"])
    assert kept is not None and kept["status"] == after
    assert answer.json()["active"] is (after != "DISABLED")


async def test_its_values_stay_taken_for_others(shared: Rig) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, bob, _ = await three(rig)
    await rig.scim("DELETE", f"/Users/{ann}")
    rename = await rig.patch(bob, {"op": "replace", "path": "userName", "value": "ann"})
    assert rename.status_code == 409
    assert ann in rename.json()["detail"]
    other = person(userName="dan", emails=[{"value": "ann@example.com"}])
    answer = await rig.scim("POST", "/Users", other)
    assert answer.status_code == 409
    assert f"{ann}, deleted" in answer.json()["detail"]


async def test_it_leaves_its_groups(shared: Rig) -> None:
    for groups in ("platform", "local"):
        rig = await shared.alone(policies=Policies(deprovision="disable", groups=groups))
        ann, bob, _ = await three(rig)
        members = [{"value": ann}, {"value": bob}]
        group = (await rig.scim("POST", "/Groups", {"displayName": "g", "members": members})).json()
        await rig.scim("DELETE", f"/Users/{ann}")
        now = (await rig.scim("GET", f"/Groups/{group['id']}")).json()
        assert [m["value"] for m in now["members"]] == [bob]
        assert now["meta"]["version"] != group["meta"]["version"]
        back = await rig.scim("POST", "/Users", person(userName="ann"))
        assert (back.status_code, back.json()["id"], "groups" in back.json()) == (201, ann, False)


async def test_it_cannot_be_made_a_member(shared: Rig) -> None:
    for groups in ("platform", "local"):
        rig = await shared.alone(policies=Policies(deprovision="disable", groups=groups))
        ann, bob, _ = await three(rig)
        await rig.scim("DELETE", f"/Users/{ann}")
        both = [{"value": ann}, {"value": bob}]
        group = (await rig.scim("POST", "/Groups", {"displayName": "g", "members": both})).json()
        path = f"/Groups/{group['id']}"
        assert (await rig.scim("PUT", path, {"displayName": "g", "members": both})).status_code == 200
        for members, status in ((both, 204), (both[:1], 400)):
            body = {"schemas": [PATCH_OP], "Operations": [{"op": "add", "path": "members", "value": members}]}
            assert (await rig.scim("PATCH", path, body)).status_code == status
        assert [m["value"] for m in (await rig.scim("GET", path)).json()["members"]] == [bob]
        assert (await rig.scim("GET", f'/Groups?filter=members.value eq "{ann}"')).json()["totalResults"] == 0


async def test_members_that_the_platform_gave_a_group_since_are_not_shown(shared: Rig) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, bob, _ = await three(rig)
    group = (await rig.scim("POST", "/Groups", {"displayName": "g", "members": [{"value": bob}]})).json()
    await rig.scim("DELETE", f"/Users/{ann}")
    path = f"/api/v1/tenants/{rig.tenant_id}/groups/{group['id']}/members"
    assert (await rig.platform.post(path, json={"user_ids": [ann]})).status_code == 200
    shown = (await rig.scim("GET", f"/Groups/{group['id']}")).json()
    assert [m["value"] for m in shown["members"]] == [bob]
    found = (await rig.scim("GET", f'/Groups?filter=members.value eq "{ann}"')).json()
    assert found["totalResults"] == 0


@pytest.mark.parametrize("call", ["PUT status", "PATCH user"])
async def test_half_a_deletion_is_finished_before_the_next(shared: Rig, call: str) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, *_ = await three(rig)
    await rig.set_status(ann, "LOCKED")
    rig.wire.always(call, answers(500))
    assert (await rig.scim("DELETE", f"/Users/{ann}")).status_code == 503
    rig.wire.reset()
    assert (await rig.scim("GET", f"/Users/{ann}")).status_code == 200
    assert (await rig.scim("DELETE", f"/Users/{ann}")).status_code == 404
    assert await total(rig) == (2, ["bob", "cid"])
    back = await rig.scim("POST", "/Users", person(userName="ann", emails=[{"value": "ann@example.com"}]))
    assert back.json()[PLATFORM]["status"] == "LOCKED"


async def test_a_refused_deletion_leaves_all_as_it_was(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(deprovision="disable", guard_limit=1, guard_share=0.0))
    ann, bob, _ = await three(rig)
    await rig.scim("POST", "/Groups", {"displayName": "g", "members": [{"value": ann}]})
    before = await rig.at_platform(ann)
    rig.wire.always("PATCH user", answers(403))
    assert (await rig.scim("DELETE", f"/Users/{ann}")).status_code == 403
    rig.wire.reset()
    after = await rig.at_platform(ann)
    assert before is not None and after is not None
    assert [after[k] for k in ("status", "custom_attributes")] == [
        before[k] for k in ("status", "custom_attributes")
    ]
    assert [g["group_id"] for g in after["groups"]] == [g["group_id"] for g in before["groups"]]
    assert (await total(rig))[0] == 3
    # It does not count either.
    assert (await rig.scim("DELETE", f"/Users/{bob}")).status_code == 204
    assert (await rig.scim("DELETE", f"/Users/{ann}")).status_code == 429


@pytest.mark.parametrize("call", ["PATCH user", "PUT status"])
async def test_a_refused_return_leaves_it_deleted(shared: Rig, call: str) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, *_ = await three(rig)
    await rig.scim("DELETE", f"/Users/{ann}")
    before = await rig.at_platform(ann)
    body = person(userName="ann", title="Dr", emails=[{"value": "ann@example.com"}])
    rig.wire.always(call, answers(403))
    assert (await rig.scim("POST", "/Users", body)).status_code == 403
    rig.wire.reset()
    after = await rig.at_platform(ann)
    assert before is not None and after is not None
    assert [after[k] for k in ("status", "custom_attributes")] == [
        before[k] for k in ("status", "custom_attributes")
    ]
    assert (await rig.scim("GET", f"/Users/{ann}")).status_code == 404
    assert (await rig.scim("POST", "/Users", body)).json()["id"] == ann


@pytest.mark.parametrize("call", ["PATCH user", "PUT status"])
@pytest.mark.parametrize("worker", [True, False], ids=["by the worker", "by the repetition"])
async def test_a_return_that_nobody_heard_of_is_completed(shared: Rig, call: str, worker: bool) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, *_ = await three(rig)
    await rig.scim("DELETE", f"/Users/{ann}")
    body = person(userName="ann", title="Dr", emails=[{"value": "ann@example.com"}])
    rig.wire.always(call, answers(500))
    assert (await rig.scim("POST", "/Users", body)).status_code == 503
    rig.wire.reset()
    if worker:
        (entry,) = [e for e in await rig.store.journal.list() if e.tenant_id == rig.tenant_id]
        assert await rig.app.state.services.recovery.run(entry.id)
        assert (await rig.scim("GET", f"/Users/{ann}")).json()["title"] == "Dr"
    # Not 409: the client was never told that the user is there.
    answer = await rig.scim("POST", "/Users", {**body, "title": "Prof"})
    assert (answer.status_code, answer.json()["id"], answer.json()["title"]) == (201, ann, "Prof")
    assert answer.json()["active"] is True
    assert (await rig.scim("POST", "/Users", body)).status_code == 409
    assert not [e for e in await rig.store.journal.list() if e.tenant_id == rig.tenant_id]


async def test_calls_are_few(shared: Rig) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, *_ = await three(rig)
    rig.wire.reset()
    await rig.scim("DELETE", f"/Users/{ann}")
    assert rig.wire.seen() == ["GET user", "PUT status", "PATCH user"]
    await rig.scim("POST", "/Users", person(userName="ann", emails=[{"value": "ann@example.com"}]))
    assert [c for c in rig.wire.seen() if not c.startswith("GET")] == ["PATCH user", "PUT status"]


async def test_a_user_deleted_at_the_platform_meanwhile_is_created_anew(shared: Rig) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, *_ = await three(rig)
    await rig.scim("DELETE", f"/Users/{ann}")
    user = await rig.at_platform(ann)
    assert user is not None
    path = f"/api/v1/tenants/{rig.tenant_id}/users/{ann}"
    gone = await rig.platform.delete(path, params={"confirm_email": user["email"]})
    assert gone.status_code < 300, gone.text
    answer = await rig.scim("POST", "/Users", person(userName="ann", emails=[{"value": "new@example.com"}]))
    assert answer.status_code == 201
    assert answer.json()["id"] != ann


async def test_refuse(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(deprovision="refuse"))
    ann, *_ = await three(rig)
    answer = await rig.scim("DELETE", f"/Users/{ann}")
    assert answer.status_code == 403
    assert "active" in answer.json()["detail"]
    assert (await rig.scim("GET", f"/Users/{ann}")).status_code == 200


async def test_a_connection_that_deletes_still_deletes(shared: Rig) -> None:
    rig = await shared.alone(policies=DISABLE)
    ann, *_ = await three(rig)
    plain = replace(rig, token=await rig.connection(f"{rig.tenant_id}-plain"))
    assert (await plain.scim("DELETE", f"/Users/{ann}")).status_code == 204
    assert await rig.at_platform(ann) is None
