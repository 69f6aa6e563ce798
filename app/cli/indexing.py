"""`scim-bridge reindex`."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)

from app.bridge.context import Context
from app.cli.opening import chosen, opened
from app.cli.servers import DataOption
from app.config import Settings, SettingsError, load_settings
from app.platform.errors import PlatformError
from app.store.index_records import Sweep
from app.web.contexts import resolve
from app.web.services import Services


def reindex_command(
    connection: Annotated[str | None, typer.Argument(help="Name or id; without, all connections.")] = None,
    rate: Annotated[float | None, typer.Option("--rate", help="Platform calls a second at most.")] = None,
    empty: Annotated[
        bool, typer.Option("--empty", help="Empty the index first, as after damage to the database.")
    ] = False,
    data_dir: DataOption = None,
) -> None:
    """Read every user from the platform and build the search index anew.

    Interrupted, it goes on where it was when it is run again. A server may run beside it.
    """
    settings = load_settings(
        os.environ, index_rate=rate, data_dir=None if data_dir is None else str(data_dir)
    )
    try:
        asyncio.run(_reindex(settings, connection, empty))
    except PlatformError as exc:
        raise SettingsError(f"the platform failed ({exc}); run the command again to go on") from exc


async def _reindex(settings: Settings, name: str | None, empty: bool) -> None:
    async with opened(settings) as services:
        connections = await chosen(services, name)
        contexts = [resolve(c, "", services.contexts.mappings_dir) for c in connections]
        views: dict[int, tuple[str, Context]] = {}
        for connection, context in zip(connections, contexts, strict=True):
            views.setdefault((await services.indexing.view(context)).id, (connection.name, context))
        columns = (
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("users, {task.fields[read]} read"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=Console(highlight=False)) as bars:
            for shown, context in views.values():
                task = bars.add_task(shown, total=None, read=0)
                await _sweep(services, context, bars, task, empty)


async def _sweep(services: Services, context: Context, bars: Progress, task: TaskID, empty: bool) -> None:
    def show(place: Sweep) -> None:
        bars.update(task, total=place.total, completed=place.listed, read=place.read)

    view = await services.indexing.view(context)
    # A view that is being filled was empty when that began: it is gone on with.
    if empty and (view.complete_since is not None or view.sweep is None):
        await services.store.index.drop(view.id)
        view = await services.indexing.view(context)
    if not await services.sweeper.sweep(context, view, full=True, progress=show):
        raise SettingsError("a server is sweeping this tenant right now; its progress is in the log")
    users = (await services.store.index.stats(view.id)).users
    bars.update(task, total=users, completed=users)
