"""The processes under test, each on a port of its own, ended together with the benchmark."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

_HERE = Path(__file__).parent
_URL = re.compile(rb"http://127\.0\.0\.1:(\d+)")
_SCIM_URL = re.compile(rb"http://127\.0\.0\.1:(\d+)/scim/v2")
_STOP_S = 15


class ServerFailed(Exception):
    """A process that did not come up; the text is what it wrote."""


class Server:
    """A process that serves at `port`."""

    def __init__(self, name: str, process: subprocess.Popen[bytes], port: int, log: IO[bytes]) -> None:
        self.name = name
        self.port = port
        self._process = psutil.Process(process.pid)
        self._log = log

    def cpu_s(self) -> float:
        """Seconds of processor time used so far, in all its threads."""
        times = self._process.cpu_times()
        return float(times.user + times.system)

    def rss_mb(self) -> float:
        """Memory in use, in MB."""
        return float(self._process.memory_info().rss) / 1e6

    def log_tail(self) -> str:
        """The end of what the process wrote to standard error."""
        return _tail(self._log)


@contextmanager
def stub() -> Iterator[Server]:
    """The platform of ready bytes."""
    with _running("stub", [str(_HERE / "stub.py")]) as server:
        yield server


@contextmanager
def proxy(platform_port: int) -> Iterator[Server]:
    """The bare pass-through."""
    with _running("proxy", [str(_HERE / "proxy.py"), f"http://127.0.0.1:{platform_port}"]) as server:
        yield server


@contextmanager
def slow(platform_port: int, delay_s: float) -> Iterator[Server]:
    """A platform as a slower one."""
    place = f"http://127.0.0.1:{platform_port}"
    with _running("slow platform", [str(_HERE / "slow.py"), place, str(delay_s)]) as server:
        yield server


@contextmanager
def embedded(data_dir: Path) -> Iterator[Server]:
    """The embedded platform as a process of its own."""
    with _running("platform", _cli("platform", "--port", "0", "--data-dir", str(data_dir))) as server:
        yield server


@contextmanager
def bridge(
    platform_port: int, tenant_id: str, client_id: str, client_secret: str
) -> Iterator[tuple[Server, str]]:
    """A bridge in front of a platform, with a fresh database; and a token for it."""
    with tempfile.TemporaryDirectory(prefix="scim-bench-bridge-") as data_dir:
        app = {"client_id": client_id, "client_secret": client_secret}
        settings = bridge_settings(Path(data_dir), platform_port, app)
        token = add_connection(settings, tenant_id)
        with serving(settings) as server:
            yield server, token


@contextmanager
def bridge_with_groups(
    platform_port: int, tenant_id: str, client_id: str, client_secret: str
) -> Iterator[tuple[Server, dict[str, str], Path]]:
    """A bridge with a connection for each place that keeps groups: tokens by its name, data directory."""
    with tempfile.TemporaryDirectory(prefix="scim-bench-bridge-") as data_dir:
        app = {"client_id": client_id, "client_secret": client_secret}
        settings = bridge_settings(Path(data_dir), platform_port, app)
        tokens = {}
        for name, options in {"platform": (), "local": ("--local-groups",)}.items():
            tokens[name] = add_connection(settings, tenant_id, *options, name=name)
        with serving(settings) as server:
            yield server, tokens, Path(data_dir)


def bridge_settings(data_dir: Path, platform_port: int, app: Mapping[str, str]) -> dict[str, str]:
    """The environment of a bridge in front of a platform; `app` is how it signs in there."""
    return {
        "SCIM_BRIDGE_DATA_DIR": str(data_dir),
        "SCIM_BRIDGE_PLATFORM_URL": f"http://127.0.0.1:{platform_port}",
        "SCIM_BRIDGE_PLATFORM_CLIENT_ID": app["client_id"],
        "SCIM_BRIDGE_PLATFORM_CLIENT_SECRET": app["client_secret"],
        # Nothing in the background while something is measured.
        "SCIM_BRIDGE_INDEX_SWEEP_S": "0",
        "SCIM_BRIDGE_REQUESTS_PER_SECOND": "0",
    }


def add_connection(settings: Mapping[str, str], tenant_id: str, *options: str, name: str = "bench") -> str:
    """A connection to a tenant, which may delete as many users as it likes; its token."""
    run_cli("connection", "add", name, "--tenant", tenant_id, "--guard-limit", "0", *options, **settings)
    return run_cli("token", "create", name, **settings).strip()


@contextmanager
def serving(settings: Mapping[str, str], program: Sequence[str] = ("-m", "app.cli")) -> Iterator[Server]:
    """A bridge with these settings; `program` is what takes its command line."""
    with _running("bridge", [*program, "serve", "--port", "0"], _SCIM_URL, **settings) as server:
        yield server


def _cli(*arguments: str) -> list[str]:
    return ["-m", "app.cli", *arguments]


def _environment(**settings: str) -> dict[str, str]:
    """This environment without settings of a bridge that may be in it."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("SCIM_BRIDGE_")}
    return {**kept, "PYTHONUNBUFFERED": "1", **settings}


def run_cli(*arguments: str, **settings: str) -> str:
    """Run a command to its end; what it printed. Raises `ServerFailed`."""
    done = subprocess.run(
        [sys.executable, *_cli(*arguments)],
        env=_environment(**settings),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServerFailed(f"scim-bridge {' '.join(arguments)}: {done.stderr}")
    return done.stdout


@contextmanager
def _running(
    name: str, arguments: list[str], url: re.Pattern[bytes] = _URL, **settings: str
) -> Iterator[Server]:
    with tempfile.TemporaryFile(prefix="scim-bench-") as log:
        # A session of its own: Ctrl-C reaches the benchmark alone, which then ends its servers in order.
        process = subprocess.Popen(
            [sys.executable, *arguments],
            stdout=subprocess.PIPE,
            stderr=log,
            env=_environment(**settings),
            start_new_session=True,
        )
        try:
            yield Server(name, process, _port(name, process, log, url), log)
        finally:
            _stop(process)


def _port(name: str, process: subprocess.Popen[bytes], log: IO[bytes], url: re.Pattern[bytes]) -> int:
    """The port in the first such URL that the process prints; it listens by then."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := url.search(line):
            return int(found[1])
    raise ServerFailed(f"{name} did not start: {_tail(log)}")


def _tail(log: IO[bytes]) -> str:
    # The process writes through the same open file: read without moving its position.
    size = os.fstat(log.fileno()).st_size
    return os.pread(log.fileno(), 2000, max(0, size - 2000)).decode("utf-8", "replace")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        if process.stdout is not None:
            process.stdout.close()
