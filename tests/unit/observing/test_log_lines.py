"""What lines of the log hold within a request: its correlation id, and nothing of whom it was about."""

from __future__ import annotations

import json
from typing import Any

import httpx
import msgspec
import pytest
import structlog
from bridge_rig import Rig, answers
from log_rig import Lines

from app.bridge.story import Stories
from app.observing.access_log import AccessLog
from app.store.connections import Connection
from app.store.sources import utc_now
from app.web.app import create_app

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "Wilhelmina"


def client(rig: Rig, app: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://bridge.test/scim/v2",
        headers={"authorization": f"Bearer {rig.token}", "x-correlation-id": "id-of-a-test"},
    )


async def test_a_request_is_a_line_with_its_correlation_id(rig: Rig, lines: Lines) -> None:
    app = create_app(msgspec.structs.replace(rig.app.state.services, stories=Stories([AccessLog()])))
    async with client(rig, app) as asked:
        await asked.get(f'/Users?filter=userName eq "{NAME}@example.com"')
        await asked.get(f"/Users/{NAME}")
    first, second = [line for line in lines() if line["event"] == "request"]
    assert first["correlation_id"] == second["correlation_id"] == "id-of-a-test"
    assert (first["level"], first["method"], first["route"], first["status"]) == (
        "info",
        "GET",
        "/Users",
        200,
    )
    assert (first["cause"], second["cause"], second["route"]) == ("", "not-found", "/Users/{id}")
    assert second["calls"] == 1
    assert first["connection"].startswith("tenant-")
    assert first["duration_ms"] > 0
    assert NAME not in json.dumps(lines())


@pytest.mark.parametrize("method", ["GET", "PATCH"])
async def test_every_line_within_a_request_carries_its_id(rig: Rig, lines: Lines, method: str) -> None:
    rig.wire.always("GET user", answers(503))
    try:
        async with client(rig, rig.app) as asked:
            body = {"schemas": [], "Operations": [{"op": "remove", "path": "title"}]}
            answer = await asked.request(method, "/Users/usr_1", json=body if method == "PATCH" else None)
    finally:
        rig.wire.reset()
    assert answer.status_code == 503
    (line,) = [line for line in lines() if line["event"] == "request failed"]
    assert (line["level"], line["status"], line["correlation_id"]) == ("warning", 503, "id-of-a-test")


async def test_what_ails_a_connection_is_told_once(rig: Rig, lines: Lines) -> None:
    broken = Connection(
        id="con_broken", name="broken", tenant_id="tnt_x", mapping="/nowhere.toml", created_at=utc_now()
    )
    for _ in range(3):
        assert rig.app.state.services.contexts.usable([broken]) == []
    (line,) = [line for line in lines() if line["event"] == "connection cannot be used"]
    assert (line["level"], line["connection"]) == ("error", "broken")


async def test_an_id_ends_with_its_request(rig: Rig, lines: Lines) -> None:
    async with client(rig, rig.app) as asked:
        await asked.get("/Users/usr_1")
    structlog.get_logger("app.test").info("afterwards")
    assert "correlation_id" not in lines()[-1]
