"""The use cases over an embedded platform, with nothing in the background: a test makes every call."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import msgspec
from bridge_rig import Clock, Send, Wire

from app.asgi import open_services
from app.bridge.context import Context
from app.bridge.query import Found, Position
from app.bridge.sweeping import Sweeper
from app.config import Settings
from app.embedded import Directory, create_platform
from app.embedded.seeding import SeedPlan
from app.mapping.load import shipped_directories
from app.platform.retry import RetryPolicy
from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.store.connections import Policies
from app.store.index_records import View
from app.web.contexts import resolve
from app.web.parameters import SearchRequest
from app.web.requests import read_query, read_window
from app.web.services import Services

PAGE = 4
"""Rows of a page of the platform's list, as the mapping says."""


@dataclass
class IndexRig:
    """One tenant of a platform, one connection, and the view that belongs to both."""

    services: Services
    wire: Wire
    directory: Directory
    platform: httpx.AsyncClient
    tenant_id: str
    context: Context
    place: Path

    async def seed(self, count: int, first: int = 1) -> list[str]:
        """Users `user000001` and so on, made elsewhere; all ids in the order of the list."""
        await self.directory.seed_users(self.tenant_id, count, SeedPlan(first=first))
        return await self.listed()

    async def listed(self) -> list[str]:
        query = {"per_page": 100, "sort_by": "created_at", "sort_order": "asc"}
        answer = await self.platform.get(self._path(), params=query)
        return [row["id"] for row in answer.json()["data"]]

    async def change(self, user_id: str, **fields: Any) -> None:
        """Change a user elsewhere."""
        answer = await self.platform.patch(self._path(user_id), json=fields)
        assert answer.status_code == 200, answer.text

    async def delete(self, user_id: str) -> None:
        """Delete a user elsewhere."""
        email = (await self.platform.get(self._path(user_id))).json()["data"]["email"]
        answer = await self.platform.delete(self._path(user_id), params={"confirm_email": email})
        assert answer.status_code == 204, answer.text

    async def view(self, context: Context | None = None) -> View:
        return await self.services.indexing.view(context or self.context)

    async def indexed(self, text: str | None = None) -> list[str]:
        """The ids that the index alone finds."""
        model = self.context.mapping.model
        bound = None if text is None else bind(parse_filter(text), model)
        found = await self.services.store.index.find((await self.view()).id, model, bound, limit=1000)
        assert found.total == len(found.rows)
        return [row.id for row in found.rows]

    def sweeper(self, *, rate: float = 100_000, **options: Any) -> Sweeper:
        """The sweeper of another process at the same database."""
        services = self.services
        return Sweeper(
            services.sweeper.platform,
            services.store.index,
            services.indexing,
            services.store.leases,
            calls_per_second=rate,
            **options,
        )

    async def sweep(self, sweeper: Sweeper | None = None, **options: Any) -> list[str]:
        """Sweep to the end; the ids that were read, in the order of the calls."""
        self.wire.reset()
        assert await (sweeper or self.sweeper()).sweep(self.context, await self.view(), **options)
        return self.read()

    async def create(self, email: str, **fields: Any) -> str:
        """A user made elsewhere; its id."""
        answer = await self.platform.post(self._path(), json={"email": email, **fields})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["data"]["id"])

    async def found(self, text: str | None = None, *, after: Position | None = None, **members: Any) -> Found:
        """The bridge's answer to a SearchRequest with this filter; the record of calls starts anew before."""
        source = SearchRequest({"filter": text, **members}, self.context)
        window = read_window(source, self.services.settings)
        query = msgspec.structs.replace(
            read_query(source, self.context, self.context.mapping.model),
            start_index=window.start_index,
            count=window.count,
            by_cursor=window.cursor is not None,
            after=after,
        )
        self.wire.calls.clear()
        self.wire.requests.clear()
        return await self.services.search.run(self.context, query)

    def seen(self) -> dict[str, int]:
        """How many calls of each name were made since they were last forgotten."""
        return dict(Counter(self.wire.calls))

    def read(self) -> list[str]:
        """The ids that were read since the calls were last forgotten."""
        return [
            request.url.path.rpartition("/")[2]
            for name, request in zip(self.wire.calls, self.wire.requests, strict=True)
            if name == "GET user"
        ]

    def pages(self) -> list[int]:
        """The pages that were listed since then."""
        return [int(r.url.params["page"]) for r in self.wire.requests if r.url.path.endswith("/users")]

    def before(self, name: str, number: int, act: Callable[[httpx.Request], Awaitable[None]]) -> None:
        """From now on, do something before the call of this name and number, from 0, goes out."""
        self._around(name, number, act, first=True)

    def after(self, name: str, number: int, act: Callable[[httpx.Request], Awaitable[None]]) -> None:
        """The same, after it was answered and before the bridge has the answer."""
        self._around(name, number, act, first=False)

    def _around(
        self, name: str, number: int, act: Callable[[httpx.Request], Awaitable[None]], *, first: bool
    ) -> None:
        async def fault(request: httpx.Request, send: Send) -> httpx.Response:
            if first:
                await act(request)
            answer = await send(request)
            await answer.aread()
            if not first:
                await act(request)
            return answer

        seen = -1

        def chosen(_: int, called: str) -> Any:
            nonlocal seen
            seen += called == name
            return fault if called == name and seen == number else None

        self.wire.fault = chosen

    def _path(self, user_id: str | None = None) -> str:
        path = f"/api/v1/tenants/{self.tenant_id}/users"
        return path if user_id is None else f"{path}/{user_id}"


@asynccontextmanager
async def open_index_rig(
    made_from: Path,
    place: Path,
    *,
    mapping: str = "small",
    policies: Policies | None = None,
    **settings: Any,
) -> AsyncIterator[IndexRig]:
    """A rig in the directory `place`; where calls are repeated, without a wait."""
    tenant_id, client_id, client_secret = json.loads((made_from / "made.json").read_text())
    for name in ("platform.db", "bridge.db"):
        shutil.copy(made_from / name, place / name)
    shipped = (shipped_directories()[1] / "default.toml").read_text("utf-8")
    assert "per_page_max = 100" in shipped
    (place / "small.toml").write_text(shipped.replace("per_page_max = 100", f"per_page_max = {PAGE}"))
    configured = Settings(
        data_dir=str(place),
        mappings_dir=str(place),
        platform_client_id=client_id,
        platform_client_secret=client_secret,
        **{"index_rate": 100_000, **settings},
    )
    clock = Clock()

    async def sleep(seconds: float) -> None:
        clock.now += seconds

    async with AsyncExitStack() as stack:
        app = create_platform(place / "platform.db")
        await stack.enter_async_context(app.lifespan())
        directory = await stack.enter_async_context(Directory(place / "platform.db"))
        wire = Wire(app)
        services = await stack.enter_async_context(
            open_services(configured, transport=wire, retry=RetryPolicy(sleep=sleep, clock=clock, attempts=2))
        )
        token = await directory.issue_token(client_id)
        platform = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(app),
                base_url="http://platform.test",
                headers={"authorization": f"Bearer {token}"},
            )
        )
        connection = await services.store.connections.add(
            name="main", tenant_id=tenant_id, mapping=mapping, policies=policies
        )
        context = resolve(connection, "http://bridge.test/scim/v2", place)
        yield IndexRig(services, wire, directory, platform, tenant_id, context, place)
