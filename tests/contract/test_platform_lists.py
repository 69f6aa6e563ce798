"""Lists: pages, totals, orders, filters and search."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from platform_server import RunningPlatform, Tenant, locations

from app.embedded import PlatformSettings, SeedPlan


def page(tenant: Tenant, **params: Any) -> dict[str, Any]:
    answer = tenant.http.get(tenant.users, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def every_id(tenant: Tenant, **params: Any) -> list[str]:
    """The ids of all pages in their order; every page must agree on the totals."""
    ids: list[str] = []
    number, pages = 1, 1
    while number <= pages:
        body = page(tenant, page=number, **params)
        pages = body["pagination"]["total_pages"]
        ids += [item["id"] for item in body["data"]]
        number += 1
    return ids


def test_pages_cover_everything_once_with_exact_totals(platform: RunningPlatform, tenant: Tenant) -> None:
    platform.call(platform.directory.seed_users, tenant.id, 45)
    first = page(tenant)
    assert first["pagination"] == {"page": 1, "per_page": 20, "total_items": 45, "total_pages": 3}
    assert len(first["data"]) == 20
    last = page(tenant, page=3)
    assert len(last["data"]) == 5
    beyond = page(tenant, page=4)
    assert beyond["data"] == []
    assert beyond["pagination"] == {"page": 4, "per_page": 20, "total_items": 45, "total_pages": 3}
    assert len(set(every_id(tenant, per_page=7))) == 45
    assert page(tenant, page=10**30)["data"] == []


def test_an_empty_list_has_no_pages(tenant: Tenant) -> None:
    assert page(tenant)["pagination"] == {"page": 1, "per_page": 20, "total_items": 0, "total_pages": 0}


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("sort_by", ["created_at", "email", "username", "display_name", "last_login_at"])
def test_pages_are_stable_when_all_values_are_equal(tenant: Tenant, sort_by: str, order: str) -> None:
    for number in range(9):
        tenant.create(f"u{number}@example.com", display_name="Same Name")
    one_by_one = every_id(tenant, sort_by=sort_by, sort_order=order, per_page=1)
    assert one_by_one == every_id(tenant, sort_by=sort_by, sort_order=order, per_page=100)
    assert len(set(one_by_one)) == 9
    if sort_by in ("display_name", "last_login_at"):  # nothing but the id is left to order by
        in_order = sorted(one_by_one, reverse=order == "desc")
        assert one_by_one == in_order
        # Filters make the database walk other indexes; the order must not come from those.
        for filters in ({"status": "ACTIVE"}, {"search": "same"}, {"mfa_enabled": "false"}):
            assert every_id(tenant, sort_by=sort_by, sort_order=order, per_page=4, **filters) == in_order


def test_orders_do_not_mind_case_and_default_to_creation_ascending(tenant: Tenant) -> None:
    for email, username, name in (
        ("b@example.com", "Zoe", "anna"),
        ("A@example.com", "yves", "Carl"),
        ("c@example.com", "Xenia", "Bea"),
    ):
        tenant.create(email, username=username, display_name=name)
    assert tenant.emails() == ["b@example.com", "A@example.com", "c@example.com"]
    assert tenant.emails(sort_order="desc") == ["c@example.com", "A@example.com", "b@example.com"]
    assert tenant.emails(sort_by="email") == ["A@example.com", "b@example.com", "c@example.com"]
    assert tenant.emails(sort_by="username") == ["c@example.com", "A@example.com", "b@example.com"]
    assert tenant.emails(sort_by="display_name", sort_order="desc") == [
        "A@example.com",
        "c@example.com",
        "b@example.com",
    ]


def test_order_by_last_login(platform: RunningPlatform, tenant: Tenant) -> None:
    users = [tenant.create(f"u{number}@example.com") for number in range(3)]
    for number in (2, 0):
        platform.call(platform.directory.record_sign_in, users[number]["id"], succeeded=True)
    latest_first = tenant.emails(sort_by="last_login_at", sort_order="desc")
    assert latest_first == ["u0@example.com", "u2@example.com", "u1@example.com"]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("LOVELACE", ["ada"]),
        ("ada lo", ["ada"]),  # within display_name
        ("ada@", ["ada"]),
        ("x-user", ["odd"]),
        ("ANDRÉ", ["andre"]),
        ("andre\u0301", ["andre"]),
        ("istanbul", []),
        ("i\u0307stanbul", ["dotted"]),
        ("İSTANBUL", ["dotted"]),
        ("weiß", ["weiss"]),
        ("WEISS", ["weiss"]),
        ("100%", ["odd"]),
        ("%", ["odd"]),
        ("_", ["odd"]),
        ("50_50", ["odd"]),
        ("50x50", []),
        ("\\", ["odd"]),
        ("'", ["quote"]),
        ('"', ["quote"]),
        ("*", []),
        ("a", ["ada", "andre", "dotted", "odd", "quote", "weiss"]),  # .example.com
        ("adalovelace", []),  # never across two fields
        ("+44", []),  # the phone is not searched
    ],
)
def test_search_is_a_substring_without_case_or_wildcards(tenant: Tenant, text: str, found: list[str]) -> None:
    for name, fields in {
        "ada": {"first_name": "Ada", "last_name": "Lovelace", "display_name": "Ada Lovelace", "phone": "+44"},
        "andre": {"first_name": "Andr\u00e9"},
        "dotted": {"last_name": "İstanbul"},
        "weiss": {"last_name": "Weiß"},
        "odd": {"display_name": "100% 50_50 a\\b", "username": "X-User"},
        "quote": {"display_name": 'O\'Neil "Q"'},
    }.items():
        tenant.create(f"{name}@example.com", **fields)
    emails = tenant.emails(search=text, sort_by="email")
    assert emails == [f"{name}@example.com" for name in found]
    assert page(tenant, search=text)["pagination"]["total_items"] == len(found)


def test_search_sees_changes_at_once(tenant: Tenant) -> None:
    user = tenant.create("a@example.com", last_name="Before")
    tenant.patch(user["id"], last_name="After")
    assert tenant.emails(search="before") == []
    assert tenant.emails(search="after") == ["a@example.com"]


def test_an_empty_search_asks_nothing(tenant: Tenant) -> None:
    tenant.create("a@example.com")
    assert tenant.emails(search="") == ["a@example.com"]


def test_filters_by_status_unit_group_and_second_factor(platform: RunningPlatform, tenant: Tenant) -> None:
    unit = platform.call(platform.directory.create_ou, tenant.id, "Engineering")
    group = tenant.create_group("Admins")
    tenant.create("plain@example.com")
    tenant.create("unit@example.com", ou_id=unit)
    tenant.create("group@example.com", group_ids=[group["id"]])
    secure = tenant.create("mfa@example.com")
    tenant.http.patch(f"/api/v1/admin/users/{secure['id']}", json={"mfa_enabled": True})
    disabled = tenant.create("disabled@example.com", ou_id=unit)
    tenant.http.put(f"{tenant.users}/{disabled['id']}/status", json={"status": "DISABLED"})

    assert tenant.emails(status="DISABLED") == ["disabled@example.com"]
    assert len(tenant.emails(status="ACTIVE")) == 4
    assert tenant.emails(ou_id=unit) == ["unit@example.com", "disabled@example.com"]
    assert tenant.emails(ou_id=unit, status="ACTIVE") == ["unit@example.com"]
    assert tenant.emails(group_id=group["id"]) == ["group@example.com"]
    assert tenant.emails(mfa_enabled="true") == ["mfa@example.com"]
    assert len(tenant.emails(mfa_enabled="false")) == 4
    assert tenant.emails(ou_id=unit, search="dis") == ["disabled@example.com"]
    assert tenant.emails(ou_id="ou_unknown") == []
    assert tenant.emails(group_id="grp_unknown") == []
    combined = page(tenant, ou_id=unit, status="ACTIVE", sort_by="email")
    assert combined["pagination"]["total_items"] == 1


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("page=0", "page"),
        ("page=-1", "page"),
        ("page=x", "page"),
        ("per_page=0", "per_page"),
        ("per_page=101", "per_page"),
        ("per_page=", "per_page"),
        ("status=SLEEPING", "status"),
        ("status=active", "status"),
        ("mfa_enabled=maybe", "mfa_enabled"),
        ("sort_by=password_hash", "sort_by"),
        ("sort_by=created_at;DROP", "sort_by"),
        ("sort_order=up", "sort_order"),
    ],
)
def test_an_invalid_parameter_is_named(tenant: Tenant, query: str, place: str) -> None:
    assert locations(tenant.http.get(f"{tenant.users}?{query}")) == [["query", place]]


def test_all_invalid_parameters_are_named_at_once(tenant: Tenant) -> None:
    answer = tenant.http.get(f"{tenant.users}?page=0&per_page=x&status=?")
    assert locations(answer) == [["query", "page"], ["query", "per_page"], ["query", "status"]]


def test_the_largest_page_is_a_setting(tenant_with: Callable[..., Tenant]) -> None:
    tenant = tenant_with(PlatformSettings(per_page_max=500))
    assert tenant.http.get(f"{tenant.users}?per_page=500").status_code == 200
    assert locations(tenant.http.get(f"{tenant.users}?per_page=501")) == [["query", "per_page"]]


def test_a_list_of_thousands_is_walked_completely(platform: RunningPlatform, tenant: Tenant) -> None:
    plan = SeedPlan(disabled_every=4, mfa_every=5)
    platform.call(platform.directory.seed_users, tenant.id, 3_000, plan)
    assert len(set(every_id(tenant, per_page=100))) == 3_000
    assert page(tenant, status="DISABLED")["pagination"]["total_items"] == 750
    assert page(tenant, mfa_enabled=True)["pagination"]["total_items"] == 600
    assert tenant.emails(search="user002999") == ["user002999@example.com"]


def test_a_second_seeding_begins_beyond_the_first(platform: RunningPlatform, tenant: Tenant) -> None:
    group = tenant.create_group("Seeded")
    platform.call(platform.directory.seed_users, tenant.id, 3)
    plan = SeedPlan(first=4, group_ids=(group["id"],))
    platform.call(platform.directory.seed_users, tenant.id, 2, plan)
    assert tenant.emails(group_id=group["id"]) == ["user000004@example.com", "user000005@example.com"]
    assert page(tenant)["pagination"]["total_items"] == 5


def test_a_hostile_query_is_answered_without_a_failure(tenant: Tenant) -> None:
    tenant.create("a@example.com")
    for query in (
        b"search=%00",
        b"search=%ff%fe",
        b"search=%ed%a0%80",
        b"search=" + b"x" * 20_000,
        b"&&==&%",
        b"page=%20",
    ):
        url = httpx.URL(tenant.platform.url + tenant.users).copy_with(query=query)
        assert tenant.http.get(url).status_code in (200, 422)
