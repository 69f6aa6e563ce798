"""Which change is told by which event: every endpoint that writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hooked import QUICK, events_of, settle, subscribe
from platform_server import RunningPlatform, Tenant, running
from webhook_receiver import SECRET, Receiver, receiving

from app.embedded import IdentitySource
from app.embedded.app import OPERATIONS

TENANT_USERS = "/api/v1/tenants/{tenant_id}/users"
TENANT_USER = TENANT_USERS + "/{user_id}"
GROUPS = "/api/v1/tenants/{tenant_id}/groups"
GROUP = GROUPS + "/{group_id}"
ADMIN_USERS = "/api/v1/admin/users/"
ADMIN_USER = ADMIN_USERS + "{user_id}"
MISMATCHES = ADMIN_USERS + "identity-source/mismatches"


@pytest.fixture(scope="module")
def receiver() -> Iterator[Receiver]:
    with receiving() as started:
        yield started


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[RunningPlatform]:
    with running(tmp_path_factory.mktemp("hooked") / "platform.db", QUICK) as started:
        subscribe(started, receiver)
        yield started


@dataclass
class Scene:
    """Ada, Bob and a group that Bob is in."""

    tenant: Tenant
    ada: str
    bob: str
    group: str

    def call(self, operation: str, json: Any = None, **params: Any) -> httpx.Response:
        method, path = operation.split(" ")
        ids = {"tenant_id": self.tenant.id, "user_id": self.ada, "group_id": self.group}
        return self.tenant.http.request(method, path.format(**ids), json=json, params=params)


@pytest.fixture
def scene(platform: RunningPlatform, new_tenant: Callable[..., Tenant]) -> Scene:
    tenant = new_tenant("prt_1")
    ada = tenant.create("ada@example.com", username="ada")["id"]
    group = tenant.create_group("Admins")["id"]
    bob = tenant.create("bob@example.com", group_ids=[group])["id"]
    return Scene(tenant, ada, bob, group)


Prepare = Callable[[Scene], Any]


def nothing(_scene: Scene) -> None:
    pass


def status(text: str) -> Prepare:
    return lambda scene: scene.call(f"PUT {TENANT_USER}/status", {"status": text})


def admin_patch(**fields: Any) -> Prepare:
    return lambda scene: scene.call(f"PATCH {ADMIN_USER}", fields)


def link_to_ldap(scene: Scene) -> None:
    scene.tenant.platform.call(
        scene.tenant.platform.directory.add_federated_identity, scene.ada, IdentitySource.LDAP
    )


def ada_joins(scene: Scene) -> None:
    scene.call(f"POST {GROUP}/members", {"user_ids": [scene.ada]})


NEW = {"email": "new@example.com", "password": "long enough 1"}
CASES: list[tuple[str, Prepare, str, Any, dict[str, Any], int, list[str]]] = [
    # name, what comes before, operation, body, query, status, events
    ("create", nothing, f"POST {TENANT_USERS}", NEW, {}, 201, ["user.created"]),
    ("create twice", nothing, f"POST {TENANT_USERS}", {"email": "ADA@example.com"}, {}, 409, []),
    ("create, invalid", nothing, f"POST {TENANT_USERS}", {"email": "x"}, {}, 422, []),
    ("patch", nothing, f"PATCH {TENANT_USER}", {"first_name": "Ada"}, {}, 200, ["user.updated"]),
    ("patch, same value", nothing, f"PATCH {TENANT_USER}", {"username": "ada"}, {}, 200, ["user.updated"]),
    ("patch, nothing", nothing, f"PATCH {TENANT_USER}", {}, {}, 200, []),
    ("patch, taken", nothing, f"PATCH {TENANT_USER}", {"email": "bob@example.com"}, {}, 409, []),
    ("disable", nothing, f"PUT {TENANT_USER}/status", {"status": "DISABLED"}, {}, 200, ["user.suspended"]),
    (
        "disable twice",
        status("DISABLED"),
        f"PUT {TENANT_USER}/status",
        {"status": "DISABLED", "reason": "Left"},
        {},
        200,
        ["user.updated"],
    ),
    (
        "enable",
        status("DISABLED"),
        f"PUT {TENANT_USER}/status",
        {"status": "ACTIVE"},
        {},
        200,
        ["user.activated"],
    ),
    ("lock", nothing, f"PUT {TENANT_USER}/status", {"status": "LOCKED"}, {}, 200, ["user.updated"]),
    (
        "password",
        nothing,
        f"POST {TENANT_USER}/password/reset",
        {"method": "DIRECT", "new_password": "long enough 2"},
        {},
        200,
        ["user.password_changed"],
    ),
    ("reset mail", nothing, f"POST {TENANT_USER}/password/reset", {"method": "EMAIL"}, {}, 200, []),
    (
        "delete",
        nothing,
        f"DELETE {TENANT_USER}",
        None,
        {"confirm_email": "ada@example.com"},
        204,
        ["user.deleted"],
    ),
    (
        "delete, unconfirmed",
        nothing,
        f"DELETE {TENANT_USER}",
        None,
        {"confirm_email": "a@example.com"},
        422,
        [],
    ),
    ("admin create", nothing, f"POST {ADMIN_USERS}", NEW, {}, 201, ["user.created"]),
    ("admin patch", nothing, f"PATCH {ADMIN_USER}", {"email_verified": True}, {}, 200, ["user.updated"]),
    ("admin mfa on", nothing, f"PATCH {ADMIN_USER}", {"mfa_enabled": True}, {}, 200, ["user.mfa_enabled"]),
    (
        "admin mfa on and more",
        nothing,
        f"PATCH {ADMIN_USER}",
        {"mfa_enabled": True, "locale": "fr"},
        {},
        200,
        ["user.mfa_enabled", "user.updated"],
    ),
    (
        "admin mfa off",
        admin_patch(mfa_enabled=True),
        f"POST {ADMIN_USER}/mfa/disable",
        None,
        {},
        200,
        ["user.mfa_disabled"],
    ),
    ("admin mfa off twice", nothing, f"POST {ADMIN_USER}/mfa/disable", None, {}, 200, ["user.updated"]),
    (
        "admin password",
        nothing,
        f"POST {ADMIN_USER}/reset-password",
        {"new_password": "long enough 2"},
        {},
        200,
        ["user.password_changed"],
    ),
    ("unlock", status("LOCKED"), f"POST {ADMIN_USER}/unlock", None, {}, 200, ["user.activated"]),
    ("unlock of none locked", nothing, f"POST {ADMIN_USER}/unlock", None, {}, 200, ["user.updated"]),
    ("admin delete", nothing, f"DELETE {ADMIN_USER}", None, {}, 204, ["user.deleted"]),
    ("mismatches fixed", link_to_ldap, f"GET {MISMATCHES}", None, {"fix": "true"}, 200, ["user.updated"]),
    ("mismatches listed", link_to_ldap, f"GET {MISMATCHES}", None, {}, 200, []),
    ("group", nothing, f"POST {GROUPS}", {"name": "Others"}, {}, 201, ["group.created"]),
    ("group twice", nothing, f"POST {GROUPS}", {"name": "admins"}, {}, 409, []),
    ("group patch", nothing, f"PATCH {GROUP}", {"description": "All"}, {}, 200, ["group.updated"]),
    ("group patch, nothing", nothing, f"PATCH {GROUP}", {}, {}, 200, []),
    ("group delete, its members go with it", nothing, f"DELETE {GROUP}", None, {}, 204, ["group.deleted"]),
    (
        "member leaves",
        ada_joins,
        f"DELETE {GROUP}/members/{{user_id}}",
        None,
        {},
        204,
        ["group.member_removed"],
    ),
    ("member is none", nothing, f"DELETE {GROUP}/members/{{user_id}}", None, {}, 404, []),
]


def told(receiver: Receiver, scene: Scene, before: int) -> list[dict[str, Any]]:
    """The events since the first `before`, all signed."""
    settle(scene.tenant.platform)
    found = events_of(receiver, scene.tenant)[before:]
    assert all(one.is_signed(SECRET) for one in found)
    return [one.event for one in found]


def count(receiver: Receiver, scene: Scene) -> int:
    settle(scene.tenant.platform)
    return len(events_of(receiver, scene.tenant))


@pytest.mark.parametrize(
    ("prepare", "operation", "body", "query", "expected", "events"),
    [case[1:] for case in CASES],
    ids=[case[0] for case in CASES],
)
def test_a_change_is_told(
    receiver: Receiver,
    scene: Scene,
    prepare: Prepare,
    operation: str,
    body: Any,
    query: dict[str, Any],
    expected: int,
    events: list[str],
) -> None:
    if operation.endswith(ADMIN_USERS):
        body = {**body, "tenant_id": scene.tenant.id}
    prepare(scene)
    before = count(receiver, scene)
    answer = scene.call(operation, body, **query)
    assert answer.status_code == expected, answer.text
    found = told(receiver, scene, before)
    assert [event["event_type"] for event in found] == events
    for event in found:
        assert event["actor"] == {"id": scene.tenant.credentials.client_id, "type": "api"}
        assert event["resource"]["type"] == event["event_type"].partition(".")[0]
        assert (event["tenant_id"], event["partner_id"]) == (scene.tenant.id, "prt_1")


def test_every_endpoint_that_writes_is_among_them() -> None:
    writing = {f"{one.method} {one.path}" for one in OPERATIONS if one.method != "GET"}
    tested = {operation for _, _, operation, _, _, _, events in CASES if events}
    members = {f"POST {GROUP}/members"}  # the test below
    assert writing | {f"GET {MISMATCHES}"} == tested | members


def test_each_member_is_told_of_and_only_the_new(receiver: Receiver, scene: Scene) -> None:
    carl = scene.tenant.create("carl@example.com")["id"]
    before = count(receiver, scene)
    answer = scene.call(f"POST {GROUP}/members", {"user_ids": [scene.bob, scene.ada, carl, carl]})
    assert answer.json()["data"] == {"added": 2, "already_members": 1}
    found = told(receiver, scene, before)
    assert [event["event_type"] for event in found] == ["group.member_added"] * 2
    assert [event["data"] for event in found] == [{"user_id": scene.ada}, {"user_id": carl}]
    assert {event["resource"]["id"] for event in found} == {scene.group}
    refused = scene.call(f"POST {GROUP}/members", {"user_ids": [scene.ada, "usr_nobody"]})
    assert refused.status_code == 422
    assert told(receiver, scene, before + 2) == []


def test_a_user_that_begins_in_a_group_and_leaves_it_by_its_end(receiver: Receiver, scene: Scene) -> None:
    before = count(receiver, scene)
    user = scene.tenant.create("eve@example.com", username="eve", group_ids=[scene.group])["id"]
    scene.tenant.delete(user, "eve@example.com")
    found = [(e["event_type"], e["resource"]["id"], e["data"]) for e in told(receiver, scene, before)]
    eve = {"email": "eve@example.com", "username": "eve", "status": "ACTIVE"}
    assert found == [
        ("user.created", user, eve),
        ("group.member_added", scene.group, {"user_id": user}),
        ("group.member_removed", scene.group, {"user_id": user}),
        ("user.deleted", user, eve),
    ]


def test_a_lock_by_failed_sign_ins_is_told_by_the_platform_itself(receiver: Receiver, scene: Scene) -> None:
    before = count(receiver, scene)
    directory = scene.tenant.platform.directory
    for succeeded in (True, *[False] * 5):
        scene.tenant.platform.call(directory.record_sign_in, scene.ada, succeeded=succeeded)
    (event,) = told(receiver, scene, before)
    assert (event["event_type"], event["data"]["status"]) == ("user.updated", "LOCKED")
    assert event["actor"] == {"id": None, "type": "system"}


def test_the_envelope_and_its_headers(receiver: Receiver, scene: Scene) -> None:
    before = count(receiver, scene)
    group = scene.tenant.create_group("Readers", group_type="DISTRIBUTION_LIST")
    settle(scene.tenant.platform)
    (one,) = events_of(receiver, scene.tenant)[before:]
    event = one.event
    assert event == {
        "event_id": event["event_id"],
        "event_type": "group.created",
        "timestamp": event["timestamp"],
        "resource": {"type": "group", "id": group["id"]},
        "actor": {"id": scene.tenant.credentials.client_id, "type": "api"},
        "data": {"name": "Readers", "group_type": "DISTRIBUTION_LIST"},
        "tenant_id": scene.tenant.id,
        "partner_id": "prt_1",
    }
    assert event["event_id"].startswith("evt_")
    assert event["timestamp"] > group["created_at"]
    headers = one.headers
    assert headers["x-scaikey-event-id"] == event["event_id"]
    assert headers["x-scaikey-event-type"] == "group.created"
    assert headers["x-scaikey-signature"].startswith(f"t={headers['x-scaikey-timestamp']},v1=")
    assert headers["content-type"] == "application/json"
    ids = [received.event["event_id"] for received in receiver.taken]
    assert len(ids) == len(set(ids))
