"""A connection's page: the guard that has stopped it, and its OAuth clients."""

from __future__ import annotations

import html

import httpx
import pytest
from bridge_rig import Rig
from console_rig import ConsoleRig, hidden_in

from app.store.connections import Connection, Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

OFF = {"op": "replace", "path": "active", "value": False}
HOSTILE = "<script>alert(1)</script>\"'>"


def shown(answer: httpx.Response) -> str:
    """What a person reads."""
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


async def connection_of(rig: Rig) -> Connection:
    found = await rig.store.tokens.authenticate(rig.token)
    assert found is not None
    return found.connection


async def test_a_stopped_connection_is_released_by_an_administrator(either: ConsoleRig) -> None:
    rig = await either.rig.alone(policies=Policies(guard_limit=1, guard_share=0.0))
    connection = await connection_of(rig)
    first, second = [await rig.make(userName=f"u{n}@example.com", emails=None) for n in range(2)]
    assert (await rig.patch(first["id"], OFF)).status_code == 200
    path = f"/console/connections/{connection.id}"
    browser, viewer = await either.signed_in("admin"), await either.signed_in("viewer")
    assert "Stopped by its guard" not in shown(await browser.get(path))
    assert (await browser.get(f"{path}/release")).status_code == 409
    assert (await browser.send_form(f"{path}/release")).status_code == 409
    assert (await rig.patch(second["id"], OFF)).status_code == 429
    assert "Stopped by its guard" in shown(await viewer.get(path))
    assert "stopped by its guard" in shown(await viewer.get("/console/connections"))
    assert f"{path}/release" not in shown(await viewer.get(path))
    assert (await viewer.get(f"{path}/release")).status_code == 403
    assert (await viewer.send_form(f"{path}/release")).status_code == 403
    assert (await rig.patch(second["id"], OFF)).status_code == 429
    asking = await browser.get(f"{path}/release")
    assert "after 1 users" in shown(asking)
    assert (await browser.post(f"{path}/release", data=hidden_in(asking.text))).status_code == 303
    assert (await rig.patch(second["id"], OFF)).status_code == 200
    (change,) = await either.store.admin_changes.list(limit=10, subject_id=connection.id)
    assert (change.action, change.admin_label) == ("connection.release", "a admin")
    assert (change.values[0].before, change.values[0].after) == (1, 0)


async def test_oauth_clients_are_shown_without_their_secrets(console: ConsoleRig) -> None:
    rig = await console.rig.alone()
    connection = await connection_of(rig)
    client = await rig.store.clients.add(connection.id, HOSTILE)
    made, secret = await rig.store.clients.add_secret(client.id, HOSTILE)
    trust = await rig.store.federations.add(
        connection.id, issuer="https://issuer.example.com", subject=HOSTILE, audience="api://scim"
    )
    browser = await console.signed_in()
    answer = await browser.get(f"/console/connections/{connection.id}")
    page = shown(answer)
    for part in (client.id, made.id, trust.id, "https://issuer.example.com", "api://scim"):
        assert part in page
    assert secret not in page
    assert "<script>alert" not in answer.text
    await rig.store.clients.revoke_secret(made.id)
    assert "none: it gets no token" in shown(await browser.get(f"/console/connections/{connection.id}"))
