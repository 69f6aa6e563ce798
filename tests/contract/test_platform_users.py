"""A tenant's users: creation, reading, changes, status, passwords, deletion."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable

import pytest
from platform_server import RunningPlatform, Tenant, locations

from app.embedded import IdentitySource, PlatformSettings, UserStatus

TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")

WHOLE = {
    "email": "ada@example.com",
    "username": "ada",
    "first_name": "Ada",
    "last_name": "Lovelace",
    "display_name": "Ada Lovelace",
    "phone": "+44 20 7946 0000",
    "locale": "en-GB",
    "timezone": "Europe/London",
    "custom_attributes": {"cost_center": "7", "nested": {"list": [1, 2.5, None, True, "ß"]}},
}


def stored(platform: RunningPlatform, user_id: str, *columns: str) -> tuple[object, ...]:
    """Columns of the user as they lie in the file."""
    with sqlite3.connect(platform.database) as connection:
        row = connection.execute(f"SELECT {','.join(columns)} FROM users WHERE id = ?", (user_id,)).fetchone()  # noqa: S608
    connection.close()
    return tuple(row)


def test_a_user_is_read_back_as_created(tenant: Tenant) -> None:
    created = tenant.create(**WHOLE)
    assert {key: created[key] for key in WHOLE} == WHOLE
    assert re.fullmatch(r"usr_[a-z0-9]{24,}", created["id"])
    assert TIMESTAMP.match(created["created_at"])
    assert tenant.get(created["id"]) == created


def test_an_email_alone_makes_a_user_with_the_documented_defaults(tenant: Tenant) -> None:
    created = tenant.create("min@example.com")
    del created["id"], created["created_at"]
    assert created == {
        "email": "min@example.com",
        "username": None,
        "first_name": None,
        "last_name": None,
        "display_name": None,
        "phone": None,
        "locale": "en",
        "timezone": "UTC",
        "email_verified": False,
        "avatar_url": None,
        "ou_id": None,
        "ou_path": None,
        "status": "ACTIVE",
        "identity_source": "LOCAL",
        "mfa_enabled": False,
        "groups": [],
        "custom_attributes": None,
        "updated_at": None,
        "last_login_at": None,
        "password_changed_at": None,
    }


def test_every_answer_carries_a_request_id_and_a_timestamp(tenant: Tenant) -> None:
    answers = [
        tenant.http.post(tenant.users, json={"email": "a@example.com"}).json(),
        tenant.http.get(tenant.users).json(),
        tenant.http.get("/api/v1/admin/users/").json(),
    ]
    metas = [answer["meta"] for answer in answers]
    assert len({meta["request_id"] for meta in metas}) == 3
    assert all(TIMESTAMP.match(meta["timestamp"]) for meta in metas)
    assert set(answers[0]) == {"data", "meta"}
    assert set(answers[1]) == {"data", "pagination", "meta"}


def test_paths_answer_with_and_without_trailing_slash(tenant: Tenant) -> None:
    user = tenant.create("slash@example.com")
    for path in (tenant.users, "/api/v1/admin/users", f"{tenant.users}/{user['id']}", tenant.groups):
        assert tenant.http.get(path).status_code == 200
        assert tenant.http.get(path + "/").status_code == 200


def test_initial_status_and_identity_source_are_settings(tenant_with: Callable[..., Tenant]) -> None:
    tenant = tenant_with(
        PlatformSettings(initial_status=UserStatus.PENDING_APPROVAL, identity_source=IdentitySource.SCIM)
    )
    created = tenant.create("a@example.com")
    assert (created["status"], created["identity_source"]) == ("PENDING_APPROVAL", "SCIM")


def test_organizational_unit_and_groups_are_shown_with_their_names(
    platform: RunningPlatform, tenant: Tenant
) -> None:
    top = platform.call(platform.directory.create_ou, tenant.id, "Engineering")
    below = platform.call(platform.directory.create_ou, tenant.id, "Backend", top)
    group = tenant.create_group("Admins")
    user = tenant.create("a@example.com", ou_id=below, group_ids=[group["id"], group["id"]])
    assert (user["ou_id"], user["ou_path"]) == (below, "/Engineering/Backend")
    assert user["groups"] == [{"group_id": group["id"], "name": "Admins", "membership_type": "DIRECT"}]
    listed = tenant.http.get(tenant.users).json()["data"]
    assert listed == [
        {
            "id": user["id"],
            "email": "a@example.com",
            "display_name": None,
            "status": "ACTIVE",
            "ou_path": "/Engineering/Backend",
            "identity_source": "LOCAL",
            "mfa_enabled": False,
            "last_login_at": None,
        }
    ]


def test_groups_can_be_made_to_need_include(tenant_with: Callable[..., Tenant]) -> None:
    tenant = tenant_with(PlatformSettings(groups_need_include=True))
    group = tenant.create_group("Admins")
    user = tenant.create("a@example.com", group_ids=[group["id"]])
    assert tenant.get(user["id"])["groups"] == []
    included = tenant.http.get(f"{tenant.users}/{user['id']}", params={"include": "groups"}).json()["data"]
    assert [entry["group_id"] for entry in included["groups"]] == [group["id"]]


def test_patch_changes_only_the_keys_it_carries(tenant: Tenant) -> None:
    before = tenant.create(**WHOLE)
    after = tenant.patch(before["id"], last_name="King")
    assert TIMESTAMP.match(after["updated_at"])
    assert after == {**before, "last_name": "King", "updated_at": after["updated_at"]}
    assert tenant.get(before["id"]) == after


def test_patch_null_clears_and_gives_locale_and_timezone_their_default(tenant: Tenant) -> None:
    user = tenant.create(**WHOLE)
    cleared = ("username", "first_name", "last_name", "display_name", "phone", "custom_attributes", "ou_id")
    after = tenant.patch(user["id"], **dict.fromkeys(cleared), locale=None, timezone=None)
    assert [after[key] for key in cleared] == [None] * len(cleared)
    assert (after["locale"], after["timezone"], after["email"]) == ("en", "UTC", "ada@example.com")
    # What was cleared is found no more, and its username is free.
    assert tenant.emails(search="lovelace") == []
    tenant.create("other@example.com", username="ada")


def test_patch_of_nothing_changes_nothing(tenant: Tenant) -> None:
    user = tenant.create("a@example.com")
    assert tenant.patch(user["id"]) == user
    assert tenant.patch(user["id"], group_ids=["grp_ignored"], unknown=1) == user


def test_custom_attributes_are_replaced_as_a_whole(tenant: Tenant) -> None:
    user = tenant.create("a@example.com", custom_attributes={"a": 1, "b": {"c": 2}})
    assert tenant.patch(user["id"], custom_attributes={"b": {"d": 3}})["custom_attributes"] == {"b": {"d": 3}}
    assert tenant.patch(user["id"], custom_attributes={})["custom_attributes"] == {}


def test_custom_attributes_are_merged_by_key_where_set(tenant_with: Callable[..., Tenant]) -> None:
    tenant = tenant_with(PlatformSettings(merge_custom_attributes=True))
    user = tenant.create("a@example.com", custom_attributes={"a": 1, "b": {"c": 2}})
    after = tenant.patch(user["id"], custom_attributes={"b": {"d": 3}, "e": 4})
    assert after["custom_attributes"] == {"a": 1, "b": {"d": 3}, "e": 4}
    assert tenant.patch(user["id"], custom_attributes={"a": None})["custom_attributes"] == {
        "b": {"d": 3},
        "e": 4,
    }


def test_a_changed_email_is_no_longer_verified(tenant: Tenant) -> None:
    user = tenant.create("a@example.com")
    path = f"/api/v1/admin/users/{user['id']}"
    assert tenant.http.patch(path, json={"email_verified": True}).json()["data"]["email_verified"] is True
    assert tenant.patch(user["id"], email="A@example.com")["email_verified"] is True
    assert tenant.patch(user["id"], email="b@example.com")["email_verified"] is False


def put_status(tenant: Tenant, user_id: str, **body: object) -> dict[str, object]:
    answer = tenant.http.put(f"{tenant.users}/{user_id}/status", json=body)
    assert answer.status_code == 200, answer.text
    return answer.json()["data"]


@pytest.mark.parametrize("status", list(UserStatus))
def test_every_status_can_be_set(tenant: Tenant, status: UserStatus) -> None:
    user = tenant.create("a@example.com")
    assert put_status(tenant, user["id"], status=status)["status"] == status
    assert tenant.get(user["id"])["status"] == status


def test_status_keeps_the_reason_and_ends_sessions_only_when_asked(tenant: Tenant) -> None:
    user = tenant.create("a@example.com")
    put_status(tenant, user["id"], status="DISABLED", reason="left the company")
    seen = tenant.admin_get(user["id"])
    assert (seen["status_reason"], seen["sessions_revoked_at"]) == ("left the company", None)
    put_status(tenant, user["id"], status="DISABLED", terminate_sessions=True)
    seen = tenant.admin_get(user["id"])
    assert seen["status_reason"] is None
    assert TIMESTAMP.match(seen["sessions_revoked_at"])


def test_becoming_active_again_resets_the_failed_sign_ins(platform: RunningPlatform, tenant: Tenant) -> None:
    user = tenant.create("a@example.com")
    for _ in range(5):
        platform.call(platform.directory.record_sign_in, user["id"], succeeded=False)
    locked = tenant.admin_get(user["id"])
    assert (locked["status"], locked["failed_attempts"]) == ("LOCKED", 5)
    put_status(tenant, user["id"], status="ACTIVE")
    assert tenant.admin_get(user["id"])["failed_attempts"] == 0


def test_a_password_is_stored_as_argon2_and_nowhere_else(platform: RunningPlatform, tenant: Tenant) -> None:
    secret = "correct horse battery"
    user = tenant.create("a@example.com", password=secret, require_password_change=True)
    (password_hash,) = stored(platform, user["id"], "password_hash")
    assert str(password_hash).startswith("$argon2id$")
    assert user["password_changed_at"] == user["created_at"]
    assert tenant.admin_get(user["id"])["require_password_change"] is True
    files = platform.database.parent.glob(platform.database.name + "*")
    assert all(secret.encode() not in file.read_bytes() for file in files)
    assert "password" not in user


def test_password_reset_sends_a_mail_unless_direct(platform: RunningPlatform, tenant: Tenant) -> None:
    user = tenant.create("a@example.com", password="first password")
    before = stored(platform, user["id"], "password_hash")
    path = f"{tenant.users}/{user['id']}/password/reset"
    mailed = tenant.http.post(path, json={"redirect_uri": "https://app.example.com/done"})
    assert mailed.status_code == 200
    assert mailed.json()["data"]["email_sent"] is True
    assert stored(platform, user["id"], "password_hash") == before
    direct = tenant.http.post(path, json={"method": "DIRECT", "new_password": "second password"})
    assert direct.json()["data"]["password_changed"] is True
    after = stored(platform, user["id"], "password_hash")
    assert after != before
    assert str(after[0]).startswith("$argon2id$")
    assert tenant.get(user["id"])["password_changed_at"] > user["password_changed_at"]


def test_password_reset_refuses_what_it_cannot_do(tenant: Tenant) -> None:
    user = tenant.create("a@example.com")
    path = f"{tenant.users}/{user['id']}/password/reset"
    assert locations(tenant.http.post(path, json={"method": "DIRECT"})) == [["body", "new_password"]]
    assert locations(tenant.http.post(path, json={"method": "PIGEON"})) == [["body", "method"]]
    short = tenant.http.post(path, json={"method": "DIRECT", "new_password": "short"})
    assert locations(short) == [["body", "new_password"]]
    nobody = tenant.http.post(
        f"{tenant.users}/usr_nobody/password/reset", json={"method": "DIRECT", "new_password": "long enough"}
    )
    assert nobody.status_code == 404


@pytest.mark.parametrize("confirmation", [None, "", "b@example.com", "a@example.co"])
def test_deletion_needs_the_right_confirmation(tenant: Tenant, confirmation: str | None) -> None:
    user = tenant.create("a@example.com")
    params = {} if confirmation is None else {"confirm_email": confirmation}
    answer = tenant.http.delete(f"{tenant.users}/{user['id']}", params=params)
    assert locations(answer) == [["query", "confirm_email"]]
    assert tenant.get(user["id"]) == user


def test_a_deleted_user_is_gone_everywhere(platform: RunningPlatform, tenant: Tenant) -> None:
    group = tenant.create_group("Admins")
    user = tenant.create("Gone@example.com", group_ids=[group["id"]])
    tenant.delete(user["id"], "gone@EXAMPLE.com")
    path, admin = f"{tenant.users}/{user['id']}", f"/api/v1/admin/users/{user['id']}"
    for method, url, body in (
        ("GET", path, None),
        ("PATCH", path, {"phone": "1"}),
        ("PUT", path + "/status", {"status": "ACTIVE"}),
        ("POST", path + "/password/reset", {}),
        ("DELETE", path + "?confirm_email=gone@example.com", None),
        ("GET", admin, None),
        ("PATCH", admin, {}),
        ("DELETE", admin, None),
        ("GET", admin + "/groups", None),
        ("POST", admin + "/unlock", None),
        ("POST", admin + "/mfa/disable", None),
        ("POST", admin + "/reset-password", {"new_password": "long enough"}),
    ):
        answer = tenant.http.request(method, url, json=body)
        assert answer.status_code == 404, (method, url)
        assert answer.json() == {"detail": "User not found"}
    assert tenant.emails() == []
    members = tenant.http.get(f"{tenant.groups}/{group['id']}/members").json()
    assert (members["data"], members["pagination"]["total_items"]) == ([], 0)
    assert stored(platform, user["id"], "email") == ("Gone@example.com",)


def test_creation_times_order_what_was_created(tenant: Tenant) -> None:
    created = [tenant.create(f"u{number}@example.com")["created_at"] for number in range(20)]
    assert created == sorted(set(created))
