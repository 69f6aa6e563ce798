"""What does not fit the schemas is refused with 422, place by place; nothing a client sends makes a 5xx."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from platform_server import RunningPlatform, Tenant, locations


@pytest.mark.parametrize(
    ("body", "places"),
    [
        ({}, [["email"]]),
        ({"email": None}, [["email"]]),
        ({"email": 1}, [["email"]]),
        ({"email": "no address"}, [["email"]]),
        ({"email": "a@b"}, [["email"]]),
        ({"email": "a@corp.local"}, [["email"]]),
        ({"email": "@example.com"}, [["email"]]),
        ({"email": "a@example.com\n"}, [["email"]]),
        ({"email": "a@example.com", "username": 5}, [["username"]]),
        ({"email": "a@example.com", "locale": None}, [["locale"]]),
        ({"email": "a@example.com", "group_ids": "grp_1"}, [["group_ids"]]),
        ({"email": "a@example.com", "group_ids": ["grp_1", 2]}, [["group_ids", 1]]),
        ({"email": "a@example.com", "group_ids": ["grp_1", "grp_2"]}, [["group_ids", 0], ["group_ids", 1]]),
        ({"email": "a@example.com", "ou_id": "ou_unknown"}, [["ou_id"]]),
        ({"email": "a@example.com", "custom_attributes": []}, [["custom_attributes"]]),
        ({"email": "a@example.com", "send_welcome_email": "yes"}, [["send_welcome_email"]]),
        ({"email": "a@example.com", "password": "short"}, [["password"]]),
        ({"email": "a@example.com", "password": "x" * 1025}, [["password"]]),
        ({"email": "nope", "username": 1, "group_ids": {}}, [["email"], ["username"], ["group_ids"]]),
        ([], [[]]),
        ("text", [[]]),
        (None, [[]]),
    ],
)
def test_creation_names_each_place(tenant: Tenant, body: Any, places: list[list[str | int]]) -> None:
    answer = tenant.http.post(tenant.users, json=body)
    assert locations(answer) == [["body", *place] for place in places]
    assert tenant.emails() == []


@pytest.mark.parametrize(
    "address",
    ["o'neil+tag@example.com", "ü@exämple.com", "a@sub.example.test", "A.B@EXAMPLE.com"],
)
def test_real_addresses_are_good_and_kept_as_sent(tenant: Tenant, address: str) -> None:
    assert tenant.create(address)["email"] == address


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({"email": None}, "email"),
        ({"email": "nope"}, "email"),
        ({"phone": 5}, "phone"),
        ({"ou_id": "ou_unknown"}, "ou_id"),
        ({"custom_attributes": "text"}, "custom_attributes"),
    ],
)
def test_update_names_the_place_and_changes_nothing(tenant: Tenant, body: dict[str, Any], place: str) -> None:
    user = tenant.create("a@example.com")
    for path in (f"{tenant.users}/{user['id']}", f"/api/v1/admin/users/{user['id']}"):
        assert locations(tenant.http.patch(path, json={"last_name": "X", **body})) == [["body", place]]
    assert tenant.get(user["id"]) == user


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, "status"),
        ({"status": "GONE"}, "status"),
        ({"status": None}, "status"),
        ({"status": "ACTIVE", "reason": 1}, "reason"),
        ({"status": "ACTIVE", "terminate_sessions": None}, "terminate_sessions"),
    ],
)
def test_status_names_the_place(tenant: Tenant, body: dict[str, Any], place: str) -> None:
    user = tenant.create("a@example.com")
    assert locations(tenant.http.put(f"{tenant.users}/{user['id']}/status", json=body)) == [["body", place]]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"   ",
        b"{",
        b"{'email': 1}",
        b'{"email":"a@example.com",}',
        b"\xff\xfe",
        b'{"email":"\xff"}',
        b'{"email":NaN}',
        b"[" * 100_000,
        b'{"email":"a@example.com","custom_attributes":{"n":1e999}}',
    ],
)
def test_malformed_json_is_refused_at_the_body(tenant: Tenant, raw: bytes) -> None:
    for method, path in (("POST", tenant.users), ("PATCH", f"{tenant.users}/usr_1"), ("POST", tenant.groups)):
        answer = tenant.http.request(method, path, content=raw, headers={"content-type": "application/json"})
        assert locations(answer)[0][0] == "body"
    assert tenant.emails() == []


def test_too_deep_custom_attributes_are_refused(tenant: Tenant) -> None:
    for depth, status in ((90, 201), (150, 422), (700, 422)):
        raw = b'{"email":"d%d@example.com","custom_attributes":%s1%s}' % (
            depth,
            b'{"a":' * depth,
            b"}" * depth,
        )
        answer = tenant.http.post(tenant.users, content=raw)
        assert answer.status_code == status, answer.text
    assert tenant.emails() == ["d90@example.com"]


def test_too_large_a_body_is_refused(tenant: Tenant) -> None:
    answer = tenant.http.post(tenant.users, json={"email": "a@example.com", "display_name": "x" * 1_100_000})
    assert answer.status_code == 413
    assert set(answer.json()) == {"detail"}


def test_unknown_paths_and_methods_answer_json(tenant: Tenant) -> None:
    unknown = tenant.http.get("/api/v1/nothing")
    assert (unknown.status_code, set(unknown.json())) == (404, {"detail"})
    method = tenant.http.put(tenant.users)
    assert (method.status_code, set(method.json())) == (405, {"detail"})
    assert "GET" in method.headers["allow"]


@pytest.mark.parametrize(
    "hostile", ["..", "%2e%2e", "a%2Fb", "%00", "usr_%27--", "%C3%BC", "%FF", "x" * 3000]
)
def test_a_hostile_id_is_an_unknown_id(tenant: Tenant, hostile: str) -> None:
    for path in (tenant.users, tenant.groups, "/api/v1/admin/users"):
        url = httpx.URL(tenant.platform.url).copy_with(raw_path=f"{path}/{hostile}".encode())
        answer = tenant.http.get(url)
        assert answer.status_code in (404, 405)
        assert set(answer.json()) == {"detail"}


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = [
    "email",
    "username",
    "first_name",
    "display_name",
    "phone",
    "locale",
    "password",
    "ou_id",
    "group_ids",
    "custom_attributes",
    "require_password_change",
    "status",
    "reason",
    "method",
    "name",
    "user_ids",
]
user_fields = st.dictionaries(
    st.sampled_from(FIELDS), json_values | st.just("someone@example.com"), max_size=5
)


@pytest.fixture(scope="module")
def shared_tenant(platform: RunningPlatform) -> Any:
    tenant = platform.new_tenant()
    tenant.create("target@example.com")
    yield tenant
    tenant.http.close()


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=user_fields | json_values)
def test_no_body_makes_a_failure(shared_tenant: Tenant, body: Any) -> None:
    tenant = shared_tenant
    user_id = tenant.http.get(tenant.users).json()["data"][0]["id"]
    for method, path in (
        ("POST", tenant.users),
        ("PATCH", f"{tenant.users}/{user_id}"),
        ("PUT", f"{tenant.users}/{user_id}/status"),
        ("POST", f"{tenant.users}/{user_id}/password/reset"),
        ("PATCH", f"/api/v1/admin/users/{user_id}"),
        ("POST", tenant.groups),
    ):
        answer = tenant.http.request(method, path, json=body)
        assert answer.status_code in (200, 201, 409, 422), answer.text


def test_custom_attributes_come_back_as_sent(tenant: Tenant) -> None:
    sent = {
        "": "",
        "\u0000": "\U0001f600",
        "big": 2**63,
        "small": -(2**63),
        "float": 0.1,
        "list": [[], {}, [None]],
    }
    user = tenant.create("a@example.com", custom_attributes=sent)
    assert tenant.get(user["id"])["custom_attributes"] == sent
