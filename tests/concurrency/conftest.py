"""Where groups are written in parallel: one process at SQLite, two processes at one PostgreSQL."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import IO, TYPE_CHECKING

import pytest
from commands import scim_bridge
from parallel import Place

if TYPE_CHECKING:
    from conftest import Served
    from databases import PostgresServer

EXPORT = re.compile(rb"export (SCIM_BRIDGE_\w+)=(\S+)")


@pytest.fixture(scope="session")
def processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Processes]:
    started = _Processes(tmp_path_factory.mktemp("processes"))
    yield started
    started.stop()


class _Processes:
    """Servers that end with the session."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.running: list[subprocess.Popen[bytes]] = []

    def start(self, until: bytes, *arguments: str, **environment: str) -> bytes:
        """Start a command of the product; what it prints up to a line that begins so."""
        log: IO[bytes]
        with (self.place / f"{len(self.running)}.log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "app.cli", *arguments],
                stdout=subprocess.PIPE,
                stderr=log,
                env={
                    **os.environ,
                    "PYTHONUNBUFFERED": "1",
                    "SCIM_BRIDGE_REQUESTS_PER_SECOND": "0",
                    **environment,
                },
            )
        self.running.append(process)
        assert process.stdout is not None
        told = b""
        for line in process.stdout:
            told += line
            if line.startswith(until):
                return told
        raise AssertionError(told)

    def stop(self) -> None:
        """End them as Ctrl-C does, the last one first."""
        for process in reversed(self.running):
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                raise
            finally:
                if process.stdout is not None:
                    process.stdout.close()


def token(tenant_id: str, backend: str, **environment: str) -> str:
    """A token of a new connection."""
    name = f"{backend}-{uuid.uuid4().hex[:8]}"
    options = ["--local-groups"] if backend == "local" else []
    scim_bridge("connection", "add", name, "--tenant", tenant_id, *options, **environment)
    return scim_bridge("token", "create", name, **environment).strip()


@pytest.fixture(scope="session")
def at_sqlite(served: Served) -> dict[str, Place]:
    environment = {"SCIM_BRIDGE_DATA_DIR": str(served.data_dir)}
    return {
        backend: Place([served.base_url], token(served.tenant_id, backend, **environment))
        for backend in ("platform", "local")
    }


@pytest.fixture(scope="session")
def at_postgresql(processes: _Processes, postgres_server: PostgresServer) -> dict[str, Place]:
    told = processes.start(
        b"Ctrl-C", "platform", "--port", "0", "--data-dir", str(processes.place / "platform")
    )
    environment = {name.decode(): value.decode() for name, value in EXPORT.findall(told)}
    tenant = re.search(rb"--tenant (\S+)", told)
    assert tenant is not None
    environment["SCIM_BRIDGE_DATABASE_URL"] = postgres_server.make()
    environment["SCIM_BRIDGE_DATA_DIR"] = str(processes.place / "bridge")
    tokens = {b: token(tenant[1].decode(), b, **environment) for b in ("platform", "local")}
    urls = []
    for _ in range(2):
        told = processes.start(b"Connections", "serve", "--port", "0", **environment)
        found = re.search(rb"(http://127\.0\.0\.1:\d+/scim/v2)", told)
        assert found is not None
        urls.append(found[1].decode())
    return {backend: Place(urls, tokens[backend]) for backend in tokens}


@pytest.fixture(params=["sqlite-platform", "sqlite-local", "postgresql-platform", "postgresql-local"])
def place(request: pytest.FixtureRequest) -> Place:
    """Database and keeper of groups."""
    database, backend = request.param.split("-")
    found: Place = request.getfixturevalue(f"at_{database}")[backend]
    return found
