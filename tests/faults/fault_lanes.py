"""The processes of the fault matrix: one platform, a proxy before it, and bridges that can be killed."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from fault_proxy import Lane, Proxy
from sqlalchemy import Connection, text

from app.embedded import Directory
from app.store.connections import Policies
from app.store.store import Store

_EXPORT = re.compile(r"export (SCIM_BRIDGE_\w+)=(\S+)")
_SCIM_URL = re.compile(r"http://127\.0\.0\.1:(\d+)/scim/v2")
_MAPPING = Path(__file__).parents[2] / "mappings" / "default.toml"
_CLIENT_TIMEOUT_S = 60.0
_POLL_S = 0.05
_LIMITS = httpx.Limits(keepalive_expiry=2.0)
"""Below the 5 s after which uvicorn ends an idle connection: none is used while it is being ended."""

TIMEOUT_S = 1.5
"""The bridge's patience with the platform: what every silent fault costs."""

MEMBERS_PER_CALL = 3

PLAIN = Policies(password="set")


class Request(NamedTuple):
    """What a SCIM client sends."""

    method: str
    path: str
    body: Any = None


class Process:
    """A command of the product; started again it keeps data directory and port."""

    def __init__(self, log: Path, until: str, *arguments: str, **environment: str) -> None:
        self._log = log
        self._until = until
        self._arguments = arguments
        self._environment = environment

    async def start(self) -> str:
        """Start it; what it prints up to a line that begins as expected."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith("SCIM_BRIDGE_")}
        with self._log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "app.cli",
                *self._arguments,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**kept, "PYTHONUNBUFFERED": "1", **self._environment},
            )
        assert self._process.stdout is not None
        told = ""
        async for line in self._process.stdout:
            told += line.decode()
            if line.decode().startswith(self._until):
                return told
        raise AssertionError(told + self._log.read_text())

    async def kill(self) -> None:
        """End it at this moment, with no chance to put anything in order."""
        self._process.kill()
        await self._process.wait()

    async def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGINT)
            await asyncio.wait_for(self._process.wait(), 60)


class Bridge:
    """`scim-bridge serve` at one port, over and over."""

    def __init__(self, place: Path, **environment: str) -> None:
        self._place = place
        self._environment = environment
        self._port = "0"

    async def start(self, timeout_s: float = TIMEOUT_S) -> None:
        """Start, for the first time or again; it waits `timeout_s` for an answer of the platform."""
        environment = {
            **self._environment,
            "SCIM_BRIDGE_PLATFORM_TIMEOUT_S": str(timeout_s),
            "SCIM_BRIDGE_ADMIN_PORT": "0",
        }
        self._process = Process(
            self._place / "serve.log", "Connections", "serve", "--port", self._port, **environment
        )
        found = _SCIM_URL.search(await self._process.start())
        assert found is not None
        self._port, self.url = found[1], found[0]
        self.client = httpx.AsyncClient(base_url=found[0], timeout=_CLIENT_TIMEOUT_S, limits=_LIMITS)

    async def kill(self) -> None:
        """SIGKILL."""
        await self._process.kill()

    async def stop(self) -> None:
        """End it in order; it may be dead already."""
        await self.client.aclose()
        await self._process.stop()


@dataclass
class World:
    """A tenant and a connection of its own for one case."""

    rig: Rig
    tenant_id: str
    lane: Lane
    token: str
    ids: dict[str, str] = field(default_factory=dict)
    """Ids by the names of what was made before the write."""

    async def scim(self, method: str, path: str, body: Any = None, *, at: int = 0) -> httpx.Response:
        """One request to the bridge of this number."""
        return await self.rig.bridges[at].client.request(
            method, path, json=body, headers={"authorization": f"Bearer {self.token}"}
        )

    async def send(self, request: Request, *, at: int = 0) -> tuple[int | None, str]:
        """Status and text of the answer; None where the connection broke."""
        try:
            answer = await self.scim(*request, at=at)
        except httpx.TransportError as exc:
            return None, type(exc).__name__
        return answer.status_code, answer.text

    async def platform(self, method: str, path: str, body: Any = None) -> Any:
        """One call to the platform itself, below the tenant; `data` of its answer."""
        answer = await self.rig.platform.request(method, f"/api/v1/tenants/{self.tenant_id}{path}", json=body)
        assert answer.is_success, answer.text
        return answer.json()["data"] if answer.content else None

    async def made(self, method: str, path: str, body: Any) -> dict[str, Any]:
        """Something made over SCIM before the write; its id is kept under its name."""
        answer = await self.scim(method, path, body)
        assert answer.is_success, answer.text
        resource: dict[str, Any] = answer.json() if answer.content else {}
        if method == "POST":
            self.ids[resource.get("userName") or resource["displayName"]] = resource["id"]
        return resource


class Rig:
    """What all cases share."""

    def __init__(
        self, place: Path, store: Store, directory: Directory, proxy: Proxy, platform: httpx.AsyncClient
    ) -> None:
        self.place = place
        self.store = store
        self.proxy = proxy
        self.platform = platform
        self.bridges: list[Bridge] = []
        self._directory = directory
        self._stock: dict[Policies, list[World]] = defaultdict(list)
        self._mapping = place / "small-batches.toml"
        text = _MAPPING.read_text().replace(
            "members_per_call = 100", f"members_per_call = {MEMBERS_PER_CALL}"
        )
        self._mapping.write_text(text)

    @property
    def platform_database(self) -> Path:
        """The platform's own file, for what its API does not tell."""
        return self.place / "platform" / "platform.db"

    async def stock(self, wanted: Iterable[Policies]) -> None:
        """Make worlds ahead: while cases run, this process stays away from the servers' files."""
        for policies in wanted:
            self._stock[policies].append(await self._new(policies))

    async def world(self, policies: Policies = PLAIN) -> World:
        """A tenant with nobody in it, and a connection to it with these policies."""
        return self._stock[policies].pop() if self._stock[policies] else await self._new(policies)

    async def _new(self, policies: Policies) -> World:
        name = f"w-{uuid.uuid4().hex}"
        tenant_id = await self._directory.ensure_tenant(name, name)
        made = await self.store.connections.add(
            name=name,
            tenant_id=tenant_id,
            mapping=str(self._mapping),
            policies=policies,
        )
        _, token = await self.store.tokens.create(made.id, "test", None)
        return World(self, tenant_id, self.proxy.lane(tenant_id), token)

    async def drained(self, world: World, within_s: float) -> int:
        """Wait until nothing of the tenant is unfinished; how much still is when patience ends."""
        patience_ends = time.monotonic() + within_s
        while left := await pending(self.store, world.tenant_id):
            if time.monotonic() > patience_ends:
                break
            await asyncio.sleep(_POLL_S)
        await world.lane.quiet()
        return left


