"""A bridge over an embedded platform in one process, with every platform call seen and open to faults."""

from __future__ import annotations

import asyncio
import json
import shutil
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
import pytest
import pytest_asyncio

from app.asgi import open_bridge
from app.config import Settings
from app.embedded import Directory, PlatformSettings, create_platform
from app.platform.retry import RetryPolicy
from app.scim.schema import ENTERPRISE_USER, PLATFORM_USER, USER
from app.store.connections import Policies
from app.store.store import Store

ENT, PLATFORM, CORE = ENTERPRISE_USER, PLATFORM_USER, USER
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
CLIENT_SECRET_MARK = "platform-secret-"

R = TypeVar("R")

Send = Callable[[httpx.Request], Awaitable[httpx.Response]]
Fault = Callable[[httpx.Request, Send], Awaitable[httpx.Response]]


class Clock:
    """The platform client's time: it stands still but for what is slept."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Wire(httpx.AsyncBaseTransport):
    """Between bridge and platform: notes the calls, and lets a fault take the place of one."""

    def __init__(self, platform: Any) -> None:
        self._inner = httpx.ASGITransport(platform)
        self.calls: list[str] = []
        """`GET user`, `GET users`, `POST users`, `PATCH user`, `PUT status`, `DELETE user`…"""
        self.requests: list[httpx.Request] = []
        self.token_calls = 0
        self.fault: Callable[[int, str], Fault | None] = lambda _number, _name: None
        """Asked before every call, with its number from 0 since the last `reset`."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/oauth/token"):
            self.token_calls += 1
            return await self._inner.handle_async_request(request)
        name = call_name(request)
        number = len(self.calls)
        self.calls.append(name)
        self.requests.append(request)
        fault = self.fault(number, name)
        if fault is None:
            return await self._inner.handle_async_request(request)
        return await fault(request, self._inner.handle_async_request)

    def reset(self) -> None:
        self.calls.clear()
        self.requests.clear()
        self.fault = lambda _number, _name: None

    def seen(self) -> list[str]:
        """The calls since the last time, which are then forgotten."""
        calls = list(self.calls)
        self.calls.clear()
        self.requests.clear()
        return calls

    def at(self, number: int, fault: Fault) -> None:
        """From now on, the call of this number fails so."""
        self.reset()
        self.fault = lambda n, _: fault if n == number else None

    def from_number(self, number: int, fault: Fault) -> None:
        self.reset()
        self.fault = lambda n, _: fault if n >= number else None

    def always(self, name: str, fault: Fault) -> None:
        """From now on, every call of this name fails so."""
        self.reset()
        self.fault = lambda _, n: fault if n == name else None


def call_name(request: httpx.Request) -> str:
    """What a platform call is, in two words."""
    parts = request.url.path.split("/")[5:]
    match parts:
        case ["users"]:
            what = "users"
        case ["users", _]:
            what = "user"
        case ["users", _, "status"]:
            what = "status"
        case ["users", _, "password", "reset"]:
            what = "password"
        case _:
            what = request.url.path
    return f"{request.method} {what}"


