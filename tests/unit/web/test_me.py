"""`/Me`, tokens that are bound to a user, and what 401 and 403 say about a token."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from bridge_rig import SECRETS, Rig, assert_scim_error

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def bound_to(rig: Rig, user_id: str) -> str:
    found = await rig.store.token_cache.authenticate(rig.token)
    assert found is not None
    _, token = await rig.store.tokens.create(found.connection.id, "self", user_id=user_id)
    SECRETS.append(token)
    return token


async def test_me_is_the_user(rig: Rig) -> None:
    user = await rig.make()
    me = await bound_to(rig, user["id"])
    seen = await rig.scim("GET", "/Me", token=me)
    assert seen.json() == user
    assert seen.headers["etag"] == user["meta"]["version"]
    assert seen.headers["content-location"] == user["meta"]["location"]
    assert seen.headers["content-location"].endswith(f"/Users/{user['id']}")
    narrowed = await rig.scim("GET", "/Me?attributes=userName", token=me)
    assert narrowed.json().keys() == {"schemas", "id", "userName"}
    again = await rig.scim("GET", "/Me", token=me, headers={"if-none-match": user["meta"]["version"]})
    assert again.status_code == 304
    replaced = await rig.scim("PUT", "/Me", {**user, "title": "Countess"}, token=me)
    assert replaced.json()["title"] == "Countess"
    stale = await rig.scim("PUT", "/Me", user, token=me, headers={"if-match": user["meta"]["version"]})
    assert stale.status_code == 412
    operation = {"op": "replace", "path": "title", "value": "Lady"}
    changed = await rig.scim("PATCH", "/Me", {"schemas": [], "Operations": [operation]}, token=me)
    assert changed.json()["title"] == "Lady"
    assert (await rig.scim("GET", f"/Users/{user['id']}")).json() == changed.json()
    assert (await rig.scim("DELETE", "/Me", token=me)).status_code == 204
    assert (await rig.scim("GET", "/Me", token=me)).status_code == 404
    assert (await rig.scim("GET", f"/Users/{user['id']}")).status_code == 404


async def test_a_user_of_another_tenant_is_nobody(rig: Rig) -> None:
    user = await (await rig.alone()).make()
    assert (await rig.scim("GET", "/Me", token=await bound_to(rig, user["id"]))).status_code == 404


async def test_there_is_nothing_to_create(rig: Rig) -> None:
    me = await bound_to(rig, (await rig.make())["id"])
    answer = await rig.scim("POST", "/Me", {"userName": "x@example.com"}, token=me)
    assert answer.status_code == 501
    assert "exists already" in answer.json()["detail"]


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE", "POST"])
async def test_without_a_user_there_is_no_me(rig: Rig, method: str) -> None:
    answer = await rig.scim(method, "/Me", {})
    assert answer.status_code == 501
    assert "scim-bridge token create CONNECTION --user" in answer.json()["detail"]
    assert rig.wire.seen() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/Users"),
        ("POST", "/Users"),
        ("POST", "/Users/.search"),
        ("GET", "/Users/{own}"),
        ("PUT", "/Users/{own}"),
        ("PATCH", "/Users/{own}"),
        ("DELETE", "/Users/{own}"),
        ("GET", "/Groups"),
        ("POST", "/Groups"),
        ("GET", "/Groups/grp_1"),
        ("POST", "/Groups/.search"),
        ("DELETE", "/Groups/grp_1"),
        ("GET", ""),
        ("GET", "/"),
        ("POST", "/.search"),
        ("GET", "//Users"),
        ("GET", "/./Users"),
        ("GET", "/%55sers"),
        ("GET", "/Me%2f..%2fUsers"),
    ],
)
async def test_a_bound_token_is_good_for_nothing_else(rig: Rig, method: str, path: str) -> None:
    user = await rig.make()
    me = await bound_to(rig, user["id"])
    answer = await rig.scim(method, path.replace("{own}", user["id"]), {}, token=me)
    assert rig.wire.seen() == []
    if "%2f" in path:
        assert answer.status_code == 404
        return
    assert answer.status_code == 403
    assert answer.headers["www-authenticate"] == 'Bearer realm="scim", error="insufficient_scope"'
    assert "/Me" in answer.json()["detail"]


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
async def test_discovery_stays_readable(rig: Rig, path: str) -> None:
    me = await bound_to(rig, "usr_1")
    assert (await rig.scim("GET", path, token=me)).status_code == 200


@pytest.mark.parametrize(
    "path",
    ["/Me/x", "/Me/.search", "/Schemas/../Users", "/Me/../Users", "/../v2/Users", "/./Users", "//Users"],
)
async def test_no_way_around(rig: Rig, path: str) -> None:
    me = await bound_to(rig, (await rig.make())["id"])
    # Not through a client, which would resolve the dots.
    whole = f"/scim/v2{path}"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": whole,
        "raw_path": whole.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"bridge.test"), (b"authorization", f"Bearer {me}".encode())],
        "server": ("bridge.test", 80),
        "client": ("127.0.0.1", 1),
    }
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        sent.append(message)

    await rig.app(scope, receive, send)
    assert sent[0]["status"] in (403, 404, 405)
    assert rig.wire.seen() == []


@pytest.mark.parametrize(
    ("header", "code"),
    [
        (None, None),
        ("", None),
        ("Basic YTpi", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("Bearer x", "invalid_token"),
        ("bearer scb_" + "A" * 43, "invalid_token"),
        ("Bearer sca_" + "A" * 43, "invalid_token"),
        ("Bearer scs_" + "A" * 43, "invalid_token"),
    ],
)
async def test_what_401_says(rig: Rig, header: str | None, code: str | None) -> None:
    transport = httpx.ASGITransport(rig.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge.test/scim/v2") as client:
        answer = await client.get("/Users", headers={} if header is None else {"authorization": header})
    assert answer.status_code == 401
    assert_scim_error(answer)
    expected = 'Bearer realm="scim"' + ("" if code is None else f', error="{code}"')
    assert answer.headers["www-authenticate"] == expected


async def test_the_schemes_that_are_told(rig: Rig) -> None:
    schemes = (await rig.scim("GET", "/ServiceProviderConfig")).json()["authenticationSchemes"]
    assert [(s["type"], s.get("primary", False)) for s in schemes] == [
        ("oauthbearertoken", True),
        ("oauth2", False),
    ]
