"""Every page, for those who only read: it is there, it tells no secret, and what it shows is text."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from bridge_rig import Rig
from console_rig import ConsoleRig, csrf_in
from litestar import Litestar
from sqlalchemy import text

import app.console
from app.observing.endpoint import PATH
from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

HOSTILE = "<script>alert('x')</script>\"'><img src=x onerror=alert(1)>{{7*7}}"
ESCAPED = "&lt;script&gt;alert"


async def stuck_entry(rig: Rig, *, kind: str = "user-update", error: str = "Denied: no") -> str:
    """An entry of the journal that waits for an operator."""
    journal = rig.store.journal
    entry_id = journal.new_id()
    found = await rig.store.tokens.authenticate(rig.token)
    assert found is not None
    plan = '{"steps":[{"type":"set-status","to":"DISABLED","was":"ACTIVE"}]}'
    await journal.begin(
        entry_id,
        tenant_id=rig.tenant_id,
        connection_id=found.connection.id,
        domain="default",
        kind=kind,
        keys=[f"{rig.tenant_id} user {entry_id}"],
        plan=plan,
        resource_id="usr_1",
        owner="own_1",
        lease_s=600,
    )
    await journal.leave(entry_id, "own_1", due_in_s=600, state="stuck", error=error, refused=True)
    return entry_id


FOR_ADMINS = (
    "/console/connections/{connection_id}/policies",
    "/console/connections/{connection_id}/release",
    "/console/connections/{connection_id}/tokens/{token_id}/revoke",
    "/console/connections/{connection_id}/tokens/{token_id}/rotate",
    "/console/connections/{connection_id}/clients/{client_id}/remove",
    "/console/connections/{connection_id}/clients/{client_id}/secrets/{secret_id}/revoke",
    "/console/journal/{entry_id}/abandon",
)


def pages(app: Litestar) -> list[str]:
    """The paths of all pages that somebody who reads can open."""
    found = []
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if "GET" in handler.http_methods and "static" not in route.path and route.path != PATH:
                found.append(route.path_format)
    assert set(FOR_ADMINS) <= set(found)
    return sorted(set(found) - set(FOR_ADMINS))


async def test_every_page_is_there_for_a_viewer_and_tells_no_secret(console: ConsoleRig) -> None:
    await console.rig.make()
    connection = await console.connection()
    entry = await stuck_entry(console.rig)
    user = await console.rig.make(userName="grace@example.com", emails=None)
    record = (await console.store.audit.history(user["id"])).records[0]
    browser = await console.signed_in("viewer")
    session = browser.cookies["scim_bridge_console"]
    _, other = await console.token("admin")
    opened = pages(console.app)
    assert "/console/mapping/{connection_id}" in opened
    for path in opened:
        path = path.replace("{connection_id}", connection.id).replace("{entry_id}", entry)
        path = path.replace("{record_id}", record.id)
        answer = await browser.get(path, follow_redirects=True)
        assert answer.status_code == 200, (path, answer.text)
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        for secret in (console.rig.token, session, other, console.rig.settings.platform_client_secret):
            assert secret not in answer.text
        assert 'style="' not in answer.text
        assert "onclick" not in answer.text
        assert "http://" not in answer.text
    await console.rig.store.journal.end([entry])


async def test_everything_but_signing_in_and_assets_is_for_those_who_are_signed_in(
    console: ConsoleRig,
) -> None:
    browser = console.browser()
    public = 0
    for route in console.app.routes:
        for handler in getattr(route, "route_handlers", ()):
            path = route.path_format.replace("{name}", "console.css")
            for method in sorted(handler.http_methods - {"OPTIONS"}):
                if not path.startswith("/console"):
                    continue
                data = {"token": "x"} if method == "POST" else None
                answer = await browser.request(method, path, data=data)
                if handler.opt.get("public"):
                    public += 1
                    assert answer.status_code in (200, 401), path
                else:
                    assert answer.status_code == 303, (method, path)
                    assert answer.headers["location"].startswith("/console/sign-in"), (method, path)
    assert public == 3


def forms(app: Litestar) -> list[str]:
    """The paths that take a form of those who are signed in."""
    found = []
    for route in app.routes:
        for handler in getattr(route, "route_handlers", ()):
            if "POST" in handler.http_methods and not handler.opt.get("public"):
                found.append(route.path_format)
    return sorted(found)


READING = {
    "/console/dry-run",
    "/console/explain/patch",
    "/console/explain/search",
    "/console/mapping/{connection_id}/try",
    "/console/sign-out",
}
"""Forms that change nothing."""


async def test_no_form_is_taken_without_its_token_nor_from_a_viewer(console: ConsoleRig) -> None:
    connection = await console.connection()
    entry = await stuck_entry(console.rig)
    token, _ = await console.rig.store.tokens.create(connection.id, "theirs", None)
    client = await console.rig.store.clients.add(connection.id, "theirs")
    secret, _ = await console.rig.store.clients.add_secret(client.id)
    known = {
        "connection_id": connection.id,
        "token_id": token.id,
        "client_id": client.id,
        "secret_id": secret.id,
        "entry_id": entry,
    }
    admin, viewer = await console.signed_in("admin"), await console.signed_in("viewer")
    stolen = csrf_in((await viewer.get("/console")).text)
    before = await console.store.admin_changes.list(limit=200)
    found = forms(console.app)
    assert set(found) > READING
    for form in found:
        path = form.format_map(known)
        for data in ({"label": "x"}, {"csrf": ""}, {"csrf": "x" * 43}, {"csrf": stolen}):
            answer = await admin.post(path, data=data)
            assert answer.status_code == 403, (path, data)
            assert "out of date" in answer.text
        if form not in READING:
            answer = await viewer.post(path, data={"csrf": stolen})
            assert answer.status_code == 403, path
            assert "only reads" in answer.text
    assert await console.store.admin_changes.list(limit=200) == before
    assert await console.store.journal.get(entry) is not None
    await console.rig.store.journal.end([entry])
    await console.rig.store.clients.remove(client.id)


async def test_what_others_named_is_shown_as_text(console: ConsoleRig) -> None:
    rig = await console.rig.alone()
    named = await rig.store.connections.add(name=HOSTILE[:100], tenant_id=rig.tenant_id, mapping="<b>no</b>")
    await rig.store.tokens.create(named.id, HOSTILE, None)
    entry = await stuck_entry(rig, kind="<i>kind</i>", error=HOSTILE)
    browser = await console.signed_in("admin")
    try:
        for path in (
            "/console",
            "/console/connections",
            f"/console/connections/{named.id}",
            "/console/mapping",
            "/console/explain",
            "/console/dry-run",
            "/console/requests",
            "/console/journal",
            f"/console/journal/{entry}",
        ):
            answer = await browser.get(path)
            assert answer.status_code == 200, (path, answer.text)
            assert ESCAPED in answer.text, path
            for bad in ("<script>alert", "<img", "<b>no", "<i>kind", "{{7*7}}49"):
                assert bad not in answer.text, (path, bad)
        broken = await browser.get(f"/console/mapping/{named.id}")
        assert broken.status_code == 422
        assert "&lt;b&gt;no" in broken.text
    finally:
        await rig.store.connections.remove(named.id)
        await rig.store.journal.end([entry])


async def test_health_journal_and_index_are_on_the_first_page(console: ConsoleRig) -> None:
    await console.rig.make()
    connection = await console.connection()
    browser = await console.signed_in()
    before = (await browser.get("/console")).text
    assert connection.name in before
    assert "None waits" in before
    entry = await stuck_entry(console.rig)
    try:
        after = (await browser.get("/console/status", headers={"hx-request": "true"})).text
        assert "<strong>1</strong> are stuck" in after
        assert "<html" not in after
        assert "Health is now" not in after
        turned = await browser.get("/console/status?was=excellent", headers={"hx-request": "true"})
        assert "Health is now" in turned.text
        again = re.search(r'hx-get="([^"]+)"', turned.text)
        assert again is not None
        assert "Health is now" not in (await browser.get(again[1])).text
    finally:
        await console.rig.store.journal.end([entry])


async def test_headers_forbid_what_the_console_does_not_need(console: ConsoleRig) -> None:
    browser = await console.signed_in()
    for path, kept in (
        ("/console", "no-store"),
        ("/console/nobody", "no-store"),
        ("/nothing", "no-store"),
        ("/console/static/console.css", "public, max-age=31536000, immutable"),
    ):
        answer = await browser.get(path)
        policy = dict(p.partition(" ")[::2] for p in answer.headers["content-security-policy"].split("; "))
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["form-action"] == "'self'"
        assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
        assert "unsafe" not in answer.headers["content-security-policy"]
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == kept


@pytest.mark.parametrize(
    "path",
    [
        "/console/nobody",
        "/console/connections/con_nobody",
        "/console/connections/..%2f..%2fadmin",
        "/console/mapping/con_nobody",
        "/console/journal/jrn_nobody",
        "/console/requests/0000000000000000",
        "/console/requests/nobody",
        "/console/static/../app.py",
        "/console/static/nobody.css",
    ],
)
async def test_what_is_not_there_is_a_page_that_says_so(console: ConsoleRig, path: str) -> None:
    browser = await console.signed_in()
    answer = await browser.get(path)
    assert answer.status_code == 404
    assert "Traceback" not in answer.text
    assert "<h1>" in answer.text


async def test_nothing_of_the_console_is_at_the_scim_port(console: ConsoleRig) -> None:
    async with console.rig.client() as client:
        for path in ("http://bridge.test/console", "http://bridge.test/console/sign-in"):
            assert (await client.get(path)).status_code == 404


async def test_the_licence_of_what_is_vendored_lies_beside_it() -> None:
    static = Path(app.console.__file__).parent / "static"
    for script in sorted(await asyncio.to_thread(lambda: list(static.glob("*.min.js")))):
        licence = script.with_name(script.name.replace(".min.js", ".LICENSE.txt"))
        assert "Permission to use" in licence.read_text()


async def test_an_error_gives_a_reference_and_no_more(console: ConsoleRig) -> None:
    browser = await console.signed_in()
    # A setting that no release has written.
    connection = await console.rig.store.connections.add(
        name="unreadable", tenant_id=console.rig.tenant_id, policies=Policies(explain=True)
    )
    async with console.store.db.write() as db:
        await db.execute(
            text("UPDATE connections SET policies = '{\"password\": 7}' WHERE id = :id"),
            {"id": connection.id},
        )
    try:
        answer = await browser.get(f"/console/connections/{connection.id}")
        assert answer.status_code == 503
        assert "reference" in answer.text
        assert "password" not in answer.text
    finally:
        async with console.store.db.write() as db:
            await db.execute(text("DELETE FROM connections WHERE id = :id"), {"id": connection.id})
