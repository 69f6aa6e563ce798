"""What a client and an operator see of writes that are not finished: held up, completed, undone, given up."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from bridge_rig import (
    PLATFORM,
    Rig,
    Send,
    answers,
    hosted,
    loses_reply,
    open_rig,
    person,
    raises,
)

from app.store.connections import Policies
from app.store.journal_records import Entry

pytestmark = pytest.mark.asyncio(loop_scope="module")

BOTH = {"op": "replace", "value": {"displayName": "New", "title": "Lady", "active": False}}
TITLE = {"op": "replace", "path": "title", "value": "Dame"}
SETTLE_S = 600.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def patient(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A bridge that waits long for calls of unknown outcome."""
    place = tmp_path_factory.mktemp("patient")
    async for found in hosted(open_rig(made_once, place, journal_settle_s=SETTLE_S)):
        yield found


@pytest_asyncio.fixture(loop_scope="module")
async def slow(patient: Rig) -> Rig:
    return await patient.alone()


async def entries(rig: Rig) -> list[Entry]:
    return [e for e in await rig.store.journal.list() if e.tenant_id == rig.tenant_id]


async def recover(rig: Rig) -> None:
    """What the worker does when their time has come."""
    for entry in await entries(rig):
        await rig.store.journal.retry(entry.id)
        await rig.app.state.services.recovery.run(entry.id)


async def finished(rig: Rig) -> None:
    """Return when the worker has nothing left to do."""
    async with asyncio.timeout(20):
        while await entries(rig):  # noqa: ASYNC110 - another process could be who finishes it
            await asyncio.sleep(0.05)


async def half_done(rig: Rig, **attributes: Any) -> dict[str, Any]:
    """A user whose fields are set and whose status is in doubt."""
    user = await rig.make(displayName="Old", title="Countess", **attributes)
    rig.wire.always("PUT status", answers(500))
    answer = await rig.patch(user["id"], BOTH)
    assert answer.status_code == 503, answer.text
    rig.wire.reset()
    return user


# --- what is journalled -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("operation", "kept"),
    [
        ({"op": "replace", "path": "active", "value": False}, 0),
        (TITLE, 0),
        (BOTH, 1),
    ],
    ids=["status", "field", "both"],
)
async def test_one_call_needs_no_entry(rig: Rig, operation: dict[str, Any], kept: int) -> None:
    user = await rig.make()
    seen: list[int] = []

    async def look(request: httpx.Request, send: Send) -> httpx.Response:
        seen.append(len(await entries(rig)))
        return await send(request)

    rig.wire.fault = lambda _number, name: None if name.startswith("GET") else look
    assert (await rig.patch(user["id"], operation)).status_code == 200
    assert set(seen) == {kept}
    assert await entries(rig) == []


async def test_a_password_is_never_kept(made_once: Path, tmp_path: Path) -> None:
    secret = "correct horse battery staple"
    async with open_rig(made_once, tmp_path, policies=Policies(password="set")) as rig:
        user = await rig.make(password=secret)
        rig.wire.always("PUT status", answers(500))
        body = {"op": "replace", "value": {"displayName": "New", "active": False, "password": secret}}
        assert (await rig.patch(user["id"], body)).status_code == 503
        unheard(rig)
        new = person(userName="b@example.com", emails=None, password=secret)
        assert (await rig.scim("POST", "/Users", new)).status_code == 503
        assert len(await entries(rig)) == 2
        with closing(sqlite3.connect(tmp_path / "bridge.db")) as db:
            assert not [line for line in db.iterdump() if secret in line]


async def test_a_creation_leaves_its_mark_until_the_record_changes(rig: Rig) -> None:
    user = await rig.make(roles=[{"value": "admin"}])
    stored = await rig.at_platform(user["id"])
    assert stored is not None
    assert stored["custom_attributes"]["scim"]["journal"].startswith("jrn_")
    assert "journal" not in str(user)
    assert (await rig.patch(user["id"], {"op": "replace", "value": {}})).status_code == 200
    assert rig.wire.seen() == ["GET user"]
    await rig.patch(user["id"], {"op": "remove", "path": "roles"})
    stored = await rig.at_platform(user["id"])
    assert stored is not None
    assert "scim" not in (stored["custom_attributes"] or {})


# --- in the way ---------------------------------------------------------------------------------------------


