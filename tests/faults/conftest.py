from __future__ import annotations

from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from bridge_rig import hosted, made_once, rig, shared
from fault_lanes import Rig, open_rig_of_processes

if TYPE_CHECKING:
    from databases import PostgresServer

__all__ = ["alone", "made_once", "replicas", "rig", "shared"]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def alone(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """One bridge with its SQLite file, a proxy and a platform."""
    async for found in hosted(open_rig_of_processes(tmp_path_factory.mktemp("alone"))):
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def replicas(
    postgres_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Rig]:
    """Two bridges at one PostgreSQL, behind one proxy."""
    url = postgres_server.make()
    place = tmp_path_factory.mktemp("replicas")
    async for found in hosted(open_rig_of_processes(place, replicas=2, database_url=url)):
        yield found
    postgres_server.drop(url)
