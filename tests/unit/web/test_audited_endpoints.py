"""The audit trail of what is no plain request for users: bulk, /Me, tokens, refusals by policy."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from bridge_rig import CORE, PATCH_OP, SECRETS, Rig, raises

from app.store.audit_records import CAUSES, AuditFilter, AuditRecord
from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
OFF = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "path": "active", "value": False}]}


async def asked(
    rig: Rig, method: str, path: str, body: Any = None, *, records: int = 1, **options: Any
) -> tuple[httpx.Response, list[AuditRecord]]:
    """The answer and what the trail has of it, the earliest first."""
    correlation_id = f"test-{uuid.uuid4().hex}"
    answer = await rig.scim(method, path, body, headers={"x-correlation-id": correlation_id}, **options)
    assert answer.headers["x-correlation-id"] == correlation_id
    return answer, await trail(rig, correlation_id, records)


async def trail(rig: Rig, text: str, count: int) -> list[AuditRecord]:
    found: tuple[AuditRecord, ...] = ()
    for _ in range(1000):
        found = (await rig.store.audit.page(AuditFilter(text=text))).records
        if len(found) >= count:
            break
        await asyncio.sleep(0.01)
    assert len(found) == count, [(r.method, r.route, r.status) for r in found]
    assert all(r.cause in ("", *CAUSES) for r in found)
    return list(reversed(found))


def post(bulk_id: str, **data: Any) -> dict[str, Any]:
    body = {"schemas": [CORE], "userName": f"{bulk_id}@example.com", **data}
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": body}


async def test_every_operation_of_a_bulk_request_has_a_record(rig: Rig) -> None:
    user = await rig.make()
    patch = {"method": "PATCH", "path": f"/Users/{user['id']}", "data": OFF}
    answer, told = await asked(
        rig,
        "POST",
        "/Bulk",
        {
            "schemas": [BULK],
            "Operations": [
                post("eve", password="correct horse battery"),
                patch,
                post("bob", active="perhaps"),
                {"method": "DELETE", "path": "/Users/usr_nobody"},
                {"method": "GET", "path": f"/Users/{user['id']}"},
                {"method": "PATCH", "path": "/Users/bulkId:bob", "data": OFF},
            ],
        },
        records=7,
    )
    results = answer.json()["Operations"]
    assert results[0]["status"] == "201", results[0]
    whole = next(r for r in told if r.route == "/Bulk")
    assert (whole.method, whole.resource_type, whole.status, whole.body) == ("POST", "Bulk", 200, None)
    assert whole.call_count == 0
    assert told[-1] == whole
    shown = sorted((r.method, r.route, r.status, r.cause) for r in told if r is not whole)
    assert shown == sorted(
        [
            ("POST", "/Users", 201, ""),
            ("PATCH", "/Users/{id}", 200, ""),
            ("POST", "/Users", 400, "invalid-value"),
            ("DELETE", "/Users/{id}", 404, "not-found"),
            ("GET", "/?", 400, "invalid-request"),
            ("PATCH", "/Users", 409, "conflict"),
        ]
    )
    made = next(r for r in told if r.status == 201)
    assert made.resource_id == results[0]["location"].rpartition("/")[2]
    assert [c.template for c in made.calls][-1] == "/api/v1/tenants/{tenant_id}/users"
    assert made.body["password"] == "***"
    changed = next(r for r in told if r.method == "PATCH" and r.status == 200)
    assert (changed.resource_id, changed.changed) == (user["id"], ("active",))
    for record in told:
        assert record.connection_id == whole.connection_id != ""
        assert record.token_id == whole.token_id != ""
        assert record.address == "127.0.0.1"
    # Each goes into the history of its user.
    assert made.id in {r.id for r in await trail(rig, "EVE@example.com", 1)}


async def test_an_operation_that_is_tried_again_is_told_once(rig: Rig) -> None:
    user = await rig.make(userName="swap@example.com", emails=None)
    operations = [
        {"method": "DELETE", "path": f"/Users/{user['id']}"},
        {"method": "POST", "path": "/Users", "bulkId": "n",
         "data": {"schemas": [CORE], "userName": "swap@example.com"}},
        {"method": "POST", "path": "/Users", "bulkId": "m",
         "data": {"schemas": [CORE], "userName": "swap@example.com"}},
    ]  # fmt: skip
    answer, told = await asked(rig, "POST", "/Bulk", {"schemas": [BULK], "Operations": operations}, records=4)
    statuses = sorted(int(each["status"]) for each in answer.json()["Operations"])
    assert statuses == [201, 204, 409]
    assert sorted(r.status for r in told if r.route != "/Bulk") == statuses
    assert [r.cause for r in told if r.status == 409] == ["conflict"]


async def test_a_circle_that_is_taken_back_says_so(rig: Rig) -> None:
    local = await rig.alone(policies=Policies(groups="local"))
    members = [{"value": "bulkId:b"}]
    groups = [
        {"method": "POST", "path": "/Groups", "bulkId": "a",
         "data": {"schemas": [GROUP], "displayName": "A", "members": members}},
        {"method": "POST", "path": "/Groups", "bulkId": "b",
         "data": {"schemas": [GROUP], "displayName": " ", "members": [{"value": "bulkId:a"}]}},
    ]  # fmt: skip
    _, told = await asked(local, "POST", "/Bulk", {"schemas": [BULK], "Operations": groups}, records=4)
    assert [(r.method, r.route, r.status) for r in told if r.status < 400] == [
        ("POST", "/Groups", 201),
        ("DELETE", "/Groups/{id}", 204),
        ("POST", "/Bulk", 200),
    ]


async def test_one_id_is_the_reference_of_all_that_failed(rig: Rig) -> None:
    rig.wire.always("POST users", raises(httpx.ConnectError))
    operations = [post("x"), post("y")]
    answer, told = await asked(rig, "POST", "/Bulk", {"schemas": [BULK], "Operations": operations}, records=3)
    for result in answer.json()["Operations"]:
        assert result["status"] == "503"
        assert f"(reference {told[0].correlation_id})" in result["response"]["detail"]
    assert [r.cause for r in told] == ["platform-unavailable", "platform-unavailable", ""]


async def test_me_is_told_as_the_user(rig: Rig) -> None:
    user = await rig.make()
    found = await rig.store.token_cache.authenticate(rig.token)
    assert found is not None
    token, me = await rig.store.tokens.create(found.connection.id, "self", user_id=user["id"])
    SECRETS.append(me)
    _, (record,) = await asked(rig, "PATCH", "/Me", OFF, token=me)
    assert (record.route, record.resource_type, record.resource_id) == ("/Me", "User", user["id"])
    assert (record.token_id, record.changed) == (token.id, ("active",))
    assert record.body["Operations"] == OFF["Operations"]
    await rig.scim("DELETE", f"/Users/{user['id']}")
    _, (gone,) = await asked(rig, "GET", "/Me", token=me)
    assert (gone.status, gone.cause, gone.resource_id) == (404, "not-found", user["id"])
    _, (elsewhere,) = await asked(rig, "GET", "/Users", token=me)
    assert (elsewhere.status, elsewhere.cause) == (403, "forbidden")
    _, (unbound,) = await asked(rig, "GET", "/Me")
    assert (unbound.status, unbound.route) == (501, "/Me")


async def token_request(rig: Rig, data: dict[str, str]) -> tuple[httpx.Response, AuditRecord]:
    correlation_id = f"test-{uuid.uuid4().hex}"
    transport = httpx.ASGITransport(rig.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge.test") as client:
        answer = await client.post(
            "/oauth/token",
            content="&".join(f"{k}={v}" for k, v in data.items()),
            headers={
                "content-type": "application/x-www-form-urlencoded",
                "x-correlation-id": correlation_id,
            },
        )
    (record,) = await trail(rig, correlation_id, 1)
    return answer, record


async def test_token_requests_tell_the_client_and_no_secret(rig: Rig) -> None:
    found = await rig.store.token_cache.authenticate(rig.token)
    assert found is not None
    client = await rig.store.clients.add(found.connection.id, "test")
    made, secret = await rig.store.clients.add_secret(client.id)
    SECRETS.append(secret)
    sent = {"grant_type": "client_credentials", "client_id": client.id, "client_secret": secret}
    answer, issued = await token_request(rig, sent)
    assert answer.status_code == 200, answer.text
    access = answer.json()["access_token"]
    SECRETS.append(access)
    assert (issued.method, issued.route, issued.resource_type) == ("POST", "/oauth/token", "Client")
    assert (issued.status, issued.resource_id) == (200, client.id)
    assert (issued.connection_id, issued.credential_id) == (found.connection.id, made.id)
    assert issued.token_id.startswith("acc_")
    _, (used,) = await asked(rig, "GET", "/Users?count=0", token=access)
    assert (used.token_id, used.credential_id) == (issued.token_id, made.id)
    # By mistake, the secret may stand anywhere.
    for wrong in (
        {"client_secret": secret[:-1] + "!"},
        {"client_id": secret},
        {"scope": secret},
        {"grant_type": secret},
        {"client_assertion_type": secret, "client_assertion": secret},
    ):
        answer, record = await token_request(rig, {**sent, **wrong})
        assert answer.status_code in (400, 401), wrong
        assert record.cause == ("unauthenticated" if answer.status_code == 401 else "invalid-request")
        assert record.detail
        assert secret[4:40] not in str(record)
        assert record.resource_id in (client.id, None)
        assert record.token_id == ""


async def test_catalogs_are_told(rig: Rig) -> None:
    _, (record,) = await asked(rig, "GET", '/Roles?filter=displayName eq "Admin" and nosuch eq "Ada"')
    assert (record.route, record.resource_type, record.cause) == ("/Roles", "Role", "not-found")
    _, (one,) = await asked(rig, "GET", "/Entitlements/gold")
    assert (one.route, one.resource_type) == ("/Entitlements/{id}", "Entitlement")


async def test_policies_and_guards_are_causes_of_their_own(rig: Rig) -> None:
    guarded = await rig.alone(
        policies=Policies(guard_limit=1, guard_share=0.0, protected_users=("userName:root*",))
    )
    first, second = [await guarded.make(userName=f"u{n}@example.com", emails=None) for n in range(2)]
    _, (counted,) = await asked(guarded, "PATCH", f"/Users/{first['id']}", OFF)
    assert counted.status == 200
    answer, (stopped,) = await asked(guarded, "PATCH", f"/Users/{second['id']}", OFF)
    assert (stopped.status, stopped.cause, stopped.resource_id) == (429, "stopped", second["id"])
    assert answer.json()["detail"].startswith("stopped: 1 users")
    body = {"schemas": [CORE], "userName": "root@example.com"}
    _, (protected,) = await asked(guarded, "POST", "/Users", body)
    assert (protected.status, protected.cause) == (403, "policy")
    assert "root@" not in str(protected)
    how = {"scim-bridge-explain": "plan"}
    async with guarded.client() as client:
        unexplained = await client.get("http://bridge.test/scim/v2/Users", headers=how)
    (record,) = await trail(guarded, unexplained.headers["x-correlation-id"], 1)
    assert (record.status, record.cause) == (403, "policy")


async def test_a_user_who_comes_back_has_one_history(rig: Rig) -> None:
    keeping = await rig.alone(policies=Policies(deprovision="disable"))
    user = await keeping.make(userName="back@example.com", emails=None)
    _, (left,) = await asked(keeping, "DELETE", f"/Users/{user['id']}")
    assert (left.status, left.resource_id) == (204, user["id"])
    assert ("PUT", "/api/v1/tenants/{tenant_id}/users/{user_id}/status") in [
        (c.method, c.template) for c in left.calls
    ]
    body = {"schemas": [CORE], "userName": "back@example.com", "title": "Countess"}
    answer, (back,) = await asked(keeping, "POST", "/Users", body)
    assert answer.status_code == 201, answer.text
    assert back.resource_id == user["id"]
    assert {"active", "title"} <= set(back.changed)


async def test_requests_without_a_body_are_told_too(rig: Rig) -> None:
    user = await rig.make()
    answer, (head,) = await asked(rig, "HEAD", f"/Users/{user['id']}")
    assert (head.method, head.status, head.resource_id) == ("HEAD", 200, user["id"])
    assert (head.call_count, answer.content) == (1, b"")
    _, (options,) = await asked(rig, "OPTIONS", "/Users")
    assert (options.method, options.route, options.status) == ("OPTIONS", "/Users", 204)
    _, (wrong,) = await asked(rig, "OPTIONS", "/Nothing")
    assert wrong.status in (401, 404)


async def test_explained_searches_are_recorded_once(rig: Rig) -> None:
    explaining = await rig.alone(policies=Policies(explain=True))
    await explaining.make(userName="e@example.com", emails=None)
    correlation_id = f"test-{uuid.uuid4().hex}"
    headers = {"x-correlation-id": correlation_id, "scim-bridge-explain": "run"}
    answer = await explaining.scim("GET", '/Users?filter=userName eq "e@example.com"', headers=headers)
    (record,) = await trail(explaining, correlation_id, 1)
    ran = answer.json()["ran"]["calls"]
    assert [(c["method"], c["status"]) for c in ran] == [(c.method, c.status) for c in record.calls]
    assert record.call_count == len(ran) > 0
