"""The benchmark of groups, run by hand: `uv run python tests/bench/groups.py` (`--short` for a minute's try).

Two parts, each for both places that keep groups, over `scim-bridge platform` and `scim-bridge serve`:

1. One member in, one member out, and a read without members, on groups of different sizes: the cost should
   not depend on the size.
2. A first push as Entra does it: every user looked up and made, every group looked up and made, its members
   added in batches of 100.
"""

from __future__ import annotations

import argparse
import asyncio
import http.client
import json
import sys
import tempfile
import time
import uuid
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import aiohttp
import httpx
import msgspec
import servers
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from servers import Server, ServerFailed

from app.embedded import Directory
from app.embedded.seeding import SeedPlan
from app.store.local_groups import LocalMember
from app.store.store import Store

sys.path.insert(0, str(Path(__file__).parents[1]))

from group_rig import BACKENDS, open_group_rig

_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_MICROSOFT_GROUP = "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"
_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
_BATCH = 100
_WARM_UP = 5
_TARGET = 1.3

_err = Console(stderr=True, highlight=False)


class Failed(Exception):
    """An answer that is not a success; the figures do not count."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    sizes: tuple[int, ...]
    rounds: int
    users: int
    groups: int
    members: int
    connections: int


class SizeReport(msgspec.Struct, frozen=True, kw_only=True):
    """Medians in milliseconds by group size, and the last size's beside the first one's."""

    ms: dict[int, float]
    ratio: float


class PushReport(msgspec.Struct, frozen=True, kw_only=True):
    """A first push."""

    seconds: float
    requests: int
    by_kind: dict[str, tuple[int, float]]
    """Requests and median milliseconds."""
    calls: dict[str, float]
    """Platform calls for each request of a kind, counted in one process with the same requests."""
    bridge_cpu_s: float
    platform_cpu_s: float

    @property
    def calls_per_request(self) -> float:
        """Over all kinds, in the numbers of this push."""
        return sum(n * self.calls[kind] for kind, (n, _) in self.by_kind.items()) / self.requests

    @property
    def bridge_share(self) -> float:
        """The bridge's part of the processor time of both servers."""
        return self.bridge_cpu_s / (self.bridge_cpu_s + self.platform_cpu_s)


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    sizes: dict[str, dict[str, SizeReport]]
    """Place → request → figures."""
    push: dict[str, PushReport]


# --- one member ---------------------------------------------------------------------------------------------


class Client:
    """One connection that is kept; next to nothing is added to the time of an answer."""

    def __init__(self, port: int, token: str) -> None:
        self._http = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}

    def send(self, method: str, path: str, body: Any, expect: int) -> tuple[float, Any]:
        """Milliseconds and the JSON of the answer."""
        content = None if body is None else json.dumps(body).encode()
        begun = time.perf_counter()
        self._http.request(method, f"/scim/v2{path}", content, self._headers)
        answer = self._http.getresponse()
        text = answer.read()
        taken_ms = (time.perf_counter() - begun) * 1000
        if answer.status != expect:
            raise Failed(f"{method} {path}: {answer.status} {text[:300].decode('utf-8', 'replace')}")
        return taken_ms, json.loads(text) if text else None


