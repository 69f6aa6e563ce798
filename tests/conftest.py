"""A bridge as users have it: a process of its own, reached over a socket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from hypothesis import HealthCheck, settings

pytest_plugins = ["databases"]

# The same examples in every run, whatever the machine is busy with; the long forms draw new ones, and so does
# `--hypothesis-profile=default`.
settings.register_profile(
    "ordinary", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("ordinary")


def pytest_configure(config: pytest.Config) -> None:
    """Let all processes of a run share what one of them compiles, also where none may write to the source.

    Otherwise each of the many servers and commands compiles hundreds of modules anew.
    """
    if not os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
        return
    place = tempfile.mkdtemp(prefix="scim-bridge-bytecode-")
    os.environ["PYTHONPYCACHEPREFIX"] = place
    config.add_cleanup(lambda: shutil.rmtree(place, ignore_errors=True))


START_S = 60.0
"""How long a server may take to start on a machine that is busy with other tests."""


class Served:
    """A running `scim-bridge serve` over its embedded platform."""

    def __init__(self, process: subprocess.Popen[bytes], data_dir: Path) -> None:
        self.process = process
        self.data_dir = data_dir
        quickstart = json.loads((data_dir / "quickstart.json").read_text())
        self.base_url: str = quickstart["base_url"]
        self.token: str = quickstart["token"]
        self.tenant_id: str = quickstart["tenant_id"]
        self.platform_url: str = quickstart["platform_url"]
        self.platform_token: str = quickstart["platform_token"]

    def scim(self, **headers: str) -> httpx.Client:
        """A client of the SCIM side; paths are relative to the base URL."""
        return httpx.Client(
            base_url=self.base_url, headers={"Authorization": f"Bearer {self.token}", **headers}, timeout=30
        )

    def platform(self) -> httpx.Client:
        """A client of the platform side; paths are relative to the tenant."""
        return httpx.Client(
            base_url=f"{self.platform_url}/api/v1/tenants/{self.tenant_id}",
            headers={"Authorization": f"Bearer {self.platform_token}"},
            timeout=30,
        )


Serve = Callable[..., Served]


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """Start bridges: `serve()` for a fresh one, `serve(data_dir, *arguments, **environment)` otherwise.

    They end with the module: those that only idle take time from the others.
    """
    with _starting(tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="session")
def serve_on(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    """`serve` for bridges that several modules share."""
    with _starting(tmp_path_factory) as start:
        yield start


@contextmanager
def _starting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serve]:
    running: list[subprocess.Popen[bytes]] = []

    def start(data_dir: Path | None = None, *arguments: str, **environment: str) -> Served:
        place = data_dir or tmp_path_factory.mktemp("data")
        log = (place / "serve.log").open("ab")
        process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--data-dir", str(place), *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            env={
                **os.environ,
                "PYTHONUNBUFFERED": "1",
                "SCIM_BRIDGE_REQUESTS_PER_SECOND": "0",
                **environment,
            },
        )
        log.close()
        running.append(process)
        assert process.stdout is not None
        deadline = time.monotonic() + START_S
        for line in process.stdout:
            if line.startswith(b"Ctrl-C") or time.monotonic() > deadline:
                break
        assert process.poll() is None, (place / "serve.log").read_text()
        return Served(process, place)

    yield start
    for process in running:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
    for process in running:
        _ended(process)


def stop(process: subprocess.Popen[bytes]) -> int:
    """End a server as Ctrl-C does; its exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGINT)
    return _ended(process)


def _ended(process: subprocess.Popen[bytes]) -> int:
    try:
        return process.wait(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    finally:
        if process.stdout is not None:
            process.stdout.close()


@pytest.fixture(scope="session")
def served(serve_on: Serve) -> Served:
    """One bridge shared by tests that do not mind each other's users."""
    return serve_on()
