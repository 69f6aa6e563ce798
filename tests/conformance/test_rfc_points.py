"""Lists, errors and discovery, where servers get the RFCs wrong; named as in `requirements.py`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import httpx
import pytest
from rfc import ENTERPRISE, LIST, USER, Create, check_error, find, ids

if TYPE_CHECKING:
    from conftest import Serve, Served


@pytest.fixture(scope="module")
def family(scim: httpx.Client) -> tuple[str, list[str]]:
    """Five users with one externalId, and that."""
    mark = f"family-{uuid.uuid4()}"
    made = []
    for number in range(5):
        body = {"schemas": [USER], "userName": f"{mark}-{number}", "externalId": mark}
        body |= {"emails": [{"value": f"{mark}-{number}@example.com"}]}
        made.append(scim.post("/Users", json=body).json()["id"])
    return mark, made


def test_paging_bounds(scim: httpx.Client, family: tuple[str, list[str]]) -> None:
    mark, made = family
    text = f'externalId eq "{mark}"'
    for start in ("0", "-1", "-999999999999999999999"):
        found = find(scim, text, startIndex=start, count=2)
        assert (found["startIndex"], found["itemsPerPage"], found["totalResults"]) == (1, 2, 5), start
    for count in ("0", "-1"):
        found = find(scim, text, count=count)
        assert (found["totalResults"], found["itemsPerPage"], found["Resources"]) == (5, 0, []), count
    found = find(scim, text, count="100000000000000000000")
    assert ids(found) == set(made)
    assert scim.get("/Users", params={"count": 10**9}).json()["itemsPerPage"] <= 200
    behind = find(scim, text, startIndex=6)
    assert (behind["totalResults"], behind["startIndex"], behind["Resources"]) == (5, 6, [])
    for name in ("startIndex", "count"):
        check_error(scim.get("/Users", params={name: "many"}), 400, "invalidValue")


def test_total_before_paging(scim: httpx.Client, family: tuple[str, list[str]]) -> None:
    mark, made = family
    seen: list[str] = []
    for start in (1, 3, 5):
        found = find(scim, f'externalId eq "{mark}"', startIndex=start, count=2)
        assert (found["totalResults"], found["startIndex"]) == (5, start)
        seen += [resource["id"] for resource in found["Resources"]]
    assert sorted(seen) == sorted(made)


def test_total_of_everything(serve: Serve) -> None:
    served = serve()
    with served.scim() as scim:
        for number in range(7):
            answer = scim.post("/Users", json={"schemas": [USER], "userName": f"user-{number}@example.com"})
            assert answer.status_code == 201
        everything = scim.get("/Users", params={"startIndex": 1, "count": 100}).json()
        assert (everything["totalResults"], everything["itemsPerPage"]) == (7, 7)
        names: list[str] = []
        for start in (1, 4, 7):
            page = scim.get("/Users", params={"startIndex": start, "count": 3}).json()
            assert (page["totalResults"], page["startIndex"]) == (7, start)
            names += [r["userName"] for r in page["Resources"]]
        assert sorted(names) == [f"user-{number}@example.com" for number in range(7)]
        assert scim.get("/Users", params={"count": 0}).json() == {
            "schemas": [LIST],
            "totalResults": 7,
            "startIndex": 1,
            "itemsPerPage": 0,
            "Resources": [],
        }
        sorted_names = scim.get("/Users", params={"sortBy": "userName", "sortOrder": "descending"}).json()
        assert [r["userName"] for r in sorted_names["Resources"]] == sorted(names, reverse=True)
        scim.patch(
            f"/Users/{everything['Resources'][0]['id']}",
            json={"Operations": [{"op": "replace", "value": {"active": False}}]},
        )
        assert scim.get("/Users", params={"filter": "active eq false"}).json()["totalResults"] == 1
        assert scim.get("/Users", params={"filter": "active eq true"}).json()["totalResults"] == 6
        assert scim.get("/Users").json()["totalResults"] == 7


def test_attributes_and_excluded_attributes(scim: httpx.Client, create: Create) -> None:
    user = create(title="t", name={"givenName": "G", "familyName": "F"}, **{ENTERPRISE: {"division": "d"}})
    place = f"/Users/{user['id']}"

    def shown(**params: str) -> set[str]:
        one = scim.get(place, params=params)
        many = find(scim, f'id eq "{user["id"]}"', **params)["Resources"][0]
        assert one.status_code == 200
        assert one.json() == many
        assert one.json()["id"] == user["id"]
        return set(many) - {"schemas", "id"}

    assert shown(attributes="userName") == {"userName"}
    assert shown(attributes="USERNAME, Title") == {"userName", "title"}
    assert shown(attributes=f"{ENTERPRISE}:division") == {ENTERPRISE}
    assert scim.get(place, params={"attributes": "name.givenName"}).json()["name"] == {"givenName": "G"}
    assert shown(attributes="id") == set()
    everything = set(user) - {"schemas", "id"}
    assert shown(excludedAttributes="title,emails") == everything - {"title", "emails"}
    assert shown(excludedAttributes="id") == everything
    excluded = scim.get(place, params={"excludedAttributes": "name.givenName"}).json()["name"]
    assert "givenName" not in excluded
    assert excluded["familyName"] == "F"


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer wrong", "Basic eDp5", "non-token"])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/Users"),
        ("POST", "/Users"),
        ("GET", "/Users/1"),
        ("DELETE", "/Users/1"),
        ("GET", "/ServiceProviderConfig"),
        ("GET", "/Schemas"),
    ],
)
def test_unauthorized_answer(served: Served, method: str, path: str, header: str | None) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.request(method, served.base_url + path, headers=headers)
    check_error(answer, 401)
    assert answer.headers["www-authenticate"].startswith("Bearer")


def test_discovery_documents(scim: httpx.Client, served: Served) -> None:
    config = scim.get("/ServiceProviderConfig").json()
    assert config["schemas"] == ["urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"]
    for feature in ("patch", "changePassword", "sort", "etag", "filter", "bulk"):
        assert isinstance(config[feature]["supported"], bool), feature
    assert config["patch"]["supported"] is True
    assert isinstance(config["filter"]["maxResults"], int)
    assert isinstance(config["bulk"]["maxOperations"], int)
    assert isinstance(config["bulk"]["maxPayloadSize"], int)
    assert all({"type", "name", "description"} <= s.keys() for s in config["authenticationSchemes"])
    for path in ("/ResourceTypes", "/Schemas"):
        listed = scim.get(path).json()
        assert listed["schemas"] == [LIST]
        assert listed["totalResults"] == len(listed["Resources"]) > 0
        for resource in listed["Resources"]:
            assert scim.get(f"{path}/{resource['id']}").json() == resource
            assert resource["meta"]["location"] == f"{served.base_url}{path}/{resource['id']}"
        check_error(scim.get(f"{path}/unknown"), 404)
        check_error(scim.get(path, params={"filter": 'id eq "User"'}), 403)
        assert scim.post(path, json={}).status_code == 405
    user = scim.get(f"/Schemas/{USER}").json()
    attributes = {a["name"]: a for a in user["attributes"]}
    assert {"name", "type", "multiValued", "required", "mutability", "returned"} <= attributes["title"].keys()
    for name in ("emails", "phoneNumbers", "addresses"):
        kinds = next(s for s in attributes[name]["subAttributes"] if s["name"] == "type")
        assert "work" in kinds["canonicalValues"], name
    assert attributes["userName"]["uniqueness"] == "server"
    assert attributes["userName"]["caseExact"] is False
    assert (attributes["password"]["mutability"], attributes["password"]["returned"]) == (
        "writeOnly",
        "never",
    )


def test_service_provider_configs(scim: httpx.Client) -> None:
    assert scim.get("/ServiceProviderConfigs").json() == scim.get("/ServiceProviderConfig").json()


@pytest.mark.parametrize("headers", [{"User-Agent": ""}, {"Accept": ""}, {"Accept": "*/*"}, {}])
def test_missing_accept(served: Served, headers: dict[str, str]) -> None:
    own = {"Authorization": f"Bearer {served.token}", **headers}
    with httpx.Client() as client:
        answer = client.send(httpx.Request("GET", f"{served.base_url}/Users?count=1", headers=own))
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("application/scim+json")


@pytest.mark.parametrize(
    "path",
    [
        "/Users?count=1&",
        "/Users?count=1&&",
        "/Users?",
        "/Users/?count=1",
        "/Users?count=1&api-version=2&aadOptscim062020",
        "/Users?aadOptscim062020&filter=userName+eq+%22x%22&",
    ],
)
def test_trailing_ampersand_and_question_mark(scim: httpx.Client, path: str) -> None:
    answer = scim.get(path)
    assert answer.status_code == 200
    assert answer.json()["schemas"] == [LIST]


def test_unknown_endpoints_answer_scim_errors(scim: httpx.Client, served: Served) -> None:
    for path in ("/Nothing", "/Users/1/2", "/users", "/bulk"):
        check_error(scim.get(served.base_url + path), 404)
    answer = scim.put("/Users", json={})
    check_error(answer, 405)
    assert set(answer.headers["allow"].replace(" ", "").split(",")) >= {"GET", "POST"}
    for body, status in (
        (b"{", 400),
        (b"[]", 400),
        (b"null", 400),
        (b'"x"', 400),
        (b"", 400),
        (b"\xff", 400),
    ):
        check_error(
            scim.post("/Users", content=body, headers={"Content-Type": "application/scim+json"}),
            status,
            "invalidSyntax",
        )
    html = scim.post("/Users", content=b"<a/>", headers={"Content-Type": "text/html"})
    check_error(html, 415)
