"""A bridge over an embedded platform in one process, for tests of groups; every platform call is seen."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import httpx

from app.asgi import open_bridge
from app.config import Settings
from app.embedded import Directory, create_platform
from app.platform.transport import in_process_transport
from app.store.connections import DialectSettings, Policies
from app.store.store import Store

Backend = Literal["platform", "local"]
BACKENDS: tuple[Backend, ...] = ("platform", "local")

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Send = Callable[[httpx.Request], Awaitable[httpx.Response]]


class Wire(httpx.AsyncBaseTransport):
    """Between bridge and platform: notes every call but those for tokens, and may change its course."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner
        self.calls: list[str] = []
        """`GET group`, `POST members`, `DELETE member`, `GET user`…, in their order."""
        self.course: Callable[[str, httpx.Request, Send], Awaitable[httpx.Response]] | None = None
        """Where set, it answers every call; it may send it on."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        name = call_name(request)
        if name.endswith("token"):
            return await self._inner.handle_async_request(request)
        self.calls.append(name)
        if self.course is None:
            return await self._inner.handle_async_request(request)
        return await self.course(name, request, self._inner.handle_async_request)

    def seen(self) -> list[str]:
        """The calls since the last time, which are then forgotten."""
        calls, self.calls = self.calls, []
        return calls


def call_name(request: httpx.Request) -> str:
    """What a platform call is, in two words."""
    match request.url.path.split("/")[5:]:
        case ["token"]:
            what = "token"
        case [collection]:
            what = collection
        case [collection, _]:
            what = collection.removesuffix("s")
        case ["groups", _, "members"]:
            what = "members"
        case ["groups", _, "members", _]:
            what = "member"
        case ["users", _, what]:
            pass
        case _:
            what = request.url.path
    return f"{request.method} {what}"


def refused(status: int, **body: Any) -> httpx.Response:
    """An answer of the platform that says no."""
    return httpx.Response(status, json=body or {"detail": "the platform says no"})


@dataclass
class Side:
    """A connection to a tenant of its own: SCIM in front of it, the platform's own API behind it."""

    backend: Backend
    tenant_id: str
    scim: httpx.AsyncClient
    platform: httpx.AsyncClient
    wire: Wire

    async def user(self, name: str | None = None) -> str:
        """A new user's id."""
        user_name = f"{name or uuid.uuid4().hex}@example.com"
        answer = await self.scim.post("/Users", json={"schemas": [USER], "userName": user_name})
        assert answer.status_code == 201, answer.text
        return str(answer.json()["id"])

    async def users(self, count: int) -> list[str]:
        """New users' ids; made at the platform."""
        found = []
        for _ in range(count):
            answer = await self.platform.post("/users", json={"email": f"{uuid.uuid4().hex}@example.com"})
            assert answer.status_code == 201, answer.text
            found.append(answer.json()["data"]["id"])
        return found

    async def group(self, name: str | None = None, members: list[str] | None = None, **more: Any) -> str:
        """A new group's id; the record of calls begins anew."""
        body: dict[str, Any] = {"schemas": [GROUP], "displayName": name or uuid.uuid4().hex, **more}
        if members:
            body["members"] = [{"value": m} for m in members]
        answer = await self.scim.post("/Groups", json=body)
        assert answer.status_code == 201, answer.text
        self.wire.seen()
        return str(answer.json()["id"])

    async def patch(self, group_id: str, *operations: dict[str, Any], **options: Any) -> httpx.Response:
        """One PATCH of a group."""
        body = {"schemas": [PATCH_OP], "Operations": list(operations)}
        return await self.scim.patch(f"/Groups/{group_id}", json=body, **options)

    async def members(self, group_id: str) -> set[str]:
        """Who is a member, by GET; the record of calls begins anew."""
        answer = await self.scim.get(f"/Groups/{group_id}")
        assert answer.status_code == 200, answer.text
        listed = [m["value"] for m in answer.json().get("members", ())]
        assert len(listed) == len(set(listed)), "a member is listed twice"
        self.wire.seen()
        return set(listed)


def values(ids: list[str]) -> list[dict[str, str]]:
    """Members as a client names them."""
    return [{"value": i} for i in ids]


class GroupRig:
    """One bridge for many tests: each takes sides of its own."""

    def __init__(self, app: Any, wire: Wire, store: Store, directory: Directory, token: str) -> None:
        self.wire = wire
        self._app = app
        self._store = store
        self._directory = directory
        self._token = token

    async def side(
        self, backend: Backend, *, strict: bool = False, answers: bool = False, tenant_id: str | None = None
    ) -> Side:
        """A connection to a new tenant, or to the given one."""
        name = f"t-{uuid.uuid4().hex[:16]}"
        tenant = tenant_id or await self._directory.ensure_tenant(name, name)
        made = await self._store.connections.add(
            name=name,
            tenant_id=tenant,
            dialect=DialectSettings(mode="strict" if strict else "lenient"),
            policies=Policies(groups=backend, group_patch="resource" if answers else "no-content"),
        )
        _, token = await self._store.tokens.create(made.id, "test", None)
        self.wire.course = None
        return Side(
            backend=backend,
            tenant_id=tenant,
            scim=self._client("http://bridge.test/scim/v2", token),
            platform=self._client(f"http://bridge.test/api/v1/tenants/{tenant}", self._token),
            wire=self.wire,
        )

    def _client(self, base_url: str, token: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self._app),
            base_url=base_url,
            headers={"Authorization": f"Bearer {token}"},
        )


@asynccontextmanager
async def open_group_rig(place: Path, **settings: Any) -> AsyncIterator[GroupRig]:
    """A bridge with its databases in `place`."""
    async with AsyncExitStack() as stack:
        directory = await stack.enter_async_context(Directory(place / "platform.db"))
        app = await directory.create_app(None, ("admin:read", "admin:write"), "bridge")
        configured = Settings(
            data_dir=str(place),
            platform_client_id=app.client_id,
            platform_client_secret=app.client_secret,
            # No calls but those that a request makes; within one process none outlives its answer.
            **{
                "index_sweep_s": 0,
                "journal_tick_s": 3600.0,
                "journal_settle_s": 0.0,
                "requests_per_second": 0,
                **settings,
            },
        )
        embedded = create_platform(place / "platform.db")
        wire = Wire(in_process_transport(embedded))
        bridge = await stack.enter_async_context(open_bridge(configured, embedded=embedded, transport=wire))
        store = await Store.open(configured.bridge_database_url)
        stack.push_async_callback(store.close)
        yield GroupRig(bridge, wire, store, directory, await directory.issue_token(app.client_id))


@contextmanager
def hosted_group_rig(place: Path, **settings: Any) -> Iterator[tuple[GroupRig, asyncio.Runner]]:
    """The same for synchronous tests: coroutines are run by the runner; one task opens and closes the rig."""
    with asyncio.Runner() as runner:
        ready: asyncio.Future[GroupRig] = runner.get_loop().create_future()
        over = asyncio.Event()

        async def host() -> None:
            async with open_group_rig(place, **settings) as rig:
                ready.set_result(rig)
                await over.wait()

        task = runner.get_loop().create_task(host())

        async def opened() -> None:
            await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                task.result()

        async def closed() -> None:
            over.set()
            await task

        runner.run(opened())
        yield ready.result(), runner
        runner.run(closed())
