"""Readiness: required checks, checks that only degrade, and the shutdown."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx
import pytest
from bridge_rig import Rig, open_rig

from app.web.health import Health, HealthCheck


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def says(*reasons: str | Exception | None) -> tuple[HealthCheck, list[int]]:
    """A check that says one after the other, and how often it was asked."""
    left, asked = list(reasons), [0]

    async def check() -> str | None:
        asked[0] += 1
        reason = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(reason, Exception):
            raise reason
        return reason

    return check, asked


@pytest.mark.parametrize(
    ("checks", "status", "reasons"),
    [
        ({}, "ok", {}),
        ({"platform": (None, False), "database": (None, True)}, "ok", {}),
        ({"platform": ("circuit open", False), "database": (None, True)}, "degraded", ["platform"]),
        ({"platform": (None, False), "database": ("gone", True)}, "unavailable", ["database"]),
        (
            {"platform": ("circuit open", False), "database": ("gone", True)},
            "unavailable",
            ["platform", "database"],
        ),
        ({"index": (ValueError("secret host"), False)}, "degraded", ["index"]),
        ({"database": (OSError("secret host"), True)}, "unavailable", ["database"]),
    ],
)
async def test_states(
    checks: dict[str, tuple[str | Exception | None, bool]], status: str, reasons: list[str]
) -> None:
    health = Health(clock=Clock())
    for name, (reason, required) in checks.items():
        health.add(name, says(reason)[0], required=required)
    found = await health.readiness()
    assert (found.status, list(found.reasons)) == (status, list(reasons))
    assert found.ready is (status != "unavailable")
    assert "secret" not in str(found)


async def test_checks_are_asked_once_a_second() -> None:
    clock = Clock()
    health = Health(clock=clock)
    check, asked = says("stale", None)
    health.add("index", check)
    found = await asyncio.gather(*(health.readiness() for _ in range(10)))
    assert {f.status for f in found} == {"degraded"}
    assert asked == [1]
    clock.now += 1
    assert (await health.readiness()).status == "ok"
    assert asked == [2]


async def test_a_check_that_hangs_is_something_wrong() -> None:
    health = Health()

    async def hangs() -> str | None:
        await asyncio.Event().wait()
        return None

    health.add("platform", hangs)
    found = await health.readiness()
    assert found.status == "degraded"
    assert "no answer" in found.reasons["platform"]


async def test_a_shutdown_shows_at_once() -> None:
    clock = Clock()
    health = Health(clock=clock)
    assert (await health.readiness()).ready
    assert health.stopping_s == 0
    health.stop()
    found = await health.readiness()
    assert (found.ready, found.status) == (False, "shutting down")
    clock.now += 3
    health.stop()
    assert health.stopping_s == 3


async def ready(rig: Rig) -> httpx.Response:
    transport = httpx.ASGITransport(rig.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge.test") as client:
        return await client.get("/health/ready")


async def test_readiness_over_http(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path) as rig:
        health: Health = rig.app.state.services.health
        health.add("platform", says("the platform does not answer")[0])
        answer = await ready(rig)
        assert (answer.status_code, answer.json()) == (
            200,
            {"status": "degraded", "reasons": {"platform": "the platform does not answer"}},
        )
        health.stop()
        answer = await ready(rig)
        assert (answer.status_code, answer.json()) == (503, {"status": "shutting down"})


async def test_readiness_without_the_database(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path) as rig:
        await rig.store.close()
        answer = await ready(rig)
        assert answer.status_code == 503
        assert answer.json()["status"] == "unavailable"
        assert str(tmp_path) not in answer.text
