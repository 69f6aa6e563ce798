"""An embedded platform on a real socket: a server in a thread of its own, and tenants to use it with."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import uvicorn

from app.embedded import AppCredentials, Directory, PlatformSettings, create_platform

T = TypeVar("T")

READ_WRITE = ("admin:read", "admin:write")


class RunningPlatform:
    """One platform at `url`; `run` lets its directory work in the server's event loop."""

    def __init__(self, database: Path, settings: PlatformSettings) -> None:
        self.database = database
        self.directory = Directory(database, settings)
        self._app = create_platform(database, settings)
        # asyncio turns Nagle's delay off only for a socket that names its protocol.
        self._socket = socket.socket(proto=socket.IPPROTO_TCP)
        self._socket.bind(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.loop: asyncio.AbstractEventLoop
        self._server = uvicorn.Server(
            uvicorn.Config(
                self._app, log_config=None, access_log=False, ws="none", timeout_graceful_shutdown=2
            )
        )
        self._count = 0

    async def _serve(self) -> None:
        self.loop = asyncio.get_running_loop()
        async with self.directory:
            self._ready.set()
            await self._server.serve(sockets=[self._socket])

    def start(self) -> None:
        self._socket.listen(128)
        self._thread.start()
        assert self._ready.wait(10)

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        assert not self._thread.is_alive()
        self._socket.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any, **kwargs: Any) -> T:
        return self.run(function(*args, **kwargs))

    def token(
        self, tenant_id: str | None, scopes: tuple[str, ...] = READ_WRITE, ttl_s: int | None = None
    ) -> str:
        app = self.call(self.directory.create_app, tenant_id, scopes, "test")
        return self.call(self.directory.issue_token, app.client_id, ttl_s)

    def client(self, token: str | None) -> httpx.Client:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=20, trust_env=False)

    def new_tenant(self, partner_id: str | None = None) -> Tenant:
        self._count += 1
        slug = f"tenant-{self._count}"
        tenant_id = self.call(self.directory.ensure_tenant, slug, f"Tenant {self._count}", partner_id)
        credentials = self.call(self.directory.create_app, tenant_id, READ_WRITE, "test")
        token = self.call(self.directory.issue_token, credentials.client_id)
        return Tenant(self, tenant_id, slug, credentials, token, self.client(token))


@dataclass
class Tenant:
    """A tenant and a client that may do everything in it."""

    platform: RunningPlatform
    id: str
    slug: str
    credentials: AppCredentials
    token: str
    http: httpx.Client

    @property
    def users(self) -> str:
        return f"/api/v1/tenants/{self.id}/users"

    @property
    def groups(self) -> str:
        return f"/api/v1/tenants/{self.id}/groups"

    def create(self, email: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post(self.users, json={"email": email, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]

    def get(self, user_id: str) -> dict[str, Any]:
        answer = self.http.get(f"{self.users}/{user_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def admin_get(self, user_id: str) -> dict[str, Any]:
        answer = self.http.get(f"/api/v1/admin/users/{user_id}")
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def patch(self, user_id: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.patch(f"{self.users}/{user_id}", json=fields)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def delete(self, user_id: str, email: str) -> None:
        answer = self.http.delete(f"{self.users}/{user_id}", params={"confirm_email": email})
        assert answer.status_code == 204, answer.text
        assert answer.content == b""

    def emails(self, **params: Any) -> list[str]:
        answer = self.http.get(self.users, params=params)
        assert answer.status_code == 200, answer.text
        return [item["email"] for item in answer.json()["data"]]

    def create_group(self, name: str, **fields: Any) -> dict[str, Any]:
        answer = self.http.post(self.groups, json={"name": name, **fields})
        assert answer.status_code == 201, answer.text
        return answer.json()["data"]


@contextmanager
def running(database: Path, settings: PlatformSettings) -> Iterator[RunningPlatform]:
    platform = RunningPlatform(database, settings)
    platform.start()
    try:
        yield platform
    finally:
        platform.stop()


def locations(answer: httpx.Response) -> list[list[str | int]]:
    """The places that a 422 names; checks the shape of every error."""
    assert answer.status_code == 422, answer.text
    errors = answer.json()["detail"]
    assert errors
    for error in errors:
        assert set(error) == {"loc", "msg", "type"}
        assert error["msg"]
        assert error["type"]
    return [error["loc"] for error in errors]
