"""What the browser tests look at: a served console, its pages, and the ways in."""

from __future__ import annotations

import asyncio
import json
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from playwright.async_api import Browser, BrowserContext, Page

from app.bridge.operating import Operating
from app.store.audit_records import AuditEntry, AuditFilter, Facet
from app.store.connections import Policies
from app.store.deprovisionings import GuardLimits
from app.store.store import Store

if TYPE_CHECKING:
    from conftest import Served

TIMEOUT_MS = 60_000.0
_LEFT = "net::ERR_ABORTED"
PLAN = {
    "steps": [
        {"type": "set-fields", "fields": {"display_name": "A"}, "were": {"display_name": "B"}},
        {"type": "set-status", "to": "DISABLED", "was": "ACTIVE"},
    ]
}


class ConsoleSite:
    """A running bridge whose console has something to show."""

    def __init__(self, served: Served) -> None:
        known = json.loads((served.data_dir / "quickstart.json").read_text())
        self.served = served
        self.url: str = known["console_url"]
        self.admin_token: str = known["admin_token"]
        self.viewer_token = ""
        self.connection_id = ""
        self.token_id = ""
        self.client_id = self.secret_id = ""
        self.entry_id = ""
        self.record_id = ""
        self.user_id = ""

    async def store(self) -> Store:
        return await Store.open(f"sqlite+aiosqlite:///{self.served.data_dir}/bridge.db")

    async def fill(self) -> None:
        """Users by SCIM; the rest in the database, beside the running bridge."""
        await asyncio.to_thread(self._make_users)
        store = await self.store()
        try:
            _, self.viewer_token = await store.admin_tokens.create("viewer", "Ada")
            (failed,) = (await store.audit.page(AuditFilter(failures=True), limit=1)).records
            self.record_id = failed.id
            admin = next(t for t in await store.admin_tokens.list() if t.role == "admin")
            (connection,) = await store.connections.list()
            self.connection_id = connection.id
            token, _ = await store.tokens.create(connection.id, "Okta, next year", None)
            self.token_id = token.id
            operating = Operating(store)
            await operating.set_policies(
                admin, connection.id, Policies(explain=True), seen=connection.policies
            )
            client = await store.clients.add(connection.id, "Entra")
            secret, _ = await store.clients.add_secret(client.id, "2027")
            self.client_id, self.secret_id = client.id, secret.id
            await store.audit.append(a_days_counts(connection.id))
            # The second one is too many.
            limits = GuardLimits(number=1, share=0.0, window_s=86_400)
            for user_id in ("usr_1", "usr_2"):
                await store.deprovisionings.count(connection.id, user_id, limits, removes=True, size=None)
            self.entry_id = store.journal.new_id()
            await store.journal.begin(
                self.entry_id,
                tenant_id=connection.tenant_id,
                connection_id=connection.id,
                domain=connection.domain,
                kind="user-update",
                keys=[f"{connection.tenant_id} user shown"],
                plan=json.dumps(PLAN),
                resource_id="usr_shown",
                owner="own_test",
                lease_s=600,
            )
            await store.journal.advance(self.entry_id, "own_test", lease_s=600, done=1)
            await store.journal.leave(
                self.entry_id, "own_test", due_in_s=600, state="stuck", error="Denied: no", refused=True
            )
        finally:
            await store.close()

    def _make_users(self) -> None:
        with self.served.scim() as client:
            for name in ("ada", "grace", "edsger"):
                body = {"userName": f"{name}@example.com", "name": {"givenName": name.title()}}
                made = client.post("/Users", json=body)
                assert made.status_code == 201
                self.user_id = made.json()["id"]
            taken = {"userName": "ada@example.com", "active": True}
            assert client.post("/Users", json=taken).status_code == 409
            assert client.get("/Users", params={"filter": 'userName eq "ada@example.com"'}).is_success

    def pages(self) -> dict[str, str]:
        """Every page by a name for it."""
        connection = f"/connections/{self.connection_id}"
        return {
            "overview": "",
            "requests": "/requests",
            "request": f"/requests/{self.record_id}",
            "users": f"/users?name={self.user_id}",
            "connections": "/connections",
            "connection": connection,
            "policies": f"{connection}/policies",
            "release": f"{connection}/release",
            "token-rotate": f"{connection}/tokens/{self.token_id}/rotate",
            "token-revoke": f"{connection}/tokens/{self.token_id}/revoke",
            "client-remove": f"{connection}/clients/{self.client_id}/remove",
            "secret-revoke": f"{connection}/clients/{self.client_id}/secrets/{self.secret_id}/revoke",
            "mappings": "/mapping",
            "mapping": f"/mapping/{self.connection_id}",
            "explain": "/explain",
            "dry-run": "/dry-run",
            "journal": "/journal",
            "journal-entry": f"/journal/{self.entry_id}",
            "journal-abandon": f"/journal/{self.entry_id}/abandon",
            "changes": "/changes",
        }

    @asynccontextmanager
    async def opened(self, chromium: Browser, **options: Any) -> AsyncIterator[Page]:
        """A page of a fresh browser, where nobody is signed in."""
        context: BrowserContext = await chromium.new_context(
            **{"viewport": {"width": 1100, "height": 800}, **options}
        )
        context.set_default_timeout(TIMEOUT_MS)
        try:
            yield await context.new_page()
        finally:
            await context.close()

    async def sign_in(self, page: Page, token: str | None = None) -> None:
        """By the form."""
        await page.goto(f"{self.url}/sign-in")
        await page.get_by_label("Admin token").fill(token or self.admin_token)
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url(self.url)


def a_days_counts(connection_id: str) -> list[AuditEntry]:
    """Requests of the hours before this one, which are only counted: charts have something to draw."""
    now = datetime.now(UTC)
    sorts = (
        ("GET", 200, "", 30, (0.018,)),
        ("PATCH", 200, "", 18, (0.02, 0.06)),
        ("POST", 201, "", 6, (0.03, 0.09)),
        ("POST", 409, "conflict", 2, (0.03,)),
        ("PATCH", 503, "platform-unavailable", 1, (5.0, 5.0, 5.0)),
    )
    entries = []
    for ago in range(1, 24):
        busy = 1.2 + math.sin((ago + 3) / 4)
        for method, status, cause, often, call_s in sorts:
            facet = Facet(connection_id, method, "User", status, cause, "client")
            entry = AuditEntry(
                facet=facet,
                ended_at=now - timedelta(hours=ago),
                duration_s=sum(call_s) + 0.004,
                call_s=call_s,
                failed_calls=len(call_s) if status == 503 else 0,
                text=None,
            )
            entries += [entry] * round(often * busy * (0.3 + (ago % 5) / 2 if cause else 1))
    return entries


def listening(page: Page) -> list[str]:
    """What the browser complains of from now on: scripts, loading, and the security policy."""
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    # What was under way when the page was left is no failure.
    page.on(
        "requestfailed",
        lambda request: said.append(f"failed: {request.url}") if request.failure != _LEFT else None,
    )
    return said
