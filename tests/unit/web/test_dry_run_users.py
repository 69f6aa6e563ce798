"""Dry runs of writes to users: what they say is what the same write then does, and they do nothing."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from bridge_rig import PATCH_OP, PLATFORM, SECRETS, Rig, person
from group_rig import GROUP
from msgspec.structs import replace
from rehearsing import DRY_RUN, HEADER, MASK, rehearsed, rows, still, twice, writes
from structlog.testing import capture_logs

from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

ALLOWED = Policies(dry_run=True)
PASSWORDS = replace(ALLOWED, password="set")
KEPT = replace(ALLOWED, deprovision="disable")


def patching(*operations: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def setting(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


async def swept(rig: Rig) -> None:
    """All users are known to the bridge: so the holder of an address that is taken can be named."""
    assert (await rig.scim("GET", '/Users?filter=externalId eq "nobody"')).status_code == 200


CREATIONS = {
    "plain": person(),
    "with everything": person(
        title="Countess",
        externalId="x1",
        locale="de",
        phoneNumbers=[{"value": "+49 1", "type": "work"}],
        password="Geheim-Geheim-99",
    ),
    "inactive": person(active=False),
    "status": {**person(), PLATFORM: {"status": "LOCKED"}},
    "name taken": person(userName="eve@example.com"),
    "address taken": person(emails=[{"value": "EVE@example.com"}]),
    "no userName": person(userName=None),
    "contradiction": {**person(active=True), PLATFORM: {"status": "DISABLED"}},
}


@pytest.mark.parametrize("body", CREATIONS.values(), ids=CREATIONS.keys())
async def test_creations(shared: Rig, body: dict[str, Any]) -> None:
    rig = await still(shared, PASSWORDS)
    await rig.make(userName="eve@example.com", emails=[{"value": "eve@example.com"}])
    await swept(rig)
    dry, _, made = await twice(rig, "POST", "/Users", body)
    if dry.status_code == 201:
        assert dry.json()["id"] == "dry-run-user-1"
        assert not {"location", "version"} & dry.json()["meta"].keys()
        assert made[0][0] == "POST"


CHANGES = {
    "nothing": ("PUT", person()),
    "a name": ("PUT", person(name={"givenName": "A", "familyName": "L"}, title="Dr.")),
    "userName": ("PUT", person(userName="countess@example.com")),
    "userName taken": ("PUT", person(userName="eve@example.com")),
    "deactivation": ("PATCH", patching(setting("active", False))),
    "many": ("PATCH", patching(setting("active", False), setting("title", "x"), setting("locale", "fr"))),
    "password": ("PATCH", patching(setting("password", "Geheim-Geheim-99"), setting("nickName", "ada"))),
    "removal": ("PATCH", patching({"op": "remove", "path": "name.familyName"})),
    "address": ("PATCH", patching(setting("emails", [{"value": "new@example.com", "type": "home"}]))),
    "address taken": ("PATCH", patching(setting("emails", [{"value": "eve@example.com"}]))),
    "no such path": ("PATCH", patching(setting("nobody.knows", 1))),
    "last address": ("PATCH", patching({"op": "remove", "path": "emails"})),
    "deletion": ("DELETE", None),
}


@pytest.mark.parametrize("policies", [PASSWORDS, replace(PASSWORDS, search="live")], ids=["indexed", "live"])
@pytest.mark.parametrize(("method", "body"), CHANGES.values(), ids=CHANGES.keys())
async def test_changes(shared: Rig, policies: Policies, method: str, body: Any) -> None:
    rig = await still(shared, policies)
    await rig.make(userName="eve@example.com", emails=[{"value": "eve@example.com"}])
    user = await rig.make(title="Countess", externalId="x1")
    await swept(rig)
    await twice(rig, method, f"/Users/{user['id']}", body)


async def test_what_others_keep_at_the_platform_is_not_shown(shared: Rig) -> None:
    rig = await still(shared, PASSWORDS)
    user = await rig.make(title="Countess")
    present = (await rig.at_platform(user["id"]))["custom_attributes"]
    await rig.change_at_platform(user["id"], custom_attributes={**present, "payroll": "P-4711"})
    path = f"/Users/{user['id']}"
    body = patching(setting("nickName", "ada"), setting("password", "Geheim-Geheim-99"))
    dry, _, made = await twice(rig, "PATCH", path, body)
    first, last = (call["body"] for call in dry.json()[DRY_RUN]["calls"])
    assert first["custom_attributes"]["payroll"] == MASK
    assert made[0][2]["custom_attributes"]["payroll"] == "P-4711"
    assert "ada" in first["custom_attributes"].values()
    assert last["new_password"] == MASK
    assert "P-4711" not in dry.text
    assert "Geheim" not in dry.text
    assert dry.json()[DRY_RUN]["changed"] == ["nickName", "password"]


async def test_versions(shared: Rig) -> None:
    rig = await still(shared, ALLOWED)
    user = await rig.make()
    path, body = f"/Users/{user['id']}", patching(setting("title", "x"))
    for method, sent in (("PATCH", body), ("PUT", person()), ("DELETE", None)):
        _, real, _ = await twice(rig, method, path, sent, **{"if-match": 'W/"old"'})
        assert real.status_code == 412
    _, real, _ = await twice(rig, "PATCH", path, body, **{"if-match": user["meta"]["version"]})
    assert real.status_code == 200


async def test_a_user_who_is_kept_leaves_and_comes_back(shared: Rig) -> None:
    rig = await still(shared, KEPT)
    user = await rig.make(externalId="x1")
    group = {"schemas": [GROUP], "displayName": "Crew", "members": [{"value": user["id"]}]}
    assert (await rig.scim("POST", "/Groups", group)).status_code == 201
    _, _, made = await twice(rig, "DELETE", f"/Users/{user['id']}")
    assert [method for method, _, _ in made] == ["PUT", "DELETE", "PATCH"]
    _, real, _ = await twice(rig, "DELETE", f"/Users/{user['id']}")
    assert real.status_code == 404
    _, real, _ = await twice(rig, "POST", "/Users", person(title="back"))
    assert real.status_code == 201
    assert real.json()["id"] == user["id"]


@pytest.mark.parametrize("path", ["/Users/usr_nobody", "/Users/dry-run-user-1", "/Users/a%20b"])
@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
async def test_who_is_not_there(shared: Rig, method: str, path: str) -> None:
    rig = await still(shared, ALLOWED)
    body = {"PUT": person(), "PATCH": patching(setting("title", "x"))}.get(method)
    _, real, _ = await twice(rig, method, path, body)
    assert real.status_code == 404


@pytest.mark.parametrize(
    "policies",
    [
        replace(ALLOWED, deprovision="refuse"),
        replace(ALLOWED, protected_users=("userName:ada*",)),
        replace(ALLOWED, guard_limit=1, guard_share=0.0),
    ],
    ids=["refused", "protected", "stopped"],
)
async def test_guards_and_policies(shared: Rig, policies: Policies) -> None:
    rig = await still(shared, policies)
    other = await rig.make(userName="eve@example.com", emails=[{"value": "eve@example.com"}])
    created = await rig.create_at_platform("ada@example.com")
    await twice(rig, "DELETE", f"/Users/{other['id']}")
    _, real, _ = await twice(rig, "DELETE", f"/Users/{created['id']}")
    assert real.status_code in (403, 429)
    body = person(userName="ada.l", emails=[{"value": "b@example.com"}])
    _, real, _ = await twice(rig, "POST", "/Users", body)
    assert real.status_code == (403 if policies.protected_users else 201)


async def test_a_guard_that_only_would_stop_is_not_logged(shared: Rig) -> None:
    rig = await still(shared, replace(ALLOWED, guard_limit=1, guard_share=0.0))
    one, other = await rig.make(), await rig.make(userName="eve", emails=[{"value": "eve@example.com"}])
    assert (await rig.scim("DELETE", f"/Users/{one['id']}")).status_code == 204
    with capture_logs() as dry:
        answer = await rig.scim("DELETE", f"/Users/{other['id']}", headers=HEADER)
    with capture_logs() as real:
        assert (await rig.scim("DELETE", f"/Users/{other['id']}")).status_code == 429
    assert answer.status_code == 429
    stops = [[e["event"] for e in log if e["log_level"] == "error"] for log in (dry, real)]
    assert stops == [[], ["connection stopped by its guard"]]


async def test_an_unfinished_write_stays_in_the_way(shared: Rig) -> None:
    rig = await still(shared, ALLOWED)
    user = await rig.make()
    connection = await rig.store.tokens.authenticate(rig.token)
    assert connection is not None
    await rig.store.journal.begin(
        "entry-of-another",
        tenant_id=rig.tenant_id,
        connection_id=connection.connection.id,
        domain="default",
        kind="user-update",
        keys=[f"{rig.tenant_id} user {user['id']}"],
        plan='{"steps": []}',
        resource_id=user["id"],
        owner="own_gone",
        lease_s=-1.0,
    )
    answer = await rehearsed(rig, "PATCH", f"/Users/{user['id']}", patching(setting("title", "x")))
    assert answer.status_code == 503
    assert answer.json()[DRY_RUN]["calls"] == []
    await rig.store.journal.end(["entry-of-another"])


WRITES = [
    ("POST", "/Users"),
    ("PUT", "/Users/{id}"),
    ("PATCH", "/Users/{id}"),
    ("DELETE", "/Users/{id}"),
    ("POST", "/Groups"),
    ("PUT", "/Groups/{id}"),
    ("PATCH", "/Groups/{id}"),
    ("DELETE", "/Groups/{id}"),
    ("PUT", "/Me"),
    ("PATCH", "/Me"),
    ("DELETE", "/Me"),
    ("POST", "/Bulk"),
]


async def test_every_write_is_known(shared: Rig) -> None:
    """A route that is new has to be looked at: it must not write where a dry run was asked for."""
    found = set()
    for route in shared.app.routes:
        path = route.path.removeprefix("/scim/v2")
        if path == route.path or path.endswith("/.search"):
            continue
        shown = path.rsplit("/", 1)[0] + "/{id}" if path.endswith("}") else path
        found |= {(m, shown) for m in route.methods if m in ("POST", "PUT", "PATCH", "DELETE")}
    assert found - {("POST", "/Me")} == set(WRITES)


@pytest.mark.parametrize(("method", "path"), WRITES)
@pytest.mark.parametrize(
    ("allowed", "value", "status"),
    [
        (False, "true", 403),
        (False, "yes", 403),
        (True, "yes", 400),
        (True, "", 400),
        (True, "true, true", 400),
    ],
)
async def test_a_dry_run_that_is_refused_is_not_a_write(
    shared: Rig, method: str, path: str, allowed: bool, value: str, status: int
) -> None:
    rig = await still(shared, Policies(dry_run=allowed))
    user = await rig.make()
    before = rows(rig)
    at = path.replace("{id}", user["id"])
    answer = await rig.scim(method, at, person(), headers={"SCIM-Bridge-Dry-Run": value})
    assert answer.status_code == status
    assert "nothing was done" in answer.json()["detail"]
    assert rig.wire.seen() == []
    assert rows(rig) == before


async def test_who_says_twice_what_differs_is_refused(shared: Rig) -> None:
    rig = await still(shared, ALLOWED)
    async with rig.client() as client:
        headers = [("SCIM-Bridge-Dry-Run", "true"), ("SCIM-Bridge-Dry-Run", "false")]
        answer = await client.post("/Users", json=person(), headers=headers)
    assert answer.status_code == 400
    assert rig.wire.seen() == []


async def test_false_is_a_write_and_reads_are_reads(shared: Rig) -> None:
    rig = await still(shared, Policies())
    answer = await rig.scim("POST", "/Users", person(), headers={"SCIM-Bridge-Dry-Run": "false"})
    assert answer.status_code == 201
    found = await rig.scim("GET", f"/Users/{answer.json()['id']}", headers=HEADER)
    assert found.status_code == 200
    assert DRY_RUN not in found.json()
    assert writes(rig.wire.requests)[0][0] == "POST"


async def test_me(shared: Rig) -> None:
    rig = await still(shared, ALLOWED)
    user = await rig.make()
    found = await rig.store.tokens.authenticate(rig.token)
    assert found is not None
    _, token = await rig.store.tokens.create(found.connection.id, "me", None, user_id=user["id"])
    SECRETS.append(token)
    answers: list[httpx.Response] = []
    for method, body in (("PATCH", patching(setting("title", "x"))), ("PUT", person()), ("DELETE", None)):
        answers.append(await rig.scim(method, "/Me", body, headers=HEADER, token=token))
    assert [a.json()[DRY_RUN]["status"] for a in answers] == [200, 200, 204]
    assert [len(a.json()[DRY_RUN]["calls"]) for a in answers] == [1, 0, 1]
    assert writes(rig.wire.requests) == []


async def test_what_is_asked_for_is_shown(shared: Rig) -> None:
    rig = await still(shared, ALLOWED)
    answer = await rehearsed(rig, "POST", "/Users?attributes=title", person(title="Dr."))
    assert sorted(answer.json()) == ["id", "schemas", "title", DRY_RUN]
