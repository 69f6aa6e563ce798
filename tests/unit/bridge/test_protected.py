"""Protected users and groups, and groups out of a connection's scope: read, and not changed by anything."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from bridge_rig import PATCH_OP, PLATFORM, Rig, person

from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

BACKENDS = pytest.mark.parametrize("groups", ["platform", "local"])


async def admin(rig: Rig) -> str:
    made = await rig.create_at_platform(
        "root@example.com", username="Admin-Root", custom_attributes={"team": {"role": ["ops", "admin"]}}
    )
    return str(made["id"])


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


async def group(rig: Rig, name: str, *members: str) -> str:
    body = {"displayName": name, "members": [{"value": m} for m in members]}
    answer = await rig.scim("POST", "/Groups", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


async def change(rig: Rig, group_id: str, *operations: dict[str, Any]) -> httpx.Response:
    body = {"schemas": [PATCH_OP], "Operations": list(operations)}
    return await rig.scim("PATCH", f"/Groups/{group_id}", body)


async def members(rig: Rig, group_id: str) -> set[str]:
    found = (await rig.scim("GET", f"/Groups/{group_id}")).json()
    return {m["value"] for m in found.get("members", ())}


@pytest.mark.parametrize("rule", ["id:", "userName:admin-*", "custom:team.role=admin"])
async def test_a_protected_user_is_read_only(shared: Rig, rule: str) -> None:
    rig = await shared.alone()
    root = await admin(rig)
    rule = rule + root if rule == "id:" else rule
    await policies_of(rig, protected_users=(rule,), password="set")
    before = await rig.at_platform(root)
    shown = (await rig.scim("GET", f"/Users/{root}")).json()
    assert shown["userName"] == "Admin-Root"
    path = f"/Users/{root}"
    for operation in (
        {"op": "replace", "path": "userName", "value": "harmless"},
        {"op": "replace", "path": "emails", "value": [{"value": "me@evil.example"}]},
        {"op": "replace", "path": "active", "value": False},
        {"op": "replace", "path": f"{PLATFORM}:status", "value": "LOCKED"},
        {"op": "replace", "path": "password", "value": "chosen-Secret-12"},
        {"op": "add", "path": "externalId", "value": "mine"},
        {"op": "add", "path": "nickName", "value": "x"},
    ):
        rig.wire.reset()
        answer = await rig.patch(root, operation)
        assert answer.status_code == 403, operation
        assert "protected" in answer.json()["detail"]
        assert all(c.startswith("GET") for c in rig.wire.calls)
    assert (await rig.scim("PUT", path, person(userName="Admin-Root"))).status_code == 403
    assert (await rig.scim("DELETE", path)).status_code == 403
    # What changes nothing is no attempt.
    assert (await rig.scim("PUT", path, shown)).status_code == 200
    assert (await rig.patch(root, {"op": "replace", "path": "active", "value": True})).status_code == 200
    assert await rig.at_platform(root) == before


async def test_names_of_protected_users_are_reserved(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(protected_users=("userName:admin*",)))
    answer = await rig.scim("POST", "/Users", person(userName="ADMIN-2"))
    assert answer.status_code == 403
    assert rig.wire.seen() == []
    ada = await rig.make()
    assert (
        await rig.patch(ada["id"], {"op": "replace", "path": "userName", "value": "Administrator"})
    ).status_code == 403


@BACKENDS
@pytest.mark.parametrize("rule", ["id:", "userName:admin-*", "custom:team.role=admin"])
async def test_a_protected_user_stays_in_its_groups(shared: Rig, groups: Any, rule: str) -> None:
    rig = await shared.alone(policies=Policies(groups=groups))
    root, ada = await admin(rig), (await rig.make())["id"]
    inside, outside = await group(rig, "inside", root, ada), await group(rig, "outside", ada)
    rule = rule + root if rule == "id:" else rule
    await policies_of(rig, groups=groups, protected_users=(rule,))
    added = {"op": "add", "path": "members", "value": [{"value": root}, {"value": ada}]}
    removed = {"op": "remove", "path": f'members[value eq "{root}"]'}
    for group_id, operation in (
        (outside, added),
        (outside, {"op": "replace", "path": "members", "value": [{"value": root}]}),
        (outside, {"op": "replace", "value": {"members": [{"value": root}]}}),
        (inside, removed),
        (inside, {"op": "remove", "path": 'members[value sw "u"]'}),
        (inside, {"op": "remove", "path": "members"}),
        (inside, {"op": "replace", "path": "members", "value": [{"value": ada}]}),
        (inside, {"op": "replace", "path": "members", "value": []}),
    ):
        assert (await change(rig, group_id, operation)).status_code == 403, operation
    put = {"displayName": "inside", "members": [{"value": ada}]}
    assert (await rig.scim("PUT", f"/Groups/{inside}", put)).status_code == 403
    assert (await rig.scim("DELETE", f"/Groups/{inside}")).status_code == 403
    made = {"displayName": "new", "members": [{"value": root}]}
    assert (await rig.scim("POST", "/Groups", made)).status_code == 403
    assert (await members(rig, inside), await members(rig, outside)) == ({root, ada}, {ada})
    # What leaves the protected member where it is, is done.
    put["members"] = [{"value": root}]
    assert (await rig.scim("PUT", f"/Groups/{inside}", put)).status_code == 200
    assert await members(rig, inside) == {root}
    assert (await change(rig, inside, added)).status_code == 204
    assert await members(rig, inside) == {root, ada}
    assert (await change(rig, outside, removed)).status_code == 204
    assert (await change(rig, outside, {"op": "remove", "path": "members"})).status_code == 204
    assert await members(rig, outside) == set()
    assert (await rig.scim("DELETE", f"/Groups/{outside}")).status_code == 204


async def test_ids_cost_no_call_and_names_one_for_each_member_named(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(protected_users=("id:usr_root",)))
    ada = (await rig.make())["id"]
    group_id = await group(rig, "g")
    add = {"op": "add", "path": "members", "value": [{"value": ada}]}
    rig.wire.reset()
    assert (await change(rig, group_id, add)).status_code == 204
    assert len(rig.wire.seen()) == 1
    await policies_of(rig, protected_users=("userName:admin-*",))
    assert (await change(rig, group_id, add)).status_code == 204
    assert len(rig.wire.seen()) == 2


@BACKENDS
@pytest.mark.parametrize("rule", ["id:", "displayName:admin*"])
async def test_a_protected_group_is_read_only(shared: Rig, groups: Any, rule: str) -> None:
    rig = await shared.alone(policies=Policies(groups=groups))
    ada, bob = (await rig.make())["id"], (await rig.make(userName="bob", emails=[{"value": "b@b.de"}]))["id"]
    admins, others = await group(rig, "Admins", ada), await group(rig, "others")
    rule = rule + admins if rule == "id:" else rule
    await policies_of(rig, groups=groups, protected_groups=(rule,))
    shown = (await rig.scim("GET", f"/Groups/{admins}")).json()
    for operation in (
        {"op": "add", "path": "members", "value": [{"value": bob}]},
        {"op": "remove", "path": f'members[value eq "{ada}"]'},
        {"op": "replace", "path": "members", "value": []},
        {"op": "replace", "path": "displayName", "value": "harmless"},
        {"op": "replace", "path": "externalId", "value": "mine"},
    ):
        answer = await change(rig, admins, operation)
        assert answer.status_code == 403, operation
        assert "protected" in answer.json()["detail"]
    assert (await rig.scim("DELETE", f"/Groups/{admins}")).status_code == 403
    assert (await rig.scim("PUT", f"/Groups/{admins}", {**shown, "members": []})).status_code == 403
    assert (await rig.scim("PUT", f"/Groups/{admins}", shown)).status_code == 200
    same = {"op": "add", "path": "members", "value": [{"value": ada}]}
    assert (await change(rig, admins, same)).status_code == 204
    assert (await rig.scim("GET", f"/Groups/{admins}")).json() == shown
    if rule.startswith("displayName"):
        assert (await rig.scim("POST", "/Groups", {"displayName": "ADMIN 2"})).status_code == 403
        rename = {"op": "replace", "path": "displayName", "value": "admin 2"}
        assert (await change(rig, others, rename)).status_code == 403
    if groups == "local":
        nested = {"op": "add", "path": "members", "value": [{"value": admins, "type": "Group"}]}
        assert (await change(rig, others, nested)).status_code == 403


@BACKENDS
async def test_groups_out_of_scope_are_read_only(shared: Rig, groups: Any) -> None:
    rig = await shared.alone(policies=Policies(groups=groups))
    ada = (await rig.make())["id"]
    own, foreign = await group(rig, "own"), None
    token, rig.token = rig.token, await rig.connection(f"{rig.tenant_id}-2", policies=Policies(groups=groups))
    foreign, matching = await group(rig, "foreign"), await group(rig, "okta-foreign")
    rig.token = token
    other_policies = {"groups": groups, "group_scope": ("own", "displayName:okta-*")}
    (first, _) = [c for c in await rig.store.connections.list() if c.tenant_id == rig.tenant_id]
    await rig.store.connections.update(
        first.id,
        mapping=first.mapping,
        domain=first.domain,
        dialect=first.dialect,
        policies=Policies(**other_policies),
    )
    _, rig.token = await rig.store.tokens.create(first.id, "again", None)
    add = {"op": "add", "path": "members", "value": [{"value": ada}]}
    rename = {"op": "replace", "path": "displayName", "value": "taken over"}
    assert (await rig.scim("GET", "/Groups")).json()["totalResults"] == 3
    assert (await rig.scim("GET", f"/Groups/{foreign}")).status_code == 200
    for operation in (add, rename):
        answer = await change(rig, foreign, operation)
        assert answer.status_code == 403
    assert (await rig.scim("DELETE", f"/Groups/{foreign}")).status_code == 403
    assert (await change(rig, "grp_nobody", add)).status_code == 404
    nothing = {"op": "replace", "path": "displayName", "value": "foreign"}
    assert (await change(rig, foreign, nothing)).status_code == 204
    assert (await change(rig, own, add)).status_code == 204
    assert (await change(rig, matching, add)).status_code == 204
    # A group that is in scope by its name alone keeps such a name; one of its own has any.
    assert (await change(rig, matching, rename)).status_code == 403
    assert (await change(rig, own, rename)).status_code == 204
    assert (await change(rig, await group(rig, "another"), add)).status_code == 204
    assert (await rig.scim("DELETE", f"/Groups/{own}")).status_code == 204


async def test_a_connection_without_groups_of_its_own_makes_those_that_match(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(group_scope=("displayName:okta-*",)))
    assert (await rig.scim("POST", "/Groups", {"displayName": "x"})).status_code == 403
    assert (await rig.scim("POST", "/Groups", {"displayName": "Okta-x"})).status_code == 201
