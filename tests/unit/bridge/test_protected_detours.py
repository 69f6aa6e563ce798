"""Ways around a protection: by what makes somebody protected, by groups in groups, by writes half done."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from bridge_rig import ENT, PATCH_OP, Rig, answers, loses_reply, person

from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

BY_DEPARTMENT: dict[str, Any] = {"protected_users": ("custom:department=Security",), "guard_limit": 0}
SECURITY = {ENT: {"department": "Security"}}
OFF = {"op": "replace", "path": "active", "value": False}


async def policies_of(rig: Rig, **policies: Any) -> None:
    """Change the policies of the rig's connection; its next token uses them."""
    (found,) = [c for c in await rig.store.connections.list() if c.tenant_id == rig.tenant_id]
    await rig.store.connections.update(
        found.id,
        mapping=found.mapping,
        domain=found.domain,
        dialect=found.dialect,
        policies=Policies(**policies),
    )
    _, rig.token = await rig.store.tokens.create(found.id, "again", None)


async def group(rig: Rig, name: str, *members: dict[str, str]) -> str:
    answer = await rig.scim("POST", "/Groups", {"displayName": name, "members": list(members)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def change(rig: Rig, group_id: str, *operations: dict[str, Any]) -> httpx.Response:
    body = {"schemas": [PATCH_OP], "Operations": list(operations)}
    return await rig.scim("PATCH", f"/Groups/{group_id}", body)


def user(user_id: str) -> dict[str, str]:
    return {"value": user_id, "type": "User"}


def nested(group_id: str) -> dict[str, str]:
    return {"value": group_id, "type": "Group"}


async def test_nobody_is_made_one_of_those_who_are_protected(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(**BY_DEPARTMENT, deprovision="disable"))
    assert (await rig.scim("POST", "/Users", person(**SECURITY))).status_code == 403
    assert rig.wire.seen() == []
    ada = (await rig.make(**{ENT: {"department": "Sales"}}))["id"]
    before = await rig.at_platform(ada)
    for operation in (
        {"op": "replace", "path": f"{ENT}:department", "value": "Security"},
        {"op": "add", "value": SECURITY},
    ):
        answer = await rig.patch(ada, operation)
        assert (answer.status_code, "protects" in answer.json()["detail"]) == (403, True)
    assert (await rig.scim("PUT", f"/Users/{ada}", person(**SECURITY))).status_code == 403
    assert await rig.at_platform(ada) == before
    # Nor by way of a deletion.
    assert (await rig.scim("DELETE", f"/Users/{ada}")).status_code == 204
    assert (await rig.scim("POST", "/Users", person(**SECURITY))).status_code == 403
    assert (await rig.scim("GET", f"/Users/{ada}")).status_code == 404
    assert (await rig.scim("POST", "/Users", person())).status_code == 201


async def test_nobody_is_made_one_of_those_who_are_not(shared: Rig) -> None:
    rig = await shared.alone()
    root = (await rig.make(**SECURITY))["id"]
    await policies_of(rig, **BY_DEPARTMENT)
    before = await rig.at_platform(root)
    for operation in (
        {"op": "replace", "path": f"{ENT}:department", "value": "Sales"},
        {"op": "remove", "path": f"{ENT}:department"},
        {"op": "remove", "path": ENT},
    ):
        assert (await rig.patch(root, operation)).status_code == 403
    assert (await rig.scim("PUT", f"/Users/{root}", person())).status_code == 403
    assert await rig.at_platform(root) == before


async def test_an_address_that_is_read_as_the_user_name_is_one(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(protected_users=("userName:admin*",)))
    found = await rig.create_at_platform("ada@example.com")
    assert found["username"] is None
    emails = [{"value": "Admin@example.com", "primary": True}]
    answer = await rig.patch(found["id"], {"op": "replace", "path": "emails", "value": emails})
    assert answer.status_code == 200
    # The name that it had is written down with it.
    shown = (await rig.scim("GET", f"/Users/{found['id']}")).json()
    assert (shown["userName"], shown["emails"][0]["value"]) == ("ada@example.com", "Admin@example.com")
    root = await rig.create_at_platform("admin-2@example.com")
    for address in ("me@example.com", "ADMIN-3@example.com"):
        operation = {"op": "replace", "path": "emails", "value": [{"value": address}]}
        assert (await rig.patch(root["id"], operation)).status_code == 403


async def test_groups_within_a_protected_group_are_protected(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(groups="local"))
    ada = (await rig.make())["id"]
    inner = await group(rig, "inner")
    middle = await group(rig, "middle", nested(inner))
    admins = await group(rig, "Admins", nested(middle))
    await policies_of(rig, groups="local", protected_groups=("displayName:admins",))
    join = {"op": "add", "path": "members", "value": [user(ada)]}
    for group_id in (admins, middle, inner):
        answer = await change(rig, group_id, join)
        assert (answer.status_code, "protected" in answer.json()["detail"]) == (403, True)
        assert (await rig.scim("DELETE", f"/Groups/{group_id}")).status_code == 403
    assert "groups" not in (await rig.scim("GET", f"/Users/{ada}")).json()
    # A group apart is anybody's, and cannot take a protected one with what it holds.
    apart = await group(rig, "apart", user(ada))
    for group_id in (admins, middle, inner):
        answer = await change(rig, apart, {"op": "add", "path": "members", "value": [nested(group_id)]})
        assert answer.status_code == (403 if group_id == admins else 204)
    assert (await rig.scim("DELETE", f"/Groups/{apart}")).status_code == 204


@pytest.mark.parametrize("rule", ["id:", "userName:root*"])
async def test_a_protected_user_keeps_the_groups_it_has_through_others(shared: Rig, rule: str) -> None:
    rig = await shared.alone(policies=Policies(groups="local"))
    root = str((await rig.create_at_platform("root@example.com"))["id"])
    inner = await group(rig, "inner", user(root))
    middle = await group(rig, "middle", nested(inner))
    outer, other = await group(rig, "outer", nested(middle)), await group(rig, "other")
    await policies_of(rig, groups="local", protected_users=(rule + root if rule == "id:" else rule,))
    leave = {"op": "remove", "path": f'members[value eq "{middle}"]'}
    for answer in (
        await change(rig, outer, leave),
        await change(rig, outer, {"op": "remove", "path": "members"}),
        await change(rig, other, {"op": "add", "path": "members", "value": [nested(middle)]}),
        await rig.scim("PUT", f"/Groups/{outer}", {"displayName": "outer", "members": []}),
        await rig.scim("POST", "/Groups", {"displayName": "new", "members": [nested(inner)]}),
        await rig.scim("DELETE", f"/Groups/{outer}"),
        await rig.scim("DELETE", f"/Groups/{middle}"),
    ):
        assert answer.status_code == 403
    groups = (await rig.scim("GET", f"/Users/{root}")).json()["groups"]
    assert {g["value"] for g in groups} == {inner, middle, outer}


async def test_what_is_half_done_is_finished_whatever_the_policy_says_since(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(guard_limit=1, guard_share=0.0))
    ada, bob = [(await rig.make(userName=f"{n}@example.com", emails=None))["id"] for n in ("ada", "bob")]
    rig.wire.always("PUT status", answers(500))
    both = {"op": "replace", "value": {"displayName": "New", "active": False}}
    assert (await rig.patch(ada, both)).status_code == 503
    rig.wire.reset()
    await policies_of(rig, guard_limit=1, guard_share=0.0, protected_users=(f"id:{ada}",))
    # The count that the first try took is the only one.
    assert (await rig.patch(bob, OFF)).status_code == 429
    for entry in await rig.store.journal.list():
        if entry.tenant_id == rig.tenant_id:
            assert await rig.app.state.services.recovery.run(entry.id)
    found = await rig.at_platform(ada)
    assert found is not None
    assert (found["status"], found["display_name"]) == ("DISABLED", "New")
    (connection,) = [c for c in await rig.store.connections.list() if c.tenant_id == rig.tenant_id]
    assert await rig.store.deprovisionings.release(connection.id) == 1


@pytest.mark.parametrize("members", [True, False], ids=["with members", "empty"])
async def test_a_group_found_by_recovery_is_its_connections_own(shared: Rig, members: bool) -> None:
    rig = await shared.alone(policies=Policies(group_scope=("own",)))
    ada = (await rig.make())["id"]
    body = {"displayName": "g", "members": [user(ada)] if members else []}
    lost = loses_reply(httpx.ReadTimeout)
    # The group is made, nobody hears of it, and nobody can look for it.
    rig.wire.reset()
    rig.wire.fault = lambda _, name: lost if name.startswith("POST") and "groups" in name else answers(503)
    assert (await rig.scim("POST", "/Groups", body)).status_code == 503
    rig.wire.reset()
    made = await rig.scim("POST", "/Groups", body)
    assert made.status_code == 201, made.text
    rename = {"op": "replace", "path": "displayName", "value": "mine"}
    assert (await change(rig, made.json()["id"], rename)).status_code == 204
    assert (await rig.scim("DELETE", f"/Groups/{made.json()['id']}")).status_code == 204
