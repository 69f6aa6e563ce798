"""A process that ends, and clients that go, while a write is under way: it is finished all the same."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from bridge_rig import assert_scim_error
from relay import Relay

from app.store.store import Store

if TYPE_CHECKING:
    from conftest import Served

PATIENCE_S = 60.0


class Bridge:
    """A `scim-bridge serve` whose platform is that of `served`, behind a wire that holds status changes."""

    def __init__(self, served: Served, place: Path, **environment: str) -> None:
        url = httpx.URL(served.platform_url)
        self.relay = Relay(url.host, url.port or 80, b"PUT ")
        self._served = served
        known = json.loads((served.data_dir / "platform.json").read_text())
        environment = {
            **os.environ,
            "PYTHONUNBUFFERED": "1",
            "SCIM_BRIDGE_DATA_DIR": str(place),
            "SCIM_BRIDGE_PLATFORM_URL": self.relay.url,
            "SCIM_BRIDGE_PLATFORM_CLIENT_ID": known["client_id"],
            "SCIM_BRIDGE_PLATFORM_CLIENT_SECRET": known["client_secret"],
            **environment,
        }
        self.token = asyncio.run(_token(f"sqlite+aiosqlite:///{place}/bridge.db", served.tenant_id))
        self._log = place / "serve.log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", "serve", "--port", "0"],
                stdout=subprocess.PIPE,
                stderr=log,
                env=environment,
            )
        assert self.process.stdout is not None
        told = b""
        for line in self.process.stdout:
            told += line
            if line.startswith(b"Connections"):
                break
        found = re.search(rb"(http://127\.0\.0\.1:\d+)/scim/v2", told)
        assert found is not None, self.log()
        self.url = found[1].decode()
        self.name = f"late-{uuid.uuid4().hex[:12]}@example.com"

    def log(self) -> str:
        return self._log.read_text()

    def client(self) -> httpx.Client:
        headers = {"authorization": f"Bearer {self.token}"}
        return httpx.Client(base_url=f"{self.url}/scim/v2", headers=headers, timeout=PATIENCE_S)

    def create(self) -> httpx.Response:
        """Create an inactive user: two calls, of which the wire holds the second."""
        with self.client() as client:
            return client.post("/Users", json={"userName": self.name, "active": False})

    def at_platform(self) -> dict[str, Any]:
        """The user as the platform has it."""
        with self._served.platform() as client:
            (found,) = client.get("/users", params={"search": self.name}).json()["data"]
        return dict(found)

    def exit_code(self) -> int:
        code = self.process.wait(timeout=PATIENCE_S)
        assert "Traceback" not in self.log()
        return code

    def close(self) -> None:
        self.relay.close()
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()


async def _token(database: str, tenant_id: str) -> str:
    store = await Store.open(database)
    try:
        connection = await store.connections.add(name="test", tenant_id=tenant_id)
        return (await store.tokens.create(connection.id, ""))[1]
    finally:
        await store.close()


@pytest.fixture
def bridge(served: Served, tmp_path: Path) -> Iterator[Callable[..., Bridge]]:
    started: list[Bridge] = []

    def start(**environment: str) -> Bridge:
        started.append(Bridge(served, tmp_path, **environment))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture
def apart() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor() as pool:
        yield pool


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def refuses_connections(url: str) -> bool:
    try:
        httpx.get(f"{url}/health/live", timeout=PATIENCE_S)
    except httpx.TransportError:
        return True
    return False


def test_a_write_is_answered_after_sigterm(bridge: Callable[..., Bridge], apart: ThreadPoolExecutor) -> None:
    one = bridge()
    writing = apart.submit(one.create)
    assert one.relay.held.wait(PATIENCE_S)
    assert one.at_platform()["status"] == "ACTIVE"
    one.process.send_signal(signal.SIGTERM)
    until(lambda: refuses_connections(one.url))
    assert one.process.poll() is None
    one.relay.go.set()
    answer = writing.result()
    assert (answer.status_code, answer.json()["active"]) == (201, False)
    assert one.exit_code() == 0
    assert one.at_platform()["status"] == "DISABLED"


def test_a_write_whose_client_is_gone_is_finished(bridge: Callable[..., Bridge]) -> None:
    one = bridge()
    url = httpx.URL(one.url)
    body = json.dumps({"userName": one.name, "active": False}).encode()
    with socket.create_connection((url.host, url.port)) as client:
        client.sendall(
            f"POST /scim/v2/Users HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {one.token}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )
        assert one.relay.held.wait(PATIENCE_S)
    one.relay.go.set()
    until(lambda: one.at_platform()["status"] == "DISABLED")
    one.process.send_signal(signal.SIGTERM)
    assert one.exit_code() == 0


def test_a_write_beyond_its_time_is_finished_before_the_process_ends(bridge: Callable[..., Bridge]) -> None:
    one = bridge(SCIM_BRIDGE_HANDLING_TIMEOUT_S="0.5")
    answer = one.create()
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert_scim_error(answer)
    assert one.relay.held.wait(PATIENCE_S)
    one.process.send_signal(signal.SIGTERM)
    until(lambda: refuses_connections(one.url))
    assert one.process.poll() is None
    one.relay.go.set()
    assert one.exit_code() == 0
    assert one.at_platform()["status"] == "DISABLED"


def test_a_bulk_beyond_its_time_answers_and_is_finished_before_the_process_ends(
    bridge: Callable[..., Bridge],
) -> None:
    one = bridge(SCIM_BRIDGE_HANDLING_TIMEOUT_S="8")
    patch = {"method": "PATCH", "data": {"Operations": [{"op": "replace", "path": "title", "value": "x"}]}}
    operations = [
        {**patch, "path": "/Users/nobody"},
        {"method": "POST", "path": "/Users", "bulkId": "a", "data": {"userName": one.name, "active": False}},
        {**patch, "path": "/Users/bulkId:a"},
    ]
    with one.client() as client:
        answer = client.post("/Bulk", json={"Operations": operations})
        assert answer.status_code == 200
        assert answer.headers["retry-after"].isdigit()
        shown = answer.json()["Operations"]
        assert [each["status"] for each in shown] == ["404", "503", "503"]
        assert "goes on" in shown[1]["response"]["detail"]
        assert "not begun" in shown[2]["response"]["detail"]
        for late in shown[1:]:
            assert "(reference " in late["response"]["detail"]
        assert one.relay.held.is_set()
    one.process.send_signal(signal.SIGTERM)
    until(lambda: refuses_connections(one.url))
    assert one.process.poll() is None
    one.relay.go.set()
    assert one.exit_code() == 0
    assert one.at_platform()["status"] == "DISABLED"


def test_a_write_that_never_ends_does_not_keep_the_process(bridge: Callable[..., Bridge]) -> None:
    one = bridge(SCIM_BRIDGE_HANDLING_TIMEOUT_S="0.5", SCIM_BRIDGE_SHUTDOWN_TIMEOUT_S="1")
    assert one.create().status_code == 503
    assert one.relay.held.wait(PATIENCE_S)
    one.process.send_signal(signal.SIGTERM)
    assert one.exit_code() == 0
    assert "cut off" in one.log()


def test_readiness_turns_before_the_listener_closes(bridge: Callable[..., Bridge]) -> None:
    one = bridge(SCIM_BRIDGE_SHUTDOWN_DELAY_S="600")
    with one.client() as client:
        ready = f"{one.url}/health/ready"
        assert client.get(ready).status_code == 200
        one.process.send_signal(signal.SIGTERM)
        until(lambda: client.get(ready).status_code == 503)
        assert client.get(ready).json() == {"status": "shutting down"}
        assert client.get(f"{one.url}/health/live").status_code == 200
        assert httpx.get(f"{one.url}/health/live").status_code == 200
        assert client.get("/Users").status_code == 200
    one.process.send_signal(signal.SIGTERM)
    assert one.exit_code() == 0


def test_ctrl_c_does_not_wait(bridge: Callable[..., Bridge]) -> None:
    one = bridge(SCIM_BRIDGE_SHUTDOWN_DELAY_S="600")
    one.process.send_signal(signal.SIGINT)
    assert one.exit_code() == 0


def test_an_acknowledged_write_is_in_the_audit_trail_though_the_process_is_killed(
    bridge: Callable[..., Bridge], tmp_path: Path
) -> None:
    one = bridge()
    with one.client() as client:
        answer = client.post("/Users", json={"userName": one.name})
        one.process.kill()
    assert answer.status_code == 201
    one.process.wait(timeout=PATIENCE_S)

    async def recorded() -> list[str]:
        store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/bridge.db")
        try:
            return [r.correlation_id for r in (await store.audit.history(one.name)).records]
        finally:
            await store.close()

    assert asyncio.run(recorded()) == [answer.headers["x-correlation-id"]]
