"""The rate that Entra's gallery demands, run by hand: `uv run python tests/bench/gallery.py`.

25 requests a second of one tenant, sustained, over a platform that takes 20 ms a call. Requests start at
their time whether or not earlier ones are answered, and are timed from when they were due. The bridge has
its default settings, its first sweep and limits included.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
import msgspec
import servers
from cases import KnownUser
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from servers import Server, ServerFailed
from tenant import known_users, platform_token, seed

_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_MIX = (
    *("find user", "change user") * 6,
    *("miss user", "create user") * 2,
    *("find group", "add member") * 2,
)
"""Twenty requests as Entra sends them: it looks for what it is about to write."""
_GROUPS = 10
_SAMPLES = 5
_TARGET_P95_MS = 300

_err = Console(stderr=True, highlight=False)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What is measured."""

    rate: float
    seconds: float
    delay_ms: float
    users: int


class Due(msgspec.Struct, frozen=True, kw_only=True):
    """A request to be sent."""

    kind: str
    method: str
    path: str
    body: dict[str, Any] | None
    expect: int


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """Requests of a kind and how long they took, in milliseconds."""

    requests: int
    failures: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    calls: float
    """Platform calls for one such request, alone."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything."""

    options: Options
    kinds: dict[str, Kind]
    together: Kind
    seconds: float
    """From the first request to the last answer."""
    sent_late_ms: float
    """How late the generator itself was, at worst."""
    bridge_cpu: float
    """The part of one core that the bridge was busy."""
    failed: list[str]
    """The first of them, with their answers."""


def requests_of(users: list[KnownUser], groups: list[dict[str, Any]]) -> Iterator[Due]:
    """The mix, without an end."""
    known, members, places = cycle(users), cycle(users), cycle(groups)
    name = ""
    for number, kind in enumerate(cycle(_MIX), 1):
        match kind:
            case "find user":
                user = next(known)
                yield _find(kind, "/Users", f'userName eq "{user.user_name}"')
            case "change user":
                changes = [
                    {"op": "Replace", "path": f"{_ENTERPRISE}:department", "value": f"D {number}"},
                    {"op": "Add", "path": 'phoneNumbers[type eq "work"].value', "value": f"+43 {number}"},
                ]
                yield _patch(kind, f"/Users/{user.id}", changes, 200)
            case "miss user":
                name = f"new.{uuid.uuid4()}@example.com"
                yield _find(kind, "/Users", f'userName eq "{name}"')
            case "create user":
                body = {
                    "schemas": [_USER, _ENTERPRISE],
                    "externalId": str(uuid.uuid4()),
                    "userName": name,
                    "active": True,
                    "emails": [{"primary": True, "type": "work", "value": name}],
                    "name": {"givenName": "Amelia", "familyName": "Okonkwo"},
                    "meta": {"resourceType": "User"},
                    "roles": [],
                }
                yield Due(kind=kind, method="POST", path="/Users", body=body, expect=201)
            case "find group":
                place = next(places)
                yield _find(kind, "/Groups", f'displayName eq "{place["displayName"]}"', "members")
            case _:
                added = [{"$ref": None, "value": next(members).id}]
                operation = {"op": "Add", "path": "members", "value": added}
                yield _patch(kind, f"/Groups/{place['id']}", [operation], 204)


def _find(kind: str, path: str, text: str, excluded: str = "") -> Due:
    query = f"?filter={quote(text)}" + (f"&excludedAttributes={excluded}" if excluded else "")
    return Due(kind=kind, method="GET", path=path + query, body=None, expect=200)


def _patch(kind: str, path: str, operations: list[dict[str, Any]], expect: int) -> Due:
    body = {"schemas": [_PATCH], "Operations": operations}
    return Due(kind=kind, method="PATCH", path=path, body=body, expect=expect)


