"""The soak, run by hand: `uv run python tests/bench/soak.py` (`--minutes 2` for a try).

Mixed load at a steady rate on a bridge over the embedded platform, as processes of their own. Between them
stands a proxy that breaks one platform call in twenty: errors, throttling, resets before and after the call
was done, slow answers. Clients try again as Okta does. At the end every user and group is compared with what
was acknowledged: exit code 1 where anything is missing, or is there that should not be.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import aiohttp
import msgspec
import servers
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from servers import Server, ServerFailed
from soak_client import Client
from soak_load import Load
from soak_model import Model

sys.path.insert(0, str(Path(__file__).parents[1] / "faults"))

from fault_proxy import FAULTS, Call, Fault, Lane, Proxy, Reply

_SWEEP_S = 60
_TEAMS = 12
_OUTSTANDING = 1000
_SHOWN = 30
_SLOW_S = (0.5, 3.0)

_err = Console(stderr=True, highlight=False)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How long and how hard."""

    minutes: float
    rate: float
    """Operations started a second; most are one request."""
    users: int
    """How many there are at any time."""
    faults: float
    """Share of the platform calls that meet a fault."""
    patience_s: float
    """Longest wait for which a `Retry-After` is heeded."""
    seed: int


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """Of single answers, in milliseconds, and what they were if no success."""

    answers: int
    p50_ms: float
    p95_ms: float
    p99_ms: float
    errors: dict[str, int]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """All figures."""

    options: Options
    seconds: float
    planned: int
    """Operations that the rate asks for."""
    done: int
    """Operations that had their end within the time."""
    skipped: int
    """Operations that were not begun, because too many were under way."""
    requests: int
    calls: int
    """Platform calls."""
    faults: dict[str, int]
    kinds: dict[str, Latency]
    rss_mb: list[float]
    """The bridge's memory over the time, at even distances."""
    growth: float
    """Median of the last third against the second third: 0.01 is one per cent more."""
    users: int
    teams: int
    wrong: list[str]
    """Answers that contradicted what was acknowledged before."""
    lost: list[str]
    """What was not as acknowledged at the end."""

    @property
    def kept(self) -> float:
        """Share of the planned operations that were done in time."""
        return self.done / self.planned


# --- faults -------------------------------------------------------------------------------------------------


def _slow(chance: random.Random) -> Fault:
    async def act(call: Call) -> Reply | None:
        await asyncio.sleep(chance.uniform(*_SLOW_S))
        return await call.forward()

    return Fault("slow", act)


class Weather:
    """Gives a lane its faults, and counts them."""

    def __init__(self, chance: random.Random, share: float) -> None:
        self._chance = chance
        self._share = share
        # One throttled call stops all others for a second: as often as the other faults, nothing would move.
        self._kinds = [
            (FAULTS[n], w) for n, w in (("error-500", 30), ("reset-before", 20), ("reset-after", 20))
        ]
        self._kinds += [(_slow(chance), 29), (FAULTS["throttled-short"], 1)]
        self.met: Counter[str] = Counter()
        self.calls = 0

    def over(self, lane: Lane) -> None:
        """From now on."""
        lane.meets = lambda _number, _call: self._next(lane)

    def _next(self, lane: Lane) -> Fault | None:
        self.calls += 1
        lane.calls.clear()
        if self._chance.random() >= self._share:
            return None
        kinds, weights = zip(*self._kinds, strict=True)
        fault: Fault = self._chance.choices(kinds, weights)[0]
        self.met[fault.name] += 1
        return fault


# --- the run ------------------------------------------------------------------------------------------------


async def run(options: Options, place: Path) -> Report:
    """Everything; raises `ServerFailed`."""
    with servers.embedded(place) as platform, tempfile.TemporaryDirectory(prefix="scim-bench-bridge-") as own:
        app = msgspec.json.decode((place / "platform.json").read_bytes())
        async with Proxy(f"http://127.0.0.1:{platform.port}") as proxy:
            settings = servers.bridge_settings(Path(own), int(proxy.url.rpartition(":")[2]), app)
            settings["SCIM_BRIDGE_INDEX_SWEEP_S"] = str(_SWEEP_S)
            token = await asyncio.to_thread(servers.add_connection, settings, app["tenant_id"])
            # In a thread: while it starts, the proxy has to go on.
            serving = servers.serving(settings)
            bridge = await asyncio.to_thread(serving.__enter__)
            try:
                return await _soak(options, bridge, token, proxy.lane(app["tenant_id"]))
            finally:
                await asyncio.to_thread(serving.__exit__, None, None, None)


