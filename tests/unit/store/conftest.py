"""An open store on SQLite and on PostgreSQL, and a clock that moves when told."""

from __future__ import annotations

import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.store.store import Store


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


@pytest.fixture(params=["sqlite", "postgresql"])
def new_url(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Awaitable[str]]:
    """Make URLs of empty databases."""
    # The server starts only where a test of PostgreSQL was chosen.
    make_database = request.getfixturevalue("postgres_url") if request.param == "postgresql" else None

    async def make() -> str:
        if make_database is not None:
            return str(make_database())
        return f"sqlite+aiosqlite:///{tmp_path}/state/{uuid.uuid4().hex}.db"

    return make


@pytest.fixture
async def url(new_url: Callable[[], Awaitable[str]]) -> str:
    return await new_url()


@pytest.fixture
async def store(url: str, clock: ManualClock) -> AsyncIterator[Store]:
    store = await Store.open(url, clock=clock, monotonic=clock.monotonic)
    yield store
    await store.close()
