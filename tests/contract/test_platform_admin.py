"""The administration's endpoints, and who may see what."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from platform_server import RunningPlatform, Tenant, locations

from app.embedded import IdentitySource

ADMIN = "/api/v1/admin/users/"


@pytest.fixture
def everywhere(platform: RunningPlatform) -> Iterator[httpx.Client]:
    """A client whose token spans all tenants."""
    with platform.client(platform.token(None)) as client:
        yield client


def data(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json()["data"]


def test_the_list_spans_tenants_and_can_be_narrowed(
    everywhere: httpx.Client, new_tenant: Callable[..., Tenant]
) -> None:
    one, two = new_tenant("prt_shared"), new_tenant("prt_shared")
    other = new_tenant("prt_other")
    first = one.create("one@narrow.example.com", display_name="Narrowed")
    two.create("two@narrow.example.com")
    third = other.create("three@narrow.example.com")
    other.http.put(f"{other.users}/{third['id']}/status", json={"status": "DISABLED"})

    def emails(**params: str) -> list[str]:
        return [item["email"].split("@")[0] for item in data(everywhere.get(ADMIN, params=params))]

    assert emails(search="narrow.example") == ["one", "two", "three"]
    assert emails(tenant_id=one.id) == ["one"]
    assert emails(partner_id="prt_shared") == ["one", "two"]
    assert emails(partner_id="prt_shared", tenant_id=other.id) == []
    assert emails(search="narrow.example", status="DISABLED") == ["three"]
    assert emails(tenant_id="tnt_unknown") == []
    assert emails(partner_id="prt_unknown") == []
    body = everywhere.get(ADMIN, params={"search": "narrow.example", "per_page": 2, "page": 2}).json()
    assert body["pagination"] == {"page": 2, "per_page": 2, "total_items": 3, "total_pages": 2}
    item = data(everywhere.get(ADMIN, params={"tenant_id": one.id}))[0]
    assert item == {
        "id": first["id"],
        "tenant_id": one.id,
        "email": "one@narrow.example.com",
        "display_name": "Narrowed",
        "status": "ACTIVE",
        "ou_path": None,
        "identity_source": "LOCAL",
        "mfa_enabled": False,
        "last_login_at": None,
    }


@pytest.mark.parametrize(
    ("query", "place"), [("status=ASLEEP", "status"), ("per_page=101", "per_page"), ("page=0", "page")]
)
def test_the_list_names_an_invalid_parameter(everywhere: httpx.Client, query: str, place: str) -> None:
    assert locations(everywhere.get(f"{ADMIN}?{query}")) == [["query", place]]


def test_creation_needs_a_tenant_unless_the_token_has_one(everywhere: httpx.Client, tenant: Tenant) -> None:
    assert locations(everywhere.post(ADMIN, json={"email": "a@example.com"})) == [["body", "tenant_id"]]
    body = {
        "email": "a@example.com",
        "tenant_id": tenant.id,
        "identity_source": "LDAP",
        "status": "PENDING_APPROVAL",
    }
    made = data(everywhere.post(ADMIN, json=body), 201)
    assert (made["tenant_id"], made["identity_source"], made["status"]) == (
        tenant.id,
        "LDAP",
        "PENDING_APPROVAL",
    )
    own = data(tenant.http.post(ADMIN, json={"email": "b@example.com"}), 201)
    assert own["tenant_id"] == tenant.id
    assert tenant.emails() == ["a@example.com", "b@example.com"]
    unknown = everywhere.post(ADMIN, json={"email": "c@example.com", "tenant_id": "tnt_unknown"})
    assert unknown.status_code == 404
    taken = everywhere.post(ADMIN, json={"email": "A@example.com", "tenant_id": tenant.id})
    assert taken.status_code == 409


def test_reading_changing_and_deleting(everywhere: httpx.Client, tenant: Tenant) -> None:
    user = tenant.create("a@example.com", first_name="A", custom_attributes={"k": 1})
    seen = data(everywhere.get(ADMIN + user["id"]))
    assert {key: seen[key] for key in user} == user
    changed = data(everywhere.patch(ADMIN + user["id"], json={"first_name": None, "mfa_enabled": True}))
    assert (changed["first_name"], changed["mfa_enabled"], changed["custom_attributes"]) == (
        None,
        True,
        {"k": 1},
    )
    deleted = everywhere.delete(ADMIN + user["id"])
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert everywhere.get(ADMIN + user["id"]).status_code == 404
    tenant.create("a@example.com")


def test_groups_of_a_user(everywhere: httpx.Client, tenant: Tenant) -> None:
    groups = [tenant.create_group(name) for name in ("Writers", "Admins")]
    user = tenant.create("a@example.com", group_ids=[group["id"] for group in groups])
    assert data(everywhere.get(f"{ADMIN}{user['id']}/groups")) == [
        {"group_id": groups[1]["id"], "name": "Admins", "membership_type": "DIRECT"},
        {"group_id": groups[0]["id"], "name": "Writers", "membership_type": "DIRECT"},
    ]


def test_disabling_the_second_factor(everywhere: httpx.Client, tenant: Tenant) -> None:
    user = tenant.create("a@example.com")
    everywhere.patch(ADMIN + user["id"], json={"mfa_enabled": True})
    assert tenant.get(user["id"])["mfa_enabled"] is True
    assert data(everywhere.post(f"{ADMIN}{user['id']}/mfa/disable"))["mfa_enabled"] is False
    assert tenant.get(user["id"])["mfa_enabled"] is False


def test_unlocking(platform: RunningPlatform, everywhere: httpx.Client, tenant: Tenant) -> None:
    user = tenant.create("a@example.com")
    for _ in range(5):
        platform.call(platform.directory.record_sign_in, user["id"], succeeded=False)
    assert tenant.get(user["id"])["status"] == "LOCKED"
    unlocked = data(everywhere.post(f"{ADMIN}{user['id']}/unlock"))
    assert (unlocked["status"], unlocked["failed_attempts"]) == ("ACTIVE", 0)


def test_unlocking_does_not_enable_a_disabled_user(
    platform: RunningPlatform, everywhere: httpx.Client, tenant: Tenant
) -> None:
    user = tenant.create("a@example.com")
    platform.call(platform.directory.record_sign_in, user["id"], succeeded=False)
    tenant.http.put(f"{tenant.users}/{user['id']}/status", json={"status": "DISABLED"})
    unlocked = data(everywhere.post(f"{ADMIN}{user['id']}/unlock"))
    assert (unlocked["status"], unlocked["failed_attempts"]) == ("DISABLED", 0)


def test_setting_a_password(platform: RunningPlatform, everywhere: httpx.Client, tenant: Tenant) -> None:
    user = tenant.create("a@example.com")
    path = f"{ADMIN}{user['id']}/reset-password"
    assert locations(everywhere.post(path, json={})) == [["body", "new_password"]]
    assert locations(everywhere.post(path, json={"new_password": "short"})) == [["body", "new_password"]]
    answer = everywhere.post(path, json={"new_password": "long enough", "require_password_change": True})
    assert data(answer)["password_changed"] is True
    assert "long enough" not in answer.text
    seen = data(everywhere.get(ADMIN + user["id"]))
    assert seen["require_password_change"] is True
    assert seen["password_changed_at"]
    connection = sqlite3.connect(platform.database)
    stored = connection.execute("SELECT password_hash FROM users WHERE id = ?", (user["id"],)).fetchone()[0]
    connection.close()
    assert stored.startswith("$argon2id$")


def test_identity_source_mismatches_are_found_and_fixed(
    platform: RunningPlatform, everywhere: httpx.Client, new_tenant: Callable[[], Tenant]
) -> None:
    tenant, other = new_tenant(), new_tenant()
    linked = tenant.create("ldap@example.com")
    agreeing = data(
        tenant.http.post(ADMIN, json={"email": "oidc@example.com", "identity_source": "OIDC"}), 201
    )
    foreign = other.create("saml@example.com")
    tenant.create("local@example.com")
    for user, provider in (
        (linked, IdentitySource.LDAP),
        (agreeing, IdentitySource.OIDC),
        (foreign, IdentitySource.SAML),
    ):
        platform.call(platform.directory.add_federated_identity, user["id"], provider)
    path = ADMIN + "identity-source/mismatches"

    report = data(everywhere.get(path, params={"tenant_id": tenant.id}))
    expected = {
        "user_id": linked["id"],
        "tenant_id": tenant.id,
        "email": "ldap@example.com",
        "identity_source": "LOCAL",
        "expected_identity_source": "LDAP",
        "fixed": False,
    }
    assert report == {"mismatches": [expected], "total": 1, "fixed": 0}
    assert tenant.get(linked["id"])["identity_source"] == "LOCAL"
    assert data(tenant.http.get(path))["total"] == 1, "a tenant's token sees its own tenant only"

    fixed = data(tenant.http.get(path, params={"fix": "true"}))
    assert fixed == {"mismatches": [{**expected, "fixed": True}], "total": 1, "fixed": 1}
    assert tenant.get(linked["id"])["identity_source"] == "LDAP"
    assert other.get(foreign["id"])["identity_source"] == "LOCAL"
    assert data(everywhere.get(path, params={"tenant_id": tenant.id}))["total"] == 0
    assert locations(everywhere.get(path, params={"fix": "perhaps"})) == [["query", "fix"]]


def test_a_tenants_token_never_reaches_another_tenant(new_tenant: Callable[[], Tenant]) -> None:
    mine, theirs = new_tenant(), new_tenant()
    group = theirs.create_group("Theirs")
    user = theirs.create("secret@example.com", group_ids=[group["id"]])
    mine.create("own@example.com")
    path, admin = f"{theirs.users}/{user['id']}", ADMIN + user["id"]
    inside = f"{mine.users}/{user['id']}"
    own_group = mine.create_group("Mine")
    for method, url, body, status in (
        ("GET", theirs.users, None, 403),
        ("POST", theirs.users, {"email": "x@example.com"}, 403),
        ("GET", path, None, 403),
        ("PATCH", path, {"phone": "1"}, 403),
        ("DELETE", path + "?confirm_email=secret@example.com", None, 403),
        ("PUT", path + "/status", {"status": "DISABLED"}, 403),
        ("POST", path + "/password/reset", {}, 403),
        ("GET", theirs.groups, None, 403),
        ("DELETE", f"{theirs.groups}/{group['id']}", None, 403),
        ("GET", inside, None, 404),
        ("PATCH", inside, {"phone": "1"}, 404),
        ("DELETE", inside + "?confirm_email=secret@example.com", None, 404),
        ("PUT", inside + "/status", {"status": "DISABLED"}, 404),
        ("GET", f"{mine.groups}/{group['id']}/members", None, 404),
        ("POST", f"{mine.groups}/{own_group['id']}/members", {"user_ids": [user["id"]]}, 422),
        ("POST", mine.users, {"email": "y@example.com", "group_ids": [group["id"]]}, 422),
        ("GET", admin, None, 404),
        ("PATCH", admin, {"phone": "1"}, 404),
        ("DELETE", admin, None, 404),
        ("GET", admin + "/groups", None, 404),
        ("POST", admin + "/mfa/disable", None, 404),
        ("POST", admin + "/unlock", None, 404),
        ("POST", admin + "/reset-password", {"new_password": "long enough"}, 404),
        ("GET", f"{ADMIN}?tenant_id={theirs.id}", None, 403),
        ("GET", f"{ADMIN}identity-source/mismatches?tenant_id={theirs.id}", None, 403),
        ("POST", ADMIN, {"email": "z@example.com", "tenant_id": theirs.id}, 403),
    ):
        answer = mine.http.request(method, url, json=body)
        assert answer.status_code == status, (method, url, answer.text)
        assert "secret@" not in answer.text
    assert [item["email"] for item in data(mine.http.get(ADMIN))] == ["own@example.com"]
    assert mine.emails(group_id=group["id"]) == []
    assert theirs.get(user["id"]) == user


def test_a_token_for_all_tenants_works_on_tenant_paths(everywhere: httpx.Client, tenant: Tenant) -> None:
    data(everywhere.post(tenant.users, json={"email": "a@example.com"}), 201)
    assert len(data(everywhere.get(tenant.users))) == 1
    assert everywhere.get("/api/v1/tenants/tnt_unknown/users").status_code == 404
