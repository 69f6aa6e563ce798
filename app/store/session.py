"""The engine, and the ways to a connection: `read` and `write`, and for small whole units `read_unit` and
`write_unit`.

Transactions are short and never span an HTTP call. The same statements serve SQLite and PostgreSQL; what
differs between them (locking, pragmas, drivers) stays in this module and in `migrations`.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import sqlite3
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar, cast
from weakref import WeakKeyDictionary

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Interval,
    Table,
    create_engine,
    event,
    func,
    literal,
    select,
)
from sqlalchemy import exc as sa_exc
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from app.store import migrations
from app.store.direct import DirectConnection, DirectPool
from app.store.errors import StoreUnavailable, UnsupportedDatabase
from app.store.tables import UtcDateTime

T = TypeVar("T")

Transaction = AsyncConnection
"""What `Database.write` gives, for several stores to write into one transaction."""

BUSY_TIMEOUT_S = 5.0
"""How long a SQLite connection waits for another process's write to end before it gives up.

Within the process a lock keeps writers in line, so only a second process (a CLI command beside the server)
is ever waited for. Its transactions take milliseconds; five seconds cover a bulk fill and a slow disk, and
stay below what a SCIM client waits for an answer.
"""

_WAL_PAUSE_S = 0.05

_SNAPSHOTS = 4
"""Searches that run side by side on SQLite."""

_DRIVERS = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}

_OPTIONS: dict[str, frozenset[str]] = {
    "sqlite": frozenset(),
    "postgresql": frozenset({"host", "port", "ssl", "prepared_statement_cache_size"}),
}
"""Options understood after the `?` of a URL; others would end in a TypeError of the driver."""

# Alembic's context lives in module globals: one upgrade at a time in a process, whatever the database. An
# asyncio lock belongs to the loop in which it was first waited for, hence one for each loop.
_migrating: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()


class Database:
    """One engine with its pool, opened and closed with the application."""

    def __init__(self, url: str) -> None:
        """Take a URL such as `sqlite+aiosqlite:///state/bridge.db` or `postgresql+asyncpg://user@host/name`.

        Raises UnsupportedDatabase for any other kind, and for SQLite without a file.
        """
        self._url = _checked_url(url)
        self._reader: AsyncEngine | None = None
        self._writer: AsyncEngine | None = None
        self._direct: tuple[DirectConnection, DirectConnection] | None = None
        self._snapshots: DirectPool | None = None
        # SQLite has one writer at a time. Waiting for one's turn here is fair and costs nothing; in SQLite it
        # is polling, without order, and ends with "database is locked".
        self._turn: AbstractAsyncContextManager[Any] = nullcontext()
        if self.dialect == "sqlite":
            self._turn = asyncio.Lock()

    @property
    def dialect(self) -> str:
        """`sqlite` or `postgresql`."""
        return self._url.get_backend_name()

    async def open(self) -> None:
        """Connect and bring the schema up to date.

        Makes SQLite's directory (0700) and file (0600: it holds token hashes). Raises UnsupportedDatabase
        without the driver, SchemaMismatch for a schema of a newer release, StoreUnavailable otherwise.
        """
        if self._reader is not None:
            raise RuntimeError("the database is already open")
        with _translated(self._url):
            if self.dialect == "sqlite":
                await asyncio.to_thread(_make_file, Path(cast(str, self._url.database)))
            self._reader, self._writer = _make_engines(self._url)
            if self.dialect == "sqlite":
                self._direct = _make_direct(self._url)
                self._snapshots = _make_snapshots(self._url)
            try:
                if self.dialect == "sqlite":
                    await self._use_wal()
                await self._migrate()
            except BaseException:
                await self.close()
                raise

    async def close(self) -> None:
        """Close all connections; may be called twice."""
        reader, writer, direct, snapshots = self._reader, self._writer, self._direct, self._snapshots
        self._reader = self._writer = self._direct = self._snapshots = None
        for connection in direct or ():
            await connection.close()
        if snapshots is not None:
            await snapshots.close()
        if reader is not None and reader is not writer:
            await reader.dispose()
        if writer is not None:
            await writer.dispose()

    @asynccontextmanager
    async def read(self, within: Transaction | None = None) -> AsyncIterator[AsyncConnection]:
        """Give a connection for reading; each statement sees what is committed when it starts.

        `within` is a transaction under way: then the block reads in that transaction.

        What has to be read as one state belongs into one statement. SQLite refuses writes here, PostgreSQL
        undoes them. Trouble with the database is raised as StoreUnavailable.
        """
        if within is not None:
            yield within
            return
        with _translated(self._url):
            async with _opened(self._reader).connect() as connection:
                yield connection

    @asynccontextmanager
    async def write(self, within: Transaction | None = None) -> AsyncIterator[AsyncConnection]:
        """Give a connection in a transaction that commits at the end, or rolls back if the block raises.

        `within` is a transaction under way: then the block takes part in that transaction.

        On SQLite it is begun with BEGIN IMMEDIATE: a transaction that begins as a reader and writes later
        fails at once when another wrote in between, and no waiting helps. IntegrityError passes through, for
        the caller to say what was in the way; other trouble is raised as StoreUnavailable.
        """
        if within is not None:
            yield within
            return
        with _translated(self._url):
            async with self._turn, _opened(self._writer).begin() as connection:
                yield connection

    async def read_unit(self, work: Callable[[Connection], T]) -> T:
        """Run a small unit of reading; on SQLite in one visit to a thread, else as `read`."""
        with _translated(self._url):
            if self._direct is not None:
                return await self._direct[0].run(work)
            async with _opened(self._reader).connect() as connection:
                return await connection.run_sync(work)

    async def snapshot(self, work: Callable[[Connection], T]) -> T:
        """Run a unit of reading whose statements all see one state of the database.

        For searches: they may take long, and on SQLite hold up neither other reads nor writes.
        """
        with _translated(self._url):
            if self._snapshots is not None:
                return await self._snapshots.run(work)
            async with _opened(self._reader).connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ")
                # To compile a large filter takes longer than to run it.
                await connection.exec_driver_sql("SET LOCAL jit = off")
                return await connection.run_sync(work)

    async def write_unit(self, work: Callable[[Connection], T]) -> T:
        """Run a small unit in a transaction; on SQLite in one visit to a thread, else as `write`."""
        with _translated(self._url):
            if self._direct is not None:
                async with self._turn:
                    return await self._direct[1].run(work)
            async with _opened(self._writer).begin() as connection:
                return await connection.run_sync(work)

    def insert(self, table: Table) -> sqlite.Insert | postgresql.Insert:
        """Start an INSERT that understands `on_conflict_do_nothing` and `on_conflict_do_update`."""
        return sqlite.insert(table) if self.dialect == "sqlite" else postgresql.insert(table)

    async def take_turn(self, connection: AsyncConnection, name: str) -> None:
        """Let no other transaction that gives this name go on, in any replica, until this one ends.

        `connection` comes from `write`. To be taken before any row is locked, for two transactions never to
        wait for each other. On SQLite there is one writer at a time anyway.
        """
        await connection.run_sync(self.take_turn_in_unit, name)

    def take_turn_in_unit(self, connection: Connection, name: str) -> None:
        """The same for a unit of `write_unit`."""
        if self.dialect == "postgresql":
            key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big", signed=True)
            connection.execute(select(func.pg_advisory_xact_lock(literal(key, BigInteger))))

    def now(self, plus_s: float = 0.0) -> ColumnElement[datetime]:
        """Say "the present time, by the clock of the database" in SQL, to the millisecond at least."""
        if self.dialect == "sqlite":
            # As SQLAlchemy writes times, which are compared as text.
            return func.strftime("%Y-%m-%d %H:%M:%f000", "now", f"{plus_s:+.3f} seconds", type_=UtcDateTime())
        # Not now(), which is when the transaction began: a statement may have waited for a row since.
        return func.clock_timestamp(type_=UtcDateTime()) + literal(timedelta(seconds=plus_s), Interval())

    async def ping(self, timeout_s: float = 2.0) -> None:
        """Raise StoreUnavailable unless the database answers within `timeout_s` and has the schema.

        A newer schema is no trouble: in an upgrade of several replicas the first one migrates for all.
        """
        try:
            async with asyncio.timeout(timeout_s), self.read() as connection:
                version = await connection.run_sync(migrations.stamped_version)
        except TimeoutError as error:
            raise StoreUnavailable(f"the database did not answer within {timeout_s:g} s") from error
        if version is None or version < migrations.HEAD:
            raise StoreUnavailable(f"the database is at schema {version!r}, not {migrations.HEAD!r}")

    async def _use_wal(self) -> None:
        """Switch the file to write-ahead logging, which lets readers and a writer work side by side.

        The setting stays with the file. SQLite does not wait for its turn at this one statement, so when two
        processes make the file together, the second asks again.
        """
        async with _opened(self._writer).connect() as connection:
            raw = cast(Any, (await connection.get_raw_connection()).driver_connection)
            patience_ends = time.monotonic() + BUSY_TIMEOUT_S
            while time.monotonic() < patience_ends:
                with suppress(sqlite3.OperationalError):
                    async with raw.execute("PRAGMA journal_mode=WAL") as cursor:
                        if await cursor.fetchone() == ("wal",):
                            return
                await asyncio.sleep(_WAL_PAUSE_S)
        raise StoreUnavailable(
            f"{self._url.database}: write-ahead logging is not possible here; "
            "SQLite needs a local disk, not a network file system"
        )

    async def _migrate(self) -> None:
        async with self.read() as connection:
            if await connection.run_sync(migrations.recorded_version) == migrations.HEAD:
                return
        lock = _migrating.setdefault(asyncio.get_running_loop(), asyncio.Lock())
        async with lock, self.write() as connection:
            await connection.run_sync(migrations.migrate)


def _checked_url(url: str) -> URL:
    try:
        parsed = make_url(url)
    except sa_exc.ArgumentError as error:
        raise UnsupportedDatabase("the database URL cannot be read") from error
    driver = _DRIVERS.get(parsed.drivername)
    if driver is None:
        raise UnsupportedDatabase(
            f"{parsed.drivername!r} databases are not supported: use sqlite+aiosqlite or postgresql+asyncpg"
        )
    if driver == "sqlite+aiosqlite" and (
        not parsed.database or parsed.database.startswith((":memory:", "file:"))
    ):
        raise UnsupportedDatabase("SQLite needs the path of a file, such as sqlite+aiosqlite:///bridge.db")
    # libpq and most hosters say sslmode, the driver says ssl; the values are the same.
    query = {"ssl" if key == "sslmode" else key: value for key, value in parsed.query.items()}
    parsed = parsed.set(drivername=driver, query=query)
    unknown = sorted(query.keys() - _OPTIONS[parsed.get_backend_name()])
    if unknown:
        raise UnsupportedDatabase(
            f"options of the database URL that are not understood: {', '.join(unknown)}"
        )
    return parsed


def _make_file(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # SQLite gives the -wal and -shm files the mode of the database. An existing file keeps the one it has.
    os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))


def _make_engines(url: URL) -> tuple[AsyncEngine, AsyncEngine]:
    """Make the engines for reading and for writing; on PostgreSQL they are one."""
    try:
        if url.get_backend_name() == "postgresql":
            # The usual default, but a server may have another: whoever waited for a lock has to see what was
            # written meanwhile.
            engine = create_async_engine(
                url,
                isolation_level="READ COMMITTED",
                hide_parameters=True,
                pool_pre_ping=True,
                connect_args={"timeout": 10, "command_timeout": 30},
            )
            return engine, engine
        # Every step of a SQLite connection is a visit to its thread. Readers save the steps of beginning
        # and ending a transaction, a third of what a lookup by key costs.
        connect_args = {"timeout": BUSY_TIMEOUT_S}
        reader = create_async_engine(
            url,
            connect_args=connect_args,
            isolation_level="AUTOCOMMIT",
            skip_autocommit_rollback=True,
            pool_size=8,
            hide_parameters=True,
        )
        # isolation_level=None keeps the driver from beginning transactions by itself; `_begin` does.
        writer = create_async_engine(
            url,
            connect_args={**connect_args, "isolation_level": None},
            pool_size=1,
            max_overflow=0,
            hide_parameters=True,
        )
    except ModuleNotFoundError as error:
        raise UnsupportedDatabase(
            f"the driver {error.name!r} is not installed: pip install 'scim-bridge[postgresql]'"
        ) from error
    event.listen(reader.sync_engine, "connect", _set_reader_pragmas)
    event.listen(writer.sync_engine, "connect", _set_writer_pragmas)
    event.listen(writer.sync_engine, "begin", _begin)
    return reader, writer


def _make_direct(url: URL) -> tuple[DirectConnection, DirectConnection]:
    """Make the connections for whole units on SQLite: one for reading, one for writing."""
    plain = url.set(drivername="sqlite")
    connect_args = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False}
    reader = create_engine(
        plain,
        connect_args=connect_args,
        isolation_level="AUTOCOMMIT",
        skip_autocommit_rollback=True,
        hide_parameters=True,
    )
    writer = create_engine(
        plain, connect_args={**connect_args, "isolation_level": None}, hide_parameters=True
    )
    event.listen(reader, "connect", _set_reader_pragmas)
    event.listen(writer, "connect", _set_writer_pragmas)
    event.listen(writer, "begin", _begin)
    return DirectConnection(reader, transactions=False), DirectConnection(writer, transactions=True)


def _make_snapshots(url: URL) -> DirectPool:
    """Make the connections for `snapshot` on SQLite."""

    def make() -> DirectConnection:
        connect_args = {"timeout": BUSY_TIMEOUT_S, "check_same_thread": False, "isolation_level": None}
        engine = create_engine(url.set(drivername="sqlite"), connect_args=connect_args, hide_parameters=True)
        event.listen(engine, "connect", _set_reader_pragmas)
        event.listen(engine, "begin", lambda connection: connection.exec_driver_sql("BEGIN"))
        return DirectConnection(engine, transactions=True)

    return DirectPool([make() for _ in range(_SNAPSHOTS)])


def _set_reader_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA query_only=ON")
    cursor.close()


def _set_writer_pragmas(connection: DBAPIConnection, _entry: ConnectionPoolEntry) -> None:
    # NORMAL with write-ahead logging: a commit survives the end of the process; the last ones before a power
    # failure may be lost, but never in part and never the file.
    cursor = connection.cursor()
    cursor.execute("PRAGMA synchronous=NORMAL")
    cursor.execute("PRAGMA foreign_keys=ON")
    cursor.close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _opened(engine: AsyncEngine | None) -> AsyncEngine:
    if engine is None:
        raise StoreUnavailable("the database is not open")
    return engine


_PLAIN = (sa_exc.DatabaseError, sa_exc.OperationalError, sa_exc.ProgrammingError, sa_exc.InternalError)
"""Errors that tell of the database, not of what was to be written."""


@contextmanager
def _translated(url: URL) -> Iterator[None]:
    try:
        yield
    except sa_exc.IntegrityError:
        raise
    except (sa_exc.DBAPIError, sa_exc.TimeoutError, OSError) as error:
        shown = url.render_as_string(hide_password=True)
        raise StoreUnavailable(f"{shown}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """What the database has to say; of what may quote a value, only what kind of error it is."""
    said = getattr(error, "orig", None) or error
    if isinstance(error, sa_exc.DBAPIError) and type(error) not in _PLAIN:
        return type(said.__cause__ or said).__name__
    return str(said)
