"""Writes, where servers get the RFCs wrong; each test is named as in `requirements.py`."""

from __future__ import annotations

import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import httpx
from rfc import ENTERPRISE, PATCH, USER, Create, check_error, find, ids, patch, read

if TYPE_CHECKING:
    from conftest import Served


def test_created_answer(scim: httpx.Client, served: Served) -> None:
    name = f"u-{uuid.uuid4()}@example.com"
    body = {"schemas": [USER, ENTERPRISE], "userName": name, "title": "T", ENTERPRISE: {"department": "D"}}
    answer = scim.post("/Users", json=body)
    user = answer.json()
    assert answer.status_code == 201
    assert answer.headers["location"] == user["meta"]["location"] == f"{served.base_url}/Users/{user['id']}"
    assert answer.headers["etag"] == user["meta"]["version"]
    assert user == read(scim, user["id"])
    assert user["meta"]["resourceType"] == "User"
    assert set(user["schemas"]) >= {USER, ENTERPRISE}
    assert (user["title"], user[ENTERPRISE]) == ("T", {"department": "D"})
    with served.scim() as other:
        assert other.get(answer.headers["location"]).json() == user


def test_duplicate_is_409(scim: httpx.Client, create: Create) -> None:
    first, second = create(), create()
    check_error(
        scim.post("/Users", json={"schemas": [USER], "userName": first["userName"]}), 409, "uniqueness"
    )
    renamed = {"op": "replace", "path": "userName", "value": first["userName"]}
    check_error(patch(scim, second["id"], renamed), 409, "uniqueness")
    check_error(
        scim.put(f"/Users/{second['id']}", json={**second, "userName": first["userName"]}), 409, "uniqueness"
    )
    assert read(scim, second["id"]) == second


def test_repeated_posts_make_one_user(served: Served, scim: httpx.Client) -> None:
    name = f"u-{uuid.uuid4()}@example.com"

    def post(spelled: str) -> int:
        with served.scim() as own:
            return own.post("/Users", json={"schemas": [USER], "userName": spelled}).status_code

    with ThreadPoolExecutor(6) as threads:
        statuses = sorted(threads.map(post, [name, name.upper()] * 3))
    assert statuses == [201, 409, 409, 409, 409, 409]
    assert find(scim, f'userName eq "{name}"')["totalResults"] == 1


