"""No secret is in any log, record, trace, metric or page; what is personal, only where a policy says so."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import html
import io
import json
import logging
import re
import sqlite3
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from bridge_rig import Rig, open_rig
from marked_day import Day
from marks import Leak, Level, Marks
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from app.admin import create_admin
from app.cli.main import main
from app.observing.routes import CallRoutes
from app.observing.tracing import Tracing
from app.store.connections import Policies
from app.web.app import create_app

ORIGIN = "http://localhost"
_LINK = re.compile(r'(?:href|hx-get)="(/console[^"#]*)')
_STORY = re.compile("/console/requests/[0-9a-f]{16}")
_PERSONAL_TABLES = {
    "links": "finds users by userName and externalId",
    "index_values": "what searches look for",
    "journal": "what is left to be done of unfinished writes",
    "journal_keys": "whom they hold up: by their names",
    "leases": "whom a write holds up: by their names",
    "group_external_ids": "finds groups",
    "local_groups": "the groups that the bridge keeps",
    "local_group_members": "their members",
}
"""Tables that hold personal values, whatever the policy; of the others none does, and of no secret any."""


@dataclass
class Bridge:
    """A bridge that is watched in all ways."""

    rig: Rig
    app: Any
    exporter: InMemorySpanExporter
    webhook_secret: str
    marks: Marks


@contextlib.asynccontextmanager
async def watched(made_once: Path, place: Path, marks: Marks) -> AsyncIterator[Bridge]:
    secret = marks.secret("webhook secret")
    async with open_rig(
        made_once, place, platform_webhook_secret=secret, log_requests=True, log_level="debug"
    ) as rig:
        services = rig.app.state.services
        exporter = InMemorySpanExporter()
        tracing = Tracing(CallRoutes(rig.settings.platform_groups_path), SimpleSpanProcessor(exporter))
        services.stories.add(tracing)
        app = create_app(msgspec.structs.replace(services, tracing=tracing))
        marks.secret("platform client secret", rig.settings.platform_client_secret)
        marks.secret("platform access token", rig.platform.headers["authorization"].partition(" ")[2])
        yield Bridge(rig, app, exporter, secret, marks)
        await tracing.aclose()


async def played(bridge: Bridge, name: str, **policies: Any) -> tuple[Day, str]:
    """A day of a connection with such policies, and the connection's id."""
    own = await bridge.rig.alone(
        policies=Policies(explain=True, dry_run=True, password="set", guard_limit=0, **policies)
    )
    bridge.marks.secret(f"{name} token", own.token)
    found = await own.store.tokens.authenticate(own.token)
    assert found is not None
    day = Day(replace(own, app=bridge.rig.app), bridge.app, bridge.marks, name, bridge.webhook_secret)
    await day.play()
    assert {200, 201, 400, 401, 403, 404, 429, 500, 502, 503} <= day.statuses
    # What waits to be recorded is there with the next write.
    await day.ask("POST", "/Users", {})
    return day, found.connection.id


def spans_of(exporter: InMemorySpanExporter) -> dict[str, str]:
    return {f"span {n} {span.name}": span.to_json() for n, span in enumerate(exporter.get_finished_spans())}


def rows_of(data_dir: str) -> dict[str, str]:
    """Every table, its bytes in hexadecimal digits and as text; what is JSON also decoded."""
    told = {}
    with closing(sqlite3.connect(Path(data_dir) / "bridge.db")) as db:
        names = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for name in names:
            for number, row in enumerate(db.execute(f'SELECT * FROM "{name}"')):  # noqa: S608
                told[f"{name}/{number}"] = "\n".join(_texts(row))
    return told


def _texts(row: tuple[Any, ...]) -> list[str]:
    texts = []
    for value in row:
        if isinstance(value, bytes):
            texts += [value.hex(), value.decode("latin-1")]
            continue
        texts.append(str(value))
        with contextlib.suppress(ValueError):
            texts.append(json.dumps(json.loads(str(value)), ensure_ascii=False))
    return texts