async def _soak(options: Options, bridge: Server, token: str, lane: Lane) -> Report:
    chance = random.Random(options.seed)  # noqa: S311 - chance that can be repeated
    model, weather = Model(chance), Weather(chance, options.faults)
    session = aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"}, connector=aiohttp.TCPConnector(limit=0)
    )
    async with session:
        base_url = f"http://127.0.0.1:{bridge.port}/scim/v2"
        load = Load(Client(session, base_url, options.patience_s), model, chance, options.users)
        for number in range(_TEAMS):
            await load.create_team(f"Team {number}")
        for _ in range(options.users):
            await load.create()
        client = Client(session, base_url, options.patience_s)
        load.over(client)
        weather.over(lane)
        pace = _Pace(options, load, bridge.rss_mb)
        await pace.run()
        lane.release()
        await pace.settle()
        _err.print("comparing", style="dim")
        users = await _everything(session, base_url, "Users")
        teams = {
            i: await _one(session, f"{base_url}/Groups/{i}")
            for i in await _everything(session, base_url, "Groups")
        }
    return Report(
        options=options,
        seconds=pace.seconds,
        planned=pace.planned,
        done=pace.in_time,
        skipped=pace.skipped,
        requests=client.sent,
        calls=weather.calls,
        faults=dict(weather.met),
        kinds={kind: _latency(ms, client.errors[kind]) for kind, ms in sorted(client.latencies_ms.items())},
        rss_mb=pace.rss_mb,
        growth=_growth(pace.rss_mb),
        users=len(users),
        teams=len(teams),
        wrong=load.wrong,
        lost=model.compare(users, teams),
    )


class _Pace:
    """Begins operations at a steady rate, whatever becomes of those before."""

    def __init__(self, options: Options, load: Load, rss_mb: Callable[[], float]) -> None:
        self._load = load
        self._rate = options.rate
        self._wanted_s = options.minutes * 60
        self._rss_mb = rss_mb
        self._tasks: set[asyncio.Task[None]] = set()
        self.planned = max(1, round(self._wanted_s * options.rate))
        self.in_time = self.skipped = 0
        self.seconds = 0.0
        self.rss_mb: list[float] = []

    async def run(self) -> None:
        """Until the time is over."""
        begun = time.perf_counter()
        measured_s, shown_s = 0.0, 0.0
        for number in range(self.planned):
            late_s = number / self._rate - (time.perf_counter() - begun)
            if late_s > 0:
                await asyncio.sleep(late_s)
            if len(self._tasks) >= _OUTSTANDING:
                self.skipped += 1
                await asyncio.sleep(0)
            else:
                task = asyncio.create_task(self._load.one())
                self._tasks.add(task)
                task.add_done_callback(self._ended)
            self.seconds = time.perf_counter() - begun
            if self.seconds - measured_s >= max(0.1, self._wanted_s / 300):
                measured_s = self.seconds
                self.rss_mb.append(round(self._rss_mb(), 1))
            if self.seconds - shown_s >= 60:
                shown_s = self.seconds
                _err.print(f"{self.seconds / 60:.0f} min, {self.rss_mb[-1]:.0f} MB", style="dim")
        # What was begun last is given a second.
        await asyncio.sleep(1)
        self.in_time = self.planned - self.skipped - len(self._tasks)

    async def settle(self) -> None:
        """Until everything has its end; raises what went wrong in an operation."""
        await asyncio.gather(*self._tasks)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or task.exception() is None:
            self._tasks.discard(task)


async def _everything(session: aiohttp.ClientSession, base_url: str, endpoint: str) -> dict[str, Any]:
    """All resources by id, page by page; a platform that has just been broken is given time."""
    found: dict[str, Any] = {}
    cursor: str | None = ""
    while cursor is not None:
        page = await _one(
            session, f"{base_url}/{endpoint}?count=100&cursor={cursor}&excludedAttributes=members"
        )
        found.update({each["id"]: each for each in page["Resources"]})
        cursor = page.get("nextCursor")
    return found