class Load:
    """Sends requests at a fixed rate and keeps what came of them."""

    def __init__(self, http: aiohttp.ClientSession, base_url: str) -> None:
        self._http = http
        self._base = base_url
        self.taken_ms: dict[str, list[float]] = defaultdict(list)
        self.failures: dict[str, list[str]] = defaultdict(list)
        self.sent_late_ms = 0.0

    async def run(self, requests: Iterator[Due], options: Options) -> float:
        """All of them; the seconds from the first one's time to the last answer."""
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for number in range(round(options.rate * options.seconds)):
                due_at = begun + number / options.rate
                await asyncio.sleep(max(0.0, due_at - time.perf_counter()))
                self.sent_late_ms = max(self.sent_late_ms, (time.perf_counter() - due_at) * 1e3)
                tasks.create_task(self.send(next(requests), due_at))
        return time.perf_counter() - begun

    async def send(self, due: Due, due_at: float) -> None:
        """One request, timed from when it was due."""
        try:
            async with self._http.request(due.method, self._base + due.path, json=due.body) as answer:
                text = await answer.text()
                wrong = answer.status != due.expect
        except (aiohttp.ClientError, TimeoutError) as exc:
            text, wrong = repr(exc), True
        self.taken_ms[due.kind].append((time.perf_counter() - due_at) * 1e3)
        if wrong:
            self.failures[due.kind].append(f"{due.method} {due.path}: {text[:300]}")


def run(options: Options) -> Report:
    """Platform, delay and bridge as processes of their own, and the load from this one."""
    with tempfile.TemporaryDirectory(prefix="scim-bench-gallery-") as place:
        data_dir = Path(place)
        with servers.embedded(data_dir) as platform:
            app = msgspec.json.decode((data_dir / "platform.json").read_bytes())
            asyncio.run(seed(data_dir, app["tenant_id"], options.users))
            token = platform_token(platform.port, app["client_id"], app["client_secret"])
            users = known_users(platform.port, token, app["tenant_id"])
            with servers.slow(platform.port, options.delay_ms / 1e3) as slow:
                settings = servers.bridge_settings(data_dir / "bridge", slow.port, app)
                for name in ("SCIM_BRIDGE_INDEX_SWEEP_S", "SCIM_BRIDGE_REQUESTS_PER_SECOND"):
                    del settings[name]
                own = servers.add_connection(settings, app["tenant_id"])
                with servers.serving(settings) as bridge:
                    return asyncio.run(_measure(bridge, slow, own, users, options))


async def _measure(
    bridge: Server, slow: Server, token: str, users: list[KnownUser], options: Options
) -> Report:
    base_url = f"http://127.0.0.1:{bridge.port}/scim/v2"
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    async with aiohttp.ClientSession(
        headers=headers, timeout=aiohttp.ClientTimeout(60), connector=aiohttp.TCPConnector(limit=0)
    ) as http:
        groups = []
        for number in range(_GROUPS):
            body = {"schemas": [_GROUP], "displayName": f"Group {number}"}
            async with http.post(f"{base_url}/Groups", json=body) as answer:
                if answer.status != 201:
                    raise ServerFailed(await answer.text())
                groups.append(await answer.json(content_type=None))
        load, requests = Load(http, base_url), requests_of(users, groups)
        before_s = bridge.cpu_s()
        seconds = await load.run(requests, options)
        busy = (bridge.cpu_s() - before_s) / seconds
        calls = await _calls_alone(Load(http, base_url), requests, slow)
    everything = [ms for values in load.taken_ms.values() for ms in values]
    failed = [text for texts in load.failures.values() for text in texts]
    counts = {kind: len(values) for kind, values in load.taken_ms.items()}
    mean_calls = sum(n * calls[kind] for kind, n in counts.items()) / len(everything)
    return Report(
        options=options,
        kinds={
            kind: _kind(values, len(load.failures[kind]), calls[kind])
            for kind, values in load.taken_ms.items()
        },
        together=_kind(everything, len(failed), mean_calls),
        seconds=seconds,
        sent_late_ms=load.sent_late_ms,
        bridge_cpu=busy,
        failed=failed[:5],
    )