@dataclass
class Rig:
    """A running bridge: SCIM in front, the platform's own API behind."""

    wire: Wire
    store: Store
    directory: Directory
    platform: httpx.AsyncClient
    tenant_id: str
    token: str
    app: Any
    settings: Settings
    sleeps: list[float]
    clock: Clock
    others: dict[str, str] = field(default_factory=dict)

    def client(self, token: str | None = None, **headers: str) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://bridge.test/scim/v2",
            headers={"authorization": f"Bearer {token or self.token}", **headers},
        )

    async def scim(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        """One SCIM request; every error is checked to be a SCIM error that gives nothing away."""
        async with self.client(options.pop("token", None)) as client:
            answer = await client.request(method, path, json=body, **options)
        if answer.status_code >= 400:
            assert_scim_error(answer)
        return answer

    async def make(self, **attributes: Any) -> dict[str, Any]:
        """A user created over SCIM; the record of calls starts anew afterwards."""
        answer = await self.scim("POST", "/Users", person(**attributes))
        assert answer.status_code == 201, answer.text
        self.wire.reset()
        return answer.json()

    async def patch(self, user_id: str, *operations: dict[str, Any], **options: Any) -> httpx.Response:
        body = {"schemas": [PATCH_OP], "Operations": list(operations)}
        return await self.scim("PATCH", f"/Users/{user_id}", body, **options)

    async def at_platform(self, user_id: str) -> dict[str, Any] | None:
        """The user as the platform has it, None where it has none."""
        answer = await self.platform.get(f"/api/v1/tenants/{self.tenant_id}/users/{user_id}")
        return None if answer.status_code == 404 else answer.json()["data"]

    async def all_at_platform(self) -> list[dict[str, Any]]:
        answer = await self.platform.get(f"/api/v1/tenants/{self.tenant_id}/users", params={"per_page": 100})
        return [u for row in answer.json()["data"] if (u := await self.at_platform(row["id"]))]

    async def create_at_platform(self, email: str, **fields: Any) -> dict[str, Any]:
        answer = await self.platform.post(
            f"/api/v1/tenants/{self.tenant_id}/users", json={"email": email, **fields}
        )
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    async def change_at_platform(self, user_id: str, **fields: Any) -> None:
        answer = await self.platform.patch(f"/api/v1/tenants/{self.tenant_id}/users/{user_id}", json=fields)
        assert answer.status_code == 200, answer.text

    async def set_status(self, user_id: str, status: str) -> None:
        answer = await self.platform.put(
            f"/api/v1/tenants/{self.tenant_id}/users/{user_id}/status", json={"status": status}
        )
        assert answer.status_code == 200, answer.text

    async def connection(self, name: str, *, tenant: str | None = None, **options: Any) -> str:
        """Another connection, to a tenant of this slug or to the same one; its token."""
        tenant_id = self.tenant_id
        if tenant is not None:
            tenant_id = await self.directory.ensure_tenant(tenant, tenant)
            self.others[tenant] = tenant_id
        made = await self.store.connections.add(name=name, tenant_id=tenant_id, **options)
        _, token = await self.store.tokens.create(made.id, "test", None)
        return token

    async def alone(self, **connection: Any) -> Rig:
        """The same bridge for a tenant of its own, so that tests can share what is slow to open."""
        name = f"tenant-{uuid.uuid4().hex[:12]}"
        tenant_id = await self.directory.ensure_tenant(name, name)
        made = await self.store.connections.add(name=name, tenant_id=tenant_id, **connection)
        _, token = await self.store.tokens.create(made.id, "test", None)
        SECRETS.append(token)
        self.wire.reset()
        self.sleeps.clear()
        # Whatever pause or open circuit another test left behind is over.
        self.clock.now += 3600
        return replace(self, tenant_id=tenant_id, token=token)


def person(**attributes: Any) -> dict[str, Any]:
    """The body of a POST; attributes given as None are left out."""
    body = {
        "schemas": [CORE],
        "userName": "ada@example.com",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "ada@example.com", "type": "work", "primary": True}],
        **attributes,
    }
    return {k: v for k, v in body.items() if v is not None}


SECRETS: list[str] = []
"""What must never show in a body: tokens, passwords, client secrets of the rigs that were opened."""

LEAKS = ("Traceback", "httpx", "msgspec", "sqlalchemy", "app/", "Exception", "0x7f", "<html")


def assert_scim_error(answer: httpx.Response) -> dict[str, Any]:
    """An RFC 7644 §3.12 body of the answer's own status that tells no secret; it is returned."""
    assert answer.headers["content-type"].partition(";")[0] in ("application/scim+json", "application/json")
    if answer.request.method == "HEAD":
        return {}
    body = answer.json()
    assert body["schemas"] == [ERROR]
    assert body["status"] == str(answer.status_code)
    assert isinstance(body["detail"], str)
    assert body["detail"]
    if answer.status_code >= 500:
        assert "(reference " in body["detail"]
    for leak in (*LEAKS, *SECRETS):
        assert leak not in answer.text
    if "retry-after" in answer.headers:
        assert answer.headers["retry-after"].isdigit()
    return body


async def template(directory: Path) -> None:
    """Databases that are copied for every rig: keys and schemas take longest to make."""
    async with Directory(directory / "platform.db") as made:
        tenant_id = await made.ensure_tenant("main", "Main")
        credentials = await made.create_app(None, ("admin:read", "admin:write"), "bridge")
    store = await Store.open(f"sqlite+aiosqlite:///{directory / 'bridge.db'}")
    await store.close()
    text = json.dumps([tenant_id, credentials.client_id, credentials.client_secret])
    (directory / "made.json").write_text(text)