async def test_another_change_waits_and_reads_and_deletions_do_not(slow: Rig) -> None:
    user = await half_done(slow)
    answer = await slow.patch(user["id"], TITLE)
    assert answer.status_code == 503
    assert SETTLE_S - 60 < int(answer.headers["retry-after"]) <= SETTLE_S
    put = await slow.scim("PUT", f"/Users/{user['id']}", person())
    assert put.status_code == 503
    # The user in doubt is read in the background, whenever its turn comes.
    assert [call for call in slow.wire.seen() if call != "GET user"] == []
    assert (await slow.scim("GET", f"/Users/{user['id']}")).json()["title"] == "Lady"
    assert (await slow.scim("DELETE", f"/Users/{user['id']}")).status_code == 204
    assert await entries(slow) == []
    assert (await slow.scim("POST", "/Users", person())).status_code == 201


async def test_a_name_in_doubt_is_given_to_nobody(slow: Rig) -> None:
    user = await slow.make(userName="old", emails=[{"value": "a@example.com"}])
    slow.wire.always("PUT status", answers(500))
    body = {"op": "replace", "value": {"userName": "New", "active": False}}
    assert (await slow.patch(user["id"], body)).status_code == 503
    slow.wire.reset()
    for name in ("new", "OLD"):
        other = await slow.scim("POST", "/Users", person(userName=name, emails=[{"value": "b@example.com"}]))
        assert other.status_code == 503
    assert [u["username"] for u in await slow.all_at_platform()] == ["New"]


async def test_a_change_that_comes_when_it_is_due_is_done_after_it(rig: Rig) -> None:
    user = await half_done(rig)
    answer = await rig.patch(user["id"], TITLE)
    assert answer.status_code == 200
    found = answer.json()
    assert (found["displayName"], found["title"], found["active"]) == ("New", "Dame", False)
    assert await entries(rig) == []


# --- finished and undone ------------------------------------------------------------------------------------


async def test_the_rest_is_finished_without_the_client(rig: Rig) -> None:
    user = await half_done(rig)
    await recover(rig)
    assert await entries(rig) == []
    stored = await rig.at_platform(user["id"])
    assert stored is not None
    assert (stored["display_name"], stored["status"]) == ("New", "DISABLED")
    found = await rig.scim("GET", "/Users", params={"filter": "active eq false"})
    assert [r["id"] for r in found.json()["Resources"]] == [user["id"]]


async def test_what_others_have_written_since_is_left_alone(rig: Rig) -> None:
    user = await half_done(rig)
    await rig.change_at_platform(user["id"], display_name="Theirs")
    await rig.set_status(user["id"], "LOCKED")
    await recover(rig)
    stored = await rig.at_platform(user["id"])
    assert stored is not None
    assert (stored["display_name"], stored["status"]) == ("Theirs", "LOCKED")


@pytest.mark.parametrize("during", ["the write", "recovery"])
async def test_a_refusal_takes_back_only_what_still_is_ours(rig: Rig, during: str) -> None:
    user = (
        await rig.make(displayName="Old", title="Countess") if during == "the write" else await half_done(rig)
    )

    async def refuses(request: httpx.Request, _send: Send) -> httpx.Response:
        stored = await rig.at_platform(user["id"])
        assert stored is not None
        custom = {**stored["custom_attributes"], "badge": 7}
        await rig.change_at_platform(user["id"], display_name="Theirs", custom_attributes=custom)
        return await answers(422)(request, _send)

    rig.wire.always("PUT status", refuses)
    if during == "the write":
        assert (await rig.patch(user["id"], BOTH)).status_code == 400
    else:
        await recover(rig)
    rig.wire.reset()
    stored = await rig.at_platform(user["id"])
    assert stored is not None
    assert (stored["display_name"], stored["status"]) == ("Theirs", "ACTIVE")
    assert (stored["custom_attributes"]["title"], stored["custom_attributes"]["badge"]) == ("Countess", 7)
    assert await entries(rig) == []


async def test_an_undoing_that_fails_is_made_up_for(rig: Rig) -> None:
    user = await rig.make(displayName="Old")
    tried: list[str] = []

    def fault(_number: int, name: str) -> Any:
        tried.append(name)
        if name == "PUT status":
            return answers(403)
        return answers(500) if name == "PATCH user" and "PUT status" in tried else None

    rig.wire.fault = fault
    assert (await rig.patch(user["id"], BOTH)).status_code == 403
    rig.wire.reset()
    assert [e.state for e in await entries(rig)] == ["undo"]
    await recover(rig)
    stored = await rig.at_platform(user["id"])
    assert stored is not None
    assert (stored["display_name"], stored["status"]) == ("Old", "ACTIVE")
    assert await entries(rig) == []


