"""A database that an earlier version made is brought up to date where it is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from hooked import QUICK, settle, subscribe
from platform_server import READ_WRITE, running
from webhook_receiver import receiving

from app.embedded import Directory
from app.embedded.tables import SCHEMA_VERSION

VERSION_1 = Path(__file__).with_name("platform_v1.sql").read_text("utf-8")


def made_by_version_1(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(VERSION_1)


def schema(database: Path) -> tuple[int, set[tuple[str, str, str]]]:
    """The version, and every table and index as SQLite keeps it, spaces aside."""
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute(
            "SELECT type, name, sql FROM sqlite_master WHERE sql IS NOT NULL"
        ).fetchall()
        (version,) = connection.execute("PRAGMA user_version").fetchone()
    return version, {(kind, name, "".join(sql.split())) for kind, name, sql in rows}


async def test_version_1_becomes_what_a_new_one_is(tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    made_by_version_1(old)
    assert schema(old)[0] == 1
    for database in (old, new):
        async with Directory(database):
            pass
    assert schema(old) == schema(new)
    assert schema(new)[0] == SCHEMA_VERSION


def test_version_1_is_served_with_what_is_in_it_and_told_of(tmp_path: Path) -> None:
    database = tmp_path / "platform.db"
    made_by_version_1(database)
    with running(database, QUICK) as platform, receiving() as receiver:
        tenant_id = platform.call(platform.directory.ensure_tenant, "acme", "Acme")
        subscribe(platform, receiver)
        with platform.client(platform.token(tenant_id, READ_WRITE)) as client:
            users = f"/api/v1/tenants/{tenant_id}/users"
            (user,) = client.get(users).json()["data"]
            assert user["email"] == "user000001@example.com"
            changed = client.patch(f"{users}/{user['id']}", json={"first_name": "Ada"})
            assert changed.json()["data"]["last_name"] == "Bauer"
        settle(platform)
        assert [(one.type, one.event["partner_id"]) for one in receiver.all] == [("user.updated", "prt_1")]