def test_delete_then_404(scim: httpx.Client, create: Create) -> None:
    user = create()
    answer = scim.delete(f"/Users/{user['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    check_error(scim.get(f"/Users/{user['id']}"), 404)
    check_error(scim.delete(f"/Users/{user['id']}"), 404)
    check_error(patch(scim, user["id"], {"op": "replace", "path": "title", "value": "x"}), 404)
    assert ids(find(scim, f'userName eq "{user["userName"]}"')) == set()
    again = create(userName=user["userName"])
    assert again["id"] != user["id"]


def test_put_never_creates(scim: httpx.Client) -> None:
    name = f"u-{uuid.uuid4()}@example.com"
    for user_id in ("usr_aaaaaaaaaaaaaaaaaaaaaaaaaa", str(uuid.uuid4()), "1"):
        check_error(
            scim.put(f"/Users/{user_id}", json={"schemas": [USER], "id": user_id, "userName": name}), 404
        )
    assert ids(find(scim, f'userName eq "{name}"')) == set()


def test_put_of_what_get_gave(scim: httpx.Client, create: Create) -> None:
    rich = create(
        name={"givenName": "R", "familyName": "Ich", "formatted": "Dr. R Ich", "middleName": "M"},
        emails=[{"value": "w@example.com", "type": "work"}, {"value": "h@example.com", "type": "home"}],
        phoneNumbers=[{"value": "1", "type": "mobile"}, {"value": "2", "type": "fax", "primary": True}],
        addresses=[{"type": "work", "locality": "Graz"}],
        roles=[{"value": "r", "display": "R"}],
        timezone="Europe/Vienna",
        **{ENTERPRISE: {"manager": {"value": "m"}, "costCenter": "9"}},
    )
    before = read(scim, rich["id"])
    assert scim.put(f"/Users/{rich['id']}", json=before).json() == before
    assert read(scim, rich["id"]) == before


def test_read_only_is_ignored(scim: httpx.Client, create: Create) -> None:
    user = create(id="mine", meta={"resourceType": "Fake", "created": "2001-01-01T00:00:00Z"})
    assert user["id"] != "mine"
    assert user["meta"]["resourceType"] == "User"
    assert not user["meta"]["created"].startswith("2001")
    sent = {**user, "id": "other", "meta": {"version": 'W/"x"'}, "title": "new"}
    after = scim.put(f"/Users/{user['id']}", json=sent).json()
    assert (after["id"], after["title"]) == (user["id"], "new")
    assert after["meta"]["created"] == user["meta"]["created"]


def test_groups_on_a_user(scim: httpx.Client, platform: httpx.Client, create: Create) -> None:
    user = create()
    group = platform.post("/groups", json={"name": f"g-{uuid.uuid4()}"}).json()["data"]
    platform.post(f"/groups/{group['id']}/members", json={"user_ids": [user["id"]]}).raise_for_status()
    assert [g["value"] for g in read(scim, user["id"])["groups"]] == [group["id"]]
    after = scim.put(f"/Users/{user['id']}", json={**user, "groups": [], "title": "x"}).json()
    assert [g["value"] for g in after["groups"]] == [group["id"]]
    patch(scim, user["id"], {"op": "replace", "value": {"groups": [], "title": "y"}})
    assert [g["value"] for g in read(scim, user["id"])["groups"]] == [group["id"]]


def test_password_never_returned(scim: httpx.Client, create: Create) -> None:
    secret = "Corr3ct-horse!"
    user = create(password=secret)
    changed = {"op": "replace", "value": {"password": secret}}
    answers = [
        scim.get(f"/Users/{user['id']}"),
        scim.get(f"/Users/{user['id']}", params={"attributes": "password"}),
        scim.get("/Users", params={"filter": f'id eq "{user["id"]}"', "attributes": "userName,password"}),
        scim.put(f"/Users/{user['id']}", json={**user, "password": secret}),
        patch(scim, user["id"], changed),
        patch(scim, user["id"], changed, attributes="password"),
        scim.post("/Users", json={"schemas": [USER], "userName": user["userName"], "password": secret}),
        scim.post("/Users", json={"schemas": [USER], "password": secret, "active": secret}),
    ]
    assert "password" not in user
    for answer in answers:
        assert secret not in answer.text
        assert '"password"' not in answer.text


def test_active_is_a_boolean(scim: httpx.Client, platform: httpx.Client, create: Create) -> None:
    user = create()
    assert user["active"] is True
    for status, active in (
        ("DISABLED", False),
        ("LOCKED", True),
        ("PENDING_APPROVAL", True),
        ("PENDING_EMAIL_VERIFICATION", True),
        ("ACTIVE", True),
    ):
        platform.put(f"/users/{user['id']}/status", json={"status": status}).raise_for_status()
        assert read(scim, user["id"])["active"] is active, status
        assert find(scim, f'id eq "{user["id"]}"')["Resources"][0]["active"] is active, status


def test_patch_is_atomic(scim: httpx.Client, create: Create) -> None:
    user = create(title="before", nickName="n")
    refused = patch(
        scim,
        user["id"],
        {"op": "replace", "path": "title", "value": "after"},
        {"op": "replace", "path": "active", "value": False},
        {"op": "replace", "path": "active", "value": "perhaps"},
    )
    check_error(refused, 400, "invalidValue")
    assert read(scim, user["id"]) == user
    ordered = patch(
        scim,
        user["id"],
        {"op": "replace", "path": "title", "value": "one"},
        {"op": "remove", "path": "title"},
        {"op": "add", "path": "title", "value": "three"},
        {"op": "remove", "path": "nickName"},
    )
    assert ordered.status_code in (200, 204)
    after = read(scim, user["id"])
    assert after["title"] == "three"
    assert "nickName" not in after


def test_remove_without_path(scim: httpx.Client, create: Create) -> None:
    user = create(title="stays")
    check_error(patch(scim, user["id"], {"op": "remove"}), 400, "noTarget")
    check_error(patch(scim, user["id"], {"op": "remove", "value": {"title": "stays"}}), 400, "noTarget")
    assert read(scim, user["id"]) == user


def test_patch_with_attributes(scim: httpx.Client, create: Create) -> None:
    user = create(nickName="n")
    answer = patch(scim, user["id"], {"op": "replace", "path": "title", "value": "t"}, attributes="title")
    assert answer.status_code == 200
    assert {k: v for k, v in answer.json().items() if k != "schemas"} == {"id": user["id"], "title": "t"}


def test_complex_replace_keeps_the_rest(scim: httpx.Client, create: Create) -> None:
    user = create(
        name={"givenName": "Ada", "familyName": "L", "middleName": "M"},
        **{ENTERPRISE: {"manager": {"value": "m", "displayName": "Boss"}}},
    )
    patch(scim, user["id"], {"op": "replace", "path": "name", "value": {"givenName": "Eve"}})
    name = read(scim, user["id"])["name"]
    assert (name["givenName"], name["familyName"], name["middleName"]) == ("Eve", "L", "M")


def test_one_primary(scim: httpx.Client, create: Create) -> None:
    user = create(
        emails=[
            {"value": f"a-{uuid.uuid4()}@example.com", "type": "work", "primary": True},
            {"value": f"b-{uuid.uuid4()}@example.com", "type": "home"},
        ]
    )
    new = f"c-{uuid.uuid4()}@example.com"
    value = [{"value": new, "type": "other", "primary": True}]
    patch(scim, user["id"], {"op": "add", "path": "emails", "value": value})
    emails = read(scim, user["id"])["emails"]
    assert [e["value"] for e in emails if e.get("primary")] == [new]
    assert len(emails) == 3
    patch(scim, user["id"], {"op": "replace", "path": 'emails[type eq "home"].primary', "value": True})
    emails = read(scim, user["id"])["emails"]
    assert [e["type"] for e in emails if e.get("primary")] == ["home"]


def test_add_makes_no_duplicates(scim: httpx.Client, create: Create) -> None:
    number = {"value": "+43 1 2345", "type": "work"}
    user = create(phoneNumbers=[number])
    for _ in range(2):
        patch(scim, user["id"], {"op": "add", "path": "phoneNumbers", "value": [number]})
        patch(scim, user["id"], {"op": "add", "value": {"phoneNumbers": [number]}})
    after = read(scim, user["id"])
    assert len(after["phoneNumbers"]) == 1
    assert after["meta"] == user["meta"]


def test_empty_operations(scim: httpx.Client, create: Create) -> None:
    user = create()
    assert patch(scim, user["id"]).status_code in (200, 204)
    assert scim.patch(f"/Users/{user['id']}", json={"schemas": [PATCH]}).status_code == 400
    assert read(scim, user["id"]) == user
