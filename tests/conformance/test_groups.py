"""Points about groups that an exchange cannot show: those where the two places that keep them differ."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import GroupSide, client, connect
from rfc import Create, check_error

if TYPE_CHECKING:
    from conftest import Served

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


def make(scim: httpx.Client, *members: str, **attributes: Any) -> dict[str, Any]:
    """A new group."""
    body = {"schemas": [GROUP], "displayName": f"g {uuid.uuid4()}", **attributes}
    if members:
        body["members"] = [{"value": m} for m in members]
    answer = scim.post("/Groups", json=body)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def patch(scim: httpx.Client, group: dict[str, Any], *operations: dict[str, Any]) -> httpx.Response:
    return scim.patch(f"/Groups/{group['id']}", json={"schemas": [PATCH], "Operations": list(operations)})


def members(scim: httpx.Client, group: dict[str, Any]) -> set[str]:
    answer = scim.get(f"/Groups/{group['id']}")
    assert answer.status_code == 200, answer.text
    return {m["value"] for m in answer.json().get("members", ())}


def add(*ids: str, **more: str) -> dict[str, Any]:
    return {"op": "add", "path": "members", "value": [{"value": i, **more} for i in ids]}


def test_nested_groups(groups: httpx.Client, group_side: GroupSide, create: Create) -> None:
    ann = create()["id"]
    inner, outer = make(groups, ann), make(groups)
    answer = patch(groups, outer, add(inner["id"], type="Group"))
    if group_side.backend == "platform":
        check_error(answer, 400, "invalidValue")
        assert "Group" in answer.json()["detail"]
        assert members(groups, outer) == set()
        return
    assert answer.status_code == 204
    shown = groups.get(f"/Groups/{outer['id']}").json()["members"]
    assert [(m["value"], m["type"], m["display"]) for m in shown] == [
        (inner["id"], "Group", inner["displayName"])
    ]
    assert shown[0]["$ref"].endswith(f"/Groups/{inner['id']}")
    own = {g["value"]: g["type"] for g in groups.get(f"/Users/{ann}").json()["groups"]}
    assert own == {inner["id"]: "direct", outer["id"]: "indirect"}
    check_error(patch(groups, inner, add(outer["id"], type="Group")), 400, "invalidValue")
    check_error(patch(groups, inner, add(inner["id"])), 400, "invalidValue")
    assert members(groups, inner) == {ann}
    assert groups.delete(f"/Groups/{inner['id']}").status_code == 204
    assert members(groups, outer) == set()
    assert "groups" not in groups.get(f"/Users/{ann}").json()


def test_a_group_that_is_named_without_its_type(
    groups: httpx.Client, group_side: GroupSide, create: Create
) -> None:
    inner, outer = make(groups), make(groups)
    answer = patch(groups, outer, add(inner["id"]))
    if group_side.backend == "platform":
        check_error(answer, 400, "invalidValue")
    else:
        assert members(groups, outer) == {inner["id"]}
    ann = create()["id"]
    assert patch(groups, outer, add(ann, inner["id"], type="user")).status_code == 204
    assert ann in members(groups, outer)


def test_member_display(groups: httpx.Client, create: Create) -> None:
    ann = create(displayName="Ann Archer")["id"]
    group = make(groups, ann)
    assert [m["display"] for m in groups.get(f"/Groups/{group['id']}").json()["members"]] == ["Ann Archer"]


def test_group_external_id_belongs_to_its_domain(groups: httpx.Client, served: Served) -> None:
    group = make(groups, externalId="Ext-1")
    name = f"domain-{uuid.uuid4().hex[:8]}"
    with client(served, connect(served, name, "--domain", name)) as other:
        found = other.get("/Groups", params={"filter": 'externalId eq "Ext-1"'}).json()
        assert group["id"] not in {g["id"] for g in found["Resources"]}
    found = groups.get("/Groups", params={"filter": 'externalId eq "Ext-1"'}).json()
    assert group["id"] in {g["id"] for g in found["Resources"]}
    found = groups.get("/Groups", params={"filter": 'externalId eq "ext-1"'}).json()
    assert group["id"] not in {g["id"] for g in found["Resources"]}


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "add", "path": "members", "value": []},
        {"op": "add", "path": "members", "value": [{"value": "usr_nobody"}]},
        {"op": "remove", "path": "members", "value": []},
        {"op": "remove", "path": "members", "value": [{"value": "usr_nobody"}]},
        {"op": "remove", "path": "members"},
        {"op": "remove", "path": 'members[value eq "usr_nobody"]'},
        {"op": "remove", "path": 'members[display co "x"]'},
        {"op": "replace", "path": "members", "value": []},
        {"op": "replace", "path": "members", "value": [{"value": "usr_nobody"}]},
        {"op": "replace", "path": "displayName", "value": "x"},
        {"op": "replace", "value": {"members": []}},
    ],
)
@pytest.mark.parametrize("group_id", ["grp_nobody", "00919288221112222", "a b"])
def test_group_unknown_id_is_404(groups: httpx.Client, group_id: str, operation: dict[str, Any]) -> None:
    answer = patch(groups, {"id": group_id}, operation)
    assert answer.status_code == 404, answer.text
    check_error(answer, 404)


@pytest.mark.parametrize(
    "body",
    [
        {"displayName": "  "},
        {"displayName": None},
        {"displayName": "\u0000"},
        {"displayName": ["x"]},
        {"displayName": {"x": 1}},
        {"displayName": "x", "members": [{"value": {"x": 1}}]},
        {"displayName": "x", "members": [{"value": "../Users"}]},
        {"displayName": "x", "externalId": {"x": 1}},
        [],
        "x",
        None,
    ],
)
def test_bad_group_request_is_400(groups: httpx.Client, body: Any) -> None:
    if isinstance(body, dict) and body["displayName"] == "x":
        body["displayName"] = str(uuid.uuid4())
    answer = groups.post("/Groups", json=body)
    assert answer.status_code == 400, answer.text
    assert answer.json()["scimType"] in ("invalidValue", "invalidSyntax")
    group = make(groups)
    answer = groups.put(f"/Groups/{group['id']}", json=body)
    assert answer.status_code == 400, answer.text
    assert groups.get(f"/Groups/{group['id']}").json()["displayName"] == group["displayName"]
    if isinstance(body, dict) and "members" not in body:
        answer = patch(groups, group, {"op": "replace", "value": body})
        assert answer.status_code == 400, answer.text


@pytest.mark.parametrize("value", [[{"display": "nobody"}], [{}], [None], [""], [[]]])
def test_a_list_that_names_nobody_empties_no_group(
    groups: httpx.Client, create: Create, value: list[Any]
) -> None:
    ann = create()["id"]
    group = make(groups, ann)
    for operation in ({"path": "members", "value": value}, {"value": {"members": value}}):
        assert patch(groups, group, {"op": "replace", **operation}).status_code == 400
        assert members(groups, group) == {ann}
    body = {"schemas": [GROUP], "displayName": group["displayName"], "members": value}
    assert groups.put(f"/Groups/{group['id']}", json=body).status_code == 400
    assert members(groups, group) == {ann}


def test_group_remove_without_path(groups: httpx.Client, create: Create) -> None:
    ann = create()["id"]
    group = make(groups, ann)
    for value in ({}, {"value": [{"value": ann}]}, {"value": {"members": [{"value": ann}]}}):
        check_error(patch(groups, group, {"op": "remove", **value}), 400, "noTarget")
    assert members(groups, group) == {ann}


def test_members_are_written_as_deltas(
    groups: httpx.Client, group_side: GroupSide, platform: httpx.Client, create: Create
) -> None:
    ann, ben, cid, dan = (create()["id"] for _ in range(4))
    group = make(groups, ann, dan)
    seen = groups.get(f"/Groups/{group['id']}").json()
    if group_side.backend == "platform":
        joined = platform.post(f"/groups/{group['id']}/members", json={"user_ids": [ben]})
        assert joined.is_success, joined.text
    else:
        assert patch(groups, group, add(ben)).status_code == 204
    removal = {"op": "remove", "path": f'members[value eq "{dan}"]'}
    assert patch(groups, group, add(cid), removal).status_code == 204
    assert members(groups, group) == {ann, ben, cid}
    # Who sends what was read before still says whom it wants, and nobody else.
    assert groups.put(f"/Groups/{group['id']}", json=seen).status_code == 200
    assert members(groups, group) == {ann, dan}


def test_group_versions(groups: httpx.Client, create: Create) -> None:
    group = make(groups)
    ann = create()["id"]
    version = groups.get(f"/Groups/{group['id']}").headers["etag"]
    assert groups.get(f"/Groups/{group['id']}", headers={"If-None-Match": version}).status_code == 304
    assert patch(groups, group, add(ann)).status_code == 204
    newer = groups.get(f"/Groups/{group['id']}").headers["etag"]
    assert newer != version
    for method, body in (("PUT", {"schemas": [GROUP], "displayName": str(uuid.uuid4())}), ("DELETE", None)):
        answer = groups.request(method, f"/Groups/{group['id']}", json=body, headers={"If-Match": version})
        check_error(answer, 412)
    stale = {"schemas": [PATCH], "Operations": [add(ann)]}
    check_error(groups.patch(f"/Groups/{group['id']}", json=stale, headers={"If-Match": version}), 412)
    answer = groups.delete(f"/Groups/{group['id']}", headers={"If-Match": newer})
    assert answer.status_code == 204


def test_a_deleted_user_raises_the_version_of_its_groups(groups: httpx.Client, create: Create) -> None:
    ann = create()["id"]
    group = make(groups, ann)
    before = groups.get(f"/Groups/{group['id']}").headers["etag"]
    assert groups.delete(f"/Users/{ann}").status_code == 204
    assert groups.get(f"/Groups/{group['id']}").headers["etag"] != before


def test_group_attributes(groups: httpx.Client, create: Create) -> None:
    ann = create()["id"]
    group = make(groups, ann, externalId="x")
    place = f"/Groups/{group['id']}"
    assert set(groups.get(place, params={"attributes": "displayName"}).json()) == {
        "schemas",
        "id",
        "displayName",
    }
    assert groups.get(place, params={"attributes": "members.value"}).json()["members"] == [{"value": ann}]
    without = groups.get(place, params={"excludedAttributes": "members,externalId"}).json()
    assert set(without) == {"schemas", "id", "displayName", "meta"}
    listed = groups.get(
        "/Groups", params={"filter": f'id eq "{group["id"]}"', "attributes": "members"}
    ).json()
    assert [[m["value"] for m in g["members"]] for g in listed["Resources"]] == [[ann]]
    created = groups.post(
        "/Groups?excludedAttributes=members",
        json={"schemas": [GROUP], "displayName": str(uuid.uuid4()), "members": [{"value": ann}]},
    )
    assert "members" not in created.json()
    assert members(groups, created.json()) == {ann}


def test_group_paging(groups: httpx.Client) -> None:
    made = [make(groups, displayName=f"page {n} {uuid.uuid4()}")["id"] for n in range(7)]
    total = groups.get("/Groups", params={"count": 0}).json()["totalResults"]
    seen: list[str] = []
    while len(seen) < total:
        page = groups.get(
            "/Groups", params={"startIndex": len(seen) + 1, "count": 5, "attributes": "id"}
        ).json()
        assert page["totalResults"] == total
        assert page["startIndex"] == len(seen) + 1
        assert page["itemsPerPage"] == len(page["Resources"]) == min(5, total - len(seen))
        seen += [g["id"] for g in page["Resources"]]
    assert len(set(seen)) == total
    assert seen[-7:] == made
    beyond = groups.get("/Groups", params={"startIndex": total + 1}).json()
    assert (beyond["totalResults"], beyond["Resources"]) == (total, [])
    assert groups.get("/Groups", params={"startIndex": -3, "count": 1}).json()["startIndex"] == 1


def test_group_order(groups: httpx.Client) -> None:
    tag = uuid.uuid4().hex
    names = [f"{name} {tag}" for name in ("beta", "Alpha", "gamma")]
    made = {name: make(groups, displayName=name)["id"] for name in names}
    params = {"filter": f'displayName ew "{tag}"', "sortBy": "displayName"}
    found = groups.get("/Groups", params=params).json()["Resources"]
    assert [g["id"] for g in found] == [made[n] for n in sorted(names, key=str.lower)]
    found = groups.get("/Groups", params={**params, "sortOrder": "descending", "count": 2}).json()
    assert found["totalResults"] == 3
    assert [g["id"] for g in found["Resources"]] == [
        made[n] for n in sorted(names, key=str.lower, reverse=True)
    ][:2]


def test_group_discovery(groups: httpx.Client) -> None:
    types = {r["name"]: r for r in groups.get("/ResourceTypes").json()["Resources"]}
    assert (types["Group"]["endpoint"], types["Group"]["schema"]) == ("/Groups", GROUP)
    schema = groups.get(f"/Schemas/{GROUP}").json()
    own = {a["name"]: a for a in schema["attributes"]}
    assert own["displayName"]["required"] is True
    assert own["displayName"]["uniqueness"] == "server"
    assert own["displayName"]["caseExact"] is False
    subs = {a["name"]: a for a in own["members"]["subAttributes"]}
    assert subs["type"]["canonicalValues"] == ["User", "Group"]
    assert subs["value"]["mutability"] == "immutable"
