"""The SQLite file: reads in parallel, writes one at a time, nobody told that the database is locked."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

from sqlalchemy import URL, Connection, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from app.embedded.tables import SCHEMA_VERSION, metadata

_WAL_PAUSE_S = 0.05


class DatabaseError(RuntimeError):
    """The database cannot be used as it is."""


class Database:
    """One SQLite file in WAL mode, with a pool of readers and a single writer.

    Within the process the writers queue for the one connection; against other processes each write begins
    with BEGIN IMMEDIATE, so that it waits before it has read anything and never fails half-way as locked.
    """

    def __init__(self, path: Path, *, readers: int, busy_timeout_s: float) -> None:
        self._path = path
        self._readers = readers
        self._busy_timeout_s = busy_timeout_s
        self._engines: tuple[AsyncEngine, AsyncEngine] | None = None
        self._turn = asyncio.Lock()

    async def open(self) -> None:
        """Open the engines and create the tables that are missing. Raises DatabaseError."""
        if self._engines is not None:
            return
        await asyncio.to_thread(_prepare_file, self._path, self._busy_timeout_s)
        url = URL.create("sqlite+aiosqlite", database=str(self._path))
        writer = create_async_engine(
            url,
            pool_size=1,
            max_overflow=0,
            hide_parameters=True,  # of an error that is logged: they are people's data, and secrets
            connect_args={"isolation_level": None, "timeout": self._busy_timeout_s},
        )
        reader = create_async_engine(
            url,
            pool_size=self._readers,
            max_overflow=0,
            hide_parameters=True,
            # A read is one statement, hence consistent in itself: no BEGIN before and no ROLLBACK after it.
            isolation_level="AUTOCOMMIT",
            pool_reset_on_return=None,
            skip_autocommit_rollback=True,
            connect_args={"timeout": self._busy_timeout_s},
        )
        event.listen(writer.sync_engine, "connect", _tune_writer)
        event.listen(writer.sync_engine, "begin", _begin_immediate)
        event.listen(reader.sync_engine, "connect", _tune_reader)
        self._turn = asyncio.Lock()
        self._engines = reader, writer
        try:
            async with self.write() as connection:
                await connection.run_sync(_create_missing)
        except BaseException:
            await self.close()
            raise

    async def close(self) -> None:
        """Close every connection."""
        if self._engines is None:
            return
        engines, self._engines = self._engines, None
        for engine in engines:
            await engine.dispose()

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """A connection for reading; each statement sees the database as it is at that moment."""
        async with self._opened()[0].connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """A transaction that nobody else writes during; committed at the end, undone by an exception."""
        async with self._turn, self._opened()[1].begin() as connection:
            yield connection

    def _opened(self) -> tuple[AsyncEngine, AsyncEngine]:
        if self._engines is None:
            raise DatabaseError("the database is not open: run the app's lifespan first")
        return self._engines


def _prepare_file(path: Path, patience_s: float) -> None:
    """Make the file, readable by its owner only since it holds the signing key, and switch it to WAL.

    The switch stays with the file. It is the one statement at which SQLite does not wait for other processes,
    so that of several which make the file together all but one have to ask again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600, exist_ok=True)
    patience_ends = time.monotonic() + patience_s
    with closing(sqlite3.connect(path, timeout=patience_s, isolation_level=None)) as connection:
        while True:
            try:
                mode = connection.execute("PRAGMA journal_mode = WAL").fetchone()[0]
            except sqlite3.OperationalError as error:
                mode = str(error)
            if mode == "wal":
                return
            if time.monotonic() > patience_ends:
                raise DatabaseError(f"{path}: write-ahead logging is not possible here: {mode}")
            time.sleep(_WAL_PAUSE_S)


def _tune(connection: DBAPIConnection, *pragmas: str) -> None:
    cursor = connection.cursor()
    for pragma in pragmas:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _tune_writer(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    _tune(connection, "synchronous = NORMAL", "foreign_keys = ON", "cache_size = -16000")


def _tune_reader(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    _tune(connection, "query_only = ON", "cache_size = -32000", "mmap_size = 268435456")


def _begin_immediate(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _create_missing(connection: Connection) -> None:
    version = connection.exec_driver_sql("PRAGMA user_version").scalar_one()
    if version > SCHEMA_VERSION:
        raise DatabaseError(f"the database is version {version}; this program knows {SCHEMA_VERSION}")
    if version < SCHEMA_VERSION:
        metadata.create_all(connection)
        connection.exec_driver_sql(f"PRAGMA user_version = {SCHEMA_VERSION}")