async def pages_of(bridge: Bridge, days: list[tuple[Day, str]]) -> dict[str, str]:
    """All pages of the console that lead from one to the other, for both roles, whole and in parts."""
    services = bridge.rig.app.state.services
    admin = create_admin(services)
    pages: dict[str, str] = {}
    for role in ("viewer", "admin"):
        _, secret = await services.store.admin_tokens.create(role, label=role)
        bridge.marks.secret(f"token of the {role}", secret)
        headers = {"origin": ORIGIN, "sec-fetch-site": "same-origin"}
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(admin), base_url=ORIGIN, headers=headers
        ) as browser:
            wrong = bridge.marks.secret(f"wrong token of the {role}")
            refused = await browser.post("/console/sign-in", data={"token": wrong})
            pages[f"{role}: sign-in"] = refused.text
            signed = await browser.post("/console/sign-in", data={"token": secret})
            assert signed.status_code == 303, signed.text
            for cookie in browser.cookies.jar:
                bridge.marks.secret(f"session of the {role}", cookie.value)
            pages |= await _crawled(browser, role, days)
    return pages


async def _crawled(browser: httpx.AsyncClient, role: str, days: list[tuple[Day, str]]) -> dict[str, str]:
    """Every page once; of stories, which are the same for both roles, a viewer sees all."""
    waiting = ["/console", *(f"/console/users?name={i}" for day, _ in days for i in day.user_ids)]
    seen: dict[str, str] = {}
    asked = set(waiting)
    stories = 0
    while waiting:
        path = waiting.pop()
        told = await browser.get(path)
        assert told.status_code in (200, 303, 403, 404), (path, told.text)
        seen[f"{role}: {path}"] = told.text
        if not _STORY.fullmatch(path):
            part = await browser.get(path, headers={"hx-request": "true"})
            seen[f"{role}: part of {path}"] = part.text
        for link in map(html.unescape, _LINK.findall(told.text)):
            # What is new comes anew with every page; static files hold nothing of anybody.
            if link in asked or "/news" in link or "/static" in link:
                continue
            asked.add(link)
            stories += _STORY.fullmatch(link) is not None
            if role == "viewer" or stories < 20 or not _STORY.fullmatch(link):
                waiting.append(link)
    return seen


async def metrics_of(bridge: Bridge) -> dict[str, str]:
    transport = httpx.ASGITransport(create_admin(bridge.rig.app.state.services))
    async with httpx.AsyncClient(transport=transport, base_url=ORIGIN) as client:
        kinds = {"text": "text/plain", "OpenMetrics": "application/openmetrics-text; version=1.0.0"}
        return {
            name: (await client.get("/metrics", headers={"accept": kind})).raise_for_status().text
            for name, kind in kinds.items()
        }


async def commands_of(bridge: Bridge, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """What commands print, in this process."""
    entries = await bridge.rig.store.journal.list()
    assert entries
    asked = [
        ["audit", "--limit", "5000"],
        ["audit", "--failures", "--limit", "5000"],
        ["journal", "list"],
        *(["journal", "show", entry.id] for entry in entries),
    ]
    wrong = bridge.marks.secret("password of the database")
    monkeypatch.setenv("SCIM_BRIDGE_DATA_DIR", bridge.rig.settings.data_dir)
    monkeypatch.setenv("COLUMNS", "400")
    told = {}
    for arguments in asked:
        told[" ".join(arguments)] = await _printed(monkeypatch, arguments)
    with monkeypatch.context() as patch:
        patch.setenv("SCIM_BRIDGE_DATABASE_URL", f"postgresql+asyncpg://bridge:{wrong}@127.0.0.1:1/none")
        told["audit without a database"] = await _printed(monkeypatch, ["audit"])
    assert "127.0.0.1" in told["audit without a database"]
    return told


async def _printed(monkeypatch: pytest.MonkeyPatch, arguments: list[str]) -> str:
    out = io.StringIO()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "argv", ["scim-bridge", *arguments])
        patch.setattr(sys, "stdout", out)
        patch.setattr(sys, "stderr", out)
        with contextlib.suppress(SystemExit):
            # Commands have an event loop of their own.
            await asyncio.to_thread(main)
    return out.getvalue()


