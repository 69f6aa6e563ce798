"""Opening, closing and what each backend promises."""

from __future__ import annotations

import asyncio
import stat
from datetime import UTC, datetime, timedelta, timezone

import pytest
from sqlalchemy import insert, text

from app.store.errors import StoreUnavailable, UnsupportedDatabase
from app.store.session import Database
from app.store.store import Store
from app.store.tables import link_state


async def test_the_sqlite_file_is_private(tmp_path):
    path = tmp_path / "deep" / "down" / "bridge.db"
    store = await Store.open(f"sqlite+aiosqlite:///{path}")
    await store.connections.add(name="a", tenant_id="t")
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    await store.close()
    assert modes == {"bridge.db": 0o600, "bridge.db-wal": 0o600, "bridge.db-shm": 0o600}
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700


async def test_errors_do_not_show_what_was_to_be_stored(tmp_path):
    db = Database(f"sqlite:///{tmp_path}/bridge.db")
    await db.open()
    for run in (db.write, db.read):
        with pytest.raises(Exception, match="nowhere") as caught:
            async with run() as connection:
                await connection.execute(text("INSERT INTO nowhere VALUES (:name)"), {"name": "Wilhelmina"})
        chain, error = "", caught.value
        while error is not None:
            chain, error = chain + str(error), error.__cause__ or error.__context__
        assert "Wilhelmina" not in chain
    await db.close()


async def test_what_a_driver_cannot_take_is_not_quoted(postgres_url):
    db = Database(postgres_url())
    await db.open()
    with pytest.raises(StoreUnavailable, match="DataError") as caught:
        async with db.read() as connection:
            await connection.execute(text("SELECT CAST(:number AS INTEGER)"), {"number": "Wilhelmina"})
    assert "Wilhelmina" not in str(caught.value)
    await db.close()


async def test_sqlite_connections_are_set_up(tmp_path):
    db = Database(f"sqlite:///{tmp_path}/bridge.db")
    await db.open()
    async with db.write() as writer, db.read() as reader:
        pragmas = {
            (name, who): (await connection.execute(text(f"PRAGMA {name}"))).scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout", "query_only")
            for who, connection in (("writer", writer), ("reader", reader))
        }
    await db.close()
    assert pragmas == {
        ("journal_mode", "writer"): "wal",
        ("journal_mode", "reader"): "wal",
        ("synchronous", "writer"): 1,
        ("synchronous", "reader"): 2,  # of no meaning where nothing is written
        ("foreign_keys", "writer"): 1,
        ("foreign_keys", "reader"): 0,
        ("busy_timeout", "writer"): 5000,
        ("busy_timeout", "reader"): 5000,
        ("query_only", "writer"): 0,
        ("query_only", "reader"): 1,
    }


async def test_a_reader_cannot_write(store):
    with pytest.raises(StoreUnavailable):
        async with store.db.read() as db:
            await db.execute(text("DELETE FROM connections"))
            raise StoreUnavailable("PostgreSQL undoes it")


async def test_a_write_that_raises_leaves_nothing(store):
    with pytest.raises(LookupError):
        async with store.db.write() as db:
            await db.execute(
                insert(link_state).values(
                    tenant_id="t", domain="d", scanned_users=1, updated_at=datetime.now(UTC)
                )
            )
            raise LookupError
    assert await store.links.state("t", "d") is None


async def test_a_cancelled_write_leaves_nothing_and_blocks_nobody(store):
    started = asyncio.Event()

    async def hang():
        async with store.db.write() as db:
            await db.execute(text("DELETE FROM link_state"))
            started.set()
            await asyncio.sleep(60)

    await store.links.set_state("t", "d", complete_since=None, scanned_users=7)
    task = asyncio.create_task(hang())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await store.links.set_state("t", "e", complete_since=None, scanned_users=8)
    assert (await store.links.state("t", "d")).scanned_users == 7


async def test_times_come_back_aware_and_in_utc(store):
    local = datetime(2026, 7, 1, 3, 4, 5, 678901, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    await store.links.set_state("t", "d", complete_since=local, scanned_users=1)
    state = await store.links.state("t", "d")
    assert state.complete_since == local
    assert state.complete_since.tzinfo is UTC


async def test_a_naive_time_is_refused(store):
    with pytest.raises(Exception, match="aware"):
        await store.links.set_state(
            "t",
            "d",
            complete_since=datetime(2026, 1, 1),  # noqa: DTZ001 - the point
            scanned_users=1,
        )


@pytest.mark.parametrize(
    "url",
    [
        "mysql://host/name",
        "sqlite://",
        "sqlite+aiosqlite:///:memory:",
        "sqlite+aiosqlite:///file::memory:?cache=shared&uri=true",
        "sqlite:///bridge.db?timeout=1",
        "postgresql://host/name?application_name=x",
        "no url",
    ],
)
def test_other_databases_are_refused(url):
    with pytest.raises(UnsupportedDatabase):
        Database(url)


def test_usual_spellings_of_a_url_are_understood():
    assert Database("postgres://u:p@h/n").dialect == "postgresql"
    assert Database("postgresql://u:p@h/n?sslmode=require").dialect == "postgresql"
    assert Database("sqlite:///bridge.db").dialect == "sqlite"


async def test_ping(url):
    store = await Store.open(url)
    await store.ping()
    await store.close()
    await store.close()
    with pytest.raises(StoreUnavailable):
        await store.ping()


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("DROP TABLE alembic_version", "alembic_version"),
        ("DELETE FROM alembic_version", "None"),
        ("UPDATE alembic_version SET version_num = '0000'", "0000"),
        ("UPDATE alembic_version SET version_num = '9999'", None),
    ],
)
async def test_ping_looks_at_the_schema(url, statement, reason):
    store = await Store.open(url)
    async with store.db.write() as db:
        await db.execute(text(statement))
    if reason is None:
        await store.ping()
    else:
        with pytest.raises(StoreUnavailable, match=reason):
            await store.ping()
    await store.close()


async def test_an_unusable_file_is_reported_without_a_traceback_of_the_driver(tmp_path):
    (tmp_path / "bridge.db").write_bytes(b"this is no database, but long enough to look at" * 100)
    with pytest.raises(StoreUnavailable, match="not a database"):
        await Store.open(f"sqlite+aiosqlite:///{tmp_path}/bridge.db")
    (tmp_path / "file").touch()
    with pytest.raises(StoreUnavailable):
        await Store.open(f"sqlite+aiosqlite:///{tmp_path}/file/bridge.db")


async def test_the_password_of_an_unreachable_server_is_not_told():
    pytest.importorskip("asyncpg")
    with pytest.raises(StoreUnavailable) as raised:
        await Store.open("postgresql+asyncpg://bridge:hunter2@127.0.0.1:1/bridge")
    assert "hunter2" not in str(raised.value)
