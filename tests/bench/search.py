"""The benchmark of searches, run by hand: `uv run python tests/bench/search.py` (`--users 5000` for a try).

Over `scim-bridge platform` with a tenant of 100,000 users, each query three ways in turn:

- as a client sends it to the bridge,
- the SQL that the bridge makes of it, run bare over the same index,
- the platform's GETs of the users on the page, as many side by side as the bridge makes.

The bridge should not need more than twice the SQL and the GETs together; a point lookup one call, and 5 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import aiohttp
import msgspec
import servers
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from servers import Server, ServerFailed
from sqlalchemy import Engine, event
from yarl import URL

from app.bridge.fan_out import FAN_OUT
from app.embedded import Directory
from app.embedded.seeding import SeedPlan
from app.mapping.load import load_mapping
from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.scim.path import parse_attribute_path
from app.scim.schema import AttributeRef
from app.store.store import Store

_err = Console(stderr=True, highlight=False)

LOOKUP_TARGET_MS = 5.0
WINDOW_TARGET = 2.0
MEMORY_TARGET_MB = 200

_FAMILY_NAMES = tuple(f"{start}{end}" for end in ("", "a", "er", "son", "sen", "ova") for start in (
    "Smith", "Small", "Andersson", "Bauer", "Dubois", "Evans", "Ferrari", "García", "Hansen", "Ivan",
    "Jansen", "Kowalski", "Lopez", "Müller", "Novak", "Okonkwo", "Petrov", "Quinn", "Rossi", "Silva",
    "Tanaka", "Ünal", "Virtanen", "Weiß", "Xu", "Yilmaz", "Zhang", "Brown", "Clark", "Davies",
))  # fmt: skip
_DEPARTMENTS = ("Sales", "Engineering", "Finance", "Legal", "Support", "Marketing", "Operations", "People")


class Failed(Exception):
    """An answer that is not what was asked for; the figures do not count."""


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One query."""

    name: str
    filter: str | None = None
    sort: str | None = None
    start: int = 1
    count: int = 100
    lookup: bool = False
    """Answered by one GET of the user that the link table names."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """Medians in milliseconds."""

    bridge_ms: float
    sql_ms: float
    gets_ms: float
    calls: int
    """Platform calls of one request."""
    total: int
    """`totalResults`."""

    @property
    def against(self) -> float:
        """The bridge's time beside twice the SQL and the GETs; 1 is the target."""
        return self.bridge_ms / (WINDOW_TARGET * self.sql_ms + self.gets_ms)


class Filling(msgspec.Struct, frozen=True, kw_only=True):
    """The first filling of the index."""

    users: int
    seconds: float
    bare_seconds: float
    """The same pages and GETs without a bridge."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    users: int
    rounds: int
    filling: Filling
    cases: dict[str, Figures]
    lookups: tuple[str, ...]
    index_mb: float
    memory_mb: float
    """The most that the bridge had."""


def cases_for(users: int) -> tuple[Case, ...]:
    """What identity providers and administrators ask, from the middle of the tenant."""
    name = f"user{users // 2:06d}@example.com"
    return (
        Case(name="userName eq", filter=f'userName eq "{name.partition("@")[0]}"', lookup=True),
        Case(name="work e-mail eq", filter=f'emails[type eq "work"].value eq "{name}"', lookup=True),
        Case(name='familyName sw "Sm" and active', filter='name.familyName sw "Sm" and active eq true'),
        Case(name="not department eq", filter='not (department eq "Sales")'),
        Case(name="sort by familyName, middle", sort="name.familyName", start=users // 2 + 1),
        Case(name="total of not department eq", filter='not (department eq "Sales")', count=0),
        Case(name="total of familyName sw", filter='name.familyName sw "Sm" and active eq true', count=0),
    )


# --- the tenant ---------------------------------------------------------------------------------------------


async def make_tenant(data_dir: Path, tenant_id: str, users: int) -> None:
    """The users, straight into the platform's database; nothing where they are there already."""
    async with Directory(data_dir / "platform.db") as directory:
        plan = SeedPlan(disabled_every=10, last_names=_FAMILY_NAMES, departments=_DEPARTMENTS)
        await directory.seed_users(tenant_id, users, plan)


