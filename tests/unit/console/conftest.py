"""The console over a bridge in this process, and browsers at it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

sys.path.insert(0, str(Path(__file__).parents[2] / "faults"))

from bridge_rig import Rig, hosted, made_once, open_rig, rig, shared
from console_rig import ConsoleRig

__all__ = ["made_once", "rig", "shared"]


@pytest.fixture
def console(rig: Rig) -> ConsoleRig:
    """The console of the module's bridge, whose connection is to an empty tenant."""
    return ConsoleRig(rig)


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=["sqlite", "postgresql"])
async def either(
    request: pytest.FixtureRequest, made_once: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[ConsoleRig]:
    """The console over SQLite, then over PostgreSQL."""
    settings = {}
    server = None
    if request.param == "postgresql":
        # Started only where it was chosen.
        server = request.getfixturevalue("postgres_server")
        settings["database_url"] = server.make()
    async for opened in hosted(open_rig(made_once, tmp_path_factory.mktemp("console"), **settings)):
        yield ConsoleRig(opened)
    if server is not None:
        server.drop(settings["database_url"])