def measure_sizes(client: Client, groups: dict[int, str], user_id: str, rounds: int) -> dict[str, SizeReport]:
    """All sizes in turn, so that what slows the machine slows all of them."""
    taken: dict[str, dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    add = {"op": "Add", "path": "members", "value": [{"$ref": None, "value": user_id}]}
    remove = {"op": "remove", "path": f'members[value eq "{user_id}"]'}
    for number in range(rounds + _WARM_UP):
        for size, group_id in groups.items():
            place = f"/Groups/{group_id}"
            for name, request in {
                "add one": ("PATCH", place, _patch(add), 204),
                "GET without members": ("GET", f"{place}?excludedAttributes=members", None, 200),
                "remove one": ("PATCH", place, _patch(remove), 204),
            }.items():
                taken_ms, _ = client.send(*request)
                if number >= _WARM_UP:
                    taken[name][size].append(taken_ms)
    reports = {}
    for name, by_size in taken.items():
        ms = {size: median(values) for size, values in by_size.items()}
        reports[name] = SizeReport(ms=ms, ratio=ms[max(ms)] / ms[min(ms)])
    return reports


async def seed_platform_groups(data_dir: Path, tenant_id: str, groups: dict[int, str]) -> None:
    """Fill groups of the platform with users of their own."""
    async with Directory(data_dir / "platform.db") as directory:
        first = 1
        for size, group_id in groups.items():
            plan = SeedPlan(first=first, prefix="sized", group_ids=(group_id,))
            await directory.seed_users(tenant_id, size, plan)
            first += size


async def seed_local_groups(data_dir: Path, tenant_id: str, groups: dict[int, str]) -> None:
    """Fill groups of the bridge; who is a member already is not looked up."""
    store = await Store.open(f"sqlite+aiosqlite:///{data_dir / 'bridge.db'}")
    try:
        for size, group_id in groups.items():
            members = [LocalMember(id=f"usr_{size}_{n:06d}", display=f"User {n}") for n in range(size)]
            await store.local_groups.change(tenant_id, group_id, add=members)
    finally:
        await store.close()


# --- the first push -----------------------------------------------------------------------------------------

Send = Callable[[str, str, str, Any, int], Awaitable[Any]]
"""Kind, method, path, body, expected status → JSON."""


async def push(send: Send, *, users: int, groups: int, members: int, batch: int, parallel: int) -> None:
    """What Entra sends in a first cycle; `parallel` users or groups are under way at a time."""
    tag = uuid.uuid4().hex[:8]
    slots = asyncio.Semaphore(parallel)

    async def one_user(number: int) -> str:
        name = f"push{number}.{tag}@example.com"
        async with slots:
            found = quote(f'userName eq "{name}"')
            await send("find user", "GET", f"/Users?filter={found}", None, 200)
            body = {
                "schemas": [_USER],
                "externalId": f"{tag}-{number}",
                "userName": name,
                "active": True,
                "displayName": f"User {number}",
                "emails": [{"primary": True, "type": "work", "value": name}],
                "name": {"givenName": "User", "familyName": str(number)},
            }
            made = await send("create user", "POST", "/Users", body, 201)
        return str(made["id"])

    async def one_group(number: int) -> None:
        name = f"Group {number} {tag}"
        async with slots:
            found = quote(f'displayName eq "{name}"')
            await send("find group", "GET", f"/Groups?excludedAttributes=members&filter={found}", None, 200)
            body = {
                "schemas": [_GROUP, _MICROSOFT_GROUP],
                "externalId": f"{tag}-g{number}",
                "displayName": name,
                "meta": {"resourceType": "Group"},
            }
            group_id = (await send("create group", "POST", "/Groups", body, 201))["id"]
            own = [ids[(number * members + k) % len(ids)] for k in range(members)]
            for start in range(0, members, batch):
                value = [{"$ref": None, "value": i} for i in own[start : start + batch]]
                body = _patch({"op": "Add", "path": "members", "value": value})
                await send("add members", "PATCH", f"/Groups/{group_id}", body, 204)

    ids = await asyncio.gather(*(one_user(n) for n in range(users)))
    await asyncio.gather(*(one_group(n) for n in range(groups)))


async def timed_push(port: int, token: str, options: Options) -> tuple[float, dict[str, list[float]]]:
    """Wall time, and milliseconds by kind of request."""
    taken: dict[str, list[float]] = defaultdict(list)
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/scim+json"}
    connector = aiohttp.TCPConnector(limit=options.connections)
    async with aiohttp.ClientSession(
        f"http://127.0.0.1:{port}", headers=headers, connector=connector
    ) as session:

        async def send(kind: str, method: str, path: str, body: Any, expect: int) -> Any:
            begun = time.perf_counter()
            content = None if body is None else msgspec.json.encode(body)
            async with session.request(method, f"/scim/v2{path}", data=content) as answer:
                text = await answer.read()
            taken[kind].append((time.perf_counter() - begun) * 1000)
            if answer.status != expect:
                raise Failed(f"{method} {path}: {answer.status} {text[:300].decode('utf-8', 'replace')}")
            return msgspec.json.decode(text) if text else None

        begun = time.perf_counter()
        await push(
            send,
            users=options.users,
            groups=options.groups,
            members=options.members,
            batch=_BATCH,
            parallel=options.connections,
        )
        return time.perf_counter() - begun, taken


async def counted_calls() -> dict[str, dict[str, float]]:
    """Platform calls a request, by place and kind: the same push, small, in this process."""
    found: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory(prefix="scim-bench-count-") as place:
        async with open_group_rig(Path(place)) as rig:
            for backend in BACKENDS:
                side = await rig.side(backend)
                calls: Counter[str] = Counter()
                requests: Counter[str] = Counter()

                async def send(
                    kind: str,
                    method: str,
                    path: str,
                    body: Any,
                    expect: int,
                    scim: httpx.AsyncClient = side.scim,
                    calls: Counter[str] = calls,
                    requests: Counter[str] = requests,
                ) -> Any:
                    rig.wire.seen()
                    answer = await scim.request(method, path, json=body)
                    if answer.status_code != expect:
                        raise Failed(f"{method} {path}: {answer.status_code} {answer.text[:300]}")
                    requests[kind] += 1
                    calls[kind] += len(rig.wire.seen())
                    return answer.json() if answer.content else None

                await push(send, users=_BATCH, groups=2, members=_BATCH, batch=_BATCH, parallel=1)
                found[backend] = {kind: calls[kind] / requests[kind] for kind in requests}
    return found


# --- the run ------------------------------------------------------------------------------------------------


def run(options: Options) -> Report:
    """Both parts; raises `Failed` and `ServerFailed`."""
    calls = asyncio.run(counted_calls())
    sizes: dict[str, dict[str, SizeReport]] = {}
    pushes: dict[str, PushReport] = {}
    for backend in BACKENDS:
        with tempfile.TemporaryDirectory(prefix="scim-bench-platform-") as place:
            data_dir = Path(place)
            with servers.embedded(data_dir) as platform:
                app = msgspec.json.decode((data_dir / "platform.json").read_bytes())
                with servers.bridge_with_groups(
                    platform.port, app["tenant_id"], app["client_id"], app["client_secret"]
                ) as (bridge, tokens, bridge_dir):
                    port, token = bridge.port, tokens[backend]
                    try:
                        _err.print(f"{backend}: first push", style="dim")
                        pushes[backend] = _push(platform, bridge, token, options, calls[backend])
                        _err.print(f"{backend}: groups of {options.sizes}", style="dim")
                        groups = _sized_groups(port, token, options)
                        seed, where = (
                            (seed_platform_groups, data_dir)
                            if backend == "platform"
                            else (seed_local_groups, bridge_dir)
                        )
                        asyncio.run(seed(where, app["tenant_id"], groups))
                        sizes[backend] = _sizes(port, token, groups, options)
                    except Failed as exc:
                        raise Failed(f"{exc}\n{bridge.log_tail()}") from exc
    return Report(sizes=sizes, push=pushes)


def _push(
    platform: Server, bridge: Server, token: str, options: Options, calls: dict[str, float]
) -> PushReport:
    before = bridge.cpu_s(), platform.cpu_s()
    seconds, taken = asyncio.run(timed_push(bridge.port, token, options))
    return PushReport(
        seconds=seconds,
        requests=sum(map(len, taken.values())),
        by_kind={kind: (len(values), median(values)) for kind, values in taken.items()},
        calls=calls,
        bridge_cpu_s=bridge.cpu_s() - before[0],
        platform_cpu_s=platform.cpu_s() - before[1],
    )


def _sized_groups(port: int, token: str, options: Options) -> dict[int, str]:
    client = Client(port, token)
    groups = {}
    for size in options.sizes:
        _, made = client.send(
            "POST", "/Groups", {"schemas": [_GROUP], "displayName": f"Of {size} {uuid.uuid4()}"}, 201
        )
        groups[size] = made["id"]
    return groups


def _sizes(port: int, token: str, groups: dict[int, str], options: Options) -> dict[str, SizeReport]:
    client = Client(port, token)
    body = {"schemas": [_USER], "userName": f"in-and-out.{uuid.uuid4()}@example.com"}
    _, user = client.send("POST", "/Users", body, 201)
    return measure_sizes(client, groups, user["id"], options.rounds)


def _patch(operation: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [_PATCH], "Operations": [operation]}


def show(report: Report, out: Console) -> None:
    """The tables."""
    for backend, requests in report.sizes.items():
        sizes = sorted(next(iter(requests.values())).ms)
        table = Table("request", title=f"Groups kept by: {backend}; median ms", title_justify="left")
        for size in sizes:
            table.add_column(f"{size:,} members", justify="right")
        table.add_column(f"{sizes[-1]:,} : {sizes[0]:,} (target {_TARGET})", justify="right")
        for name, figures in requests.items():
            table.add_row(name, *(f"{figures.ms[size]:.2f}" for size in sizes), f"{figures.ratio:.2f}")
        out.print(table)
    for backend, figures in report.push.items():
        table = Table("request", title=f"First push, groups kept by: {backend}", title_justify="left")
        for column in ("requests", "median ms", "platform calls a request"):
            table.add_column(column, justify="right")
        for kind, (count, ms) in figures.by_kind.items():
            table.add_row(kind, f"{count:,}", f"{ms:.1f}", f"{figures.calls[kind]:.2f}")
        out.print(table)
        out.print(
            f"{figures.seconds:.1f} s for {figures.requests:,} requests "
            f"({figures.requests / figures.seconds:,.0f}/s), {figures.calls_per_request:.2f} platform calls "
            f"a request; processor time: bridge {figures.bridge_cpu_s:.1f} s, platform "
            f"{figures.platform_cpu_s:.1f} s, the bridge's share {figures.bridge_share:.0%}",
            highlight=False,
        )


def main() -> int:
    """Run everything; 1 where something failed."""
    options, target = _arguments()
    try:
        report = run(options)
    except (Failed, ServerFailed) as exc:
        _err.print(f"[red]error:[/red] the benchmark does not count: {escape(str(exc))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        _err.print("stopped")
        return 130
    out = Console()
    show(report, out if out.is_terminal else Console(width=120))
    if target is not None:
        target.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 0


def _arguments() -> tuple[Options, Path | None]:
    parser = argparse.ArgumentParser(description="Benchmark of groups; takes some minutes.")
    parser.add_argument("--short", action="store_true", help="a tenth of everything, in about a minute")
    parser.add_argument("--sizes", type=int, nargs="+", help="sizes of groups (default 10 1000 50000)")
    parser.add_argument("--rounds", type=int, help="additions and removals on each (default 200)")
    parser.add_argument("--users", type=int, help="users of the first push (default 10000)")
    parser.add_argument("--groups", type=int, help="groups of the first push (default 200)")
    parser.add_argument("--members", type=int, help="members of each of them (default 500)")
    parser.add_argument("--connections", type=int, default=8, help="connections of the push (default 8)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    short = given.short
    options = Options(
        sizes=tuple(given.sizes or (10, 1000, 50_000)),
        rounds=given.rounds or (60 if short else 200),
        users=given.users or (1000 if short else 10_000),
        groups=given.groups or (20 if short else 200),
        members=given.members or 500,
        connections=given.connections,
    )
    if min(*options.sizes, options.rounds, options.users, options.groups, options.members) <= 0:
        parser.error("sizes, rounds, users, groups and members must be above 0")
    return options, given.json


if __name__ == "__main__":
    sys.exit(main())
