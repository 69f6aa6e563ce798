"""Webhooks that do not leave the process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
from hooked import QUICK, undelivered, wait_until
from litestar import Litestar, Request, post
from platform_server import READ_WRITE
from webhook_receiver import SECRET, Received, receiving

from app.embedded import Directory, create_platform


@asynccontextmanager
async def caller(app: Litestar, directory: Directory) -> AsyncIterator[tuple[httpx.AsyncClient, str]]:
    """A client of the app in this process, and the path of its tenant's users."""
    tenant_id = await directory.ensure_tenant("acme", "Acme")
    credentials = await directory.create_app(tenant_id, READ_WRITE, "bridge")
    headers = {"authorization": f"Bearer {await directory.issue_token(credentials.client_id)}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://platform", headers=headers) as client:
        yield client, f"/api/v1/tenants/{tenant_id}/users"


async def settled(database: Path) -> None:
    await asyncio.to_thread(wait_until, lambda: not undelivered(database))


async def test_events_reach_an_app_in_this_process_and_others_the_network(tmp_path: Path) -> None:
    taken: list[Received] = []

    @post("/webhooks", status_code=204)
    async def take(request: Request[Any, Any, Any]) -> None:
        taken.append(Received(dict(request.headers), await request.body(), 204))

    database = tmp_path / "platform.db"
    bridge = httpx.ASGITransport(Litestar([take], openapi_config=None))
    app = create_platform(database, QUICK, webhook_transports={"http://bridge": bridge})
    with receiving() as receiver:
        async with Directory(database, QUICK) as directory, app.lifespan():
            await directory.add_webhook("http://bridge/webhooks", SECRET)
            await directory.add_webhook(receiver.url, SECRET)
            async with caller(app, directory) as (client, users):
                assert (await client.post(users, json={"email": "ada@example.com"})).status_code == 201
                await settled(database)
        assert [one.type for one in taken] == [one.type for one in receiver.all] == ["user.created"]
        assert taken[0].is_signed(SECRET)


async def test_a_sender_of_ones_own(tmp_path: Path) -> None:
    attempts: list[tuple[str, Mapping[str, str], bytes]] = []

    async def send(url: str, headers: Mapping[str, str], body: bytes) -> int:
        attempts.append((url, headers, body))
        if len(attempts) == 1:
            raise httpx.ConnectError("nobody there")
        return 500 if len(attempts) == 2 else 204

    database = tmp_path / "platform.db"
    app = create_platform(database, QUICK, webhook_send=send)
    async with Directory(database, QUICK) as directory, app.lifespan():
        await directory.add_webhook("https://receiver.test/", SECRET)
        async with caller(app, directory) as (client, users):
            await client.post(users, json={"email": "ada@example.com"})
            await settled(database)
    assert [url for url, _, _ in attempts] == ["https://receiver.test/"] * 3
    assert len({body for _, _, body in attempts}) == 1
    assert attempts[0][1]["X-ScaiKey-Event-Type"] == "user.created"


async def test_a_sender_with_a_defect_does_not_end_the_deliveries(tmp_path: Path) -> None:
    calls = 0

    async def send(url: str, headers: Mapping[str, str], body: bytes) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise LookupError("a defect")
        return 204

    database = tmp_path / "platform.db"
    app = create_platform(database, QUICK, webhook_send=send)
    async with Directory(database, QUICK) as directory, app.lifespan():
        await directory.add_webhook("https://receiver.test/", SECRET)
        async with caller(app, directory) as (client, users):
            for name in ("ada", "bob"):
                await client.post(users, json={"email": f"{name}@example.com"})
            await settled(database)
    assert calls >= 3