async def pending(store: Store, tenant_id: str) -> int:
    """Unfinished writes of a tenant: rows of the journal that are more than a note of what was finished."""

    def count(connection: Connection) -> int:
        statement = text(
            "SELECT count(*) FROM journal WHERE tenant_id = :tenant AND state != 'done-unacknowledged'"
        )
        return int(connection.execute(statement, {"tenant": tenant_id}).scalar_one())

    return await store.db.read_unit(count)


@asynccontextmanager
async def open_rig_of_processes(
    place: Path, *, replicas: int = 1, database_url: str = ""
) -> AsyncIterator[Rig]:
    """Platform, proxy and bridges, ended together; without a database URL the bridge has its SQLite file."""
    async with AsyncExitStack() as stack:
        (place / "platform").mkdir()
        server = Process(
            place / "platform.log", "Ctrl-C", "platform", "--port", "0", "--data-dir", str(place / "platform")
        )
        stack.push_async_callback(server.stop)
        environment = dict(_EXPORT.findall(await server.start()))
        platform_url = environment["SCIM_BRIDGE_PLATFORM_URL"]
        proxy = await stack.enter_async_context(Proxy(platform_url))
        environment |= {
            "SCIM_BRIDGE_PLATFORM_URL": proxy.url,
            # A sweep that a kill interrupts goes on when its lease has run out: later than a test waits.
            "SCIM_BRIDGE_INDEX_SWEEP_S": "0",
            # The proxy lets go of calls when their bridge is dead.
            "SCIM_BRIDGE_JOURNAL_SETTLE_S": "2",
            "SCIM_BRIDGE_JOURNAL_TICK_S": "0.5",
            "SCIM_BRIDGE_REQUESTS_PER_SECOND": "0",
            # The faults of all tenants meet one breaker; what it does is tested where it is.
            "SCIM_BRIDGE_PLATFORM_BREAKER_FAILURES": "1000000",
            "SCIM_BRIDGE_DATA_DIR": str(place),
            "SCIM_BRIDGE_DATABASE_URL": database_url,
            "SCIM_BRIDGE_LOG_LEVEL": "warning",
        }
        store = await Store.open(database_url or f"sqlite+aiosqlite:///{place / 'bridge.db'}")
        stack.push_async_callback(store.close)
        directory = await stack.enter_async_context(Directory(place / "platform" / "platform.db"))
        token = await directory.issue_token(environment["SCIM_BRIDGE_PLATFORM_CLIENT_ID"], 24 * 3600)
        platform = await stack.enter_async_context(
            httpx.AsyncClient(
                base_url=platform_url,
                headers={"authorization": f"Bearer {token}"},
                timeout=_CLIENT_TIMEOUT_S,
                limits=_LIMITS,
            )
        )
        rig = Rig(place, store, directory, proxy, platform)
        for _ in range(replicas):
            bridge = Bridge(place, **environment)
            await bridge.start()
            stack.push_async_callback(bridge.stop)
            rig.bridges.append(bridge)
        yield rig
