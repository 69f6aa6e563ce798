"""HEAD, OPTIONS and 405 on every route, and the paths that clients may spell in another way."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from bridge_rig import CORE, Rig, assert_scim_error, person

pytestmark = pytest.mark.asyncio(loop_scope="module")

READ = {"GET", "HEAD", "OPTIONS"}
RESOURCE = {*READ, "PUT", "PATCH", "DELETE"}
ROUTES: dict[str, set[str]] = {
    "": READ,
    "/": READ,
    "/.search": {"POST", "OPTIONS"},
    "/Users": {*READ, "POST"},
    "/Users/": {*READ, "POST"},
    "/Users/usr_1": RESOURCE,
    "/Users/nobody/": RESOURCE,
    "/Users/.search": {"POST", "OPTIONS"},
    "/Groups": {*READ, "POST"},
    "/Groups/grp_1": RESOURCE,
    "/Groups/.search": {"POST", "OPTIONS"},
    "/ServiceProviderConfig": READ,
    "/ServiceProviderConfigs": READ,
    "/ResourceTypes": READ,
    "/ResourceTypes/User": READ,
    "/Schemas": READ,
    f"/Schemas/{CORE}": READ,
    "http://bridge.test/health/live": READ,
    "http://bridge.test/health/ready": READ,
    "http://bridge.test/webhooks/platform": {"POST", "OPTIONS"},
    "http://bridge.test/scim/Users": {*READ, "POST"},
}
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "CONNECT", "PROPFIND")


def allowed(answer: httpx.Response) -> set[str]:
    names = answer.headers["allow"].split(", ")
    assert names == sorted(set(names))
    return set(names)


@pytest.mark.parametrize("path", ROUTES)
async def test_options_tells_the_methods(rig: Rig, path: str) -> None:
    for headers in ({}, {"authorization": "Bearer wrong"}, {"authorization": ""}):
        async with rig.client() as client:
            answer = await client.options(path, headers=headers)
        assert (answer.status_code, answer.content) == (204, b"")
        assert allowed(answer) == ROUTES[path]
        assert not [name for name in answer.headers if name.startswith("access-control")]
    assert rig.wire.seen() == []


@pytest.mark.parametrize(
    "path", ["/Nobody", "/Users/a/b", "/Users/a%2Fb", "http://bridge.test/", "/../v1/Users"]
)
async def test_options_of_no_route(rig: Rig, path: str) -> None:
    async with rig.client() as client:
        answer = await client.options(path)
    assert answer.status_code == (400 if "v1" in path else 404)
    assert_scim_error(answer)


@pytest.mark.parametrize("path", ROUTES)
async def test_wrong_methods_are_405(rig: Rig, path: str) -> None:
    for method in METHODS:
        if method in ROUTES[path]:
            continue
        async with rig.client() as client:
            answer = await client.request(method, path)
        assert answer.status_code == 405, method
        assert allowed(answer) == ROUTES[path]
        if "/webhooks" not in path:
            assert_scim_error(answer)


async def test_head_is_get_without_the_body(rig: Rig) -> None:
    user = await rig.make()
    group = (
        await rig.scim("POST", "/Groups", {"displayName": "G", "members": [{"value": user["id"]}]})
    ).json()
    paths = [path for path, methods in ROUTES.items() if "HEAD" in methods]
    paths += [f"/Users/{user['id']}", f"/Groups/{group['id']}", f"/Groups/{group['id']}?attributes=members"]
    paths += ["/Users?filter=x", "/Users?count=x", "/Users?cursor=", "/Users?cursor=x", "/Nobody"]
    paths += ["/Users?filter=nobody pr", "/Schemas?filter=x", f"/Users/{user['id']}?attributes=userName"]
    for path in paths:
        async with rig.client(**{"X-Correlation-ID": "one"}) as client:
            get, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (get.status_code, b""), path
        # What the body would have to be made for may be left out (RFC 9110 §9.3.2).
        length = {"content-length"} - set(head.headers)
        assert {k: v for k, v in get.headers.items() if k not in length} == dict(head.headers), path


async def test_head_costs_no_page_and_no_members(rig: Rig) -> None:
    user = await rig.make()
    group = (
        await rig.scim("POST", "/Groups", {"displayName": "G", "members": [{"value": user["id"]}]})
    ).json()
    rig.wire.seen()
    await rig.scim("HEAD", "/Users")
    assert "GET user" not in rig.wire.seen()
    await rig.scim("HEAD", f"/Groups/{group['id']}")
    assert not [call for call in rig.wire.seen() if call.endswith("/members")]


async def test_head_knows_versions(rig: Rig) -> None:
    user = await rig.make()
    for method in ("GET", "HEAD"):
        answer = await rig.scim(
            method, f"/Users/{user['id']}", headers={"if-none-match": user["meta"]["version"]}
        )
        assert (answer.status_code, answer.content) == (304, b"")
        assert answer.headers["etag"] == user["meta"]["version"]
        assert answer.headers["content-location"] == user["meta"]["location"]
        assert answer.headers["vary"] == "Accept"
    one = [("if-none-match", 'W/"x"'), ("if-none-match", user["meta"]["version"])]
    async with rig.client() as client:
        assert (await client.get(f"/Users/{user['id']}", headers=one)).status_code == 304


async def test_head_needs_a_token(rig: Rig) -> None:
    answer = await rig.scim("HEAD", "/Users", token="wrong")
    assert (answer.status_code, answer.content) == (401, b"")
    assert answer.headers["www-authenticate"].startswith("Bearer")


# --- paths ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path",
    [
        *("/scim/v2/Users", "/scim/v2/Users/", "/scim/v2//Users", "//scim/v2/Users//", "/scim//v2/Users"),
        *("/scim/Users", "/scim/Users/", "//scim//Users", "/scim/v2/Users/?count=1", "/scim/Users?count=1"),
    ],
)
async def test_spellings_of_users(rig: Rig, path: str) -> None:
    user = await rig.make()
    found = (await rig.scim("GET", f"http://bridge.test{path}")).json()
    assert [r["id"] for r in found["Resources"]] == [user["id"]]
    assert found["Resources"][0]["meta"]["location"] == f"http://bridge.test/scim/v2/Users/{user['id']}"


async def test_a_base_url_without_version_takes_writes(rig: Rig) -> None:
    answer = await rig.scim("POST", "http://bridge.test/scim/Users/", person())
    assert answer.status_code == 201
    assert answer.headers["location"] == f"http://bridge.test/scim/v2/Users/{answer.json()['id']}"
    search = await rig.scim("POST", "http://bridge.test/scim/.search/", {})
    assert search.json()["totalResults"] == 1
    assert (await rig.scim("GET", "http://bridge.test/scim")).json()["totalResults"] == 1


@pytest.mark.parametrize(
    ("path", "status", "scim_type", "part"),
    [
        ("/scim/v1/Users", 400, "invalidVers", "/scim/v2"),
        ("/scim/v1", 400, "invalidVers", "/scim/v2"),
        ("/scim/v2.0/Users", 400, "invalidVers", "/scim/v2"),
        ("/scim/v3/", 400, "invalidVers", "/scim/v2"),
        ("/v2/Users", 404, None, "/scim/v2"),
        ("/Users", 404, None, "/scim/v2"),
        ("/SCIM/V2/Users", 404, None, "/scim/v2"),
        ("/", 404, None, "/scim/v2"),
        ("/scim/v2/users", 404, None, "/scim/v2/Users"),
        ("/scim/v2/user/x", 404, None, "/scim/v2/Users"),
        ("/scim/v2/Group", 404, None, "/scim/v2/Groups"),
        ("/scim/v2/serviceproviderconfigs", 404, None, "/scim/v2/ServiceProviderConfig"),
        ("/scim/schemas", 404, None, "/scim/v2/Schemas"),
        ("/scim/v2/Users/%00", 404, None, "does not exist"),
        ("/scim/v2/Users/%ff%fe", 404, None, "does not exist"),
        ("/scim/v2/Users/%zz", 404, None, "does not exist"),
        ("/scim/v2/Users/%", 404, None, "does not exist"),
        ("/scim/v2/%00", 404, None, "no such endpoint"),
        ("/scim/%76%31/Users", 400, "invalidVers", "/scim/v2"),
        ("/scim%2Fv2/Users", 404, None, ""),
        ("/favicon.ico", 404, None, "/scim/v2"),
    ],
)
async def test_paths_that_are_none(
    rig: Rig, path: str, status: int, scim_type: str | None, part: str
) -> None:
    answer = await rig.scim("GET", f"http://bridge.test{path}")
    assert answer.status_code == status
    body = answer.json()
    assert body.get("scimType") == scim_type
    assert part in body["detail"]


@pytest.mark.parametrize(
    "path",
    [
        "/ServiceProviderConfig",
        "/ServiceProviderConfigs",
        "/ResourceTypes",
        "/ResourceTypes/User",
        "/Schemas",
    ],
)
async def test_discovery_takes_no_filter(rig: Rig, path: str) -> None:
    for query in ("filter=x", "filter=", "Filter=id pr", "filter=a&filter=b"):
        assert (await rig.scim("GET", f"{path}?{query}")).status_code == 403
    assert (await rig.scim("GET", f"{path}?startIndex=x&count=0&unknown=1")).status_code == 200


async def test_headers_of_answers(rig: Rig) -> None:
    made = await rig.scim("POST", "/Users", person())
    user = made.json()
    path = f"/Users/{user['id']}"
    assert made.headers["location"] == user["meta"]["location"]
    op: dict[str, Any] = {"op": "replace", "path": "title", "value": "x"}
    for answer in (
        made,
        await rig.scim("GET", path),
        await rig.scim("PUT", path, {**user, "title": "y"}),
        await rig.patch(user["id"], op),
    ):
        assert answer.headers["etag"] == answer.json()["meta"]["version"]
        assert (answer.headers["vary"], answer.headers["cache-control"]) == ("Accept", "no-store")
        assert int(answer.headers["content-length"]) == len(answer.content)
        if answer is not made:
            assert answer.headers["content-location"] == user["meta"]["location"]
            assert "location" not in answer.headers
    refused = await rig.scim("GET", path, token="wrong")
    assert refused.headers["www-authenticate"] == 'Bearer realm="scim", error="invalid_token"'
    assert refused.headers["cache-control"] == "no-store"
    assert json.loads(refused.content)["status"] == "401"
