"""What operators come for, from the sign-in to what they read: one test for each errand."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest
from console_site import ConsoleSite
from playwright.async_api import Browser, Locator, Page, Request, expect

from app.store.connections import Policies
from app.store.deprovisionings import GuardLimits

pytestmark = pytest.mark.asyncio(loop_scope="session")

HOSTILE = "<img src=x onerror=window.broken=1>\"'><script>window.broken=1</script>"
HEBREW = "\u05e9\u05dc\u05d5\u05dd"
TURNED = f"\u202egnorw si siht {HEBREW} "
LONG = "x" * 2000


async def provision(site: ConsoleSite, *names: str) -> list[str]:
    """Create users as an identity provider does; their ids."""

    def run() -> list[str]:
        with site.served.scim() as client:
            made = [client.post("/Users", json={"userName": f"{name}@example.com"}) for name in names]
        assert [answer.status_code for answer in made] == [201] * len(names)
        return [answer.json()["id"] for answer in made]

    return await asyncio.to_thread(run)


def rows(page: Page) -> Locator:
    """The links of the requests in the table: method and route."""
    return page.locator("#result tbody th a")


async def test_signing_in_and_out(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await page.goto(f"{site.url}/requests")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()
        await page.get_by_label("Admin token").fill("sca_" + "A" * 43)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert").filter(has_text="not valid")).to_be_visible()
        await page.goto(f"{site.url}/requests")
        await page.get_by_label("Admin token").fill(site.viewer_token)
        await page.get_by_role("button", name="Sign in").click()
        # To where one wanted to go.
        await page.wait_for_url("**/console/requests")
        await expect(page.locator(".who")).to_contain_text("Ada viewer")
        (cookie,) = await page.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"], cookie["path"]) == (True, "Strict", "/console")
        assert await page.evaluate("document.cookie") == ""
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(f"{site.url}/requests")
        await expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


async def test_a_provisioning_run_arrives_without_moving_what_is_read(
    site: ConsoleSite, chromium: Browser
) -> None:
    async with site.opened(chromium) as page:
        await page.clock.install()
        await site.sign_in(page, site.viewer_token)
        await page.goto(f"{site.url}/requests?type=User&method=POST")
        top = rows(page).first
        was, place = await top.get_attribute("href"), await top.bounding_box()
        await provision(site, "run-1", "run-2", "run-3")
        await page.clock.fast_forward(11_000)
        show = page.get_by_role("link", name="3 new requests: show")
        await expect(show).to_be_visible()
        await expect(page.locator("#said")).to_have_text("3 new requests.")
        assert (await top.get_attribute("href"), await top.bounding_box()) == (was, place)
        await show.focus()
        await page.keyboard.press("Enter")
        await expect(show).to_have_count(0)
        await expect(rows(page).nth(3)).to_have_attribute("href", str(was))
        assert (await rows(page).all_text_contents())[:3] == ["POST /Users"] * 3
        # Who went there by keyboard goes on at the table.
        await expect(page.get_by_role("region", name="Table: requests")).to_be_focused()


async def test_updates_rest_while_they_are_paused_or_not_seen(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await page.clock.install()
        await site.sign_in(page, site.viewer_token)
        await page.goto(f"{site.url}/requests?type=User&method=POST")
        asked: list[str] = []

        def note(request: Request) -> None:
            if "/requests/news" in request.url:
                asked.append(request.url)

        page.on("request", note)
        pause = page.get_by_role("button", name="Pause updates")
        await pause.click()
        await expect(pause).to_have_attribute("aria-pressed", "true")
        await provision(site, "rest-1")
        await page.clock.fast_forward(60_000)
        assert asked == []
        # It lasts, also on the next page.
        await page.reload()
        await expect(pause).to_have_attribute("aria-pressed", "true")
        await expect(page.locator("#news")).to_be_empty()
        await provision(site, "rest-2")
        await pause.click()
        await expect(page.get_by_role("link", name="1 new request: show")).to_be_visible()
        seen = "value => { Object.defineProperty(document, 'hidden', { value, configurable: true });"
        turn = f"{seen} document.dispatchEvent(new Event('visibilitychange')) }}"
        await page.evaluate(turn, True)
        asked.clear()
        await provision(site, "rest-3")
        await page.clock.fast_forward(60_000)
        assert asked == []
        await page.evaluate(turn, False)
        await expect(page.get_by_role("link", name="2 new requests: show")).to_be_visible()


async def test_a_failed_request_is_opened_and_its_cause_read(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await site.sign_in(page, site.viewer_token)
        await page.get_by_role("link", name="conflict").click()
        await expect(page.get_by_label("Cause")).to_have_value("conflict")
        # A choice counts at once; nothing needs to be pressed.
        await page.get_by_label("Method").select_option("GET")
        await expect(page.get_by_text("Nothing in the trail is so.")).to_be_visible()
        await page.get_by_label("Method").select_option("POST")
        await page.get_by_role("link", name="POST /Users").first.click()
        why = page.locator(".notice", has=page.get_by_role("heading", name="Why: conflict"))
        await expect(why).to_contain_text("userName")
        await expect(why).to_contain_text("Rename one of them")
        steps = page.locator(".timeline > li > h2")
        assert (await steps.all_text_contents())[0] == "Request"
        assert (await steps.all_text_contents())[-1] == "Answer"
        await expect(page.locator(".timeline > li").last).to_contain_text("409")
        await expect(page.locator(".timeline > li").last).to_contain_text("uniqueness")


async def test_a_users_history_is_found_by_its_name(site: ConsoleSite, chromium: Browser) -> None:
    (user_id,) = await provision(site, "history")
    with site.served.scim() as client:
        step = {"op": "replace", "path": "displayName", "value": "Ada"}
        body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"], "Operations": [step]}
        assert (await asyncio.to_thread(client.patch, f"/Users/{user_id}", json=body)).is_success
    async with site.opened(chromium) as page:
        await site.sign_in(page, site.viewer_token)
        await page.get_by_role("link", name="Users", exact=True).click()
        await page.get_by_label("Id, userName or externalId").fill("HISTORY@example.com")
        await page.keyboard.press("Enter")
        await expect(page.locator("#result dl code")).to_have_text(user_id)
        assert await rows(page).all_text_contents() == ["PATCH /Users/{id}", "POST /Users"]
        await expect(page.locator("#result tbody tr").first).to_contain_text("displayName")


async def test_a_token_is_rotated(site: ConsoleSite, chromium: Browser) -> None:
    store = await site.store()
    try:
        former, old = await store.tokens.create(site.connection_id, "to be rotated", None)
    finally:
        await store.close()
    users = f"{site.served.base_url}/Users?count=0"

    async def status(token: str) -> int:
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {token}"}, timeout=30) as client:
            return (await client.get(users)).status_code

    async with site.opened(chromium) as page:
        await site.sign_in(page)
        await page.goto(f"{site.url}/connections/{site.connection_id}")
        await page.get_by_role("link", name="Rotate to be rotated").click()
        await page.get_by_role("button", name=re.compile("^Make")).click()
        new = await page.get_by_label("Bearer token of demo").input_value()
        assert (await status(old), await status(new)) == (200, 200)
        await page.get_by_role("link", name="revoke it").click()
        await page.get_by_role("button", name="Revoke this token").click()
        await page.get_by_role("heading", name="demo", exact=True).wait_for()
        await expect(page.get_by_role("link", name="Rotate to be rotated")).to_have_count(1)
        for _ in range(150):
            if await status(old) == 401:
                break
            await asyncio.sleep(0.2)
        assert await status(old) == 401
        assert await status(new) == 200
        await page.get_by_role("link", name="Changes", exact=True).click()
        revoked = page.locator("tbody tr", has_text=former.id)
        await expect(revoked).to_contain_text("token.revoke")


async def test_a_mapping_is_tried_from_both_sides(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await site.sign_in(page, site.viewer_token)
        await page.get_by_role("link", name="Mapping", exact=True).click()
        await page.get_by_role("link", name="demo").click()
        await page.get_by_label("User as JSON").fill(
            '{"userName":"ada@example.com","name":{"givenName":"Ada"},"nickName":"A","active":false}'
        )
        await page.get_by_role("button", name="Translate").click()
        result = page.locator("#result")
        await expect(result).to_contain_text('"first_name": "Ada"')
        await expect(result).to_contain_text("DISABLED")
        await page.get_by_label("A user of the platform").check()
        await page.get_by_label("User as JSON").fill(
            '{"id":"usr_1","username":"ada","email":"ada@example.com","first_name":"Ada","status":"LOCKED",'
            '"created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z"}'
        )
        await page.get_by_role("button", name="Translate").click()
        await expect(result).to_contain_text('"givenName": "Ada"')
        await expect(result).to_contain_text('"active": true')


async def test_a_connection_that_its_guard_has_stopped_is_released(
    site: ConsoleSite, chromium: Browser
) -> None:
    store = await site.store()
    try:
        connection = await store.connections.add(name="stopped", tenant_id=site.served.tenant_id)
        limits = GuardLimits(number=1, share=0.0, window_s=86_400)
        for user_id in ("usr_1", "usr_2"):
            await store.deprovisionings.count(connection.id, user_id, limits, removes=True, size=None)
        async with site.opened(chromium) as page:
            await site.sign_in(page)
            await page.goto(f"{site.url}/connections")
            row = page.locator("tbody tr", has=page.get_by_role("link", name="stopped", exact=True))
            await expect(row).to_contain_text("stopped by its guard")
            await row.get_by_role("link").click()
            await page.get_by_role("link", name="Release…").click()
            await expect(page.locator("main")).to_contain_text("after 1 users were deactivated or deleted")
            await page.get_by_role("button", name="Release this connection").click()
            await page.get_by_role("heading", name="stopped", exact=True).wait_for()
            await expect(page.get_by_role("heading", name="Stopped by its guard")).to_have_count(0)
            changes = page.get_by_role("region", name="Table: changes by operators")
            await expect(changes).to_contain_text("connection.release")
        assert connection.id not in await store.deprovisionings.stopped()
    finally:
        await store.connections.remove("stopped")
        await store.close()


async def test_what_is_opened_stays_open_when_the_overview_asks_anew(
    site: ConsoleSite, chromium: Browser
) -> None:
    async with site.opened(chromium) as page:
        await page.clock.install()
        await site.sign_in(page, site.viewer_token)
        await page.get_by_role("link", name="90 days").click()
        await page.get_by_role("heading", name="The last 90 days").wait_for()
        table = page.locator("#requests-open")
        await table.press("Enter")
        await expect(page.locator("#requests-details")).to_have_attribute("open", "")
        await page.evaluate("document.querySelector('#charts').dataset.old = '1'")
        async with page.expect_response(lambda answer: "/console/charts?span=90d" in answer.url):
            await page.clock.fast_forward(61_000)
        await page.wait_for_selector("#charts:not([data-old])")
        await expect(page.locator("#requests-details")).to_have_attribute("open", "")
        await expect(table).to_be_focused()


async def test_what_clients_send_does_nothing_in_the_browser(site: ConsoleSite, chromium: Browser) -> None:
    store = await site.store()
    name = f"{HEBREW} {HOSTILE}"
    try:
        connection = await store.connections.add(
            name=name, tenant_id=site.served.tenant_id, policies=Policies(audit_values="personal")
        )
        _, token = await store.tokens.create(connection.id, f"{HOSTILE} {HEBREW}", None)
        headers = {"user-agent": HOSTILE + LONG, "Authorization": f"Bearer {token}"}
        sent = f"{HOSTILE}{TURNED}{LONG}"

        def send() -> list[int]:
            with site.served.scim(**headers) as client:
                taken = {"userName": "ada@example.com", "displayName": sent, "externalId": sent[:200]}
                query = {"filter": f'displayName eq "{HOSTILE.replace(chr(34), "")}{TURNED}{LONG}"'}
                return [
                    client.post("/Users", json=taken).status_code,
                    client.get("/Users", params=query).status_code,
                    client.get(f"/Users/{HOSTILE.replace('/', '')}").status_code,
                    client.post("/Users", json={"userName": "bob@example.com", "active": sent}).status_code,
                ]

        assert await asyncio.to_thread(send) == [409, 200, 404, 400]
        async with site.opened(chromium, viewport={"width": 320, "height": 800}) as page:
            await site.sign_in(page)
            # The last one is a write: what came before it is in the trail, too.
            await page.goto(f"{site.url}/requests?connection={connection.id}")
            await expect(rows(page)).to_have_count(4)
            links = [await each.get_attribute("href") for each in await rows(page).all()]
            places = [f"/console/connections/{connection.id}", "/console/connections", "/console/requests"]
            for path in [*places, "/console/explain", "/console", *links]:
                await page.goto(site.url.removesuffix("/console") + str(path))
                assert await page.evaluate("window.broken ?? null") is None, path
                assert await page.locator("img, body script").count() == 0, path
                beyond = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
                assert await page.evaluate(beyond) <= 0, path
    finally:
        await store.connections.remove(name)
        await store.close()