async def bare_paging(platform: Server, token: str, tenant_id: str) -> float:
    """Seconds to page through the tenant and read every user, as many side by side as a sweep reads."""
    base = f"http://127.0.0.1:{platform.port}/api/v1/tenants/{tenant_id}/users"
    async with _session(token) as session:
        begun = time.perf_counter()
        page, seen, total = 0, 0, 1
        while seen < total:
            page += 1
            found = await _json(session, f"{base}?page={page}&per_page=100&sort_by=created_at&sort_order=asc")
            total = found["pagination"]["total_items"]
            seen += len(found["data"])
            for start in range(0, len(found["data"]), FAN_OUT):
                rows = found["data"][start : start + FAN_OUT]
                await asyncio.gather(*(_json(session, f"{base}/{row['id']}") for row in rows))
        return time.perf_counter() - begun


# --- the queries --------------------------------------------------------------------------------------------


class Bench:
    """One bridge over one tenant, and three ways to ask."""

    def __init__(self, bridge: Server, platform: Server, tokens: tuple[str, str], tenant_id: str) -> None:
        self.bridge = bridge
        self._scim = f"http://127.0.0.1:{bridge.port}/scim/v2/Users"
        self._users = f"http://127.0.0.1:{platform.port}/api/v1/tenants/{tenant_id}/users"
        self._scim_token, self._platform_token = tokens

    async def measure(self, case: Case, rounds: int, sql: Callable[[], float]) -> Figures:
        """Medians over rounds in which each way has its turn."""
        async with _session(self._scim_token) as scim, _session(self._platform_token) as platform:
            found = await _json(scim, f"{self._scim}?{case_query(case)}")
            ids = [user["id"] for user in found["Resources"]]
            explained = await _json(
                scim, f"{self._scim}?{case_query(case)}", **{"SCIM-Bridge-Explain": "run"}
            )
            taken: dict[str, list[float]] = {"bridge": [], "sql": [], "gets": []}
            for _ in range(rounds):
                begun = time.perf_counter()
                await _json(scim, f"{self._scim}?{case_query(case)}")
                taken["bridge"].append((time.perf_counter() - begun) * 1000)
                taken["sql"].append(0.0 if case.lookup else sql())
                taken["gets"].append(await self._gets(platform, ids))
        return Figures(
            bridge_ms=median(taken["bridge"]),
            sql_ms=median(taken["sql"]),
            gets_ms=median(taken["gets"]),
            calls=len(explained["ran"]["calls"]),
            total=found["totalResults"],
        )

    async def _gets(self, session: aiohttp.ClientSession, ids: list[str]) -> float:
        begun = time.perf_counter()
        slots = asyncio.Semaphore(FAN_OUT)

        async def get(user_id: str) -> None:
            async with slots:
                await _json(session, f"{self._users}/{user_id}")

        await asyncio.gather(*(get(user_id) for user_id in ids))
        return (time.perf_counter() - begun) * 1000


def case_query(case: Case) -> str:
    """The query string of a case."""
    parts = {"startIndex": str(case.start), "count": str(case.count)}
    if case.filter is not None:
        parts["filter"] = case.filter
    if case.sort is not None:
        parts["sortBy"] = case.sort
    return "&".join(f"{name}={quote(value)}" for name, value in parts.items())


async def bare_sql(database: Path, case: Case) -> Callable[[], float]:
    """What the bridge's search comes to in SQL, to be run without the bridge: milliseconds a run."""
    statements: list[tuple[str, Any]] = []

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        statements.append((statement, parameters))

    mapping = load_mapping("default")
    model = mapping.model
    bound = None if case.filter is None else bind(parse_filter(case.filter), model)
    sort = None if case.sort is None else parse_attribute_path(case.sort, model)
    store = await Store.open(f"sqlite+aiosqlite:///{database}")
    try:
        view = next(v for v in await store.index.views() if v.complete_since is not None)
        event.listen(Engine, "before_cursor_execute", note)
        try:
            await store.index.find(
                view.id,
                model,
                bound,
                sort=sort if isinstance(sort, AttributeRef) else None,
                offset=case.start - 1,
                limit=case.count,
            )
        finally:
            event.remove(Engine, "before_cursor_execute", note)
    finally:
        await store.close()
    connection = sqlite3.connect(f"file:{database}?mode=ro", uri=True)
    searches = [
        (text, values) for text, values in statements if text.lstrip().upper().startswith(("SELECT", "WITH"))
    ]

    def run() -> float:
        begun = time.perf_counter()
        for text, values in searches:
            connection.execute(text, values).fetchall()
        return (time.perf_counter() - begun) * 1000

    return run


# --- the run ------------------------------------------------------------------------------------------------


