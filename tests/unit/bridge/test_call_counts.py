"""The fewest platform calls: which ones each request makes."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from bridge_rig import CORE, ENT, PLATFORM, Rig, open_rig, person, values

from app.embedded.seeding import SeedPlan
from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def test_get_is_one_call(rig: Rig) -> None:
    user = await rig.make()
    answer = await rig.scim("GET", f"/Users/{user['id']}")
    assert rig.wire.seen() == ["GET user"]
    assert answer.json() == user


@pytest.mark.parametrize(
    "user_id", ["..", ".", "a b", "x" * 129, "ä", "usr_1;x", "usr_1?x", "%00", "usr:1", "*"]
)
@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "DELETE"])
async def test_an_id_that_can_be_none_is_not_asked_for(rig: Rig, method: str, user_id: str) -> None:
    body: Any = (
        {"schemas": [CORE], "userName": "x", "emails": [{"value": "a@x"}]} if method == "PUT" else None
    )
    if method == "PATCH":
        body = {"Operations": [{"op": "add", "path": "title", "value": "x"}]}
    answer = await rig.scim(method, "/Users/" + quote(user_id, safe="").replace(".", "%2E"), body)
    assert answer.status_code in (404, 405)
    assert rig.wire.seen() == []


async def test_finding_by_name_after_a_creation_is_one_call(rig: Rig) -> None:
    user = await rig.make()
    for name in ("ada@example.com", "ADA@EXAMPLE.COM"):
        answer = await rig.scim("GET", "/Users", params={"filter": f'userName eq "{name}"'})
        assert [r["id"] for r in answer.json()["Resources"]] == [user["id"]]
        assert rig.wire.seen() == ["GET user"]


async def test_a_name_that_nobody_has_is_one_call(rig: Rig) -> None:
    await rig.make()
    answer = await rig.scim("GET", '/Users?filter=userName eq "nobody"')
    assert answer.json()["totalResults"] == 0
    assert answer.status_code == 200
    assert rig.wire.seen() == ["GET users"]


async def test_an_aligned_page_is_one_list_and_its_users(rig: Rig) -> None:
    await rig.directory.seed_users(rig.tenant_id, 12, SeedPlan())
    rig.wire.reset()
    answer = await rig.scim("GET", "/Users?startIndex=6&count=5")
    assert rig.wire.seen() == ["GET users", *["GET user"] * 5]
    body = answer.json()
    assert (body["totalResults"], body["startIndex"], body["itemsPerPage"]) == (12, 6, 5)


@pytest.mark.parametrize(
    ("query", "calls"),
    [
        ("count=0", ["GET users"]),
        ("attributes=id", ["GET users"]),
        ("count=3&attributes=id", ["GET users"]),
        ("startIndex=13", ["GET users"]),
        (f'filter={PLATFORM}:status eq "LOCKED"', ["GET users"]),
        ("filter=active eq false", ["GET users"]),
        (f"filter={PLATFORM}:mfaEnabled eq true and active eq false", ["GET users"]),
        (f'filter={PLATFORM}:ouId eq "../x"', []),
        ('filter=id eq "../x"', []),
        ('filter=id eq "usr_x"', ["GET user"]),
        ('filter=groups.value eq "grp_x"', ["GET users"]),
    ],
)
async def test_calls_of_lists(rig: Rig, query: str, calls: list[str]) -> None:
    await rig.directory.seed_users(rig.tenant_id, 12, SeedPlan())
    rig.wire.reset()
    answer = await rig.scim("GET", f"/Users?{query}")
    assert answer.status_code == 200
    assert rig.wire.seen() == calls


@pytest.mark.parametrize("start", [1, 2, 3, 5, 7, 8, 11, 12])
@pytest.mark.parametrize("count", [1, 2, 3, 5, 7, 12, 200])
async def test_pages_are_exact(rig: Rig, start: int, count: int) -> None:
    await rig.directory.seed_users(rig.tenant_id, 12, SeedPlan())
    everyone = list(values(await rig.scim("GET", "/Users")))
    assert len(set(everyone)) == 12
    rig.wire.reset()
    answer = await rig.scim("GET", f"/Users?startIndex={start}&count={count}")
    assert list(values(answer)) == everyone[start - 1 : start - 1 + count]
    assert answer.json()["totalResults"] == 12
    assert sum(c == "GET users" for c in rig.wire.seen()) <= 2


async def test_pages_of_a_large_tenant(rig: Rig) -> None:
    await rig.directory.seed_users(rig.tenant_id, 230, SeedPlan())
    seen: list[str] = []
    for start in (1, 101, 201):
        rig.wire.reset()
        seen += values(await rig.scim("GET", f"/Users?startIndex={start}&count=100"))
        assert rig.wire.seen().count("GET users") == 1
    assert len(set(seen)) == 230
    rig.wire.reset()
    answer = await rig.scim("GET", "/Users?startIndex=20&count=200")
    assert len(list(values(answer))) == 200
    assert rig.wire.seen().count("GET users") <= 3


async def test_deactivating_reads_and_puts_the_status(rig: Rig) -> None:
    user = await rig.make()
    answer = await rig.patch(user["id"], {"op": "replace", "path": "active", "value": False})
    assert rig.wire.seen() == ["GET user", "PUT status"]
    assert answer.json()["active"] is False


async def test_ending_sessions_with_a_deactivation(rig: Rig) -> None:
    user = await rig.make()
    await rig.patch(user["id"], {"op": "replace", "path": "active", "value": False})
    sent = rig.wire.requests[-1].content
    assert b'"terminate_sessions":true' in sent
    await rig.patch(user["id"], {"op": "replace", "path": "active", "value": True})
    assert b'"terminate_sessions":false' in rig.wire.requests[-1].content


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "replace", "path": "active", "value": True},
        {"op": "replace", "value": {"active": "True"}},
        {"op": "add", "path": "userName", "value": "ada@example.com"},
        {"op": "remove", "path": "title"},
        {"op": "replace", "path": 'emails[type eq "work"].value', "value": "ada@example.com"},
        {"op": "replace", "path": f"{PLATFORM}:status", "value": "ACTIVE"},
        {"op": "replace", "path": "password", "value": "placeholder"},
    ],
)
async def test_a_patch_without_difference_only_reads(rig: Rig, operation: dict[str, Any]) -> None:
    user = await rig.make()
    answer = await rig.patch(user["id"], operation)
    assert answer.status_code == 200
    assert answer.json() == user
    assert rig.wire.seen() == ["GET user"]


FULL = {
    "externalId": "x-1",
    "displayName": "Ada",
    "title": "Countess",
    "locale": "de-DE",
    "roles": [{"value": "admin", "primary": True}],
    "emails": [{"value": "a@example.com"}, {"value": "b@example.com", "type": "home", "primary": True}],
    "name": {"givenName": "Ada", "familyName": "L", "formatted": "Lady", "middleName": "K"},
    "addresses": [{"type": "work", "locality": "London"}],
    ENT: {"department": "Analytics", "manager": {"value": "usr_9"}},
}


@pytest.mark.parametrize("status", ["ACTIVE", "DISABLED", "LOCKED", "PENDING_APPROVAL"])
async def test_an_echo_only_reads(rig: Rig, status: str) -> None:
    user = await rig.make(**FULL)
    await rig.set_status(user["id"], status)
    read = (await rig.scim("GET", f"/Users/{user['id']}")).json()
    assert read.items() >= FULL.items()
    rig.wire.reset()
    answer = await rig.scim("PUT", f"/Users/{user['id']}", read)
    assert rig.wire.seen() == ["GET user"]
    assert answer.json() == read


async def test_an_echo_of_a_user_made_elsewhere_only_reads(rig: Rig) -> None:
    made = await rig.create_at_platform(
        "grace@example.com", first_name="Grace", custom_attributes={"badge": 7}
    )
    read = (await rig.scim("GET", f"/Users/{made['id']}")).json()
    assert read["userName"] == "grace@example.com"
    rig.wire.reset()
    assert (await rig.scim("PUT", f"/Users/{made['id']}", read)).json() == read
    assert rig.wire.seen() == ["GET user"]


async def test_a_creation_checks_and_creates(rig: Rig) -> None:
    answer = await rig.scim("POST", "/Users", person())
    assert answer.status_code == 201
    assert rig.wire.seen() == ["GET users", "POST users"]
    assert answer.headers["location"] == answer.json()["meta"]["location"]


async def test_an_inactive_creation_puts_the_status(rig: Rig) -> None:
    answer = await rig.scim("POST", "/Users", person(active=False))
    assert answer.json()["active"] is False
    assert rig.wire.seen() == ["GET users", "POST users", "PUT status"]


async def test_no_welcome_mail_and_no_password_by_default(rig: Rig) -> None:
    await rig.scim("POST", "/Users", person(password="placeholder"))
    sent = rig.wire.requests[-1].content
    assert b'"send_welcome_email":false' in sent
    assert b"placeholder" not in sent


async def test_policies(made_once: Path, tmp_path: Path) -> None:
    policies = Policies(
        password="set", send_welcome_email=True, activate_locked=True, terminate_sessions=False
    )
    async with open_rig(made_once, tmp_path, policies=policies) as rig:
        answer = await rig.scim("POST", "/Users", person(password="correct horse battery"))
        sent = rig.wire.requests[-1].content
        assert b'"send_welcome_email":true' in sent
        assert b"correct horse" in sent
        assert "password" not in answer.json()
        user_id = answer.json()["id"]
        await rig.set_status(user_id, "LOCKED")
        rig.wire.reset()
        answer = await rig.patch(user_id, {"op": "replace", "path": "active", "value": True})
        assert answer.json()[PLATFORM]["status"] == "ACTIVE"
        await rig.patch(user_id, {"op": "replace", "path": "active", "value": False})
        assert b'"terminate_sessions":false' in rig.wire.requests[-1].content
        rig.wire.reset()
        await rig.patch(user_id, {"op": "replace", "path": "password", "value": "another good one"})
        assert rig.wire.seen() == ["GET user", "POST password", "GET user"]


async def test_a_deletion_reads_and_confirms(rig: Rig) -> None:
    user = await rig.make(emails=[{"value": "a+b&c@example.com"}])
    answer = await rig.scim("DELETE", f"/Users/{user['id']}")
    assert answer.status_code == 204
    assert not answer.content
    assert rig.wire.requests[-1].url.params["confirm_email"] == "a+b&c@example.com"
    assert rig.wire.seen() == ["GET user", "DELETE user"]


async def test_renaming_checks_that_the_name_is_free(rig: Rig) -> None:
    user = await rig.make()
    await rig.patch(user["id"], {"op": "replace", "path": "userName", "value": "lady"})
    assert rig.wire.seen() == ["GET user", "GET users", "PATCH user"]


async def test_a_change_of_case_needs_no_check(rig: Rig) -> None:
    user = await rig.make()
    answer = await rig.patch(user["id"], {"op": "replace", "path": "userName", "value": "ADA@example.com"})
    assert answer.json()["userName"] == "ADA@example.com"
    assert rig.wire.seen() == ["GET user", "PATCH user"]


async def test_names_are_unique_over_addresses_read_in_their_place(rig: Rig) -> None:
    await rig.create_at_platform("grace@example.com")
    other = await rig.make()
    answer = await rig.scim(
        "POST", "/Users", person(userName="GRACE@example.com", emails=[{"value": "o@x.org"}])
    )
    assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
    assert "userName" in answer.json()["detail"]
    renamed = await rig.patch(
        other["id"], {"op": "replace", "path": "userName", "value": "grace@example.com"}
    )
    assert renamed.status_code == 409


@pytest.mark.parametrize("attribute", ["emails", "locale", "timezone", "active"])
async def test_a_put_without_them_keeps_them(rig: Rig, attribute: str) -> None:
    user = await rig.make(locale="de-DE", timezone="Europe/Berlin", active=False, title="Countess")
    body = {k: v for k, v in user.items() if k not in (attribute, "title")}
    answer = await rig.scim("PUT", f"/Users/{user['id']}", body)
    assert answer.json()[attribute] == user[attribute]
    assert "title" not in answer.json()


async def test_a_put_keeps_the_platform_extension(rig: Rig) -> None:
    user = await rig.make()
    body = {k: v for k, v in user.items() if k != PLATFORM}
    answer = await rig.scim("PUT", f"/Users/{user['id']}", body)
    assert answer.json()[PLATFORM] == user[PLATFORM]


async def test_a_put_that_sends_the_address_does_not_move_it(rig: Rig) -> None:
    """The address came from the userName; from now on it is the client's own."""
    user = await rig.make(emails=None)
    body = {**user, "userName": "lady@example.com"}
    answer = await rig.scim("PUT", f"/Users/{user['id']}", body)
    assert answer.json()["emails"] == user["emails"]


async def test_removing_the_last_address_is_refused(rig: Rig) -> None:
    user = await rig.make()
    answer = await rig.patch(user["id"], {"op": "remove", "path": "emails"})
    assert (answer.status_code, answer.json()["scimType"]) == (400, "mutability")


async def test_no_address_at_all_is_refused(rig: Rig) -> None:
    answer = await rig.scim("POST", "/Users", person(userName="ada", emails=None))
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    assert "emails" in answer.json()["detail"]
    assert rig.wire.seen() == []


async def test_too_many_users_to_read_one_by_one(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, scan_limit=10) as rig:
        await rig.directory.seed_users(rig.tenant_id, 11, SeedPlan())
        for query in ("filter=title pr", "sortBy=title", "filter=not (title pr)"):
            answer = await rig.scim("GET", f"/Users?{query}")
            assert (answer.status_code, answer.json()["scimType"]) == (400, "tooMany")
        # Lookups are answered at any size.
        for query in (
            'userName eq "user000003"',
            'emails eq "user000003@example.com"',
            'externalId eq "none"',
        ):
            answer = await rig.scim("GET", f"/Users?filter={query}")
            assert answer.status_code == 200
