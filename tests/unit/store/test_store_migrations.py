"""The schema: made at once or by revisions, it is the one that the tables declare."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import create_async_engine

from app.store import migrations
from app.store.connections import Policies
from app.store.errors import SchemaMismatch
from app.store.local_groups import LocalMember
from app.store.session import Database
from app.store.store import Store
from app.store.tables import metadata

FIRST_TABLES = {"connections", "tokens", "links", "link_state"}
FIRST_DATA = [
    """INSERT INTO connections VALUES
        ('con_1', 'okta', 'ten_1', 'default', 'okta', '{"mode":"strict"}', '{"password":"set"}', :at)""",
    """INSERT INTO tokens (id, connection_id, label, digest, created_at)
        VALUES ('tok_1', 'con_1', 'x', CAST('digest' AS {bytes}), :at)""",
    "INSERT INTO links VALUES ('ten_1', '', 'userName', 'ann', 'u1', :at)",
]


def _describe(connection):
    inspector = inspect(connection)
    return {
        table: {
            "columns": [
                (c["name"], str(c["type"]), c["nullable"], c["default"]) for c in inspector.get_columns(table)
            ],
            "key": inspector.get_pk_constraint(table),
            "unique": inspector.get_unique_constraints(table),
            "foreign": inspector.get_foreign_keys(table),
            "indexes": inspector.get_indexes(table),
        }
        for table in sorted(inspector.get_table_names())
    }


def _differences(connection):
    return compare_metadata(MigrationContext.configure(connection, opts={"compare_type": True}), metadata)


async def _run(url, function):
    engine = create_async_engine(url)
    async with engine.begin() as connection:
        answer = await connection.run_sync(function)
    await engine.dispose()
    return answer


async def _open_and_close(url):
    db = Database(url)
    await db.open()
    await db.close()


def test_head_is_single_and_is_the_one_the_code_names():
    config = Config()
    config.set_main_option("script_location", str(migrations.SCRIPT_LOCATION))
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEAD]


async def test_the_revisions_lead_to_the_declared_tables(new_url):
    by_revisions, at_once = await new_url(), await new_url()
    await _open_and_close(at_once)
    await _open_and_close(by_revisions)
    await _run(by_revisions, lambda c: [metadata.drop_all(c), c.execute(text("DROP TABLE alembic_version"))])
    await _run(by_revisions, migrations.run_revisions)

    assert await _run(by_revisions, _differences) == []
    assert await _run(at_once, _differences) == []
    assert await _run(by_revisions, _describe) == await _run(at_once, _describe)


async def test_sqlite_gets_the_same_statements_either_way(tmp_path):
    urls = [f"sqlite+aiosqlite:///{tmp_path}/{name}.db" for name in ("revisions", "at-once")]
    await _run(urls[0], migrations.run_revisions)
    await _open_and_close(urls[1])

    def statements(connection):
        found = connection.execute(text("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL"))
        return {" ".join(sql.split()) for (sql,) in found}

    assert await _run(urls[0], statements) == await _run(urls[1], statements)


async def test_revisions_can_be_undone(url):
    await _open_and_close(url)

    def downgrade(connection):
        config = Config()
        config.set_main_option("script_location", str(migrations.SCRIPT_LOCATION))
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
        return set(inspect(connection).get_table_names())

    assert await _run(url, downgrade) == {"alembic_version"}


async def test_the_first_schema_is_upgraded_with_its_data(url, clock):
    def make_first(connection):
        config = Config()
        config.set_main_option("script_location", str(migrations.SCRIPT_LOCATION))
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        assert set(inspect(connection).get_table_names()) == {*FIRST_TABLES, "alembic_version"}
        # As each database keeps bytes and times.
        kind, at = "blob", {"at": f"{clock.now:%Y-%m-%d %H:%M:%S.%f}"}
        if connection.dialect.name == "postgresql":
            kind, at = "bytea", {"at": clock.now}
        for statement in FIRST_DATA:
            connection.execute(text(statement.replace("{bytes}", kind)), at)

    # Opening makes the file; what is in it by then goes.
    await _open_and_close(url)
    await _run(url, lambda c: [metadata.drop_all(c), c.execute(text("DELETE FROM alembic_version"))])
    await _run(url, make_first)
    store = await Store.open(url, clock=clock)
    connection = await store.connections.get("con_1")
    assert (connection.name, connection.created_at) == ("okta", clock.now)
    assert connection.policies == Policies(password="set", groups="platform", group_patch="no-content")
    assert [token.id for token in await store.tokens.list("con_1")] == ["tok_1"]
    assert await store.links.find("ten_1", "userName", "ann") == ("u1",)
    group = await store.local_groups.create("ten_1", "g", [LocalMember(id="u1")])
    assert await store.group_records.raise_version("ten_1", group.id) == 1
    await store.close()
    assert await _run(url, migrations.recorded_version) == migrations.HEAD
    assert await _run(url, _differences) == []


async def test_an_older_schema_is_upgraded_by_open(url):
    await _open_and_close(url)
    await _run(url, lambda c: [metadata.drop_all(c), c.execute(text("DELETE FROM alembic_version"))])
    # A version table without a row is what a downgrade to the base leaves.
    await _open_and_close(url)
    assert await _run(url, _differences) == []


async def test_a_schema_of_a_newer_release_is_refused(url):
    await _open_and_close(url)
    await _run(url, lambda c: c.execute(text("UPDATE alembic_version SET version_num = '9999'")))
    with pytest.raises(SchemaMismatch, match="9999"):
        await _open_and_close(url)


async def test_tables_of_another_application_are_left_alone(url):
    await _open_and_close(url)
    await _run(url, lambda c: c.execute(text("DROP TABLE alembic_version")))
    with pytest.raises(SchemaMismatch, match="connections"):
        await _open_and_close(url)


async def test_several_that_start_at_once_migrate_once(url):
    await asyncio.gather(*(_open_and_close(url) for _ in range(6)))
    assert await _run(url, migrations.recorded_version) == migrations.HEAD


async def test_several_databases_are_upgraded_side_by_side(new_url):
    urls = [await new_url() for _ in range(4)]
    for each in urls:
        await _open_and_close(each)
        await _run(each, lambda c: [metadata.drop_all(c), c.execute(text("DELETE FROM alembic_version"))])
    await asyncio.gather(*(_open_and_close(each) for each in urls))
    for each in urls:
        assert await _run(each, _differences) == []


def test_opening_a_current_or_an_empty_database_does_not_load_alembic(tmp_path):
    program = f"""
import asyncio, sys
from app.store.store import Store
async def main():
    for _ in range(2):
        store = await Store.open("sqlite+aiosqlite:///{tmp_path}/bridge.db")
        await store.close()
asyncio.run(main())
print("alembic" in sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "False"
