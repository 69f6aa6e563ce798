"""An open store on every backend at hand, and a clock that moves when told.

SQLite always; PostgreSQL too where SCIM_BRIDGE_TEST_POSTGRESQL_URL names a server (a URL with the rights to
create databases) and asyncpg is installed.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import create_async_engine

from app.store.store import Store

POSTGRESQL_URL = os.environ.get("SCIM_BRIDGE_TEST_POSTGRESQL_URL")
BACKENDS = ["sqlite", "postgresql"] if POSTGRESQL_URL else ["sqlite"]


class ManualClock:
    """Wall clock and monotonic clock in one, moved by `advance`."""

    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
        self.seconds = 1000.0

    def __call__(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture(params=BACKENDS)
async def new_url(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[Callable[[], Awaitable[str]]]:
    """Make URLs of empty databases."""
    if request.param == "sqlite":

        async def make_file() -> str:
            return f"sqlite+aiosqlite:///{tmp_path}/state/{uuid.uuid4().hex}.db"

        yield make_file
        return

    server = make_url(str(POSTGRESQL_URL)).set(drivername="postgresql+asyncpg")
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    made: list[str] = []

    async def make_database() -> str:
        made.append(f"store_{uuid.uuid4().hex}")
        async with admin.connect() as connection:
            await connection.execute(text(f"CREATE DATABASE {made[-1]}"))
        return server.set(database=made[-1]).render_as_string(hide_password=False)

    yield make_database
    async with admin.connect() as connection:
        for name in made:
            await connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
    await admin.dispose()


@pytest.fixture
async def url(new_url: Callable[[], Awaitable[str]]) -> str:
    return await new_url()


@pytest.fixture
async def store(url: str, clock: ManualClock) -> AsyncIterator[Store]:
    store = await Store.open(url, clock=clock, monotonic=clock.monotonic)
    yield store
    await store.close()
