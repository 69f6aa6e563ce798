"""`scim-bridge dry-run`."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated
from urllib.parse import unquote

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from app.bridge.bulk import Allowance
from app.bridge.dry_runs import Preview, Previewed
from app.cli.opening import chosen, opened
from app.cli.servers import DataOption
from app.config import Settings, SettingsError, load_settings
from app.scim.batch import read_batch
from app.scim.errors import ScimError
from app.web.contexts import resolve

_MOST = 100_000
"""Operations of a file."""
_FOR_EVER = float("inf")


def dry_run_command(
    connection: Annotated[str, typer.Argument(help="Name or id.")],
    file: Annotated[
        Path,
        typer.Argument(help="A bulk request, or an operation in each line (- is standard input)."),
    ],
    json: Annotated[bool, typer.Option("--json", help="Answer JSON.")] = False,
    data_dir: DataOption = None,
) -> None:
    """Show what SCIM requests would do, without doing it; exit code 1 where one would be refused."""
    settings = load_settings(os.environ, data_dir=None if data_dir is None else str(data_dir))
    text = _read(file)
    try:
        found = asyncio.run(_preview(settings, connection, text))
    except ScimError as exc:
        raise SettingsError(exc.detail) from exc
    out = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
    if json:
        out.print(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        _show(out, found)
    if found.failures:
        raise typer.Exit(1)


async def _preview(settings: Settings, name: str, text: bytes) -> Preview:
    async with opened(settings) as services:
        [connection] = await chosen(services, name)
        context = resolve(connection, settings.scim_url or "", services.contexts.mappings_dir)
        request = read_batch(
            text, context.dialect, max_operations=_MOST, max_patch_operations=settings.max_operations
        )
        allowance = Allowance(start_until=_FOR_EVER, answer_at=_FOR_EVER)
        return await services.dry_runs.preview(context, request, allowance)


def _read(path: Path) -> bytes:
    try:
        return sys.stdin.buffer.read() if str(path) == "-" else path.read_bytes()
    except OSError as exc:
        raise SettingsError(f"{path}: {exc.strerror}") from exc


def _show(out: Console, preview: Preview) -> None:
    table = Table("", "request", "status", "what would change, and the platform calls")
    for each in preview.operations:
        status = str(each.status) if each.status else "-"
        table.add_row(str(each.number), f"{each.method} {each.path}", status, "\n".join(_lines(each)))
    out.print(table)
    out.print(as_sentence(preview))


def as_sentence(preview: Preview) -> str:
    """What a batch comes to in all."""
    count = len(preview.operations)
    return (
        f"{count} request{'' if count == 1 else 's'}: {preview.changes} would change something, "
        f"{preview.unchanged} would change nothing, {preview.failures} would be refused"
        f"{f', {preview.left_out} would not be begun' if preview.left_out else ''}; "
        f"{preview.calls} platform calls to write. Nothing was done."
    )


def _lines(each: Previewed) -> list[str]:
    if each.fails:
        kind = f"{each.scim_type}: " if each.scim_type else ""
        lines = [f"{kind}{each.detail}"]
    elif not each.status:
        lines = ["not begun, for failOnErrors"]
    else:
        lines = [(", ".join(each.changed) or "all of it") if each.writes else "nothing"]
    lines += [f"{call.method} {unquote(call.path)}{_body(call.body)}" for call in each.calls]
    return lines


def _body(body: object) -> str:
    return "" if body is None else f" {msgspec.json.encode(body).decode()}"
