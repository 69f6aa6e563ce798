"""The directory beside a running server, and the app called in-process."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import httpx
import pytest
from platform_server import READ_WRITE, RunningPlatform, Tenant

from app.embedded import Directory, IdentitySource, PlatformSettings, create_platform


async def test_the_app_works_in_process_within_its_lifespan(tmp_path: Path) -> None:
    database = tmp_path / "new" / "platform.db"
    app = create_platform(database)
    for _ in range(2):  # a lifespan may be run again
        async with Directory(database) as directory, app.lifespan():
            tenant_id = await directory.ensure_tenant("acme", "Acme")
            credentials = await directory.create_app(tenant_id, READ_WRITE, "bridge")
            headers = {"authorization": f"Bearer {await directory.issue_token(credentials.client_id)}"}
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(
                transport=transport, base_url="http://platform", headers=headers
            ) as client:
                answer = await client.get(f"/api/v1/tenants/{tenant_id}/users")
                assert answer.status_code == 200


async def test_outside_its_lifespan_the_app_fails_without_telling_why(tmp_path: Path) -> None:
    transport = httpx.ASGITransport(create_platform(tmp_path / "platform.db"))
    async with httpx.AsyncClient(transport=transport, base_url="http://platform") as client:
        answer = await client.get("/api/v1/platform/.well-known/jwks.json")
    assert (answer.status_code, answer.json()) == (500, {"detail": "Internal Server Error"})


async def test_a_tenant_is_made_once(tmp_path: Path) -> None:
    async with Directory(tmp_path / "platform.db") as one, Directory(tmp_path / "platform.db") as two:
        ids = await asyncio.gather(*(each.ensure_tenant("acme", "Acme") for each in (one, two) * 5))
        assert len(set(ids)) == 1
        assert ids[0].startswith("tnt_")
        assert await one.ensure_tenant("other", "Other") != ids[0]


async def test_first_runs_at_once_agree_on_one_key(tmp_path: Path) -> None:
    database = tmp_path / "platform.db"
    directories = [Directory(database) for _ in range(4)]
    await asyncio.gather(*(directory.open() for directory in directories))
    for directory in directories:
        await directory.close()
    connection = sqlite3.connect(database)
    assert connection.execute("SELECT count(*) FROM signing_keys").fetchone() == (1,)
    connection.close()


async def test_a_database_of_a_later_version_is_refused(tmp_path: Path) -> None:
    database = tmp_path / "platform.db"
    connection = sqlite3.connect(database)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    with pytest.raises(RuntimeError, match="version 999"):
        await Directory(database).open()


async def test_what_is_unknown_is_a_lookup_error(tmp_path: Path) -> None:
    async with Directory(tmp_path / "platform.db") as directory:
        tenant_id = await directory.ensure_tenant("acme", "Acme")
        for work in (
            directory.create_app("tnt_unknown", READ_WRITE, "x"),
            directory.issue_token("app_unknown"),
            directory.create_ou("tnt_unknown", "x"),
            directory.create_ou(tenant_id, "x", "ou_unknown"),
            directory.add_federated_identity("usr_unknown", IdentitySource.LDAP),
            directory.record_sign_in("usr_unknown", succeeded=True),
            directory.seed_users("tnt_unknown", 1),
        ):
            with pytest.raises(LookupError, match="unknown"):
                await work


def test_another_process_may_write_at_the_same_time(platform: RunningPlatform, tenant: Tenant) -> None:
    """Two engines on one file stand for two processes: neither is told that the database is locked."""

    async def seed() -> None:
        async with Directory(platform.database, PlatformSettings()) as directory:
            await directory.seed_users(tenant.id, 10_000)

    seeding = asyncio.run_coroutine_threadsafe(seed(), platform.loop)
    created = 0
    while not seeding.done() or created < 10:
        tenant.create(f"own{created}@example.com")
        created += 1
    seeding.result(30)
    assert tenant.http.get(tenant.users).json()["pagination"]["total_items"] == 10_000 + created
