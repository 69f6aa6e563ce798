"""Email and username are unique in a tenant, without case, also when many ask at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from platform_server import Tenant

from app.embedded import PlatformSettings


def refused(answer: httpx.Response, name: str) -> None:
    assert answer.status_code == 409, answer.text
    assert set(answer.json()) == {"detail"}
    assert name in answer.json()["detail"]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ada@example.com", "ada@example.com"),
        ("ada@example.com", "ADA@Example.COM"),
        ("jürgen@example.com", "JÜRGEN@example.com"),
        ("strasse@example.com", "STRAßE@example.com"),
        ("e\u0301mile@example.com", "\u00e9mile@example.com"),
    ],
)
def test_a_taken_email_is_refused(tenant: Tenant, first: str, second: str) -> None:
    tenant.create(first)
    refused(tenant.http.post(tenant.users, json={"email": second}), "email")


def test_a_taken_username_is_refused(tenant: Tenant) -> None:
    tenant.create("a@example.com", username="Ada")
    refused(tenant.http.post(tenant.users, json={"email": "b@example.com", "username": "aDA"}), "username")
    assert tenant.emails() == ["a@example.com"]


def test_users_without_username_do_not_collide(tenant: Tenant) -> None:
    tenant.create("a@example.com")
    tenant.create("b@example.com", username=None)
    assert len(tenant.emails()) == 2


def test_a_rename_to_a_taken_name_is_refused_and_changes_nothing(tenant: Tenant) -> None:
    tenant.create("a@example.com", username="a")
    other = tenant.create("b@example.com", username="b")
    path = f"{tenant.users}/{other['id']}"
    refused(tenant.http.patch(path, json={"email": "A@example.com", "phone": "1"}), "email")
    refused(tenant.http.patch(path, json={"username": "A", "phone": "1"}), "username")
    refused(tenant.http.patch(f"/api/v1/admin/users/{other['id']}", json={"email": "A@example.com"}), "email")
    assert tenant.get(other["id"]) == other


def test_a_user_may_change_the_case_of_its_own_names(tenant: Tenant) -> None:
    user = tenant.create("a@example.com", username="a")
    after = tenant.patch(user["id"], email="A@example.com", username="A")
    assert (after["email"], after["username"]) == ("A@example.com", "A")


def test_another_tenant_has_names_of_its_own(new_tenant: Callable[[], Tenant]) -> None:
    for tenant in (new_tenant(), new_tenant()):
        tenant.create("same@example.com", username="same")


def test_a_deleted_user_frees_its_names(tenant: Tenant) -> None:
    first = tenant.create("a@example.com", username="a")
    tenant.delete(first["id"], "a@example.com")
    second = tenant.create("a@example.com", username="a")
    assert second["id"] != first["id"]


def test_a_deleted_user_keeps_its_names_where_set(tenant_with: Callable[..., Tenant]) -> None:
    tenant = tenant_with(PlatformSettings(keep_deleted_names_taken=True))
    user = tenant.create("a@example.com", username="a")
    tenant.delete(user["id"], "a@example.com")
    refused(tenant.http.post(tenant.users, json={"email": "A@example.com"}), "email")
    refused(tenant.http.post(tenant.users, json={"email": "b@example.com", "username": "A"}), "username")
    assert tenant.emails() == []


@pytest.mark.parametrize("field", ["email", "username"])
def test_of_twenty_that_race_for_a_name_one_wins(tenant: Tenant, field: str) -> None:
    def attempt(number: int) -> int:
        body = {"email": f"racer{number}@example.com", "username": f"racer{number}"}
        body[field] = "racer@example.com" if number % 2 else "RACER@example.com"
        with tenant.platform.client(tenant.token) as client:
            return client.post(tenant.users, json=body).status_code

    with ThreadPoolExecutor(20) as pool:
        outcome = Counter(pool.map(attempt, range(20)))
    assert outcome == {201: 1, 409: 19}
    assert len(tenant.emails()) == 1


def test_twenty_parallel_writers_all_succeed(tenant: Tenant) -> None:
    def write(number: int) -> list[int]:
        with tenant.platform.client(tenant.token) as client:
            answers = [
                client.post(tenant.users, json={"email": f"writer{number}.{turn}@example.com"})
                for turn in range(5)
            ]
            user_id = answers[0].json()["data"]["id"]
            answers.append(client.patch(f"{tenant.users}/{user_id}", json={"phone": str(number)}))
        return [answer.status_code for answer in answers]

    with ThreadPoolExecutor(20) as pool:
        outcomes = list(pool.map(write, range(20)))
    assert outcomes == [[201] * 5 + [200]] * 20
    assert tenant.http.get(tenant.users).json()["pagination"]["total_items"] == 100
