"""Bridges over an embedded platform in one process, on either database, for what is random about searches."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import uuid
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import msgspec

from app.asgi import open_services
from app.bridge.context import Context
from app.bridge.query import Query
from app.config import Settings
from app.embedded import Directory, create_platform
from app.platform.transport import in_process_transport
from app.scim.evaluate import predicate, sort_resources
from app.scim.schema import Resource
from app.store.connections import Connection, Policies
from app.store.index_writes import created_key
from app.web.contexts import resolve
from app.web.services import Services
from app.wire.users import PlatformUser

Mode = Literal["indexed", "live"]
MODES: tuple[Mode, ...] = ("indexed", "live")
BASE_URL = "http://bridge.test/scim/v2"


@dataclass
class Tenant:
    """A tenant of its own: users at the platform, a connection in each mode, the events that were sent."""

    services: Services
    platform: httpx.AsyncClient
    tenant_id: str
    contexts: dict[Mode, Context]
    events: list[dict[str, Any]]
    database: Path
    ids: list[str]

    async def create(self, fields: dict[str, Any]) -> None:
        """A user made by others; a name that is taken makes none."""
        answer = await self.platform.post(self._path(), json=fields)
        if answer.status_code == 201:
            self.ids.append(answer.json()["data"]["id"])

    async def update(self, number: int, fields: dict[str, Any]) -> None:
        """A user changed by others."""
        if self.ids:
            await self.platform.patch(self._path(self.ids[number % len(self.ids)]), json=fields)

    async def set_status(self, number: int, status: str) -> None:
        """A status set by others."""
        if self.ids:
            path = self._path(self.ids[number % len(self.ids)]) + "/status"
            await self.platform.put(path, json={"status": status})

    async def delete(self, number: int) -> None:
        """A user deleted by others."""
        if not self.ids:
            return
        user_id = self.ids.pop(number % len(self.ids))
        email = (await self.platform.get(self._path(user_id))).json()["data"]["email"]
        await self.platform.delete(self._path(user_id), params={"confirm_email": email})

    async def sweep(self) -> None:
        """Sweep both views to the end."""
        for context in self.contexts.values():
            view = await self.services.indexing.view(context)
            assert await self.services.sweeper.sweep(context, view)

    async def told(self) -> list[dict[str, Any]]:
        """The events of everything done so far; they are forgotten."""
        with closing(sqlite3.connect(self.database)) as outbox:
            while outbox.execute("SELECT count(*) FROM webhook_outbox").fetchone() != (0,):  # noqa: ASYNC110
                await asyncio.sleep(0.005)
        found = [e for e in self.events if e["tenant_id"] == self.tenant_id]
        self.events.clear()
        return found

    async def deliver(self, events: Sequence[dict[str, Any]]) -> None:
        """Hand events to the bridge as its webhook endpoint does."""
        for event in events:
            await self.services.events.apply(
                event["tenant_id"],
                "user",
                event["resource"]["id"],
                actor_id=event["actor"]["id"],
                at=datetime.fromisoformat(event["timestamp"]),
            )

    async def expected(self, mode: Mode, query: Query) -> tuple[list[str], int]:
        """What filtering and sorting every user in memory gives: the ids of the window, and the total."""
        context = self.contexts[mode]
        everybody = [await self._resource(context, user_id) for user_id in self.ids]
        found = sorted(everybody, key=lambda r: (created_key(r["meta"]["created"]), r["id"]))
        if query.filter is not None:
            matches = predicate(query.filter, context.mapping.model)
            found = [r for r in found if matches(r)]
        if query.sort is not None:
            found = sort_resources(found, query.sort, query.descending)
        ids = [r["id"] for r in found]
        start = query.start_index - 1
        return ids[start : start + query.count], len(ids)

    async def found(self, mode: Mode, query: Query) -> tuple[list[str], int]:
        """The same by the bridge."""
        found = await self.services.search.run(self.contexts[mode], query)
        return [r["id"] for r in found.resources], found.total

    async def _resource(self, context: Context, user_id: str) -> Resource:
        answer = await self.platform.get(self._path(user_id))
        user = _decode(answer.json()["data"])
        return context.mapping.to_scim(user, domain=context.domain, base_url=context.base_url)

    def _path(self, user_id: str | None = None) -> str:
        path = f"/api/v1/tenants/{self.tenant_id}/users"
        return path if user_id is None else f"{path}/{user_id}"


@dataclass
class SearchRig:
    """Gives out tenants."""

    services: Services
    directory: Directory
    platform: httpx.AsyncClient
    sent: list[dict[str, Any]]
    database: Path

    async def tenant(self) -> Tenant:
        """A tenant without users, none of whose users the bridge has seen."""
        name = f"t-{uuid.uuid4().hex[:12]}"
        tenant_id = await self.directory.ensure_tenant(name, name)
        contexts: dict[Mode, Context] = {}
        for mode in MODES:
            connection: Connection = await self.services.store.connections.add(
                name=f"{name} {mode}", tenant_id=tenant_id, policies=Policies(search=mode)
            )
            contexts[mode] = resolve(connection, BASE_URL, None)
        self.sent.clear()
        return Tenant(self.services, self.platform, tenant_id, contexts, self.sent, self.database, [])


@asynccontextmanager
async def open_search_rig(place: Path, database_url: str) -> AsyncIterator[SearchRig]:
    """Everything in one process; nothing runs in the background."""
    async with AsyncExitStack() as stack:
        directory = await stack.enter_async_context(Directory(place / "platform.db"))
        app = await directory.create_app(None, ("admin:read", "admin:write"), "bridge")
        other = await directory.create_app(None, ("admin:read", "admin:write"), "somebody else")
        await directory.add_webhook("http://events.test/", "secret")
        sent: list[dict[str, Any]] = []

        async def take(_url: str, _headers: Any, body: bytes) -> int:
            sent.append(json.loads(body))
            return 204

        embedded = create_platform(place / "platform.db", webhook_send=take)
        await stack.enter_async_context(embedded.lifespan())
        settings = Settings(
            data_dir=str(place),
            database_url=database_url,
            platform_client_id=app.client_id,
            platform_client_secret=app.client_secret,
            index_rate=100_000,
        )
        services = await stack.enter_async_context(
            open_services(settings, transport=in_process_transport(embedded))
        )
        platform = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(embedded),
                base_url="http://platform.test",
                headers={"authorization": f"Bearer {await directory.issue_token(other.client_id)}"},
            )
        )
        yield SearchRig(services, directory, platform, sent, place / "platform.db")


def _decode(data: dict[str, Any]) -> PlatformUser:
    return msgspec.convert(data, type=PlatformUser)
