"""The audit trail as requests leave it."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import httpx
import msgspec
import pytest
from bridge_rig import CORE, PATCH_OP, Rig, answers, raises

from app.store.audit_records import AuditFilter, AuditRecord
from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

ANN = {
    "schemas": [CORE],
    "userName": "ann.smith@example.com",
    "externalId": "E-4711",
    "name": {"givenName": "Annabel", "familyName": "Smithers"},
    "emails": [{"value": "ann.smith@example.com", "type": "work", "primary": True}],
    "password": "correct horse battery",
    "active": True,
}
PERSONAL = ("ann.smith", "E-4711", "Annabel", "Smithers")
SECRET = "correct horse"


class Asked(msgspec.Struct):
    """A request, and what the trail has of it."""

    answer: httpx.Response
    records: list[AuditRecord]

    @property
    def record(self) -> AuditRecord:
        (found,) = self.records
        return found

    @property
    def text(self) -> str:
        return msgspec.json.encode(self.records).decode()


async def ask(rig: Rig, method: str, path: str, body: Any = None, *, count: int = 1, **options: Any) -> Asked:
    correlation_id = f"test-{uuid.uuid4().hex}"
    headers = {**options.pop("headers", {}), "x-correlation-id": correlation_id}
    answer = await rig.scim(method, path, body, headers=headers, **options)
    assert answer.headers["x-correlation-id"] == correlation_id
    return Asked(answer=answer, records=await records(rig, correlation_id, count))


async def records(rig: Rig, text: str, count: int = 1) -> list[AuditRecord]:
    """What is recorded under a text, the earliest first, as soon as there is so much of it."""
    found: tuple[AuditRecord, ...] = ()
    for _ in range(1000):
        found = (await rig.store.audit.page(AuditFilter(text=text))).records
        if len(found) >= count:
            break
        await asyncio.sleep(0.01)
    return list(reversed(found))


async def test_a_creation_tells_what_and_nothing_of_whom(rig: Rig) -> None:
    made = await ask(rig, "POST", "/Users", ANN)
    assert made.answer.status_code == 201
    record = made.record
    assert (record.method, record.route, record.resource_type) == ("POST", "/Users", "User")
    assert (record.status, record.cause, record.detail) == (201, "", None)
    assert record.resource_id == made.answer.json()["id"]
    assert record.connection.startswith("tenant-")
    assert record.token_id.startswith("tok_")
    assert record.user_agent.startswith("python-httpx/")
    assert record.address == "127.0.0.1"
    assert record.changed == ("active", "emails", "externalId", "name", "password", "userName")
    assert [(c.method, c.template, c.status) for c in record.calls][-1] == (
        "POST",
        "/api/v1/tenants/{tenant_id}/users",
        201,
    )
    assert record.call_count == len(record.calls)
    assert 0 < record.platform_s <= record.duration_s
    assert record.body == {
        "schemas": [CORE],
        "userName": "***",
        "externalId": "***",
        "name": {"givenName": "***", "familyName": "***"},
        "emails": [{"value": "***", "type": "work", "primary": True}],
        "password": "***",
        "active": True,
    }
    for value in (*PERSONAL, SECRET):
        assert value not in made.text


async def test_personal_data_is_kept_where_the_connection_says_so(rig: Rig) -> None:
    open_rig = await rig.alone(policies=Policies(audit_values="personal", password="set"))
    made = await ask(open_rig, "POST", "/Users", ANN)
    assert made.record.body == {**ANN, "password": "***"}
    assert made.record.names == {"userName": ANN["userName"], "externalId": ANN["externalId"]}
    found = await ask(open_rig, "GET", '/Users?filter=userName eq "ann.smith@example.com"')
    assert found.record.filter == 'userName eq "ann.smith@example.com"'
    assert SECRET not in made.text + found.text


async def test_a_history_goes_by_every_name(rig: Rig) -> None:
    name, external = f"h{uuid.uuid4().hex}@example.com", uuid.uuid4().hex
    failed = await ask(rig, "POST", "/Users", {**ANN, "userName": name, "active": "sometimes"})
    assert failed.answer.status_code == 400
    person = {**ANN, "userName": name, "externalId": external, "emails": [{"value": name}]}
    made = await ask(rig, "POST", "/Users", person)
    user_id = made.answer.json()["id"]
    renamed = f"new-{name}"
    change = {"op": "replace", "path": "userName", "value": renamed}
    patched = await ask(rig, "PATCH", f"/Users/{user_id}", {"schemas": [PATCH_OP], "Operations": [change]})
    looked = await ask(rig, "GET", f'/Users?filter=userName eq "{renamed.upper()}"')
    deleted = await ask(rig, "DELETE", f"/Users/{user_id}")
    assert deleted.answer.status_code == 204
    whole = [one.record.id for one in (made, patched, looked, deleted)]
    for text in (user_id, external, renamed):
        assert [r.id for r in await records(rig, text, 4)] == whole
    # The failed creation never had an id, only the first name.
    assert [r.id for r in await records(rig, name.upper(), 5)] == [failed.record.id, *whole]
    assert patched.record.changed == ("userName",)
    assert (looked.record.filter, looked.record.found) == ('userName eq "***"', 1)
    assert looked.record.plan is not None
    assert looked.record.plan.startswith("match userName=***")
    assert all("search=***" in c.path for c in looked.record.calls if "search" in c.path)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "cause"),
    [
        ("GET", "/Users/usr_nobody", None, 404, "not-found"),
        ("GET", "/Users/ann.smith@example.com", None, 404, "not-found"),
        ("GET", '/Users?filter=userName eq "ann.smith', None, 400, "invalid-filter"),
        ("GET", "/Users?filter=userName eq ann.smith@example.com", None, 400, "invalid-filter"),
        ("GET", "/Users?startIndex=ann.smith", None, 400, "invalid-value"),
        ("POST", "/Users", {**ANN, "active": "Annabel Smithers"}, 400, "invalid-value"),
        ("POST", "/Users", {**ANN, "phoneNumbers": [["Annabel"]]}, 400, None),
        ("POST", "/Users", [ANN], 400, "invalid-request"),
        ("PUT", "/Users/usr_nobody", ANN, 404, "not-found"),
        ("POST", "/Nothing", ANN, 404, "not-found"),
        ("PUT", "/Users", ANN, 405, "invalid-request"),
        ("POST", "/Users/.search", {"filter": 'title eq "Annabel'}, 400, None),
    ],
)
async def test_refused_requests_are_told_without_values(
    rig: Rig, method: str, path: str, body: Any, status: int, cause: str | None
) -> None:
    asked = await ask(rig, method, path, body)
    assert asked.answer.status_code == status
    assert asked.record.status == status
    assert asked.record.detail
    if cause is not None:
        assert asked.record.cause == cause
    for value in (*PERSONAL, SECRET):
        assert value.lower() not in asked.text.lower()


async def test_requests_without_a_token_are_told(rig: Rig) -> None:
    asked = await ask(rig, "GET", "/Users", token="no-such-token")
    record = asked.record
    assert (record.status, record.cause, record.connection_id) == (401, "unauthenticated", "")
    assert "no-such-token" not in asked.text


async def test_a_name_that_is_taken_is_told_without_it(rig: Rig) -> None:
    await ask(rig, "POST", "/Users", ANN)
    again = await ask(rig, "POST", "/Users", ANN)
    assert (again.record.status, again.record.cause) == (409, "conflict")
    assert again.record.scim_type == "uniqueness"
    assert "userName" in str(again.record.detail)
    for value in (*PERSONAL, SECRET):
        assert value not in again.text


async def test_what_the_platform_says_is_masked(rig: Rig) -> None:
    said = {"detail": [{"loc": ["body", "email"], "msg": "Annabel may not have ann.smith@example.com"}]}
    rig.wire.always("POST users", answers(422, said))
    asked = await ask(rig, "POST", "/Users", ANN)
    assert asked.answer.status_code == 400
    assert asked.record.detail == "the platform refuses emails: *** may not have ***"


async def test_failing_calls_are_told_by_attempt(rig: Rig) -> None:
    user = await rig.make()
    rig.wire.always("GET user", raises(httpx.ReadTimeout))
    asked = await ask(rig, "GET", f"/Users/{user['id']}")
    record = asked.record
    assert (record.status, record.cause) == (503, "platform-unavailable")
    assert [c.attempt for c in record.calls] == [1, 2, 3]
    assert {c.failure for c in record.calls} == {"no answer (ReadTimeout)"}
    assert "(reference " in asked.answer.json()["detail"]
    assert record.correlation_id in asked.answer.json()["detail"]


async def test_the_correlation_id_goes_on_to_the_platform(rig: Rig) -> None:
    user = await rig.make()
    asked = await ask(rig, "GET", f"/Users/{user['id']}")
    assert [r.headers["x-correlation-id"] for r in rig.wire.requests] == [asked.record.correlation_id]


@pytest.mark.parametrize("given", ["", "a b", "x" * 129, "é", "<script>"])
async def test_an_id_that_may_do_harm_is_not_taken_over(rig: Rig, given: str) -> None:
    answer = await rig.scim("GET", "/Users/usr_1", headers={"x-correlation-id": given.encode("latin-1")})
    own = answer.headers["x-correlation-id"]
    assert own not in ("", given)
    assert [r.correlation_id for r in await records(rig, own)] == [own]


async def test_every_answer_has_an_id(rig: Rig) -> None:
    async with rig.client() as client:
        for url in (
            "http://bridge.test/health/live",
            "http://bridge.test/nowhere",
            "http://bridge.test/webhooks/platform",
            "http://bridge.test/scim/v2/Schemas",
        ):
            assert (await client.get(url)).headers["x-correlation-id"]


async def test_group_changes_are_told(rig: Rig) -> None:
    user = await rig.make()
    made = await ask(
        rig,
        "POST",
        "/Groups",
        {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
            "displayName": "Engineers",
            "members": [{"value": user["id"], "display": "Annabel"}],
        },
    )
    assert made.record.resource_type == "Group"
    assert made.record.changed == ("displayName", "members")
    assert made.record.body["displayName"] == "Engineers"
    assert made.record.body["members"] == [{"value": user["id"], "display": "***"}]
    group_id = made.answer.json()["id"]
    operations = [{"op": "remove", "path": f'members[value eq "{user["id"]}"]'}]
    patched = await ask(
        rig, "PATCH", f"/Groups/{group_id}", {"schemas": [PATCH_OP], "Operations": operations}
    )
    assert patched.answer.status_code == 204
    assert patched.record.changed == ("members",)
    assert patched.record.body["Operations"] == operations
    assert patched.record.resource_id == group_id


async def test_paths_of_a_patch_are_told_without_values(rig: Rig) -> None:
    user = await rig.make()
    operations = [
        {"op": "add", "path": 'emails[type eq "work" and value eq "ann.smith@x"].value', "value": "b@x.org"},
        {"op": "replace", "path": "name.familyName", "value": "Smithers"},
        {"op": "replace", "value": {"active": False, "nickName": "Annabel"}},
    ]  # fmt: skip
    asked = await ask(rig, "PATCH", f"/Users/{user['id']}", {"schemas": [PATCH_OP], "Operations": operations})
    assert asked.record.body["Operations"] == [
        {"op": "add", "path": 'emails[type eq "work" and value eq "***"].value', "value": "***"},
        {"op": "replace", "path": "name.familyName", "value": "***"},
        {"op": "replace", "value": {"active": False, "nickName": "***"}},
    ]


async def test_hours_count_what_was_asked(rig: Rig) -> None:
    user = await rig.make()
    for _ in range(3):
        await ask(rig, "GET", f"/Users/{user['id']}")
    await ask(rig, "GET", "/Users/usr_none")
    (connection,) = [c for c in await rig.store.connections.list() if c.tenant_id == rig.tenant_id]
    share = await rig.store.audit.failure_share(AuditFilter(connection_id=connection.id))
    assert (share.requests, share.failures) == (5, 1)
    hours = await rig.store.audit.hours(AuditFilter(connection_id=connection.id, method="GET"))
    assert sum(h.calls for h in hours) == 4