async def _calls_alone(load: Load, requests: Iterator[Due], slow: Server) -> dict[str, float]:
    """Platform calls of each kind of request, sent one after the other; the first sweep has ended by then."""
    before, made = await _settled(slow), defaultdict[str, list[int]](list)
    while min((len(made[kind]) for kind in _MIX), default=0) < _SAMPLES:
        due = next(requests)
        await load.send(due, time.perf_counter())
        now = await _calls(slow)
        made[due.kind].append(now - before)
        before = now
    return {kind: sum(values) / len(values) for kind, values in made.items()}


async def _settled(slow: Server) -> int:
    """The calls so far, once there is a second without one."""
    before, now = -1, await _calls(slow)
    while before != now:
        await asyncio.sleep(1)
        before, now = now, await _calls(slow)
    return now


async def _calls(slow: Server) -> int:
    async with httpx.AsyncClient() as client:
        return int((await client.get(f"http://127.0.0.1:{slow.port}/calls")).text)


def _kind(taken_ms: list[float], failures: int, calls: float) -> Kind:
    ordered = sorted(taken_ms)

    def at(percent: int) -> float:
        return ordered[min(len(ordered) - 1, len(ordered) * percent // 100)]

    return Kind(
        requests=len(ordered), failures=failures, p50_ms=at(50), p95_ms=at(95), p99_ms=at(99), calls=calls
    )


def show(report: Report, out: Console) -> None:
    """The table."""
    options = report.options
    title = (
        f"{options.rate:g} requests/s for {options.seconds:g} s, platform calls of {options.delay_ms:g} ms"
    )
    table = Table("request", title=title, title_justify="left")
    for column in ("requests", "failures", "p50 ms", "p95 ms", "p99 ms", "platform calls a request"):
        table.add_column(column, justify="right")
    for name, kind in (*report.kinds.items(), ("together", report.together)):
        figures = (f"{ms:.0f}" for ms in (kind.p50_ms, kind.p95_ms, kind.p99_ms))
        table.add_row(name, f"{kind.requests:,}", f"{kind.failures:,}", *figures, f"{kind.calls:.2f}")
    out.print(table)
    out.print(
        f"p95 of {report.together.p95_ms:.0f} ms (target {_TARGET_P95_MS}); "
        f"{report.together.requests / report.seconds:.1f} requests/s answered; "
        f"sent {report.sent_late_ms:.0f} ms late at worst; the bridge took {report.bridge_cpu:.0%} of a core",
        highlight=False,
    )
    for text in report.failed:
        out.print(text, style="red", markup=False)


def main() -> int:
    """Run everything; 1 where a request failed."""
    parser = argparse.ArgumentParser(description="The rate that Entra's gallery demands.")
    parser.add_argument("--rate", type=float, default=25, help="requests a second (default 25)")
    parser.add_argument("--seconds", type=float, default=60, help="how long (default 60)")
    parser.add_argument("--delay-ms", type=float, default=20, help="what a platform call takes (default 20)")
    parser.add_argument("--users", type=int, default=2000, help="users that are there (default 2000)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    if min(given.rate, given.seconds, given.users, given.rate * given.seconds - len(_MIX) + 1) <= 0:
        parser.error(f"rate, seconds and users must be above 0, and come to {len(_MIX)} requests at least")
    options = Options(rate=given.rate, seconds=given.seconds, delay_ms=given.delay_ms, users=given.users)
    try:
        report = run(options)
    except ServerFailed as exc:
        _err.print(f"[red]error:[/red] the benchmark does not count: {escape(str(exc))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        _err.print("stopped")
        return 130
    out = Console()
    show(report, out if out.is_terminal else Console(width=120))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main())
