"""Dry runs of writes to groups, at the platform and in the bridge's database, and of bulk requests."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from bridge_rig import CORE, PATCH_OP, Rig, answers, person
from group_rig import BACKENDS, GROUP, Backend
from msgspec.structs import replace
from rehearsing import DRY_RUN, HEADER, rehearsed, rows, still, twice

from app.store.audit_records import AuditFilter
from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
EACH_BACKEND = pytest.mark.parametrize("backend", BACKENDS)


def policies(backend: Backend, **more: Any) -> Policies:
    return Policies(dry_run=True, groups=backend, **more)


async def people(rig: Rig, *names: str) -> list[str]:
    return [(await rig.make(userName=f"{n}@example.com", emails=None))["id"] for n in names]


async def group(rig: Rig, name: str, members: list[str], **more: Any) -> str:
    body = {"schemas": [GROUP], "displayName": name, "members": [{"value": m} for m in members], **more}
    answer = await rig.scim("POST", "/Groups", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def patching(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def changes(a: str, b: str, c: str) -> list[tuple[str, str, Any]]:
    """Changes of a group in which a and b are, each on top of those before."""
    new = {"schemas": [GROUP], "displayName": "Crew", "members": [{"value": c}], "externalId": "g2"}
    others = [{"value": c}, {"value": a}]
    return [
        ("PATCH", "{id}", patching({"op": "add", "path": "members", "value": [{"value": c}]})),
        ("PATCH", "{id}", patching({"op": "remove", "path": f'members[value eq "{a}"]'})),
        ("PATCH", "{id}", patching({"op": "remove", "path": f'members[value eq "{a}"]'})),
        ("PATCH", "{id}", patching({"op": "replace", "path": "members", "value": others})),
        ("PATCH", "{id}", patching({"op": "replace", "path": "displayName", "value": "Team"})),
        ("PATCH", "{id}", patching({"op": "replace", "path": "displayName", "value": "Other"})),
        ("PATCH", "{id}", patching({"op": "add", "path": "members", "value": [{"value": "usr_nobody"}]})),
        ("PATCH", "{id}?attributes=displayName", patching({"op": "remove", "path": "externalId"})),
        ("PUT", "{id}", new),
        ("PUT", "{id}", new),
        ("PUT", "{id}?excludedAttributes=members", {**new, "displayName": "Crew 2", "members": []}),
        ("PUT", "grp_nobody", new),
        ("DELETE", "{id}", None),
        ("DELETE", "{id}", None),
    ]


@EACH_BACKEND
@pytest.mark.parametrize("shown", ["no-content", "resource"])
async def test_the_life_of_a_group(shared: Rig, backend: Backend, shown: Any) -> None:
    rig = await still(shared, policies(backend, group_patch=shown))
    a, b, c = await people(rig, "a", "b", "c")
    await group(rig, "Other", [])
    body = {"schemas": [GROUP], "displayName": "Staff", "externalId": "g1"}
    body["members"] = [{"value": a}, {"value": b}]
    dry, real, _ = await twice(rig, "POST", "/Groups", body)
    assert (dry.json()["id"], real.status_code) == ("dry-run-group-1", 201)
    assert len(dry.json()["members"]) == 2
    _, again, _ = await twice(rig, "POST", "/Groups", body)
    assert again.status_code == 409
    for method, path, sent in changes(a, b, c):
        at = f"/Groups/{path.replace('{id}', real.json()['id'])}"
        await twice(rig, method, at, sent)


@EACH_BACKEND
async def test_unknown_members_are_skipped_where_they_may_be(shared: Rig, backend: Backend) -> None:
    rig = await still(shared, policies(backend))
    (a,) = await people(rig, "a")
    made = await group(rig, "Staff", [])
    for members in (["usr_nobody", a], ["usr_nobody"]):
        body = patching({"op": "add", "path": "members", "value": [{"value": m} for m in members]})
        await twice(rig, "PATCH", f"/Groups/{made}", body)


async def test_groups_within_groups(shared: Rig) -> None:
    rig = await still(shared, policies("local"))
    (a,) = await people(rig, "a")
    inner = await group(rig, "Inner", [a])
    outer = await group(rig, "Outer", [inner])
    for where, who, status in ((inner, outer, 400), (inner, inner, 400), (outer, a, 204)):
        body = patching({"op": "add", "path": "members", "value": [{"value": who}]})
        _, real, _ = await twice(rig, "PATCH", f"/Groups/{where}", body)
        assert real.status_code == status
    _, real, _ = await twice(rig, "DELETE", f"/Users/{a}")
    assert real.status_code == 204
    await twice(rig, "DELETE", f"/Groups/{inner}")
    await twice(rig, "DELETE", f"/Groups/{outer}")


@EACH_BACKEND
async def test_what_a_scope_forbids(shared: Rig, backend: Backend) -> None:
    rig = await still(shared, policies(backend, group_scope=("own",)))
    (a,) = await people(rig, "a")
    own = await group(rig, "Mine", [])
    token = await rig.connection(f"other-{own}", policies=policies(backend))
    body = {"schemas": [GROUP], "displayName": "Theirs"}
    theirs = (await rig.scim("POST", "/Groups", body, token=token)).json()["id"]
    for made, status in ((own, 204), (theirs, 403)):
        change = patching({"op": "add", "path": "members", "value": [{"value": a}]})
        _, real, _ = await twice(rig, "PATCH", f"/Groups/{made}", change)
        assert real.status_code == status


def new_user(bulk_id: str, **more: Any) -> dict[str, Any]:
    data = {"schemas": [CORE], "userName": f"{bulk_id}@example.com", **more}
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": data}


def new_group(bulk_id: str, *members: str) -> dict[str, Any]:
    data = {"schemas": [GROUP], "displayName": bulk_id, "members": [{"value": m} for m in members]}
    return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data}


@EACH_BACKEND
async def test_a_bulk_request(shared: Rig, backend: Backend) -> None:
    rig = await still(shared, policies(backend))
    a, b, c = await people(rig, "a", "b", "c")
    staff = await group(rig, "Staff", [a, b])
    title = patching({"op": "replace", "path": "title", "value": "Dr."})
    off = patching({"op": "replace", "path": "active", "value": False})
    leave = patching({"op": "remove", "path": f'members[value eq "{b}"]'})
    operations = [
        new_user("eve", title="Ms."),
        new_group("Crew", "bulkId:eve", a),
        {"method": "PATCH", "path": "/Users/bulkId:eve", "data": title},
        new_user("a"),
        {"method": "PATCH", "path": "/Groups/bulkId:Crew", "data": leave},
        {"method": "PATCH", "path": f"/Groups/{staff}", "data": leave},
        {"method": "PATCH", "path": f"/Users/{a}", "data": off},
        {"method": "DELETE", "path": f"/Users/{c}"},
        {"method": "DELETE", "path": "/Users/usr_nobody"},
        {"method": "PUT", "path": f"/Users/{b}", "data": {"schemas": [CORE]}},
        new_group("bad", "bulkId:a"),
        {"method": "GET", "path": "/Users"},
    ]
    dry, _, made = await twice(rig, "POST", "/Bulk", {"schemas": [BULK], "Operations": operations})
    told = [each[DRY_RUN] for each in dry.json()["Operations"]]
    assert [each["status"] for each in told[:4]] == [201, 201, 200, 409]
    assert told[0]["calls"][0]["body"]["email"] == "eve@example.com"
    assert told[2]["calls"][0]["path"].endswith("/users/dry-run-user-1")
    assert made


async def test_a_bulk_request_goes_no_further_than_a_write_would(shared: Rig) -> None:
    rig = await still(shared, policies("local", guard_limit=2, guard_share=0.0))
    ids = await people(rig, "a", "b", "c", "d")
    off = patching({"op": "replace", "path": "active", "value": False})
    operations: list[Any] = [{"method": "PATCH", "path": f"/Users/{i}", "data": off} for i in ids]
    body = {"schemas": [BULK], "failOnErrors": 1, "Operations": operations}
    _, real, _ = await twice(rig, "POST", "/Bulk", body)
    assert [each["status"] for each in real.json()["Operations"]] == ["200", "200", "429"]


async def test_groups_in_a_circle(shared: Rig) -> None:
    rig = await still(shared, policies("local"))
    operations = [new_group("One", "bulkId:Two"), new_group("Two", "bulkId:One"), new_group("Two", "x")]
    operations[2]["bulkId"] = "Three"
    _, real, made = await twice(rig, "POST", "/Bulk", {"schemas": [BULK], "Operations": operations})
    assert [each["status"] for each in real.json()["Operations"]][:2] == ["201", "201"]
    assert made == []


async def test_each_operation_sees_those_before(shared: Rig) -> None:
    """A name is taken by what the request itself would create, and freed by what it would delete."""
    rig = await still(shared, policies("platform"))
    (a,) = await people(rig, "a")
    again = {**new_user("a"), "bulkId": "again"}
    rename = {"schemas": [CORE], "userName": "first@example.com"}
    operations = [
        {"method": "DELETE", "path": f"/Users/{a}"},
        again,
        new_user("first"),
        {"method": "PUT", "path": "/Users/bulkId:again", "data": rename},
    ]
    body = {"schemas": [BULK], "failOnErrors": 9, "Operations": operations}
    dry, _, _ = await twice(rig, "POST", "/Bulk", body)
    assert [each["status"] for each in dry.json()["Operations"]] == ["204", "201", "201", "409"]


async def test_the_trail_has_it_as_a_dry_run(shared: Rig) -> None:
    rig = await still(shared, replace(policies("platform"), password="set"))
    made = await rehearsed(rig, "POST", "/Users", person(password="Geheim-Geheim-99", active=False))
    assert made.status_code == 201
    body = {"schemas": [BULK], "Operations": [new_user("eve")]}
    assert (await rehearsed(rig, "POST", "/Bulk", body)).status_code == 200
    connection = await rig.store.tokens.authenticate(rig.token)
    assert connection is not None
    wanted = AuditFilter(connection_id=connection.connection.id, method="POST")
    for _ in range(1000):
        found = (await rig.store.audit.page(wanted)).records
        if len(found) >= 3:
            break
        await asyncio.sleep(0.01)
    assert len(found) == 3
    assert all(record.dry_run for record in found)
    single = found[-1]
    planned = [call for call in single.calls if call.planned]
    assert [(c.method, c.template, c.status) for c in planned] == [
        ("POST", "/api/v1/tenants/{tenant_id}/users", None),
        ("PUT", "/api/v1/tenants/{tenant_id}/users/{user_id}/status", None),
    ]
    assert all(call.method == "GET" for call in single.calls if not call.planned)
    assert single.call_count == len(single.calls)
    assert "userName" in single.changed


async def test_a_lost_platform_is_told(shared: Rig) -> None:
    rig = await still(shared, policies("platform"))
    (a,) = await people(rig, "a")
    before = rows(rig)
    rig.wire.always("GET user", answers(500))
    body = patching({"op": "replace", "path": "title", "value": "x"})
    answer = await rig.scim("PATCH", f"/Users/{a}", body, headers=HEADER)
    rig.wire.reset()
    assert answer.status_code == 503
    assert answer.json()[DRY_RUN] == {"status": 503, "changed": [], "calls": []}
    assert rows(rig) == before
