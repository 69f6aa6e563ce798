"""Working at the console: by keyboard alone, with pages that change in part, and without JavaScript."""

from __future__ import annotations

import pytest
from console_site import ConsoleSite
from playwright.async_api import Browser, Page, expect

pytestmark = pytest.mark.asyncio(loop_scope="session")

_FOCUSED = """() => {
  const at = document.activeElement;
  const label = at.labels && at.labels.length ? at.labels[0].textContent : null;
  return (at.getAttribute('aria-label') || label || at.textContent || '').trim();
}"""
_OUTLINE = "getComputedStyle(document.activeElement).outlineStyle"


async def tab_to(page: Page, name: str, most: int = 80) -> None:
    """Press Tab until what is named so has the focus; all that has it on the way shows that it has."""
    passed = []
    for _ in range(most):
        await page.keyboard.press("Tab")
        passed.append(await page.evaluate(_FOCUSED))
        assert await page.evaluate(_OUTLINE) != "none", passed
        if passed[-1] == name:
            return
    raise AssertionError(f"{name!r} is not reached by keyboard: {passed}")


async def test_policies_are_changed_without_a_mouse(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await page.goto(site.url)
        # The field has the focus from the beginning.
        await page.keyboard.type(site.admin_token)
        await page.keyboard.press("Enter")
        await page.wait_for_url(site.url)
        await page.keyboard.press("Tab")
        assert await page.evaluate(_FOCUSED) == "Skip to the content"
        await expect(page.get_by_text("Skip to the content")).to_be_in_viewport()
        await page.keyboard.press("Enter")
        assert await page.evaluate("document.activeElement.id") == "main"
        await page.goto(f"{site.url}/connections")
        await tab_to(page, "demo")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="demo", exact=True).wait_for()
        await tab_to(page, "Edit policies")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Policies of demo").wait_for()
        welcome = page.get_by_label("Send welcome email")
        before = await welcome.is_checked()
        await tab_to(page, "Send welcome email")
        await page.keyboard.press("Space")
        await tab_to(page, "Review")
        await page.keyboard.press("Enter")
        await page.get_by_text("policies.send_welcome_email").wait_for()
        await tab_to(page, "Change these policies")
        await page.keyboard.press("Enter")
        await page.get_by_role("heading", name="Changes by operators").wait_for()
        await page.goto(f"{site.url}/connections/{site.connection_id}/policies")
        assert await welcome.is_checked() is not before
        await tab_to(page, "Sign out")
        await page.keyboard.press("Enter")
        await page.get_by_label("Admin token").wait_for()


async def test_the_try_out_changes_a_part_of_the_page(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await site.sign_in(page, site.viewer_token)
        await page.goto(f"{site.url}/mapping/{site.connection_id}")
        await page.evaluate("window.kept = true")
        await page.get_by_role("button", name="Translate").click()
        await page.get_by_role("heading", name="There and back again").wait_for()
        await page.get_by_label("User as JSON").fill("{")
        await page.get_by_role("button", name="Translate").click()
        await page.locator("#result").get_by_text("This is not JSON").wait_for()
        # Read out to those who do not see it.
        await expect(page.get_by_role("status")).to_contain_text("This is not JSON")
        hostile = '{"userName":"a@example.com","displayName":"<img src=x onerror=window.broken=1>"}'
        await page.get_by_label("User as JSON").fill(hostile)
        await page.get_by_role("button", name="Translate").click()
        await page.get_by_text("onerror=window.broken=1").first.wait_for()
        assert await page.locator("#result img").count() == 0
        assert await page.evaluate("[window.kept, window.broken ?? null]") == [True, None]


async def test_the_overview_asks_anew_by_itself(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await page.clock.install()
        await site.sign_in(page, site.viewer_token)
        await page.evaluate("document.querySelector('#status').dataset.old = '1'")
        demo = page.get_by_role("link", name="demo", exact=True)
        await demo.focus()
        async with page.expect_response(lambda answer: "/console/status" in answer.url) as answer:
            await page.clock.fast_forward(20_000)
        assert (await answer.value).status == 200
        await page.wait_for_selector("#status:not([data-old])")
        assert await page.locator("h1").count() == 1
        # Whoever is at it stays where they were.
        await expect(demo).to_be_focused()


async def test_requests_are_narrowed_in_the_page_and_kept_in_the_address(
    site: ConsoleSite, chromium: Browser
) -> None:
    async with site.opened(chromium) as page:
        await site.sign_in(page, site.viewer_token)
        await page.goto(f"{site.url}/requests")
        await page.evaluate("window.kept = true")
        await page.get_by_label("Connection", exact=True).select_option(label="demo")
        await page.get_by_label("Cause").select_option("conflict")
        await page.get_by_role("button", name="Show").click()
        await page.wait_for_url("**/requests?*cause=conflict*")
        await expect(page.get_by_role("status")).to_contain_text("1 requests are shown")
        assert await page.evaluate("window.kept") is True
        # The address is that of the same page.
        await page.reload()
        assert await page.get_by_label("Cause").input_value() == "conflict"
        await page.get_by_role("link", name="POST /Users").click()
        await page.get_by_role("heading", name="Why: conflict").wait_for()
        await page.get_by_text("What to do:").wait_for()


async def test_a_session_that_has_ended_leads_to_the_sign_in(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await site.sign_in(page, site.viewer_token)
        await page.goto(f"{site.url}/explain")
        await page.context.clear_cookies()
        await page.get_by_role("button", name="Explain the search").click()
        await page.get_by_label("Admin token").wait_for()


async def test_a_form_that_is_out_of_date_says_so_in_the_page(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        await site.sign_in(page, site.viewer_token)
        await page.goto(f"{site.url}/explain")
        for field in await page.locator('input[name="csrf"]').all():
            await field.evaluate("field => { field.value = 'old' }")
        await page.get_by_role("button", name="Explain the search").click()
        await expect(page.get_by_role("alert")).to_contain_text("out of date")


async def test_everything_works_without_javascript(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium, java_script_enabled=False) as page:
        await site.sign_in(page)
        await page.goto(f"{site.url}/mapping/{site.connection_id}")
        await page.get_by_role("button", name="Translate").click()
        await page.get_by_role("heading", name="There and back again").wait_for()
        await page.goto(f"{site.url}/explain")
        await page.get_by_role("button", name="Explain the search").click()
        await page.get_by_role("heading", name="Answer").wait_for()
        await page.goto(f"{site.url}/connections/{site.connection_id}")
        await page.get_by_label("Label").fill("made by a test")
        await page.get_by_role("button", name="Make token").click()
        secret = await page.get_by_label("Bearer token").input_value()
        assert secret.startswith("scb_")