@asynccontextmanager
async def open_rig(
    made_from: Path,
    place: Path,
    *,
    platform_settings: PlatformSettings | None = None,
    policies: Policies | None = None,
    domain: str = "default",
    mapping: str = "default",
    attempts: int = 3,
    **settings: Any,
) -> AsyncIterator[Rig]:
    """A bridge in the directory `place`; waits between attempts are noted instead of slept."""
    tenant_id, client_id, client_secret = json.loads((made_from / "made.json").read_text())
    for name in ("platform.db", "bridge.db"):
        if not (place / name).exists():
            shutil.copy(made_from / name, place / name)
    configured = Settings(
        data_dir=str(place),
        platform_client_id=client_id,
        platform_client_secret=client_secret,
        # No calls but those that a request makes; within one process none outlives its answer; and tests are
        # faster than clients.
        **{
            "index_sweep_s": 0,
            "journal_tick_s": 3600.0,
            "journal_settle_s": 0.0,
            "requests_per_second": 0,
            "auth_failures_per_minute": 0,
            **settings,
        },
    )
    sleeps: list[float] = []
    clock = Clock()

    async def sleep(seconds: float) -> None:
        sleeps.append(seconds)
        clock.now += seconds
        await asyncio.sleep(0)

    async with AsyncExitStack() as stack:
        platform_app = create_platform(place / "platform.db", platform_settings or PlatformSettings())
        await stack.enter_async_context(platform_app.lifespan())
        directory = await stack.enter_async_context(Directory(place / "platform.db"))
        wire = Wire(platform_app)
        bridge = await stack.enter_async_context(
            open_bridge(
                configured, transport=wire, retry=RetryPolicy(sleep=sleep, clock=clock, attempts=attempts)
            )
        )
        store: Store = bridge.state.services.store
        platform_token = await directory.issue_token(client_id)
        platform = await stack.enter_async_context(
            httpx.AsyncClient(
                transport=httpx.ASGITransport(platform_app),
                base_url="http://platform.test",
                headers={"authorization": f"Bearer {platform_token}"},
            )
        )
        connection = await store.connections.by_name("main")
        if connection is None:
            connection = await store.connections.add(
                name="main", tenant_id=tenant_id, policies=policies, domain=domain, mapping=mapping
            )
        _, token = await store.tokens.create(connection.id, "test", None)
        SECRETS[:] = [token, client_secret, platform_token]
        yield Rig(
            wire=wire,
            store=store,
            directory=directory,
            platform=platform,
            tenant_id=tenant_id,
            token=token,
            app=bridge,
            settings=configured,
            sleeps=sleeps,
            clock=clock,
        )


async def hosted(opening: AbstractAsyncContextManager[R]) -> AsyncIterator[R]:
    """The rig, opened and closed by one task: fixtures begin and end in two, which anyio does not allow."""
    ready: asyncio.Future[R] = asyncio.get_running_loop().create_future()
    over = asyncio.Event()

    async def host() -> None:
        async with opening as rig:
            ready.set_result(rig)
            await over.wait()

    task = asyncio.create_task(host())
    await asyncio.wait({task, ready}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        task.result()
    yield ready.result()
    over.set()
    await task


@pytest.fixture(scope="session")
def made_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Databases to copy."""
    place = tmp_path_factory.mktemp("template")
    asyncio.run(template(place))
    return place


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """One bridge for a module's tests."""
    async for rig in hosted(open_rig(made_once, tmp_path_factory.mktemp("rig"))):
        yield rig


@pytest_asyncio.fixture(loop_scope="module")
async def rig(shared: Rig) -> Rig:
    """The module's bridge, for an empty tenant."""
    return await shared.alone()


# --- faults -------------------------------------------------------------------------------------------------


def answers(
    status: int, body: Any = None, *, headers: dict[str, str] | None = None, raw: bytes | None = None
) -> Fault:
    """The platform does nothing and answers this."""
    content = (
        raw
        if raw is not None
        else msgspec.json.encode({"detail": "platform says no"} if body is None else body)
    )

    async def fault(request: httpx.Request, _send: Send) -> httpx.Response:
        return httpx.Response(
            status, headers={"content-type": "application/json", **(headers or {})}, content=content
        )

    return fault


def raises(kind: type[Exception]) -> Fault:
    """The request never reaches the platform."""

    async def fault(request: httpx.Request, _send: Send) -> httpx.Response:
        raise kind("secret-internal-text")

    return fault


def loses_reply(kind: type[Exception]) -> Fault:
    """The platform does what is asked, and the answer is lost."""

    async def fault(request: httpx.Request, send: Send) -> httpx.Response:
        await (await send(request)).aread()
        raise kind("secret-internal-text")

    return fault


def garbles_reply(raw: bytes, status: int | None = None) -> Fault:
    """The platform does what is asked, and the answer cannot be read."""

    async def fault(request: httpx.Request, send: Send) -> httpx.Response:
        done = await send(request)
        await done.aread()
        return httpx.Response(status or done.status_code, content=raw)

    return fault


def values(answer: httpx.Response) -> Iterable[str]:
    """The userNames of a list."""
    return [r["userName"] for r in answer.json()["Resources"]]
