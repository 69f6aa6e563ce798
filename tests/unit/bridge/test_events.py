"""What an event of the platform marks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from app.bridge.events import CLOCKS_DIFFER, PlatformEvents

AT = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Kept:
    """Notes what is marked and counted; `fresh` users were recorded just now."""

    def __init__(self, *fresh: str) -> None:
        self.noted: list[tuple[Any, ...]] = []
        self._fresh = fresh

    async def mark(self, tenant_id: str, ids: Sequence[str]) -> None:
        self.noted.append(("mark", tenant_id, *ids))

    async def recorded_since(self, tenant_id: str, user_id: str, moment: datetime) -> bool:
        assert moment == AT - CLOCKS_DIFFER
        return user_id in self._fresh

    async def raise_version(self, tenant_id: str, group_id: str) -> int:
        self.noted.append(("version", tenant_id, group_id))
        return 1


@pytest.mark.parametrize(
    ("kind", "resource_id", "actor_id", "noted"),
    [
        ("user", "x", "somebody", [("mark", "t", "x")]),
        ("user", "x", None, [("mark", "t", "x")]),
        ("user", "fresh", "somebody", [("mark", "t", "fresh")]),
        ("user", "fresh", "bridge", []),
        # The process died between the write and its record.
        ("user", "x", "bridge", [("mark", "t", "x")]),
        ("group", "g", "somebody", [("version", "t", "g")]),
        ("group", "g", None, [("version", "t", "g")]),
        ("group", "g", "bridge", []),
    ],
)
async def test_marks(kind: Any, resource_id: str, actor_id: str | None, noted: list[Any]) -> None:
    kept = Kept("fresh")
    events = PlatformEvents(kept, kept, own_id="bridge")
    await events.apply("t", kind, resource_id, actor_id=actor_id, at=AT)
    assert kept.noted == noted


async def test_an_own_event_of_no_known_time_is_one_like_others() -> None:
    kept = Kept("fresh")
    await PlatformEvents(kept, kept, own_id="bridge").apply("t", "user", "fresh", actor_id="bridge", at=None)
    assert kept.noted == [("mark", "t", "fresh")]


async def test_a_bridge_without_an_id_knows_nobody_as_itself() -> None:
    kept = Kept("fresh")
    await PlatformEvents(kept, kept, own_id="").apply("t", "user", "fresh", actor_id="", at=AT)
    assert kept.noted == [("mark", "t", "fresh")]
