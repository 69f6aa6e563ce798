"""OAuth clients in the console: made and shown once, given other secrets, removed; each change is noted."""

from __future__ import annotations

import re

import pytest
from console_rig import ConsoleRig, hidden_in
from test_console_changes import noted, own_connection

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = re.compile(r'id="secret"[^>]* value="([^"]+)"')
CLIENT = re.compile(r'id="client-id"[^>]* value="([^"]+)"')
HOSTILE = "<script>alert(1)</script>\"'>"


async def gets_a_token(either: ConsoleRig, client_id: str, secret: str) -> bool:
    return await either.store.clients.authenticate(client_id, secret) is not None


async def test_a_client_is_made_given_another_secret_and_removed(either: ConsoleRig) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    path = f"/console/connections/{connection_id}"
    made = await browser.send_form(f"{path}/clients", label=f"Entra {HOSTILE}", expires="2999-01-01")
    assert made.status_code == 200
    assert made.headers["cache-control"] == "no-store"
    client_id, first = CLIENT.search(made.text)[1], SECRET.search(made.text)[1]  # type: ignore[index]
    assert await gets_a_token(either, client_id, first)

    other = await browser.send_form(f"{path}/clients/{client_id}/secrets", label="next year")
    second = SECRET.search(other.text)[1]  # type: ignore[index]
    assert CLIENT.search(other.text)[1] == client_id  # type: ignore[index]
    assert await gets_a_token(either, client_id, first)
    assert await gets_a_token(either, client_id, second)
    # Two may live side by side, and a third one is refused.
    third = await browser.send_form(f"{path}/clients/{client_id}/secrets")
    assert third.status_code == 422
    page = await browser.get(path)
    assert "New secret for" not in page.text
    for shown in (page, await browser.get("/console/changes")):
        assert first not in shown.text
        assert second not in shown.text
        assert "<script>alert" not in shown.text

    old, new = [s for s in await either.store.clients.secrets() if s.client_id == client_id]
    revoke = f"{path}/clients/{client_id}/secrets/{old.id}/revoke"
    asked = await browser.get(revoke)
    assert "other secret goes on working" in asked.text
    assert (await browser.post(revoke, data=hidden_in(asked.text))).status_code == 303
    assert not await gets_a_token(either, client_id, first)
    assert await gets_a_token(either, client_id, second)
    assert (await browser.get(revoke)).status_code == 404
    last = await browser.get(f"{path}/clients/{client_id}/secrets/{new.id}/revoke")
    assert "only valid secret" in last.text

    asked = await browser.get(f"{path}/clients/{client_id}/remove")
    assert "and its 1 valid secret are refused" in asked.text
    answer = await browser.post(f"{path}/clients/{client_id}/remove", data=hidden_in(asked.text))
    assert (answer.status_code, answer.headers["location"]) == (303, path)
    assert not await gets_a_token(either, client_id, second)
    assert await either.store.clients.list(connection_id) == []
    assert (await browser.get(f"{path}/clients/{client_id}/remove")).status_code == 404

    name = (await either.store.connections.get(connection_id)).name  # type: ignore[union-attr]
    assert await noted(either, client_id) == [
        ("a admin", "client.remove", {"connection": (None, name)}),
        (
            "a admin",
            "client.create",
            {
                "connection": (None, name),
                "secret": (None, old.id),
                "expires": (None, "2999-01-01T00:00:00+00:00"),
            },
        ),
    ]
    assert [what for _, what, _ in await noted(either, old.id)] == ["client.secret.revoke"]
    assert [what for _, what, _ in await noted(either, new.id)] == ["client.secret.create"]


@pytest.mark.parametrize(
    "fields", [{"expires": "2001-01-01"}, {"expires": "soon"}, {"label": "x" * 300}, {"label": "a\tb"}]
)
async def test_a_client_that_cannot_be_is_not_made(either: ConsoleRig, fields: dict[str, str]) -> None:
    connection_id = await own_connection(either)
    browser = await either.signed_in("admin")
    answer = await browser.send_form(f"/console/connections/{connection_id}/clients", **fields)
    assert answer.status_code == 422
    assert await either.store.clients.list(connection_id) == []


async def test_a_client_belongs_to_its_connection(either: ConsoleRig) -> None:
    mine, other = await own_connection(either), await own_connection(either)
    client = await either.store.clients.add(other, "x")
    secret, _ = await either.store.clients.add_secret(client.id)
    browser = await either.signed_in("admin")
    for step in ("remove", "secrets", f"secrets/{secret.id}/revoke"):
        answer = await browser.send_form(f"/console/connections/{mine}/clients/{client.id}/{step}")
        assert answer.status_code == 404, step
    assert [c.id for c in await either.store.clients.list(other)] == [client.id]
    kept = [s for s in await either.store.clients.secrets() if s.client_id == client.id]
    assert [s.revoked_at for s in kept] == [None]
