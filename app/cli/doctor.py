"""`scim-bridge doctor`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Annotated
from urllib.parse import urlsplit

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from app.bridge.doctor.findings import Finding, Line
from app.cli.opening import chosen, opened
from app.cli.servers import DataOption
from app.config import Settings, load_settings
from app.store.connections import Connection
from app.store.errors import StoreError
from app.web.contexts import resolve
from app.web.services import Services

_EXPIRES_SOON = timedelta(days=30)
_STYLES = {"ok": "green", "hint": "cyan", "differs": "yellow", "failed": "red", "unknown": "dim"}
_WRONG = ("differs", "failed")


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """The findings about one connection, or about the bridge itself."""

    of: str
    findings: tuple[Finding, ...]


def doctor_command(
    connection: Annotated[str | None, typer.Argument(help="Name or id; without, all connections.")] = None,
    write: Annotated[
        bool, typer.Option("--write", help="Also make a user and a group at the platform, and remove them.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer JSON.")] = False,
    data_dir: DataOption = None,
) -> None:
    """Check configuration, database and whether the platform behaves as the mapping declares.

    Ends with 1 where something differs or fails, and shows the lines that set it right.
    """
    settings = load_settings(os.environ, data_dir=None if data_dir is None else str(data_dir))
    out = Console(highlight=False, soft_wrap=True, emoji=False)
    parts = asyncio.run(_examine(settings, connection, write, None if json else out))
    if json:
        out.print(msgspec.json.format(msgspec.json.encode(parts)).decode(), markup=False)
    if any(f.state in _WRONG for part in parts for f in part.findings):
        raise typer.Exit(1)


async def _examine(settings: Settings, name: str | None, write: bool, out: Console | None) -> list[Part]:
    parts: list[Part] = []
    async with opened(settings) as services:
        connections = await chosen(services, name)
        parts.append(await _shown(out, "the bridge", _bridge(services)))
        for found in connections:
            title = f"{found.name} (tenant {found.tenant_id}, mapping {found.mapping})"
            parts.append(await _shown(out, title, _connection(services, found, write)))
    return parts


async def _shown(out: Console | None, title: str, findings: AsyncIterator[Finding]) -> Part:
    table = Table("", "check", "declared", "found", title=title, title_justify="left")
    kept: list[Finding] = []
    async for finding in findings:
        kept.append(finding)
        table.add_row(
            f"[{_STYLES[finding.state]}]{finding.state}[/]",
            *(_plain(t) for t in (finding.name, finding.declared, finding.found)),
        )
    part = Part(of=title, findings=tuple(kept))
    if out is not None:
        out.print(table)
        _show_lines(out, [line for finding in kept for line in finding.lines])
    return part


def _show_lines(out: Console, lines: list[Line]) -> None:
    for place in dict.fromkeys(line.place for line in lines):
        out.print(f"put into {place}:" if place != "connection" else "for the connection:", markup=False)
        for line in lines:
            if line.place == place:
                out.print(f"    {line.text}", markup=False)


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


async def _bridge(services: Services) -> AsyncIterator[Finding]:
    """What can be told without the platform: settings and the bridge's own database."""
    settings = services.settings
    kind = services.store.db.dialect
    try:
        await services.store.ping()
        trouble = ""
    except StoreError as error:
        trouble = str(error)
    yield Finding(
        name="database",
        state="failed" if trouble else "ok",
        found=trouble or f"{kind}, its schema is this release's",
    )
    yield _public_url(settings)
    if settings.platform_webhook_secret or settings.embedded:
        yield Finding(name="webhooks", state="ok", found="a secret is set: changes elsewhere show at once")
    else:
        found = f"no secret is set: changes elsewhere show with sweeps, every {settings.index_sweep_s:g} s"
        line = Line(place="environment", text="SCIM_BRIDGE_PLATFORM_WEBHOOK_SECRET=…")
        yield Finding(name="webhooks", state="hint", found=found, lines=(line,))
    waiting = await services.store.journal.list()
    stuck = sum(entry.state == "stuck" for entry in waiting)
    if stuck:
        yield Finding(
            name="journal", state="failed", found=f"{stuck} writes are stuck: scim-bridge journal list"
        )
    else:
        yield Finding(name="journal", state="ok", found=f"{len(waiting)} writes are being finished")


def _public_url(settings: Settings) -> Finding:
    name, url = "public URL", settings.public_url
    if not url:
        line = Line(place="environment", text="SCIM_BRIDGE_PUBLIC_URL=https://…/scim/v2")
        found = "not set: locations are made of each request's Host"
        return Finding(name=name, state="hint", found=found, lines=(line,))
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        return Finding(
            name=name, state="differs", declared=url, found="not https: tokens travel in the clear"
        )
    return Finding(
        name=name, state="ok", declared=url, found="https" if parts.scheme == "https" else "this machine"
    )


async def _connection(services: Services, connection: Connection, write: bool) -> AsyncIterator[Finding]:
    yield await _tokens(services, connection)
    context = resolve(connection, "", services.contexts.mappings_dir)
    async for finding in services.doctor.examine(context, write=write):
        yield finding
    view = await services.indexing.view(context)
    if view.complete_since is None:
        yield Finding(
            name="index", state="hint", found="not complete yet: scim-bridge reindex, or let the server do it"
        )
    else:
        yield Finding(
            name="index", state="ok", found=f"complete since {view.complete_since:%Y-%m-%d %H:%M} UTC"
        )


async def _tokens(services: Services, connection: Connection) -> Finding:
    now = datetime.now(UTC)
    tokens = [t for t in await services.store.tokens.list(connection.id) if t.revoked_at is None]
    live = [t for t in tokens if t.expires_at is None or t.expires_at > now]
    name, another = "tokens", Line(place="connection", text=f"scim-bridge token create {connection.name}")
    if not live:
        return Finding(name=name, state="failed", found="no token is valid", lines=(another,))
    last = max((t.expires_at or datetime.max.replace(tzinfo=UTC)) for t in live)
    if last - now < _EXPIRES_SOON:
        line = Line(place="connection", text=f"scim-bridge token create {connection.name}")
        return Finding(
            name=name, state="differs", found=f"the last one expires on {last:%Y-%m-%d}", lines=(line,)
        )
    return Finding(name=name, state="ok", found=f"{len(live)} valid")
