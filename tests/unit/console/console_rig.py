"""A browser that has no JavaScript, at the console of a rig's bridge."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
from bridge_rig import Rig

from app.admin import create_admin
from app.store.admin_tokens import AdminToken, Role
from app.store.connections import Connection
from app.store.store import Store
from app.web.contexts import Contexts

ORIGIN = "http://console.test"
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_HIDDEN = re.compile(r'<input type="hidden" name="([a-z]+)" value="([^"]*)">')


class MovingClock:
    """The system's time, and what was added to it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self) -> datetime:
        return datetime.now(UTC) + self.ahead


class Browser(httpx.AsyncClient):
    """Sends forms as browsers do."""

    async def send_form(self, path: str, **fields: str) -> httpx.Response:
        """A POST with the token of the page's forms."""
        page = await self.get("/console")
        found = _CSRF.search(page.text)
        assert found is not None, page.text
        return await self.post(path, data={"csrf": found[1], **fields})


class ConsoleRig:
    """The console with limits of its own, over a bridge that others may use too."""

    def __init__(self, rig: Rig, **settings: Any) -> None:
        self.rig = rig
        self.clock = MovingClock()
        services = rig.app.state.services
        settled = msgspec.structs.replace(services.settings, **{"admin_hosts": "console.test", **settings})
        services = msgspec.structs.replace(
            services,
            settings=settled,
            store=Store(services.store.db, clock=self.clock),
            contexts=Contexts(settled),
        )
        self.services = services
        self.store: Store = services.store
        self.app = create_admin(services)

    async def connection(self) -> Connection:
        """The one that the rig's token belongs to."""
        found = await self.rig.store.tokens.authenticate(self.rig.token)
        assert found is not None
        return found.connection

    def browser(self, **headers: str) -> Browser:
        return Browser(
            transport=httpx.ASGITransport(self.app),
            base_url=ORIGIN,
            headers={"origin": ORIGIN, "sec-fetch-site": "same-origin", **headers},
        )

    async def token(self, role: Role = "viewer", **options: Any) -> tuple[AdminToken, str]:
        return await self.store.admin_tokens.create(role, **options)

    async def signed_in(self, role: Role = "viewer", **headers: str) -> Browser:
        """A browser with a session of its own token."""
        _, secret = await self.token(role, label=f"a {role}")
        browser = self.browser(**headers)
        answer = await browser.post("/console/sign-in", data={"token": secret})
        assert answer.status_code == 303, answer.text
        return browser


def csrf_in(page: str) -> str:
    """The token of a page's forms."""
    found = _CSRF.search(page)
    assert found is not None, page
    return found[1]


def hidden_in(page: str) -> dict[str, str]:
    """The hidden fields of a page's last form."""
    return {name: html.unescape(value) for name, value in _HIDDEN.findall(page)}
