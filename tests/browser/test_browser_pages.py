"""Every page in a real browser: for everybody's eyes, at every width, within its own security policy."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.async_playwright import Axe
from console_site import ConsoleSite, listening
from playwright.async_api import Browser, Page

pytestmark = pytest.mark.asyncio(loop_scope="session")

SCREENSHOTS = Path(__file__).parents[2] / "examples" / "screenshots"
_DARK = ("overview-dark", "request-dark", "charts-dark")
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


async def findings(page: Page) -> list[str]:
    """What axe finds: rule and place."""
    results = await Axe().run(page, options={"runOnly": RULES, "resultTypes": ["violations"]})
    found: list[dict[str, Any]] = results.response["violations"]
    assert results.response["testEngine"]["name"] == "axe-core"
    return [f"{v['impact']} {v['id']}: {node['html'][:200]}" for v in found for node in v["nodes"]]


async def doubled(page: Page) -> list[str]:
    """Ids that are there more than once: what is swapped into a page would land at the first one."""
    ids: list[str] = await page.evaluate("Array.from(document.querySelectorAll('[id]'), each => each.id)")
    return sorted({each for each in ids if ids.count(each) > 1})


async def width_beyond(page: Page) -> int:
    """By how much the page is wider than its window."""
    beyond: int = await page.evaluate(
        "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return beyond


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_nothing(site: ConsoleSite, chromium: Browser, scheme: str) -> None:
    async with site.opened(chromium, color_scheme=scheme) as page:
        found: dict[str, list[str]] = {}
        await page.goto(f"{site.url}/sign-in")
        found["sign-in"] = await findings(page)
        await picture(page, f"sign-in-{scheme}")
        await site.sign_in(page)
        for name, path in site.pages().items():
            await page.goto(site.url + path)
            found[name] = [*await findings(page), *await doubled(page)]
            await picture(page, f"{name}-{scheme}")
        await page.goto(site.url)
        await picture(page, f"charts-{scheme}", of="#charts")
        await page.goto(f"{site.url}/mapping/{site.connection_id}")
        await page.get_by_role("button", name="Translate").click()
        await page.get_by_role("heading", name="There and back again").wait_for()
        found["tried"] = await findings(page)
        await picture(page, f"mapping-tried-{scheme}", of="#result")
        await page.goto(f"{site.url}/explain")
        await page.get_by_label("Also run it").check()
        await page.get_by_role("button", name="Explain the search").click()
        await page.get_by_role("heading", name="What it came to").wait_for()
        found["explained"] = await findings(page)
        await picture(page, f"explain-explained-{scheme}", of="#result")
        await page.goto(f"{site.url}/dry-run")
        await page.get_by_role("button", name="Preview").click()
        await page.get_by_role("heading", name="What would happen").wait_for()
        found["previewed"] = await findings(page)
        await picture(page, f"dry-run-previewed-{scheme}", of="#result")
        await page.goto(f"{site.url}/nobody")
        found["error"] = await findings(page)
        assert {name: said for name, said in found.items() if said} == {}


async def picture(page: Page, name: str, *, of: str | None = None) -> None:
    """A picture to look at, where it is asked for; of dark pages a few are enough."""
    wanted = os.environ.get("BRIDGE_TEST_SCREENSHOTS") == "1"
    if wanted and (name.endswith("-light") or name in _DARK):
        SCREENSHOTS.mkdir(exist_ok=True)
        place = page if of is None else page.locator(of)
        await place.screenshot(path=SCREENSHOTS / f"{name}.png")


async def test_no_page_breaks_its_security_policy(site: ConsoleSite, chromium: Browser) -> None:
    async with site.opened(chromium) as page:
        said = listening(page)
        await site.sign_in(page)
        for path in site.pages().values():
            await page.goto(site.url + path, wait_until="networkidle")
        await page.goto(f"{site.url}/explain")
        await page.get_by_role("button", name="Explain the search").click()
        await page.get_by_role("heading", name="Answer").wait_for()
        assert said == []
        # The policy is there: what it forbids, it prevents and the browser tells.
        await page.evaluate("document.body.appendChild(document.createElement('style')).textContent = 'p{}'")
        await page.wait_for_function("document.querySelector('body > style') !== null")
        assert any("Content Security Policy" in each for each in said), said


@pytest.mark.parametrize("width", [320, 768])
async def test_no_page_is_wider_than_a_small_window(site: ConsoleSite, chromium: Browser, width: int) -> None:
    async with site.opened(chromium, viewport={"width": width, "height": 800}) as page:
        await site.sign_in(page)
        beyond = {}
        for name, path in site.pages().items():
            await page.goto(site.url + path)
            beyond[name] = await width_beyond(page)
        assert {name: by for name, by in beyond.items() if by > 0} == {}


async def test_the_colours_follow_the_system(site: ConsoleSite, chromium: Browser) -> None:
    seen = set()
    for scheme in ("light", "dark"):
        async with site.opened(chromium, color_scheme=scheme) as page:
            await page.goto(f"{site.url}/sign-in")
            seen.add(await page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert len(seen) == 2