@pytest.fixture
def both_logs(configure: Callable[..., io.StringIO]) -> Callable[[], dict[str, str]]:
    """The log of the test in both formats, line by line."""
    streams, handlers = {}, []
    for style in ("json", "console"):
        streams[style] = configure(log_format=style, log_level="debug")
        handlers += logging.getLogger().handlers
    logging.getLogger().handlers = handlers

    def read() -> dict[str, str]:
        return {
            f"{style} line {number}": line
            for style, stream in streams.items()
            for number, line in enumerate(stream.getvalue().splitlines())
        }

    return read


def shown(leaks: list[Leak]) -> str:
    """One place of each mark is enough to look for it."""
    first: dict[tuple[str, str], str] = {}
    for leak in leaks:
        first.setdefault((leak.mark, re.sub(r"[0-9a-f]{6,}|[0-9]+", "", leak.place)), leak.place)
    return "\n".join(f"{mark}: {place}" for (mark, _), place in first.items())


@pytest.mark.asyncio
async def test_nothing_is_told_that_must_not_be(
    made_once: Path,
    tmp_path: Path,
    both_logs: Callable[[], dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    marks = Marks()
    async with watched(made_once, tmp_path, marks) as bridge:
        days = [
            await played(bridge, "discreet", groups="platform"),
            await played(bridge, "open", groups="local", audit_values="personal"),
        ]
        spans = spans_of(bridge.exporter)
        pages = await pages_of(bridge, days)
        metrics = await metrics_of(bridge)
        commands = await commands_of(bridge, monkeypatch)
    log, rows = both_logs(), rows_of(bridge.rig.settings.data_dir)

    assert min(map(len, (spans, pages, log))) > 200
    assert any("Traceback" in line for line in log.values())
    everywhere = {**log, **spans, **metrics, **rows, **pages, **commands}
    assert shown(marks.leaks(everywhere, "secret")) == ""
    assert shown(marks.leaks({**log, **spans, **metrics}, "personal")) == ""
    elsewhere = {at: text for at, text in rows.items() if at.partition("/")[0] not in _PERSONAL_TABLES}
    of_records = marks.leaks({**elsewhere, **pages, **commands}, "personal")
    assert shown([leak for leak in of_records if not leak.mark.startswith("open ")]) == ""
    # And the other day's are there, or nothing of this was a test.
    assert len({leak.mark for leak in of_records}) > 100


@pytest.mark.parametrize("level", ["secret", "personal"])
@pytest.mark.parametrize(
    "how", ["as it is", "in capitals", "in JSON", "in a URL", "in base64", "in hex", "in HTML"]
)
@pytest.mark.parametrize("place", ["line", "row", "page", "span"])
def test_a_mark_that_is_told_is_found(level: Level, how: str, place: str) -> None:
    marks = Marks()
    word = marks.secret("planted") if level == "secret" else marks.personal("planted")
    written = {
        "as it is": word,
        "in capitals": word.upper(),
        "in JSON": json.dumps(f"é{word}").replace(word[0], f"\\u{ord(word[0]):04x}"),
        "in a URL": f"?a=b%20%{ord(word[0]):02x}{word[1:]}",
        "in base64": base64.b64encode(f"x:{word}?".encode()).decode(),
        "in hex": word.encode().hex(),
        "in HTML": f"&#{ord(word[0])};{word[1:]}",
    }[how]
    texts = {
        "line": f"event {written}",
        "row": f"\n7\n{written}",
        "page": f"<p>{written}</p>",
        "span": f'"{written}"',
    }
    told = {"elsewhere": "nothing", place: texts[place]}
    assert marks.leaks(told, "secret", "personal") != []
    assert {leak.place for leak in marks.leaks(told, level)} == {place}
    others = {"secret", "personal"} - {level}
    assert marks.leaks(told, *others) == []


def test_what_is_not_told_is_not_found() -> None:
    marks = Marks()
    marks.secret("one", "scb_" + "a1B2" * 10 + "abc")
    marks.personal("two")
    assert marks.leaks({"a": "scb_a1B2a1B", "b": "an ordinary line", "c": ""}, "secret", "personal") == []
