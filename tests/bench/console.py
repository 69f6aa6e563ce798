"""The console over a long audit trail, run by hand: `uv run python tests/bench/console.py`.

A million records of 90 days (`--rows`) in a fresh SQLite or PostgreSQL (`--database`), a `scim-bridge serve`
over them, and every page asked for as a browser does, signed in, from the first byte sent to the last one
read. Then the same pages while the trail is cut to nine tenths by its own pruning. No page should need
300 ms.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Literal
from urllib.parse import quote

import httpx
import msgspec
import servers
from rich.console import Console
from rich.table import Table
from servers import ServerFailed
from sqlalchemy import text
from trail import BUSY_USER, RARE, Filled, fill

from app.store.store import Store

sys.path.insert(0, str(Path(__file__).parents[1]))

TARGET_MS = 300.0
LAST_PAGE = "requests: last page"
_CONNECTIONS = ("okta", "entra", "jumpcloud", "onelogin", "hr")
_CSRF = re.compile(r'name="csrf" value="([^"]+)"')
_RECORD = 'href="/console/requests/1'
_err = Console(stderr=True, highlight=False)


class Failed(Exception):
    """A page that is not what was asked for; the figures do not count."""


class Figure(msgspec.Struct, frozen=True, kw_only=True):
    """Milliseconds of one page."""

    p50: float
    max: float
    bytes: int


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    database: str
    rows: int
    rounds: int
    fill_s: float
    pages: dict[str, Figure]
    pruning: dict[str, Figure]
    """The same pages while records are being removed."""
    removed: int
    """Records that were removed meanwhile."""


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for, and what the answer must hold for its figure to count."""

    path: str
    holds: str = ""


def main() -> int:
    """Measure and show; 1 where something failed, or a page was too slow."""
    parser = argparse.ArgumentParser(description="How long the console's pages take over a long audit trail.")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-pruning", action="store_true", help="Leave the second half out.")
    parser.add_argument("--no-target", action="store_true", help="Slow pages are no failure.")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    try:
        report = measure(given.rows, given.database, given.rounds, prunes=not given.no_pruning)
    except (Failed, ServerFailed, httpx.HTTPError) as exc:
        _err.print(f"error: the benchmark does not count: {exc}", soft_wrap=True)
        return 1
    show(report)
    if given.json is not None:
        given.json.write_bytes(msgspec.json.encode(report))
    slow = [name for name, figure in report.pages.items() if figure.p50 >= TARGET_MS]
    slow += [f"{name} (pruning)" for name, figure in report.pruning.items() if figure.p50 >= TARGET_MS]
    for name in slow:
        _err.print(f"too slow: {name}")
    return 1 if slow and not given.no_target else 0