async def test_a_user_deleted_elsewhere_ends_it(rig: Rig) -> None:
    user = await half_done(rig)
    gone = f"/api/v1/tenants/{rig.tenant_id}/users/{user['id']}"
    answer = await rig.platform.delete(gone, params={"confirm_email": "ada@example.com"})
    assert answer.status_code == 204
    await recover(rig)
    assert await entries(rig) == []
    assert (await rig.scim("GET", "/Users")).json()["totalResults"] == 0


# --- creations ----------------------------------------------------------------------------------------------


def unheard(rig: Rig) -> None:
    """The answer to the next POST is lost, and no look comes through."""
    posted = False

    def fault(_number: int, name: str) -> Any:
        nonlocal posted
        if name == "POST users":
            posted = True
            return loses_reply(httpx.ReadTimeout)
        return answers(500) if posted else None

    rig.wire.fault = fault


async def test_a_repeated_post_is_the_first_one_completed(rig: Rig) -> None:
    unheard(rig)
    assert (await rig.scim("POST", "/Users", person(title="A", active=False))).status_code == 503
    rig.wire.reset()
    await recover(rig)
    assert [e.state for e in await entries(rig)] == ["done-unacknowledged"]
    assert [u["status"] for u in await rig.all_at_platform()] == ["DISABLED"]
    again = await rig.scim("POST", "/Users", person(title="B", externalId="e", active=True))
    assert again.status_code == 201
    assert again.headers["location"].endswith(again.json()["id"])
    assert (again.json()["title"], again.json()["externalId"], again.json()["active"]) == ("B", "e", True)
    assert await entries(rig) == []
    (stored,) = await rig.all_at_platform()
    assert stored["status"] == "ACTIVE"
    assert (await rig.scim("POST", "/Users", person())).status_code == 409


async def test_a_repeated_post_need_not_wait_for_the_worker(rig: Rig) -> None:
    unheard(rig)
    assert (await rig.scim("POST", "/Users", person(active=False))).status_code == 503
    rig.wire.reset()
    again = await rig.scim("POST", "/Users", person(active=False))
    assert (again.status_code, again.json()["active"]) == (201, False)
    assert len(await rig.all_at_platform()) == 1
    assert await entries(rig) == []


async def test_a_post_that_never_arrived_is_simply_made(rig: Rig) -> None:
    rig.wire.always("POST users", raises(httpx.ReadTimeout))
    assert (await rig.scim("POST", "/Users", person())).status_code == 503
    rig.wire.reset()
    assert (await rig.scim("POST", "/Users", person())).status_code == 201
    assert len(await rig.all_at_platform()) == 1


async def test_a_user_that_somebody_else_has_made_is_not_taken_for_it(rig: Rig) -> None:
    rig.wire.always("POST users", raises(httpx.ReadTimeout))
    assert (await rig.scim("POST", "/Users", person())).status_code == 503
    rig.wire.reset()
    theirs = await rig.create_at_platform("ada@example.com", username="ada@example.com", first_name="Theirs")
    await recover(rig)
    assert await entries(rig) == []
    assert (await rig.scim("POST", "/Users", person())).status_code == 409
    assert await rig.at_platform(theirs["id"]) == theirs


async def test_it_is_no_client_of_another_domain_that_is_answered_201(rig: Rig) -> None:
    other = await rig.connection(f"other-{rig.tenant_id}", domain="entra")
    unheard(rig)
    assert (await rig.scim("POST", "/Users", person())).status_code == 503
    rig.wire.reset()
    assert (await rig.scim("POST", "/Users", person(), token=other)).status_code == 409
    assert (await rig.scim("POST", "/Users", person())).status_code == 201


@pytest.mark.parametrize("then", ["patched", "renamed", "deleted"])
async def test_who_has_found_the_user_needs_no_201(rig: Rig, then: str) -> None:
    unheard(rig)
    assert (await rig.scim("POST", "/Users", person())).status_code == 503
    rig.wire.reset()
    await recover(rig)
    (stored,) = await rig.all_at_platform()
    if then == "deleted":
        assert (await rig.scim("DELETE", f"/Users/{stored['id']}")).status_code == 204
    elif then == "renamed":
        await rig.change_at_platform(stored["id"], username="other", email="other@example.com")
    else:
        assert (await rig.patch(stored["id"], TITLE)).status_code == 200
    again = await rig.scim("POST", "/Users", person())
    assert again.status_code == (409 if then == "patched" else 201)
    if then == "renamed":
        assert again.json()["id"] != stored["id"]
    assert await entries(rig) == []


