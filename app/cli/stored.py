"""What the commands share that work on the bridge's database."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

from rich.console import Console

from app.config import Settings, load_settings
from app.store.connections import Connection
from app.store.errors import ConnectionNotFound
from app.store.store import Store

T = TypeVar("T")


def settings_for(data_dir: Path | None) -> Settings:
    """The settings of the environment, with the data directory of the command line."""
    return load_settings(os.environ, data_dir=None if data_dir is None else str(data_dir))


def with_store(settings: Settings, use: Callable[[Store], Awaitable[T]]) -> T:
    """Open the database for one piece of work."""

    async def run() -> T:
        store = await Store.open(settings.bridge_database_url)
        try:
            return await use(store)
        finally:
            await store.close()

    return asyncio.run(run())


async def connection_named(store: Store, name_or_id: str) -> Connection:
    """The connection of that name or id. Raises ConnectionNotFound."""
    found = await store.connections.get(name_or_id) or await store.connections.by_name(name_or_id)
    if found is None:
        raise ConnectionNotFound(f"no connection has the id or name {name_or_id!r}")
    return found


async def connection_names(store: Store, name_or_id: str | None) -> tuple[dict[str, str], str | None]:
    """The names of all connections by id, and the id of the one that is asked for, None for all of them.

    Raises ConnectionNotFound.
    """
    names = {c.id: c.name for c in await store.connections.list()}
    wanted = next((i for i, n in names.items() if name_or_id in (i, n)), None)
    if name_or_id is not None and wanted is None:
        raise ConnectionNotFound(f"no connection has the id or name {name_or_id!r}")
    return names, wanted


def out(*, stderr: bool = False) -> Console:
    """Where to print, without markup and highlighting."""
    return Console(stderr=stderr, highlight=False, soft_wrap=True, markup=False)


def shown(moment: datetime | None) -> str:
    """A moment in UTC, to the minute; nothing for None."""
    return "" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M")