def measure(rows: int, database: Literal["sqlite", "postgresql"], rounds: int, *, prunes: bool) -> Report:
    """Fill, serve, ask."""
    with (
        tempfile.TemporaryDirectory(prefix="scim-bench-console-") as place,
        _database(database, place) as url,
    ):
        began = time.monotonic()
        filled, connection_ids = asyncio.run(_filled(url, rows))
        fill_s = time.monotonic() - began
        _err.print(f"{rows} records in {fill_s:.0f} s", soft_wrap=True)
        settings = {
            "SCIM_BRIDGE_DATA_DIR": place,
            "SCIM_BRIDGE_DATABASE_URL": url,
            "SCIM_BRIDGE_AUDIT_MAX_ROWS": "0",
            "SCIM_BRIDGE_AUDIT_KEEP_S": "1e9",
        }
        asked = pages(filled, connection_ids[0])
        with servers.serving(settings), signed_in(Path(place)) as browser:
            figures = ask(browser, asked, rounds)
        pruning: dict[str, Figure] = {}
        if prunes:
            settings["SCIM_BRIDGE_AUDIT_MAX_ROWS"] = str(rows * 9 // 10)
            # The oldest ones go at once, and with them what stands for the trail's end.
            asked.pop(LAST_PAGE)
            with servers.serving(settings), signed_in(Path(place)) as browser:
                pruning = ask(browser, asked, max(1, rounds // 3))
        removed = rows - asyncio.run(_count(url))
    return Report(
        database=database,
        rows=rows,
        rounds=rounds,
        fill_s=fill_s,
        pages=figures,
        pruning=pruning,
        removed=removed,
    )


@contextmanager
def _database(kind: str, place: str) -> Iterator[str]:
    """The URL of an empty database."""
    if kind == "sqlite":
        yield f"sqlite+aiosqlite:///{place}/bridge.db"
        return
    from databases import running_postgres

    with running_postgres() as server:
        url = server.make()
        yield url
        server.drop(url)


async def _filled(url: str, rows: int) -> tuple[Filled, list[str]]:
    store = await Store.open(url)
    try:
        made = [await store.connections.add(name=name, tenant_id=f"tnt_{name}") for name in _CONNECTIONS]
        for connection in made:
            await store.tokens.create(connection.id, "bench", None)
        filled = await fill(store, made, rows, datetime.now(UTC))
        # What a running bridge would have done day by day.
        await store.audit.prune(older_than=None, max_records=None)
        if store.db.dialect == "postgresql":
            # Autovacuum would have come by long before there are so many.
            async with store.db.write() as db:
                await db.execute(text("ANALYZE"))
        return filled, [c.id for c in made]
    finally:
        await store.close()


async def _count(url: str) -> int:
    store = await Store.open(url)
    try:
        async with store.db.read() as db:
            return int((await db.execute(text("SELECT count(*) FROM audit_records"))).scalar_one())
    finally:
        await store.close()


@contextmanager
def signed_in(place: Path) -> Iterator[httpx.Client]:
    """A browser with a session."""
    known = msgspec.json.decode((place / "quickstart.json").read_bytes())
    origin = known["console_url"].removesuffix("/console")
    with httpx.Client(base_url=origin, headers={"origin": origin}, timeout=60) as browser:
        answer = browser.post("/console/sign-in", data={"token": known["admin_token"]})
        if answer.status_code != 303:
            raise Failed(f"signing in was answered {answer.status_code}")
        yield browser


def pages(filled: Filled, connection_id: str) -> dict[str, Page]:
    """Every page, and the questions to the trail that could be dear."""
    since, until = _days_ago(60), _days_ago(59)
    log, users = "/console/requests?", "/console/users?name="
    connection = f"/console/connections/{connection_id}"
    every = f"connection={connection_id}&result=failed&method=PATCH&type=User&cause=invalid-value"
    return {
        "overview: 24 hours": Page(path="/console", holds="requests in the last 24 hours"),
        "overview: 90 days": Page(path="/console?span=90d", holds="requests in the last 90 days"),
        "requests": Page(path="/console/requests", holds="Older ones"),
        "requests: connection": Page(path=f"{log}connection={connection_id}", holds="Older ones"),
        "requests: refused unknown": Page(path=f"{log}connection=none", holds="unauthenticated"),
        "requests: failed": Page(path=f"{log}result=failed", holds="POST /Users"),
        "requests: 5xx": Page(path=f"{log}result=5", holds="platform-unavailable"),
        "requests: method": Page(path=f"{log}method=DELETE", holds="DELETE /Users"),
        "requests: resource type": Page(path=f"{log}type=Group", holds="PATCH /Groups"),
        "requests: cause": Page(path=f"{log}cause=conflict", holds="POST /Users"),
        "requests: rare cause of 90 days": Page(path=f"{log}cause={RARE}", holds=RARE),
        "requests: one day, long ago": Page(path=f"{log}since={since}&until={until}", holds="GET /Users"),
        "requests: every filter": Page(path=f"{log}{every}&since={_days_ago(89)}", holds="invalid-value"),
        "requests: correlation id": Page(path=f"{log}text={filled.correlation_id}", holds=_RECORD),
        "requests: failures of a name": Page(path=f"{log}result=failed&text={filled.user_name}"),
        "requests: every filter, busy user": Page(path=f"{log}{every}&text={BUSY_USER}", holds=""),
        LAST_PAGE: Page(path=f"{log}before={filled.second_id}", holds=filled.first_id),
        "requests: news": Page(path=f"{log[:-1]}/news?after={filled.middle_id}", holds="100 or more"),
        "request": Page(path=f"/console/requests/{filled.failed_id}", holds="What to do"),
        "user by id": Page(path=f"{users}{filled.user_id}", holds=filled.user_id),
        "user by name": Page(path=f"{users}{filled.user_name}", holds=filled.user_id),
        f"user with {filled.busy} records": Page(path=f"{users}{BUSY_USER}", holds="Older ones"),
        f"user with {filled.busy} records, by name": Page(
            path=f"{users}{quote('busy@example.com')}", holds="Older ones"
        ),
        "user with so many, second half": Page(
            path=f"{users}{BUSY_USER}&before={filled.middle_id}", holds="The latest"
        ),
        "user nobody knows": Page(path=f"{users}nobody", holds="knows nobody"),
        "connections": Page(path="/console/connections", holds="entra"),
        "connection": Page(path=connection, holds="Policies"),
        "policies": Page(path=f"{connection}/policies", holds="Review"),
        "mappings": Page(path="/console/mapping", holds="default"),
        "mapping": Page(path=f"/console/mapping/{connection_id}", holds="Translate"),
        "explain": Page(path="/console/explain", holds="Explain the search"),
        "journal": Page(path="/console/journal", holds="Every write is finished"),
        "changes": Page(path="/console/changes", holds="Nothing was changed"),
    }


def ask(browser: httpx.Client, asked: dict[str, Page], rounds: int) -> dict[str, Figure]:
    """Each page in turn, as often as there are rounds; raises `Failed` for another answer."""
    took: dict[str, list[float]] = {name: [] for name in asked}
    sizes: dict[str, int] = {}
    for _ in range(rounds):
        for name, page in asked.items():
            began = time.perf_counter()
            answer = browser.get(page.path)
            took[name].append((time.perf_counter() - began) * 1000)
            sizes[name] = len(answer.content)
            if answer.status_code != 200 or page.holds not in answer.text:
                raise Failed(f"{name}: {answer.status_code} without {page.holds!r}")
    return {
        name: Figure(p50=median(times), max=max(times), bytes=sizes[name]) for name, times in took.items()
    }


def show(report: Report) -> None:
    """A table."""
    table = Table(
        *("page", "p50, ms", "max, ms", "while pruning, p50", "max", "kB"),
        title=f"{report.rows} records, {report.database}; {report.removed} removed meanwhile",
    )
    for name, figure in report.pages.items():
        pruning = report.pruning.get(name)
        beside = ("", "") if pruning is None else (f"{pruning.p50:.0f}", f"{pruning.max:.0f}")
        table.add_row(name, f"{figure.p50:.0f}", f"{figure.max:.0f}", *beside, f"{figure.bytes / 1000:.0f}")
    Console(width=110).print(table)


def _days_ago(days: int) -> str:
    return f"{datetime.now(UTC) - timedelta(days=days):%Y-%m-%dT%H:%M}"


if __name__ == "__main__":
    sys.exit(main())
