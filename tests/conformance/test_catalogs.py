"""Roles and entitlements: of users, and as the resource types that Okta discovers."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import client, connect
from rfc import LIST, USER, check_error, find, ids, patch, read

if TYPE_CHECKING:
    from conftest import Served

MAPPING = Path(__file__).parents[1] / "data" / "mappings" / "catalogs.toml"
ROLE = "urn:okta:scim:schemas:core:1.0:Role"
ENTITLEMENT = "urn:okta:scim:schemas:core:1.0:Entitlement"
SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
ENDPOINTS = [("Role", "/Roles", ROLE), ("Entitlement", "/Entitlements", ENTITLEMENT)]


@pytest.fixture(scope="module")
def okta(served: Served) -> Iterator[httpx.Client]:
    token = connect(served, "catalogs", "--mapping", str(MAPPING), "--domain", "catalogs")
    with client(served, token) as made:
        yield made


def post(okta: httpx.Client, **attributes: Any) -> httpx.Response:
    body = {"schemas": [USER], "userName": f"r-{uuid.uuid4()}@example.com", **attributes}
    return okta.post("/Users", json=body)


def listed(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["itemsPerPage"] == len(body["Resources"])
    return [resource["id"] for resource in body["Resources"]]


@pytest.mark.parametrize(("name", "endpoint", "urn"), ENDPOINTS)
def test_discovery(name: str, endpoint: str, urn: str, okta: httpx.Client) -> None:
    """Okta's order: the resource types, the schemas, one resource of each."""
    types = {t["id"]: t for t in okta.get("/ResourceTypes").json()["Resources"]}
    assert list(types) == ["User", "Group", "Role", "Entitlement"]
    assert (types[name]["endpoint"], types[name]["schema"]) == (endpoint, urn)
    assert types[name]["schemaExtensions"] == []
    assert okta.get(f"/ResourceTypes/{name}").json() == types[name]
    schemas = {s["id"]: s for s in okta.get("/Schemas").json()["Resources"]}
    assert okta.get(f"/Schemas/{urn}").json() == schemas[urn]
    assert {a["mutability"] for a in schemas[urn]["attributes"]} == {"readOnly"}
    page = okta.get(endpoint, params={"count": 1, "startIndex": 1}).json()
    assert page["schemas"] == [LIST]
    assert (page["totalResults"], page["startIndex"], page["itemsPerPage"]) == (3, 1, 1)
    assert page["Resources"][0]["schemas"] == [urn]


def test_a_whole_resource(okta: httpx.Client) -> None:
    entitlement = okta.get("/Entitlements/lic-1")
    base_url = str(okta.base_url).rstrip("/")
    assert entitlement.json() == {
        "schemas": [ENTITLEMENT],
        "id": "lic-1",
        "displayName": "Full licence",
        "type": "license",
        "description": "All features.",
        "meta": {
            "resourceType": "Entitlement",
            "location": f"{base_url}/Entitlements/lic-1",
            "version": entitlement.headers["etag"],
        },
    }
    assert okta.get("/Roles/11").json()["displayName"] == "Member"
    known = {"If-None-Match": entitlement.headers["etag"]}
    assert okta.get("/Entitlements/lic-1", headers=known).status_code == 304
    assert okta.get("/Roles/11", headers=known).status_code == 200


@pytest.mark.parametrize("unknown", ["nobody", "lic-1", "ADMIN", "..%2e", "x" * 300])
def test_unknown_ids(unknown: str, okta: httpx.Client) -> None:
    check_error(okta.get(f"/Roles/{unknown}"), 404)


@pytest.mark.parametrize(("name", "endpoint", "urn"), ENDPOINTS)
def test_read_only(name: str, endpoint: str, urn: str, okta: httpx.Client) -> None:
    body = {"schemas": [urn], "displayName": name}
    first = listed(okta.get(endpoint))[0]
    check_error(okta.post(endpoint, json=body), 405)
    for method in ("PUT", "PATCH", "DELETE"):
        check_error(okta.request(method, f"{endpoint}/{first}", json=body), 405)


