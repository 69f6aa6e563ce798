"""The guard against mass deprovisioning: how many go, what counts, and what goes on when it has stopped."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
import structlog
from bridge_rig import PLATFORM, Rig, answers, person

from app.store.connections import Policies
from app.store.deprovisionings import GuardLimits
from app.web.contexts import resolve

pytestmark = pytest.mark.asyncio(loop_scope="module")

OFF = {"op": "replace", "path": "active", "value": False}
ON = {"op": "replace", "path": "active", "value": True}
THREE = Policies(guard_limit=3, guard_share=0.0)


async def people(rig: Rig, number: int) -> list[str]:
    made = [await rig.make(userName=f"u{n}@example.com", emails=None) for n in range(number)]
    return [user["id"] for user in made]


async def disabled(rig: Rig) -> int:
    return sum(user["status"] == "DISABLED" for user in await rig.all_at_platform())


async def test_parallel_deactivations_stop_exactly_at_the_limit(shared: Rig) -> None:
    rig = await shared.alone(policies=Policies(guard_limit=7, guard_share=0.0))
    ids = await people(rig, 20)
    found = await asyncio.gather(*(rig.patch(i, OFF) for i in ids))
    assert sorted(a.status_code for a in found) == [200] * 7 + [429] * 13
    assert await disabled(rig) == 7
    assert rig.wire.calls.count("PUT status") == 7
    refused = next(a for a in found if a.status_code == 429)
    assert int(refused.headers["retry-after"]) > 0
    assert "scim-bridge connection release" in refused.json()["detail"]


async def test_what_deprovisions_counts_and_nothing_else(shared: Rig) -> None:
    rig = await shared.alone(policies=THREE)
    a, b, c, d = await people(rig, 4)
    inactive = await rig.make(userName="born-inactive", active=False)
    assert (await rig.patch(inactive["id"], OFF)).status_code == 200
    assert (await rig.patch(a, OFF)).status_code == 200
    assert (await rig.patch(a, ON)).status_code == 200
    assert (await rig.patch(a, OFF)).status_code == 200
    body = person(userName="u1@example.com", emails=None, active=False)
    assert (await rig.scim("PUT", f"/Users/{b}", body)).status_code == 200
    status = {"op": "replace", "path": f"{PLATFORM}:status", "value": "DISABLED"}
    assert (await rig.patch(c, status)).status_code == 200
    rig.wire.reset()
    assert (await rig.scim("DELETE", f"/Users/{d}")).status_code == 429
    assert rig.wire.seen() == ["GET user"]
    # Not in the way of those who were counted before, of reactivation, or of anything else.
    assert (await rig.scim("DELETE", f"/Users/{a}")).status_code == 204
    assert (await rig.patch(c, ON)).status_code == 200
    assert (await rig.patch(d, {"op": "replace", "path": "title", "value": "x"})).status_code == 200


async def test_a_release_is_seen_at_once_and_starts_anew(shared: Rig) -> None:
    rig = await shared.alone(policies=THREE)
    ids = await people(rig, 7)
    with structlog.testing.capture_logs() as said:
        found = [(await rig.scim("DELETE", f"/Users/{i}")).status_code for i in ids[:4]]
        assert (await rig.scim("DELETE", f"/Users/{ids[3]}")).status_code == 429
    assert found == [204, 204, 204, 429]
    # Once, and not with every refusal.
    assert [line["counted"] for line in said if line["event"] == "connection stopped by its guard"] == [3]
    (connection,) = [c for c in await rig.store.connections.list() if c.tenant_id == rig.tenant_id]
    await rig.store.deprovisionings.release(connection.name)
    found = [(await rig.scim("DELETE", f"/Users/{i}")).status_code for i in ids[3:]]
    assert found == [204, 204, 204, 429]


async def test_what_the_platform_refuses_does_not_count(shared: Rig) -> None:
    rig = await shared.alone(policies=THREE)
    ids = await people(rig, 5)
    rig.wire.always("PUT status", answers(403))
    for user_id in ids:
        assert (await rig.patch(user_id, OFF)).status_code == 403
    rig.wire.reset()
    assert [(await rig.patch(i, OFF)).status_code for i in ids] == [200, 200, 200, 429, 429]


async def test_an_unknown_outcome_counts_once(shared: Rig) -> None:
    rig = await shared.alone(policies=THREE)
    ids = await people(rig, 4)
    rig.wire.always("DELETE user", answers(503))
    assert (await rig.scim("DELETE", f"/Users/{ids[0]}")).status_code == 503
    rig.wire.reset()
    found = [(await rig.scim("DELETE", f"/Users/{i}")).status_code for i in ids]
    assert found == [204, 204, 204, 429]


async def test_a_lock_is_as_good_as_a_deactivation(shared: Rig) -> None:
    rig = await shared.alone(policies=THREE)
    ids = await people(rig, 5)
    status = {"op": "replace", "path": f"{PLATFORM}:status", "value": "LOCKED"}
    assert [(await rig.patch(i, status)).status_code for i in ids] == [200, 200, 200, 429, 429]
    # Of one who is locked already, nothing is taken.
    await rig.set_status(ids[3], "LOCKED")
    status = {"op": "replace", "path": f"{PLATFORM}:status", "value": "PENDING_APPROVAL"}
    assert (await rig.patch(ids[3], status)).status_code == 200
    assert (await rig.patch(ids[3], OFF)).status_code == 429


@pytest.mark.parametrize("index", [True, False], ids=["by the index", "by the platform's list"])
async def test_a_share_of_the_tenant_may_go(shared: Rig, index: bool) -> None:
    rig = await shared.alone(policies=Policies(guard_limit=2, guard_share=0.5))
    ids = await people(rig, 10)
    if index:
        await rig.scim("GET", '/Users?filter=externalId eq "nobody"')
    rig.wire.reset()
    found = [(await rig.scim("DELETE", f"/Users/{i}")).status_code for i in ids[:7]]
    assert found == [204] * 5 + [429] * 2
    # The size is asked for once, and the users deleted by then belong to it.
    assert rig.wire.calls.count("GET users") == (0 if index else 1)


async def test_small_tenants_and_no_guard_stop_nobody(shared: Rig) -> None:
    for policies in (Policies(guard_share=0.0), Policies(guard_limit=0)):
        rig = await shared.alone(policies=policies)
        ids = await people(rig, 12)
        assert {(await rig.scim("DELETE", f"/Users/{i}")).status_code for i in ids} == {204}


@pytest.mark.parametrize(
    ("limit", "wanted"),
    [
        (None, GuardLimits(number=100, share=0.2, window_s=86_400, least_size=500)),
        (7, GuardLimits(number=7, share=0.2, window_s=86_400)),
        (0, None),
    ],
)
async def test_what_a_policy_comes_to(rig: Rig, limit: int | None, wanted: GuardLimits | None) -> None:
    (connection, *_) = await rig.store.connections.list()
    guarded = msgspec.structs.replace(connection, policies=Policies(guard_limit=limit))
    assert resolve(guarded, "", None).guard == wanted
