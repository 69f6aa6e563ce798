"""Use cases for commands that work beside a server, or without one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec

from app.asgi import open_services
from app.cli.logs import configure_logs
from app.cli.quickstart import DATABASE, prepare_platform, with_credentials
from app.config import Settings, SettingsError
from app.embedded import create_platform
from app.store.connections import Connection
from app.web.services import Services


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Services]:
    """Services over the configured platform, or over the embedded one that `serve` has set up.

    Only warnings are logged: what a command has to say, it prints.
    """
    configure_logs(msgspec.structs.replace(settings, log_level="warning"))
    if not settings.embedded:
        async with open_services(settings) as services:
            yield services
        return
    data_dir = Path(settings.data_dir)
    if not (data_dir / DATABASE).exists():
        raise SettingsError(
            f"no embedded platform in {data_dir}: run scim-bridge serve first, "
            "or set SCIM_BRIDGE_PLATFORM_URL"
        )
    credentials = await prepare_platform(data_dir, None)
    platform = create_platform(data_dir / DATABASE, delivers=False)
    async with open_services(with_credentials(settings, credentials), embedded=platform) as services:
        yield services


async def chosen(services: Services, name_or_id: str | None) -> list[Connection]:
    """The connection of that name or id, or all of them; raises `SettingsError` where there is none."""
    found = list(await services.store.connections.list())
    if name_or_id is not None:
        found = [c for c in found if name_or_id in (c.name, c.id)]
    if not found:
        raise SettingsError(
            "there is no connection yet" if name_or_id is None else f"there is no connection {name_or_id!r}"
        )
    return found