async def run(users: int, rounds: int, place: Path) -> Report:
    """Everything; raises `Failed` and `ServerFailed`."""
    with servers.embedded(place) as platform:
        app = msgspec.json.decode((place / "platform.json").read_bytes())
        tenant_id = app["tenant_id"]
        _err.print(f"making a tenant of {users:,} users", style="dim")
        await make_tenant(place, tenant_id, users)
        async with Directory(place / "platform.db") as directory:
            platform_token = await directory.issue_token(app["client_id"])
        with tempfile.TemporaryDirectory(prefix="scim-bench-bridge-") as bridge_place:
            settings = servers.bridge_settings(Path(bridge_place), platform.port, app)
            token = servers.add_connection(settings, tenant_id, "--explain")
            _err.print("paging without a bridge", style="dim")
            bare_s = await bare_paging(platform, platform_token, tenant_id)
            _err.print("first reindex", style="dim")
            begun = time.perf_counter()
            servers.run_cli("reindex", "--rate", "1000000", **settings)
            filling = Filling(users=users, seconds=time.perf_counter() - begun, bare_seconds=bare_s)
            database = Path(bridge_place) / "bridge.db"
            with servers.serving(settings) as bridge:
                bench = Bench(bridge, platform, (token, platform_token), tenant_id)
                figures: dict[str, Figures] = {}
                memory = bridge.rss_mb()
                for case in cases_for(users):
                    _err.print(case.name, style="dim")
                    sql = await bare_sql(database, case) if not case.lookup else lambda: 0.0
                    figures[case.name] = await bench.measure(case, rounds, sql)
                    memory = max(memory, bridge.rss_mb())
            index_mb = database.stat().st_size / 1e6
    return Report(
        users=users,
        rounds=rounds,
        filling=filling,
        cases=figures,
        lookups=tuple(case.name for case in cases_for(users) if case.lookup),
        index_mb=index_mb,
        memory_mb=memory,
    )


def show(report: Report, out: Console) -> None:
    """The tables."""
    table = Table(
        "query", title=f"{report.users:,} users; median ms of {report.rounds}", title_justify="left"
    )
    for column in ("results", "calls", "bridge", "SQL", "GETs", "adds", "of 2 SQL + GETs"):
        table.add_column(column, justify="right")
    for name, figures in report.cases.items():
        lookup = name in report.lookups
        table.add_row(
            escape(name),
            f"{figures.total:,}",
            str(figures.calls),
            f"{figures.bridge_ms:.1f}",
            "" if lookup else f"{figures.sql_ms:.1f}",
            f"{figures.gets_ms:.1f}",
            f"{figures.bridge_ms - figures.gets_ms:.1f} (target {LOOKUP_TARGET_MS:.0f})" if lookup else "",
            "" if lookup else f"{figures.against:.2f}",
        )
    out.print(table)
    filling = report.filling
    out.print(
        f"First reindex: {filling.users / filling.seconds:,.0f} users/s ({filling.seconds:.0f} s); "
        f"bare paging with a GET for each: {filling.users / filling.bare_seconds:,.0f} users/s. "
        f"Database {report.index_mb:.0f} MB; "
        f"bridge memory {report.memory_mb:.0f} MB (target below {MEMORY_TARGET_MB})."
    )


def _session(token: str) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(
        headers={"Authorization": f"Bearer {token}"}, connector=aiohttp.TCPConnector(limit=FAN_OUT)
    )


async def _json(session: aiohttp.ClientSession, url: str, **headers: str) -> Any:
    async with session.get(URL(url, encoded=True), headers=headers) as answer:
        text = await answer.read()
        if answer.status != 200:
            raise Failed(f"GET {url}: {answer.status} {text[:300].decode('utf-8', 'replace')}")
        return msgspec.json.decode(text)


def main() -> int:
    """Run everything; 1 where something failed."""
    parser = argparse.ArgumentParser(description="Benchmark of searches; takes some minutes.")
    parser.add_argument("--users", type=int, default=100_000, help="users of the tenant (default 100000)")
    parser.add_argument("--rounds", type=int, default=15, help="rounds of each query (default 15)")
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    given = parser.parse_args()
    if min(given.users, given.rounds) <= 0:
        parser.error("users and rounds must be above 0")
    try:
        with tempfile.TemporaryDirectory(prefix="scim-bench-platform-") as place:
            report = asyncio.run(run(given.users, given.rounds, Path(place)))
    except (Failed, ServerFailed) as exc:
        _err.print(f"[red]error:[/red] the benchmark does not count: {escape(str(exc))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        _err.print("stopped")
        return 130
    out = Console()
    show(report, out if out.is_terminal else Console(width=120))
    if given.json is not None:
        given.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
