"""Every form of the console needs the token of its session, and the role for what it does."""

from __future__ import annotations

import pytest
from console_rig import Browser, ConsoleRig, csrf_in
from litestar import Litestar

pytestmark = pytest.mark.asyncio(loop_scope="module")

READERS_FORMS = (
    "/console/dry-run",
    "/console/explain/patch",
    "/console/explain/search",
    "/console/mapping/x/try",
    "/console/sign-out",
)


def forms(app: Litestar) -> list[str]:
    """The paths that take a form of somebody who is signed in."""
    found = [
        route.path_format
        for route in app.routes
        for handler in getattr(route, "route_handlers", ())
        if "POST" in handler.http_methods and not handler.opt.get("public")
    ]
    return sorted(path.replace("{", "").replace("}", "").replace("connection_id", "x") for path in found)


async def refused(browser: Browser, path: str, part: str, **fields: str) -> None:
    answer = await browser.post(path, data=fields or {"other": "1"})
    assert answer.status_code == 403, path
    assert part in answer.text


async def test_a_form_without_the_token_of_its_session_is_refused(console: ConsoleRig) -> None:
    browser, other = await console.signed_in("admin"), await console.signed_in("admin")
    foreign = csrf_in((await other.get("/console")).text)
    mine = csrf_in((await browser.get("/console")).text)
    assert mine != foreign
    paths = forms(console.app)
    assert set(READERS_FORMS) < set(paths)
    assert len(paths) >= 11
    for path in paths:
        await refused(browser, path, "out of date")
        await refused(browser, path, "out of date", csrf="")
        await refused(browser, path, "out of date", csrf=foreign)
        await refused(browser, path, "out of date", csrf="ä")
    assert (await browser.get("/console")).status_code == 200


async def test_the_token_goes_with_the_session(console: ConsoleRig) -> None:
    _, secret = await console.token("admin")
    browser = console.browser()
    await browser.post("/console/sign-in", data={"token": secret})
    former = csrf_in((await browser.get("/console")).text)
    await browser.post("/console/sign-in", data={"token": secret})
    await refused(browser, "/console/sign-out", "out of date", csrf=former)


async def test_who_only_reads_changes_nothing(console: ConsoleRig) -> None:
    browser = await console.signed_in("viewer")
    csrf = csrf_in((await browser.get("/console")).text)
    for path in sorted(set(forms(console.app)) - set(READERS_FORMS)):
        await refused(browser, path, "only reads", csrf=csrf)
    connection = await console.connection()
    page = (await browser.get(f"/console/connections/{connection.id}")).text
    for word in ("Make token", "Revoke", "Rotate", "Edit policies"):
        assert word not in page


async def test_only_forms_are_taken(console: ConsoleRig) -> None:
    browser = await console.signed_in("admin")
    csrf = csrf_in((await browser.get("/console")).text)
    for options in (
        {"json": {"csrf": csrf}},
        {"files": {"csrf": (None, csrf)}},
        {"content": f"csrf={csrf}".encode()},
        {"content": b"\xff\xfe", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"content": b"csrf=%ff", "headers": {"content-type": "application/x-www-form-urlencoded"}},
        {"data": {f"f{n}": "1" for n in range(500)}},
    ):
        answer = await browser.post("/console/sign-out", **options)
        assert answer.status_code == 422, options
    assert (await browser.get("/console")).status_code == 200


async def test_a_form_that_is_too_large_is_refused(console: ConsoleRig) -> None:
    browser = await console.signed_in("viewer")
    answer = await browser.send_form(
        "/console/explain/search", filter="x" * (console.services.settings.max_body_bytes + 1)
    )
    assert answer.status_code == 413