async def test_what_recovery_does_is_in_the_audit_trail(rig: Rig) -> None:
    user = await half_done(rig)
    await recover(rig)
    assert await entries(rig) == []
    found = []
    async with asyncio.timeout(60):
        while len(found) < 3:
            found = list((await rig.store.audit.history(user["id"])).records)
            await asyncio.sleep(0.01)
    recovered, failed, _created = found
    assert (failed.actor, failed.status, failed.cause) == ("client", 503, "platform-unavailable")
    assert (recovered.actor, recovered.method, recovered.status) == ("recovery", "PATCH", 200)
    assert recovered.connection_id == failed.connection_id
    assert [c.method for c in recovered.calls if c.method != "GET"] == ["PUT"]


# --- given up -----------------------------------------------------------------------------------------------


async def test_what_is_refused_again_and_again_is_given_up_and_shown(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, journal_attempts=3) as rig:
        recovery, health = rig.app.state.services.recovery, rig.app.state.services.health
        assert await recovery.reason() is None
        user = await rig.make(displayName="Old")
        refusing = {"PUT status": 0, "PATCH user": 1}

        def fault(_number: int, name: str) -> Any:
            if name not in refusing:
                return None
            refusing[name] -= 1
            return answers(403) if refusing[name] < 0 else None

        rig.wire.fault = fault
        assert (await rig.patch(user["id"], BOTH)).status_code == 403
        (entry,) = await entries(rig)
        for _ in range(3):
            # Their time has come, without their tries being forgotten.
            with closing(sqlite3.connect(tmp_path / "bridge.db")) as db:
                db.execute("UPDATE journal SET due_at = '2000-01-01 00:00:00.000000'")
                db.commit()
            assert not await recovery.run(entry.id)
        (entry,) = await entries(rig)
        assert (entry.state, entry.attempts) == ("stuck", 3)
        assert "403" in str(entry.error) or "Denied" in str(entry.error)
        assert "1 stuck" in str(await recovery.reason())
        assert (await health.readiness()).status == "degraded"
        rig.wire.reset()
        # It is nobody's way any more.
        assert (await rig.patch(user["id"], TITLE)).json()["title"] == "Dame"
        await recover(rig)
        assert await entries(rig) == []
        stored = await rig.at_platform(user["id"])
        assert stored is not None
        assert (stored["display_name"], stored["custom_attributes"]["title"]) == ("Old", "Dame")


async def test_an_outage_is_no_reason_to_give_up(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, journal_attempts=2, platform_breaker_failures=10_000) as rig:
        user = await half_done(rig)
        rig.wire.fault = lambda _n, _name: raises(httpx.ConnectError)
        for _ in range(4):
            (entry,) = await entries(rig)
            await rig.store.journal.retry(entry.id)
            assert not await rig.app.state.services.recovery.run(entry.id)
        (entry,) = await entries(rig)
        assert (entry.state, entry.attempts) == ("open", 0)
        assert "Unavailable" in str(entry.error)
        rig.wire.reset()
        await recover(rig)
        assert (await rig.scim("GET", f"/Users/{user['id']}")).json()["active"] is False


async def test_the_connection_that_wrote_it_may_be_gone(rig: Rig) -> None:
    gone = await rig.connection(f"gone-{rig.tenant_id}")
    user = await rig.make()
    rig.wire.always("PUT status", answers(500))
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [BOTH]}
    assert (await rig.scim("PATCH", f"/Users/{user['id']}", body, token=gone)).status_code == 503
    rig.wire.reset()
    connection = await rig.store.connections.by_name(f"gone-{rig.tenant_id}")
    assert connection is not None
    await rig.store.connections.remove(connection.id)
    await recover(rig)
    assert (await rig.scim("GET", f"/Users/{user['id']}")).json()["active"] is False


# --- by itself ----------------------------------------------------------------------------------------------


async def test_a_running_bridge_finishes_what_is_due(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, journal_tick_s=0.05) as rig:
        user = await half_done(rig)
        await finished(rig)
        assert (await rig.scim("GET", f"/Users/{user['id']}")).json()[PLATFORM]["status"] == "DISABLED"


async def test_a_bridge_that_starts_finishes_what_the_last_one_left(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path) as rig:
        user = await half_done(rig)
    async with open_rig(made_once, tmp_path, journal_tick_s=0.05) as rig:
        await finished(rig)
        stored = await rig.at_platform(user["id"])
        assert stored is not None
        assert (stored["display_name"], stored["status"]) == ("New", "DISABLED")