@pytest.mark.parametrize(("name", "endpoint", "urn"), ENDPOINTS)
def test_not_there_where_the_mapping_lists_none(name: str, endpoint: str, urn: str, served: Served) -> None:
    with served.scim() as scim:
        check_error(scim.get(endpoint), 404)
        check_error(scim.get(f"{endpoint}/admin"), 404)
        check_error(scim.post(f"{endpoint}/.search", json={"schemas": [SEARCH]}), 404)
        check_error(scim.get(f"/ResourceTypes/{name}"), 404)
        check_error(scim.get(f"/Schemas/{urn}"), 404)
        assert [t["id"] for t in scim.get("/ResourceTypes").json()["Resources"]] == ["User", "Group"]
        assert urn not in scim.get("/Schemas").text


@pytest.mark.parametrize(
    ("parameters", "wanted"),
    [
        ({}, ["lic-1", "lic-2", "seat"]),
        ({"filter": 'type eq "LICENSE"'}, ["lic-1", "lic-2"]),
        ({"filter": 'id eq "lic-2"'}, ["lic-2"]),
        ({"filter": 'id eq "LIC-2"'}, []),
        ({"filter": f'{ENTITLEMENT}:displayName sw "full" or description pr'}, ["lic-1"]),
        ({"filter": 'not (description pr) and meta.resourceType eq "Entitlement"'}, ["lic-2", "seat"]),
        ({"sortBy": "displayName", "sortOrder": "descending"}, ["seat", "lic-2", "lic-1"]),
        ({"sortBy": "description"}, ["lic-1", "lic-2", "seat"]),
        ({"startIndex": 2, "count": 1}, ["lic-2"]),
        ({"startIndex": 4}, []),
        ({"count": 0}, []),
    ],
)
def test_queries(parameters: dict[str, Any], wanted: list[str], okta: httpx.Client) -> None:
    assert listed(okta.get("/Entitlements", params=parameters)) == wanted
    body = {"schemas": [SEARCH], **parameters}
    assert listed(okta.post("/Entitlements/.search", json=body)) == wanted


def test_what_is_asked_for_and_paging_by_cursor(okta: httpx.Client) -> None:
    page = okta.get("/Entitlements", params={"attributes": "type", "count": 1, "cursor": ""}).json()
    assert page["Resources"] == [{"schemas": [ENTITLEMENT], "id": "lic-1", "type": "license"}]
    seen = ["lic-1"]
    while "nextCursor" in page:
        page = okta.get(
            "/Entitlements", params={"attributes": "type", "count": 1, "cursor": page["nextCursor"]}
        ).json()
        seen += [r["id"] for r in page["Resources"]]
    assert seen == ["lic-1", "lic-2", "seat"]
    one = okta.get("/Entitlements/seat", params={"excludedAttributes": "displayName,meta"}).json()
    assert one == {"schemas": [ENTITLEMENT], "id": "seat", "type": "place"}
    for parameters, scim_type in (
        ({"filter": 'nobody eq "x"'}, "invalidFilter"),
        ({"filter": "displayName eq"}, "invalidFilter"),
        ({"sortBy": "nobody"}, "invalidPath"),
    ):
        check_error(okta.get("/Roles", params=parameters), 400, scim_type)


def test_the_base_url_searches_them_too(okta: httpx.Client) -> None:
    found = okta.get("/", params={"filter": 'displayName eq "AUDITOR" or displayName eq "seat"'})
    assert listed(found) == ["auditor", "seat"]
    found = okta.get("/", params={"filter": 'meta.resourceType eq "Role"', "startIndex": 2, "count": 5})
    assert listed(found) == ["auditor", "11"]
    assert found.json()["totalResults"] == 3
    seen: list[str] = []
    body: dict[str, Any] = {"schemas": [SEARCH], "filter": "description pr", "count": 1, "cursor": ""}
    while True:
        page = okta.post("/.search", json=body).json()
        seen += [r["id"] for r in page["Resources"]]
        if "nextCursor" not in page:
            break
        body["cursor"] = page["nextCursor"]
    assert seen == ["admin", "lic-1"]


