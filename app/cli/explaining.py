"""`scim-bridge explain`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from app.bridge.context import Context
from app.bridge.explaining import Explained, Ran, as_json
from app.cli.opening import chosen, opened
from app.cli.servers import DataOption
from app.config import Settings, SettingsError, load_settings
from app.planning.explain import as_text
from app.platform.errors import PlatformError
from app.scim.errors import ScimError
from app.scim.messages import SEARCH_REQUEST
from app.web.contexts import resolve
from app.web.parameters import SearchRequest
from app.web.requests import read_query, read_window
from app.web.services import Services


def explain_command(
    filter: Annotated[
        str | None, typer.Argument(help="A SCIM filter for users; without one, all users.")
    ] = None,
    connection: Annotated[
        str | None, typer.Option("--connection", help="Name or id; may be left out where there is one.")
    ] = None,
    sort_by: Annotated[str | None, typer.Option("--sort-by", help="Attribute that orders.")] = None,
    descending: Annotated[bool, typer.Option("--descending", help="The greatest first.")] = False,
    start_index: Annotated[int, typer.Option("--start-index", help="Number of the first result.")] = 1,
    count: Annotated[int | None, typer.Option("--count", help="Results on the page.")] = None,
    attributes: Annotated[
        str | None, typer.Option("--attributes", help="What the answer is to hold, by commas.")
    ] = None,
    patch: Annotated[
        Path | None, typer.Option("--patch", help="A file with the body of a PATCH (- is standard input).")
    ] = None,
    user: Annotated[
        str | None, typer.Option("--user", help="The id of the user that the PATCH is for.")
    ] = None,
    run: Annotated[bool, typer.Option("--run", help="Also run the search: results, calls, times.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Answer JSON.")] = False,
    data_dir: DataOption = None,
) -> None:
    """Show which platform calls a search or a PATCH comes to, and why not fewer; a PATCH is not made."""
    settings = load_settings(os.environ, data_dir=None if data_dir is None else str(data_dir))
    if (patch is None) != (user is None):
        raise SettingsError("--patch and --user belong together")
    if patch is not None and (run or filter is not None):
        raise SettingsError("a PATCH is only explained: --run and a filter are for searches")
    members: dict[str, object] = {
        "schemas": [SEARCH_REQUEST],
        "filter": filter,
        "sortBy": sort_by,
        "sortOrder": "descending" if descending else None,
        "startIndex": start_index,
        "count": count,
        "attributes": None if attributes is None else attributes.split(","),
    }
    try:
        found = asyncio.run(_explain(settings, connection, members, patch, user, run))
    except ScimError as exc:
        raise SettingsError(exc.detail) from exc
    except PlatformError as exc:
        raise SettingsError(f"the platform failed: {exc}") from exc
    out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    if json:
        out.print(msgspec.json.format(msgspec.json.encode(as_json(found))).decode())
        return
    out.print(as_text(found.plan))
    if found.ran is not None:
        _show_run(out, found.ran)


async def _explain(
    settings: Settings,
    name: str | None,
    members: dict[str, object],
    patch: Path | None,
    user_id: str | None,
    run: bool,
) -> Explained:
    async with opened(settings) as services:
        context = await _context(services, name)
        if patch is not None and user_id is not None:
            return await services.explainer.patch(context, user_id, _read_json(patch))
        source = SearchRequest(members, context)
        window = read_window(source, settings)
        query = msgspec.structs.replace(
            read_query(source, context, context.mapping.model),
            start_index=window.start_index,
            count=window.count,
        )
        return await services.explainer.search(context, query, run=run)


async def _context(services: Services, name: str | None) -> Context:
    connections = await chosen(services, name)
    if len(connections) > 1:
        names = ", ".join(c.name for c in connections)
        raise SettingsError(f"say which connection by --connection: {names}")
    return resolve(connections[0], "", services.contexts.mappings_dir)


def _read_json(path: Path) -> object:
    try:
        return msgspec.json.decode(sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes())
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from exc
    except msgspec.DecodeError as exc:
        raise SettingsError(f"{path} is not JSON: {exc}") from exc


def _show_run(out: Console, ran: Ran) -> None:
    out.print(f"ran    {ran.total} in all, {ran.resources} on the page, {ran.ms:.1f} ms")
    table = Table("ms", "status", "call")
    for call in ran.calls:
        table.add_row(
            f"{call.ms:.1f}", "-" if call.status is None else str(call.status), f"{call.method} {call.path}"
        )
    if ran.calls:
        out.print(table)
