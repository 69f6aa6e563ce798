"""`scim-bridge audit`."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from queue import Queue

import pytest
from command_line import Run, environment, one_line

from app.cli.audit import moment
from app.store.audit_records import AuditEntry, AuditRecord, Facet, text_of
from app.store.store import Store

NOW = datetime(2026, 3, 8, 12, 0, tzinfo=UTC)


def database(place: Path) -> str:
    return f"sqlite+aiosqlite:///{place}/data/bridge.db"


async def fill(place: Path, told: Sequence[tuple[str, str, int]]) -> str:
    """Requests by correlation id, userName and status; the id of the connection `okta`."""
    store = await Store.open(database(place))
    try:
        connection = await store.connections.by_name("okta")
        if connection is None:
            connection = await store.connections.add(name="okta", tenant_id="tnt_1")
        for correlation_id, name, status in told:
            cause = "conflict" if status == 409 else ""
            record = AuditRecord(
                at=datetime.now(UTC),
                duration_s=0.01,
                connection_id=connection.id,
                correlation_id=correlation_id,
                method="POST",
                route="/Users",
                resource_type="User",
                status=status,
                cause=cause,
            )
            entry = AuditEntry(
                facet=Facet(connection.id, "POST", "User", status, cause, "client"),
                ended_at=record.at,
                duration_s=record.duration_s,
                correlation_id=correlation_id,
                text=text_of(record),
                keys=(await store.audit.key_of("userName", name),),
            )
            await store.audit.append([entry])
        return connection.id
    finally:
        await store.close()


@pytest.fixture
def connection_id(tmp_path: Path) -> str:
    told = [("r1", "ann@example.com", 201), ("r2", "bob@example.com", 409), ("r3", "ann@example.com", 409)]
    return asyncio.run(fill(tmp_path, told))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], ["r1", "r2", "r3"]),
        (["--user", "ANN@example.com"], ["r1", "r3"]),
        (["--user", "nobody"], []),
        (["--failures"], ["r2", "r3"]),
        (["--failures", "--user", "ann@example.com"], ["r3"]),
        (["--correlation-id", "r2"], ["r2"]),
        (["--connection", "okta"], ["r1", "r2", "r3"]),
        (["--connection", "entra"], []),
        (["--limit", "2"], ["r2", "r3"]),
        (["--since", "1h"], ["r1", "r2", "r3"]),
        (["--until", "1h"], []),
        (["--since", "2100-01-01"], []),
    ],
)
def test_records_are_lines_of_json(
    run: Run, connection_id: str, arguments: list[str], expected: list[str]
) -> None:
    done = run("audit", *arguments)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert [line["correlation_id"] for line in lines] == expected
    assert all(line["connection_id"] == connection_id and line["id"] for line in lines)


@pytest.mark.parametrize("text", ["yesterday", "2 h", "7w", "2026-13-01"])
def test_what_is_no_time_is_refused(run: Run, connection_id: str, text: str) -> None:
    one_line(run("audit", "--since", text), repr(text))


def test_a_user_and_a_correlation_id_are_one_too_many(run: Run, connection_id: str) -> None:
    one_line(run("audit", "--user", "x", "--correlation-id", "y"), "not both")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        ("30m", NOW - timedelta(minutes=30)),
        ("2h", NOW - timedelta(hours=2)),
        ("7d", NOW - timedelta(days=7)),
        ("2026-03-01", datetime(2026, 3, 1, tzinfo=UTC)),
        ("2026-03-01T10:00:00+02:00", datetime(2026, 3, 1, 8, tzinfo=UTC)),
    ],
)
def test_times(text: str, expected: datetime) -> None:
    assert moment(text, NOW) == expected


def test_following_prints_what_is_recorded_from_now_on(tmp_path: Path, connection_id: str) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "audit", "--follow", "--limit", "1", "--failures"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=environment(SCIM_BRIDGE_DATA_DIR=str(tmp_path / "data")),
    )
    try:
        lines: Queue[str] = Queue()
        stream = process.stdout
        assert stream is not None
        reader = threading.Thread(target=lambda: [lines.put(line) for line in stream], daemon=True)
        reader.start()
        assert json.loads(lines.get(timeout=60))["correlation_id"] == "r3"
        asyncio.run(fill(tmp_path, [("r4", "cy@example.com", 201), ("r5", "cy@example.com", 409)]))
        assert json.loads(lines.get(timeout=60))["correlation_id"] == "r5"
        asyncio.run(fill(tmp_path, [("r6", "cy@example.com", 409)]))
        assert json.loads(lines.get(timeout=60))["correlation_id"] == "r6"
    finally:
        process.kill()
        process.wait()
        reader.join(timeout=60)
        stream.close()
