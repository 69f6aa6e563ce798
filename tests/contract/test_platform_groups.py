"""A tenant's groups and their members."""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from platform_server import Tenant, locations

from app.embedded import PlatformSettings


def members(tenant: Tenant, group_id: str, **params: Any) -> list[str]:
    answer = tenant.http.get(f"{tenant.groups}/{group_id}/members", params=params)
    assert answer.status_code == 200, answer.text
    return [member["user_id"] for member in answer.json()["data"]]


def add(tenant: Tenant, group_id: str, user_ids: list[str]) -> httpx.Response:
    return tenant.http.post(f"{tenant.groups}/{group_id}/members", json={"user_ids": user_ids})


def test_a_group_is_read_back_as_created(tenant: Tenant) -> None:
    group = tenant.create_group("Admins", description="All of them", group_type="DISTRIBUTION_LIST")
    assert re.fullmatch(r"grp_[a-z0-9]{24,}", group["id"])
    assert group == {
        "id": group["id"],
        "name": "Admins",
        "description": "All of them",
        "group_type": "DISTRIBUTION_LIST",
        "created_at": group["created_at"],
        "updated_at": None,
    }
    assert tenant.http.get(f"{tenant.groups}/{group['id']}").json()["data"] == group
    assert tenant.create_group("Defaults")["group_type"] == "SECURITY"


@pytest.mark.parametrize(
    ("body", "place"),
    [
        ({}, ["name"]),
        ({"name": None}, ["name"]),
        ({"name": "  "}, ["name"]),
        ({"name": "x", "group_type": "SECRET"}, ["group_type"]),
        ({"name": "x", "description": 1}, ["description"]),
    ],
)
def test_an_invalid_group_is_refused(tenant: Tenant, body: dict[str, Any], place: list[str]) -> None:
    assert locations(tenant.http.post(tenant.groups, json=body)) == [["body", *place]]


def test_names_are_unique_without_case_until_deleted(
    tenant: Tenant, new_tenant: Callable[[], Tenant]
) -> None:
    group = tenant.create_group("Admins")
    other = tenant.create_group("Others")
    assert tenant.http.post(tenant.groups, json={"name": "ADMINS"}).status_code == 409
    rename = tenant.http.patch(f"{tenant.groups}/{other['id']}", json={"name": "aDMINS"})
    assert rename.status_code == 409
    assert "name" in rename.json()["detail"]
    assert new_tenant().create_group("Admins")
    assert tenant.http.delete(f"{tenant.groups}/{group['id']}").status_code == 204
    assert tenant.http.get(f"{tenant.groups}/{group['id']}").status_code == 404
    assert tenant.create_group("admins")["id"] != group["id"]


def test_of_ten_that_race_for_a_name_one_wins(tenant: Tenant) -> None:
    def attempt(_number: int) -> int:
        with tenant.platform.client(tenant.token) as client:
            return client.post(tenant.groups, json={"name": "Racer"}).status_code

    with ThreadPoolExecutor(10) as pool:
        assert sorted(pool.map(attempt, range(10))) == [201] + [409] * 9


def test_patch_changes_only_the_keys_it_carries(tenant: Tenant) -> None:
    group = tenant.create_group("Admins", description="Old")
    path = f"{tenant.groups}/{group['id']}"
    renamed = tenant.http.patch(path, json={"name": "ADMINS"}).json()["data"]
    assert (renamed["name"], renamed["description"]) == ("ADMINS", "Old")
    assert renamed["updated_at"]
    assert tenant.http.patch(path, json={"description": None}).json()["data"]["description"] is None
    assert locations(tenant.http.patch(path, json={"name": None})) == [["body", "name"]]


def test_lists_are_paged_and_searched(tenant: Tenant) -> None:
    for name in ("Alpha", "Beta_1", "Gamma 100%"):
        tenant.create_group(name)
    tenant.create_group("Mail", group_type="DISTRIBUTION_LIST")

    def names(**params: Any) -> list[str]:
        return [group["name"] for group in tenant.http.get(tenant.groups, params=params).json()["data"]]

    assert names() == ["Alpha", "Beta_1", "Gamma 100%", "Mail"]
    assert names(per_page=3, page=2) == ["Mail"]
    assert names(search="ALPH") == ["Alpha"]
    assert names(search="_") == ["Beta_1"]
    assert names(search="%") == ["Gamma 100%"]
    assert names(group_type="DISTRIBUTION_LIST") == ["Mail"]
    pagination = tenant.http.get(tenant.groups, params={"per_page": 3}).json()["pagination"]
    assert pagination == {"page": 1, "per_page": 3, "total_items": 4, "total_pages": 2}
    assert locations(tenant.http.get(tenant.groups, params={"per_page": 101})) == [["query", "per_page"]]


def test_members_are_added_listed_and_removed(tenant: Tenant) -> None:
    group = tenant.create_group("Admins")
    users = [tenant.create(f"u{number}@example.com", display_name=f"User {number}") for number in range(5)]
    ids = [user["id"] for user in users]
    assert add(tenant, group["id"], ids[:3]).json()["data"] == {"added": 3, "already_members": 0}
    assert add(tenant, group["id"], [*ids, ids[4]]).json()["data"] == {"added": 2, "already_members": 3}
    assert sorted(members(tenant, group["id"])) == sorted(ids)
    assert members(tenant, group["id"], per_page=2, page=3) == members(tenant, group["id"])[4:]
    rows = tenant.http.get(f"{tenant.groups}/{group['id']}/members").json()["data"]
    first = next(row for row in rows if row["user_id"] == ids[0])
    assert first == {"user_id": ids[0], "display_name": "User 0", "membership_type": "DIRECT"}
    assert [entry["group_id"] for entry in tenant.get(ids[0])["groups"]] == [group["id"]]

    path = f"{tenant.groups}/{group['id']}/members/{ids[0]}"
    assert tenant.http.delete(path).status_code == 204
    assert tenant.http.delete(path).status_code == 404
    assert ids[0] not in members(tenant, group["id"])
    assert tenant.get(ids[0])["groups"] == []


def test_one_unknown_member_and_nobody_is_added(tenant: Tenant) -> None:
    group = tenant.create_group("Admins")
    user = tenant.create("a@example.com")
    gone = tenant.create("gone@example.com")
    tenant.delete(gone["id"], "gone@example.com")
    answer = add(tenant, group["id"], [user["id"], "usr_unknown", gone["id"]])
    assert locations(answer) == [["body", "user_ids", 1], ["body", "user_ids", 2]]
    assert members(tenant, group["id"]) == []


def test_at_most_a_hundred_members_a_call(tenant: Tenant, tenant_with: Callable[..., Tenant]) -> None:
    group = tenant.create_group("Admins")
    assert locations(add(tenant, group["id"], ["usr_x"] * 101)) == [["body", "user_ids"]]
    small = tenant_with(PlatformSettings(members_per_call_max=2))
    few = small.create_group("Few")
    assert locations(add(small, few["id"], ["usr_x"] * 3)) == [["body", "user_ids"]]


def test_the_members_of_a_deleted_group_stay_users(tenant: Tenant) -> None:
    group = tenant.create_group("Admins")
    user = tenant.create("a@example.com", group_ids=[group["id"]])
    tenant.http.delete(f"{tenant.groups}/{group['id']}")
    assert tenant.get(user["id"])["groups"] == []
    assert tenant.emails(group_id=group["id"]) == []
    assert add(tenant, group["id"], [user["id"]]).status_code == 404