def test_users_carry_them(okta: httpx.Client, platform: httpx.Client) -> None:
    roles = [{"value": "admin", "display": "Administrator", "primary": True}, {"value": "11"}]
    entitlements = [{"value": "lic-1", "display": "Full licence", "type": "license"}]
    made = post(okta, roles=roles, entitlements=entitlements).json()
    assert made["roles"] == roles
    assert made["entitlements"] == entitlements
    held = platform.get(f"/users/{made['id']}").json()["data"]["custom_attributes"]
    assert held["roles"] == roles
    assert held["entitlements"] == entitlements
    assert "attributes" not in held.get("scim", {})
    for text in (
        'roles.value eq "11"',
        'roles[value eq "admin" and primary eq true]',
        'entitlements[type eq "license"].value eq "lic-1"',
    ):
        assert made["id"] in ids(find(okta, f'({text}) and id eq "{made["id"]}"')), text
    body = {"schemas": [USER], "userName": made["userName"], "roles": [], "entitlements": entitlements}
    after = okta.put(f"/Users/{made['id']}", json=body).json()
    assert "roles" not in after
    assert after["entitlements"] == entitlements


@pytest.mark.parametrize(
    ("operations", "wanted"),
    [
        (
            [{"op": "Replace", "path": 'roles[primary eq "True"].value', "value": "auditor"}],
            [{"value": "auditor", "display": "Administrator", "primary": True}, {"value": "11"}],
        ),
        (
            [
                {"op": "Remove", "path": "roles"},
                {"op": "Add", "path": 'roles[primary eq "True"].value', "value": "auditor"},
            ],
            [{"value": "auditor", "primary": True}],
        ),
        (
            [
                {
                    "op": "Add",
                    "path": "roles",
                    "value": [
                        {"value": json.dumps({"id": "g", "value": "auditor", "displayName": "Auditor"})}
                    ],
                }
            ],
            [
                {"value": "admin", "display": "Administrator", "primary": True},
                {"value": "11"},
                {"value": "auditor", "display": "Auditor"},
            ],
        ),
        (
            [{"op": "replace", "path": "roles", "value": [{"value": "auditor", "primary": "True"}]}],
            [{"value": "auditor", "primary": True}],
        ),
        (
            [
                {"op": "remove", "path": 'roles[value eq "admin"]'},
                {"op": "remove", "path": "roles[value pr]"},
            ],
            None,
        ),
        ([{"op": "replace", "value": {"roles": [{"value": "x"}]}}], [{"value": "x"}]),
    ],
)
def test_patching_roles(operations: list[dict[str, Any]], wanted: Any, okta: httpx.Client) -> None:
    roles = [{"value": "admin", "display": "Administrator", "primary": True}, {"value": "11"}]
    made = post(okta, roles=roles).json()
    answer = patch(okta, made["id"], *operations)
    assert answer.status_code == 200, answer.text
    assert read(okta, made["id"]).get("roles") == wanted


def test_an_open_list_takes_any_value_and_a_closed_one_its_own(
    okta: httpx.Client, platform: httpx.Client
) -> None:
    made = post(okta, roles=[{"value": "not listed"}], entitlements=[{"value": "seat"}]).json()
    assert made["roles"] == [{"value": "not listed"}]
    before = platform.get("/users").json()["pagination"]["total_items"]
    answer = post(okta, entitlements=[{"value": "seat"}, {"value": "not listed"}])
    check_error(answer, 400, "invalidValue")
    assert "entitlements: not listed is none of those under /Entitlements" in answer.json()["detail"]
    assert platform.get("/users").json()["pagination"]["total_items"] == before
    added = {"op": "add", "path": "entitlements", "value": [{"value": "gone"}]}
    check_error(patch(okta, made["id"], added), 400, "invalidValue")
    assert read(okta, made["id"])["entitlements"] == [{"value": "seat"}]


def test_a_value_that_the_closed_list_lost_can_be_echoed(okta: httpx.Client, platform: httpx.Client) -> None:
    made = post(okta, entitlements=[{"value": "seat"}]).json()
    held = platform.get(f"/users/{made['id']}").json()["data"]["custom_attributes"]
    held["entitlements"] = [{"value": "withdrawn"}]
    platform.patch(f"/users/{made['id']}", json={"custom_attributes": held}).raise_for_status()
    user = read(okta, made["id"])
    assert user["entitlements"] == [{"value": "withdrawn"}]
    echo = okta.put(f"/Users/{made['id']}", json={**user, "displayName": "Echo"})
    assert echo.status_code == 200, echo.text
    assert echo.json()["entitlements"] == [{"value": "withdrawn"}]
