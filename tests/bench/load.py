"""Load on one server: `wrk` where it is installed, else a generator over raw sockets.

Both keep a number of connections busy, each with one request at a time, and send the same bytes.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from typing import cast

import httptools
import msgspec
import uvloop

NUMBER = b"########"
"""Stands in a request for a number that is never used twice in a run; as wide as the number."""

_SCRIPT = Path(__file__).with_name("wrk.lua")


class LoadError(Exception):
    """A run that does not count; the text says what happened."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Requests for one server, sent over and over in their order."""

    port: int
    requests: tuple[bytes, ...]
    """Raw HTTP/1.1 requests with `Content-Length`."""
    expect: int
    """The status that every answer must have."""
    holds: bytes
    """What stands in the body of every answer."""


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What one run came to."""

    requests: int
    seconds: float
    refused: int
    """Answers with another status than 2xx."""
    broken: int
    """Connections that failed and answers that did not come."""
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        """Throughput."""
        return self.requests / self.seconds


Generator = Callable[[Target, float, int], Outcome]
"""Target, seconds, connections → outcome."""


def generator_for(choice: str, seconds: float) -> tuple[str, Generator]:
    """The generator to use and its name. `wrk` measures whole seconds; `auto` takes it where it can."""
    usable = shutil.which("wrk") is not None and seconds >= 1 and float(seconds).is_integer()
    if choice == "wrk" and not usable:
        raise LoadError("wrk is not installed, or --seconds is not a whole number")
    if choice == "python" or not usable:
        return "python (raw sockets; shares a core with the servers: the ratios are less sharp)", run_python
    return "wrk -t1", run_wrk


def run_wrk(target: Target, seconds: float, connections: int) -> Outcome:
    """One run of wrk; it counts statuses above 399 as refused, `check` has looked at the others."""
    with tempfile.NamedTemporaryFile(prefix="scim-bench-") as file:
        file.write(b"".join(request + b"\0" for request in target.requests))
        file.flush()
        options = ["-t1", f"-c{connections}", f"-d{int(seconds)}s", "-s", str(_SCRIPT)]
        command = ["wrk", *options, f"http://127.0.0.1:{target.port}/", "--", file.name]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    result = next((line for line in done.stdout.splitlines() if line.startswith("result ")), None)
    if done.returncode or result is None:
        raise LoadError(f"wrk failed: {done.stderr or done.stdout}")
    requests, micros, refused, broken, p50, p99 = map(int, result.split()[1:])
    return Outcome(
        requests=requests,
        seconds=micros / 1e6,
        refused=refused,
        broken=broken,
        p50_ms=p50 / 1e3,
        p99_ms=p99 / 1e3,
    )


def run_python(target: Target, seconds: float, connections: int) -> Outcome:
    """One run within this process."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_run(target, seconds, connections))


def check(target: Target) -> None:
    """Send each request once and look at its answer; warms up caches and the link table too.

    Raises LoadError for the first answer that is not as expected.
    """
    with socket.create_connection(("127.0.0.1", target.port), timeout=30) as connection:
        numbers = count(90_000_000)
        for text in target.requests:
            connection.sendall(text.replace(NUMBER, b"%08d" % next(numbers)))
            reader = _Reader()
            while not reader.complete:
                data = connection.recv(65536)
                if not data:
                    raise LoadError("the connection was closed before the answer was complete")
                reader.feed(data)
            if reader.status != target.expect or target.holds not in reader.body:
                first = text.split(b"\r\n", 1)[0].decode()
                raise LoadError(
                    f"{first}: status {reader.status}, {target.expect} with {target.holds.decode()} was "
                    f"expected; {reader.body[:300].decode('utf-8', 'replace')}"
                )


class _Reader:
    """One answer, read piece by piece."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self.complete = False
        self.status = 0
        self.body = b""

    def feed(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.status = self._parser.get_status_code()
        self.complete = True


class _Run:
    """The state that the connections of a run share."""

    def __init__(self, target: Target, ends_at: float) -> None:
        self.target = target
        self.ends_at = ends_at
        self.latencies: list[float] = []
        self.refused = 0
        self.broken = 0
        self._texts: Iterator[bytes] = cycle(target.requests)
        self._numbers = count(1)
        self._numbered = NUMBER in target.requests[0]

    def next_text(self) -> bytes:
        text = next(self._texts)
        return text.replace(NUMBER, b"%08d" % next(self._numbers)) if self._numbered else text


class _Connection(asyncio.Protocol):
    """Sends a request when the answer to the one before has come."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._waiting = False
        self.done = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._parser = httptools.HttpResponseParser(self)
        self._send()

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        now = time.perf_counter()
        self._waiting = False
        self._run.latencies.append(now - self._sent_at)
        self._run.refused += not 200 <= self._parser.get_status_code() < 300
        if now < self._run.ends_at:
            self._send()
        else:
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        self._run.broken += self._waiting
        if not self.done.done():
            self.done.set_result(None)

    def _send(self) -> None:
        self._waiting = True
        self._sent_at = time.perf_counter()
        self._transport.write(self._run.next_text())


async def _run(target: Target, seconds: float, connections: int) -> Outcome:
    loop = asyncio.get_running_loop()
    begun = time.perf_counter()
    run = _Run(target, begun + seconds)
    made = [
        await loop.create_connection(lambda: _Connection(run), "127.0.0.1", target.port)
        for _ in range(connections)
    ]
    try:
        await asyncio.wait_for(asyncio.gather(*(protocol.done for _, protocol in made)), seconds + 30)
    except TimeoutError as exc:
        raise LoadError("no answer within 30 seconds") from exc
    taken = sorted(run.latencies) or [0.0]
    return Outcome(
        requests=len(run.latencies),
        seconds=time.perf_counter() - begun,
        refused=run.refused,
        broken=run.broken,
        p50_ms=taken[len(taken) // 2] * 1e3,
        p99_ms=taken[len(taken) * 99 // 100] * 1e3,
    )
