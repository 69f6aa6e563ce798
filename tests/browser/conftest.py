"""A Chromium at the console of a `scim-bridge serve`.

BRIDGE_TEST_CHROMIUM names the program where it is not found by itself. BRIDGE_TEST_SCREENSHOTS=1 writes
examples/screenshots anew.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from console_site import ConsoleSite
from playwright.async_api import Browser, async_playwright

if TYPE_CHECKING:
    from conftest import Serve

_PROGRAMS = ("chromium", "chromium-browser", "google-chrome")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The program."""
    given = os.environ.get("BRIDGE_TEST_CHROMIUM")
    found = given or next(filter(None, map(shutil.which, _PROGRAMS)), None)
    if found is None:
        pytest.skip("no Chromium is installed (apt-get install chromium), or set BRIDGE_TEST_CHROMIUM")
    return found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium(chromium_path: str) -> AsyncIterator[Browser]:
    """One browser for all tests; each opens a context of its own."""
    # Chromium's sandbox refuses to run as root, which containers often are.
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=chromium_path,
            args=["--disable-dev-shm-usage", "--disable-gpu", *(["--no-sandbox"] if root else [])],
            timeout=120_000,
        )
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def site(serve_on: Serve, chromium_path: str) -> ConsoleSite:
    """A bridge with users, tokens, a change and an unfinished write to look at."""
    site = ConsoleSite(serve_on())
    asyncio.run(site.fill())
    return site