async def _one(session: aiohttp.ClientSession, url: str) -> Any:
    for _ in range(30):
        async with session.get(url) as answer:
            text = await answer.read()
            if answer.status == 200:
                return msgspec.json.decode(text)
        await asyncio.sleep(1)
    raise ServerFailed(f"{url}: {answer.status} {text[:300].decode('utf-8', 'replace')}")


# --- figures ------------------------------------------------------------------------------------------------


def _latency(ms: list[float], errors: Counter[str]) -> Latency:
    ordered = sorted(ms)
    p50, p95, p99 = (round(ordered[int(len(ordered) * q / 100)], 1) for q in (50, 95, 99))
    return Latency(answers=len(ms), p50_ms=p50, p95_ms=p95, p99_ms=p99, errors=dict(errors))


def _growth(rss_mb: list[float]) -> float:
    third = len(rss_mb) // 3
    return 0.0 if not third else median(rss_mb[-third:]) / median(rss_mb[third : 2 * third]) - 1


def show(report: Report, out: Console) -> None:
    """The tables."""
    table = Table("request", title=f"{report.seconds / 60:.1f} minutes", title_justify="left")
    for column in ("answers", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right")
    table.add_column("no success")
    for kind, figures in report.kinds.items():
        errors = ", ".join(f"{name}: {count}" for name, count in sorted(figures.errors.items()))
        parts = (f"{figures.p50_ms:.1f}", f"{figures.p95_ms:.1f}", f"{figures.p99_ms:.1f}", errors)
        table.add_row(kind, f"{figures.answers:,}", *parts)
    out.print(table)
    out.print(
        f"Throughput: {report.done:,} of {report.planned:,} operations done in time ({report.kept:.1%}; "
        f"{report.skipped} not begun), {report.requests / report.seconds:.1f} requests/s, "
        f"{report.calls / report.seconds:.1f} platform calls/s."
    )
    faults = ", ".join(f"{name}: {count}" for name, count in sorted(report.faults.items()))
    out.print(f"Faults: {sum(report.faults.values()):,} of {report.calls:,} platform calls ({faults}).")
    if report.rss_mb:
        out.print(
            f"Bridge memory: {report.rss_mb[0]:.0f} MB at first, {max(report.rss_mb):.0f} MB at most, "
            f"{report.rss_mb[-1]:.0f} MB at last; last third against second third: {report.growth:+.1%}."
        )
    out.print(
        f"Compared: {report.users} users, {report.teams} groups; {len(report.lost)} not as acknowledged, "
        f"{len(report.wrong)} wrong answers."
    )
    for text in (*report.lost, *report.wrong)[:_SHOWN]:
        out.print(f"  {escape(text)}", soft_wrap=True)


def main() -> int:
    """Run it; 1 where a write was lost, an answer was wrong or something failed."""
    options, path = _options()
    try:
        with tempfile.TemporaryDirectory(prefix="scim-bench-platform-") as place:
            report = asyncio.run(run(options, Path(place)))
    except ServerFailed as exc:
        _err.print(f"[red]error:[/red] the soak does not count: {escape(str(exc))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        _err.print("stopped")
        return 130
    out = Console()
    show(report, out if out.is_terminal else Console(width=120))
    if path is not None:
        path.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 1 if report.lost or report.wrong else 0


def _options() -> tuple[Options, Path | None]:
    parser = argparse.ArgumentParser(
        description="Half an hour of mixed load over a platform that often fails."
    )
    parser.add_argument("--minutes", type=float, default=30, help="how long (default 30)")
    parser.add_argument("--rate", type=float, default=50, help="operations a second (default 50)")
    parser.add_argument("--users", type=int, default=200, help="users at any time (default 200)")
    parser.add_argument(
        "--faults", type=float, default=0.05, help="share of broken platform calls (default 0.05)"
    )
    parser.add_argument(
        "--patience", type=float, default=30, help="longest wait before a try, in s (default 30)"
    )
    parser.add_argument("--seed", type=int, default=1, help="of chance (default 1)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    if min(given.minutes, given.rate, given.users, given.patience) <= 0 or not 0 <= given.faults < 1:
        parser.error("minutes, rate, users and patience must be above 0, faults a share")
    options = Options(
        minutes=given.minutes,
        rate=given.rate,
        users=given.users,
        faults=given.faults,
        patience_s=given.patience,
        seed=given.seed,
    )
    return options, given.json


if __name__ == "__main__":
    sys.exit(main())
