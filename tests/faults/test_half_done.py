"""Writes of several calls that break in the middle, lost answers, and users that change meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from bridge_rig import (
    CORE,
    PLATFORM,
    Rig,
    Send,
    answers,
    garbles_reply,
    loses_reply,
    open_rig,
    person,
    raises,
    values,
)

from app.embedded import PlatformSettings, UserStatus
from app.store.connections import Policies

DEFAULT = Path(__file__).parents[2] / "mappings" / "default.toml"

pytestmark = pytest.mark.asyncio(loop_scope="module")

LOST = {
    "read-error": loses_reply(httpx.ReadError),
    "timeout": loses_reply(httpx.ReadTimeout),
    "502": garbles_reply(b"bad gateway", 502),
    "html": garbles_reply(b"<html>"),
}


# --- creation --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault",
    [answers(403), answers(422), answers(404), answers(429), raises(httpx.ConnectError)],
    ids=["403", "422", "404", "429", "no connection"],
)
async def test_an_inactive_creation_whose_status_is_refused_leaves_nobody(rig: Rig, fault: Any) -> None:
    rig.wire.always("PUT status", fault)
    answer = await rig.scim("POST", "/Users", person(active=False))
    assert answer.status_code >= 400
    rig.wire.reset()
    assert await rig.all_at_platform() == []
    assert (await rig.scim("POST", "/Users", person(active=False))).status_code == 201


@pytest.mark.parametrize("fault", [answers(500), raises(httpx.ReadTimeout)], ids=["500", "timeout"])
async def test_an_inactive_creation_whose_status_is_in_doubt_is_completed(rig: Rig, fault: Any) -> None:
    rig.wire.always("PUT status", fault)
    answer = await rig.scim("POST", "/Users", person(active=False))
    assert answer.status_code == 503
    assert int(answer.headers["retry-after"]) > 0
    rig.wire.reset()
    again = await rig.scim("POST", "/Users", person(active=False))
    assert (again.status_code, again.json()["active"]) == (201, False)
    assert [u["status"] for u in await rig.all_at_platform()] == ["DISABLED"]


@pytest.mark.parametrize("status", ["LOCKED", "PENDING_APPROVAL"])
async def test_a_creation_that_contradicts_itself_creates_nobody(rig: Rig, status: str) -> None:
    answer = await rig.scim("POST", "/Users", person(active=False, **{PLATFORM: {"status": status}}))
    assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
    assert await rig.all_at_platform() == []


async def test_a_creation_with_a_status_of_its_own(rig: Rig) -> None:
    answer = await rig.scim("POST", "/Users", person(**{PLATFORM: {"status": "LOCKED"}}))
    assert answer.status_code == 201
    assert answer.json()[PLATFORM]["status"] == "LOCKED"
    assert [u["status"] for u in await rig.all_at_platform()] == ["LOCKED"]


async def test_an_inactive_creation_where_users_start_pending(made_once: Any, tmp_path: Any) -> None:
    pending = PlatformSettings(initial_status=UserStatus.PENDING_APPROVAL)
    async with open_rig(made_once, tmp_path, platform_settings=pending) as rig:
        user = await rig.make(active=False)
        assert user["active"] is False
        again = await rig.patch(user["id"], {"op": "replace", "path": "active", "value": True})
        assert again.json()["active"] is True
        assert again.json()[PLATFORM]["status"] == "PENDING_APPROVAL"


# --- updates ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "fault", [answers(403), answers(422), answers(404, raw=b"<html>")], ids=["403", "422", "404"]
)
async def test_a_refused_status_takes_the_other_changes_back(rig: Rig, fault: Any) -> None:
    user = await rig.make(displayName="Old", title="Countess")
    before = await rig.at_platform(user["id"])
    rig.wire.always("PUT status", fault)
    answer = await rig.patch(
        user["id"],
        {"op": "replace", "value": {"displayName": "New", "title": "Lady", "active": False}},
    )
    assert answer.status_code >= 400
    rig.wire.reset()
    after = await rig.at_platform(user["id"])
    assert before is not None
    assert after is not None
    assert {k: v for k, v in after.items() if k != "updated_at"} == {
        k: v for k, v in before.items() if k != "updated_at"
    }


async def test_a_refused_password_takes_the_other_changes_back(made_once: Any, tmp_path: Any) -> None:
    async with open_rig(made_once, tmp_path, policies=Policies(password="set")) as rig:
        user = await rig.make(displayName="Old", password="correct horse battery")
        answer = await rig.patch(
            user["id"], {"op": "replace", "value": {"displayName": "New", "password": "x"}}
        )
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidValue")
        assert "password" in answer.json()["detail"]
        stored = await rig.at_platform(user["id"])
        assert stored is not None
        assert stored["display_name"] == "Old"


async def test_a_half_done_update_is_completed_by_the_next_try(rig: Rig) -> None:
    user = await rig.make()
    operations = [{"op": "replace", "value": {"displayName": "New", "active": False}}]
    rig.wire.always("PUT status", answers(500))
    assert (await rig.patch(user["id"], *operations)).status_code == 503
    rig.wire.reset()
    answer = await rig.patch(user["id"], *operations)
    assert (answer.json()["displayName"], answer.json()["active"]) == ("New", False)


@pytest.mark.parametrize("fails", ["PATCH user", "PUT status"])
async def test_the_earlier_status_survives_a_broken_deactivation(rig: Rig, fails: str) -> None:
    user = await rig.make()
    await rig.set_status(user["id"], "LOCKED")
    off = {"op": "replace", "path": "active", "value": False}
    on = {"op": "replace", "path": "active", "value": True}
    rig.wire.always(fails, answers(500))
    assert (await rig.patch(user["id"], off)).status_code == 503
    rig.wire.reset()
    assert (await rig.patch(user["id"], off)).json()["active"] is False
    rig.wire.always(fails, answers(500))
    await rig.patch(user["id"], on)
    rig.wire.reset()
    answer = await rig.patch(user["id"], on)
    assert answer.json()["active"] is True
    assert answer.json()[PLATFORM]["status"] == "LOCKED"


async def test_an_earlier_status_and_all_else_where_the_platform_merges(
    made_once: Any, tmp_path: Any
) -> None:
    text = tmp_path / "merging.toml"
    text.write_text(
        (DEFAULT.read_text()).replace("merges_custom_attributes = false", "merges_custom_attributes = true")
    )
    merging = PlatformSettings(merge_custom_attributes=True)
    async with open_rig(made_once, tmp_path, platform_settings=merging, mapping=str(text)) as rig:
        user = await rig.make(roles=[{"value": "admin"}], title="Countess", externalId="x-1")
        await rig.set_status(user["id"], "LOCKED")
        off = await rig.patch(user["id"], {"op": "replace", "value": {"active": False, "title": "Lady"}})
        assert (off.json()["active"], off.json()["title"], off.json()["roles"]) == (
            False,
            "Lady",
            [{"value": "admin"}],
        )
        on = await rig.patch(user["id"], {"op": "replace", "value": {"active": True, "title": "Dame"}})
        assert on.json()[PLATFORM]["status"] == "LOCKED"
        assert on.json()["roles"] == [{"value": "admin"}]
        stored = await rig.at_platform(user["id"])
        assert stored is not None
        assert "prior_status" not in stored["custom_attributes"].get("scim", {})
        gone = await rig.patch(
            user["id"], {"op": "remove", "path": "externalId"}, {"op": "remove", "path": "roles"}
        )
        assert "externalId" not in gone.json()
        stored = await rig.at_platform(user["id"])
        assert stored is not None
        assert stored["custom_attributes"] == {"title": "Dame"}


# --- deletion --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", ["read-error", "timeout", "502"])
async def test_a_deletion_whose_answer_is_lost_is_done(rig: Rig, fault: str) -> None:
    user = await rig.make()
    rig.wire.at(1, LOST[fault])
    assert (await rig.scim("DELETE", f"/Users/{user['id']}")).status_code == 204
    assert await rig.at_platform(user["id"]) is None
    assert (await rig.scim("DELETE", f"/Users/{user['id']}")).status_code == 404


async def test_a_deletion_that_did_not_arrive_is_repeated(rig: Rig) -> None:
    user = await rig.make()
    rig.wire.at(1, raises(httpx.ReadTimeout))
    assert (await rig.scim("DELETE", f"/Users/{user['id']}")).status_code == 204
    assert await rig.at_platform(user["id"]) is None


async def test_an_address_that_changes_before_the_deletion(rig: Rig) -> None:
    user = await rig.make()

    async def moves(request: httpx.Request, send: Send) -> httpx.Response:
        await rig.change_at_platform(user["id"], email="moved@example.com")
        return await send(request)

    rig.wire.at(1, moves)
    assert (await rig.scim("DELETE", f"/Users/{user['id']}")).status_code == 204
    assert await rig.at_platform(user["id"]) is None


async def test_a_name_is_free_after_a_deletion(rig: Rig) -> None:
    user = await rig.make()
    await rig.scim("DELETE", f"/Users/{user['id']}")
    again = await rig.make()
    assert again["id"] != user["id"]
    assert (await rig.scim("GET", f"/Users/{user['id']}")).status_code == 404


async def test_a_platform_that_keeps_deleted_names_taken(made_once: Any, tmp_path: Any) -> None:
    async with open_rig(
        made_once, tmp_path, platform_settings=PlatformSettings(keep_deleted_names_taken=True)
    ) as rig:
        user = await rig.make()
        await rig.scim("DELETE", f"/Users/{user['id']}")
        answer = await rig.scim("POST", "/Users", person())
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
        assert "deletion" in answer.json()["detail"]


# --- at the same time ------------------------------------------------------------------------------------


async def test_twenty_creations_of_one_name(rig: Rig) -> None:
    bodies = [
        person(
            userName=("ada@example.com", "ADA@example.com")[n % 2], emails=[{"value": f"a{n}@example.com"}]
        )
        for n in range(20)
    ]
    found = await asyncio.gather(*(rig.scim("POST", "/Users", body) for body in bodies))
    assert sorted(a.status_code for a in found) == [201, *[409] * 19]
    assert {a.json()["scimType"] for a in found if a.status_code == 409} == {"uniqueness"}
    assert len(await rig.all_at_platform()) == 1


async def test_twenty_creations_of_one_address(rig: Rig) -> None:
    bodies = [person(userName=f"ada{n}") for n in range(20)]
    found = await asyncio.gather(*(rig.scim("POST", "/Users", body) for body in bodies))
    assert sorted(a.status_code for a in found) == [201, *[409] * 19]
    assert all("emails" in a.json()["detail"] for a in found if a.status_code == 409)


async def test_writers_of_one_user_lose_nothing(rig: Rig) -> None:
    user = await rig.make()
    wanted = {
        "title": "Countess",
        "nickName": "Enchantress",
        "userType": "Employee",
        "preferredLanguage": "en",
        "externalId": "x-1",
        "displayName": "Ada",
    }
    found = await asyncio.gather(
        *(rig.patch(user["id"], {"op": "add", "path": k, "value": v}) for k, v in wanted.items())
    )
    assert {a.status_code for a in found} == {200}
    read = (await rig.scim("GET", f"/Users/{user['id']}")).json()
    assert {k: read[k] for k in wanted} == wanted


async def test_one_of_two_writers_with_the_same_version_fails(rig: Rig) -> None:
    user = await rig.make()
    version = user["meta"]["version"]
    found = await asyncio.gather(
        *(
            rig.patch(user["id"], {"op": "add", "path": "title", "value": t}, headers={"if-match": version})
            for t in ("a", "b")
        )
    )
    assert sorted(a.status_code for a in found) == [200, 412]


async def test_renaming_two_users_to_one_name(rig: Rig) -> None:
    one = await rig.make(userName="one", emails=[{"value": "one@example.com"}])
    two = await rig.make(userName="two", emails=[{"value": "two@example.com"}])
    found = await asyncio.gather(
        *(rig.patch(u["id"], {"op": "replace", "path": "userName", "value": "Three"}) for u in (one, two))
    )
    assert sorted(a.status_code for a in found) == [200, 409]


async def test_users_that_swap_names_at_once_do_not_block_each_other(rig: Rig) -> None:
    one = await rig.make(userName="one", emails=[{"value": "one@example.com"}])
    two = await rig.make(userName="two", emails=[{"value": "two@example.com"}])
    async with asyncio.timeout(20):
        found = await asyncio.gather(
            rig.patch(one["id"], {"op": "replace", "path": "userName", "value": "two"}),
            rig.patch(two["id"], {"op": "replace", "path": "userName", "value": "one"}),
        )
    assert {a.status_code for a in found} <= {200, 409}
    assert len(set(values(await rig.scim("GET", "/Users")))) == 2


async def test_a_deletion_and_an_update_at_once(rig: Rig) -> None:
    user = await rig.make()
    found = await asyncio.gather(
        rig.scim("DELETE", f"/Users/{user['id']}"),
        rig.patch(user["id"], {"op": "add", "path": "title", "value": "x"}),
        rig.scim("PUT", f"/Users/{user['id']}", {"schemas": [CORE], "userName": "ada@example.com"}),
    )
    assert found[0].status_code == 204
    assert {a.status_code for a in found[1:]} <= {200, 404}
    assert await rig.at_platform(user["id"]) is None
