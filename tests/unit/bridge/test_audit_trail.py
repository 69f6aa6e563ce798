"""The writer of the audit trail: batches, waiting, a full line, a database that fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.bridge.audit import AuditTrail, Rules
from app.bridge.story import Stories, Story
from app.bridge.telling import told_by, within
from app.store.audit_records import AuditEntry, AuditFilter
from app.store.errors import StoreUnavailable
from app.store.store import Store


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/bridge.db")
    yield store
    await store.close()


@asynccontextmanager
async def opened(store: Store, **rules: Any) -> AsyncIterator[AuditTrail]:
    trail = AuditTrail(store.audit, Rules(**rules))
    await trail.open()
    try:
        yield trail
    finally:
        await trail.aclose()


def story(method: str = "GET", path: str = "/Users/usr_1", status: int = 200, **told: Any) -> Story:
    telling = Story(method, path, f"{method}-{status}")
    for name, value in told.items():
        setattr(telling, name, value)
    return telling.ended(status)


class Failing:
    """Takes the place of `Audit.append` until it is told to work."""

    def __init__(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        self._append = store.audit.append
        self.broken = True
        self.batches: list[int] = []
        monkeypatch.setattr(store.audit, "append", self)
        monkeypatch.setattr("app.bridge.audit._AGAIN_S", 0.01)

    async def __call__(self, entries: Sequence[AuditEntry]) -> None:
        if self.broken:
            raise StoreUnavailable("disk full")
        self.batches.append(len(entries))
        await self._append(entries)


async def until(said: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not said():  # noqa: ASYNC110 - the trail tells nobody
            await asyncio.sleep(0.005)


async def until_count(store: Store, wanted: int) -> None:
    async with asyncio.timeout(60):
        while await count(store) != wanted:  # noqa: ASYNC110 - the database tells nobody
            await asyncio.sleep(0.01)


async def count(store: Store) -> int:
    return len((await store.audit.page(AuditFilter(), limit=1000)).records)


async def test_a_write_waits_for_its_record_and_a_read_does_not(store: Store) -> None:
    async with opened(store) as trail:
        assert trail.take(story()) is None
        waits = trail.take(story("PATCH"))
        assert waits is not None
        await waits
        # What came before is in the same batch.
        assert await count(store) == 2


async def test_reads_are_recorded_without_a_write(store: Store) -> None:
    async with opened(store) as trail:
        trail.take(story())
        await until_count(store, 1)


async def test_writes_that_wait_together_are_written_together(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(store, monkeypatch)
    failing.broken = False
    async with opened(store) as trail:
        stories = Stories([trail])
        await asyncio.gather(*(stories.told(story("POST", "/Users", 201)) for _ in range(50)))
        assert await count(store) == 50
    assert len(failing.batches) < 5


async def test_the_end_writes_what_is_left(store: Store) -> None:
    async with opened(store) as trail:
        for _ in range(300):
            trail.take(story())
    assert await count(store) == 300
    assert trail.take(story()) is None


@pytest.mark.parametrize(("reads", "kept"), [("all", 3), ("failures", 2), ("none", 1)])
async def test_reads_are_kept_as_the_setting_says(store: Store, reads: str, kept: int) -> None:
    async with opened(store, reads=reads) as trail:
        trail.take(story())
        trail.take(story(status=404))
        trail.take(story("POST", "/Users", 201))
        # A search by POST is a read.
        trail.take(story("POST", "/Users/.search")) if reads == "none" else None
    assert await count(store) == kept
    counted = (await store.audit.failure_share(AuditFilter())).requests
    assert counted == (4 if reads == "none" else 3)


async def test_a_database_that_fails_holds_no_answer_up(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(store, monkeypatch)
    async with opened(store) as trail:
        stories = Stories([trail])
        assert await trail.reason() is None
        await stories.told(story("POST", "/Users", 201))
        assert "cannot be written now: 1 wait" in str(await trail.reason())
        # From now on nobody waits.
        assert trail.take(story("POST", "/Users", 201)) is None
        assert trail.take(story()) is None
        failing.broken = False
        await until(lambda: trail._trouble is None and not trail._waiting)
        await stories.told(story("DELETE", status=204))
        assert await trail.reason() is None
        assert await count(store) == 4
        assert trail.lost == 0


async def test_a_full_line_slows_reads_down_then_loses_them(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    failing = Failing(store, monkeypatch)
    async with opened(store, queue=3) as trail:
        for _ in range(3):
            assert trail.take(story()) is None
        waits = trail.take(story())
        assert waits is not None
        await waits
        assert trail.lost == 1
        # The log has the least of a write.
        assert trail.take(story("PATCH")) is None
        assert trail.lost == 2
        failing.broken = False
        await until(lambda: not trail._unwritten and trail._trouble is None and not trail._waiting)
        assert "2 records were lost" in str(await trail.reason())
    assert await count(store) == 3


async def test_a_read_that_waits_is_recorded_when_there_is_room(store: Store) -> None:
    async with opened(store, queue=1) as trail:
        trail.take(story())
        waits = trail.take(story())
        assert waits is not None
        await waits
        assert trail.lost == 0
    assert await count(store) == 2


async def test_a_story_that_cannot_be_told_does_not_end_the_trail(store: Store) -> None:
    async with opened(store) as trail:
        stories = Stories([trail])
        broken = story("POST", "/Users", 201, found=object())
        await stories.told(broken)
        await stories.told(story("POST", "/Users", 201))
        assert trail.lost == 1
        assert await count(store) == 1


async def test_a_batch_that_cannot_be_told_does_not_end_the_trail(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    append, broken = store.audit.append, [True]

    async def breaks(entries: Sequence[AuditEntry]) -> None:
        if broken.pop() if broken else False:
            raise LookupError("a mistake")
        await append(entries)

    monkeypatch.setattr(store.audit, "append", breaks)
    async with opened(store) as trail:
        stories = Stories([trail])
        await stories.told(story("POST", "/Users", 201))
        await stories.told(story("POST", "/Users", 201))
        assert trail.lost == 1
        assert await count(store) == 1


async def test_half_a_character_is_no_hindrance(store: Store) -> None:
    async with opened(store) as trail:
        waits = trail.take(story("POST", "/Users", 400, detail="\ud800"))
        assert waits is not None
        await waits
    assert await count(store) == 1


async def test_old_records_are_removed(store: Store) -> None:
    async with opened(store) as trail:
        for _ in range(5):
            trail.take(story())
    async with opened(store, max_records=2):
        await until_count(store, 2)
    async with opened(store, keep_s=1e-6, max_records=0):
        await until_count(store, 0)


async def test_operations_within_a_request_have_stories_of_their_own() -> None:
    request = Story("POST", "/Bulk", "req-1")
    request.token_id, request.address = "tok_1", "192.0.2.1"
    with told_by(request), within("DELETE", "/Users/usr_1") as operation:
        pass
    told = operation.ended(204)
    assert (told.correlation_id, told.token_id, told.address) == ("req-1", "tok_1", "192.0.2.1")
    assert (told.method, told.route, told.resource_id) == ("DELETE", "/Users/{id}", "usr_1")
    assert told.writes
    assert told.at <= datetime.now(UTC)
    assert request.ended(200).route == "/Bulk"


@pytest.mark.parametrize(
    ("path", "route", "resource_type", "resource_id"),
    [
        ("/Users", "/Users", "User", None),
        ("/Users/", "/Users", "User", None),
        ("/Users/.search", "/Users/.search", "User", None),
        ("/Users/usr_1", "/Users/{id}", "User", "usr_1"),
        ("/Groups/grp_1", "/Groups/{id}", "Group", "grp_1"),
        ("/Bulk", "/Bulk", "Bulk", None),
        ("/.search", "/.search", "", None),
        ("", "/", "", None),
        ("/Users/ann/smith", "/?", "", None),
        ("/ann", "/?", "", None),
    ],
)
def test_places(path: str, route: str, resource_type: str, resource_id: str | None) -> None:
    told = Story("GET", path, "x").ended(200)
    assert (told.route, told.resource_type, told.resource_id) == (route, resource_type, resource_id)


async def test_a_dry_run_is_recorded_but_is_no_failure(store: Store) -> None:
    async with opened(store) as trail:
        for dry_run in (True, False):
            await asyncio.wait_for(trail.take(story("POST", "/Users", 409, dry_run=dry_run)), 10)
        await asyncio.wait_for(trail.take(story("DELETE", "/Users/usr_1", 429, dry_run=True)), 10)
    page = await store.audit.page(AuditFilter())
    assert [record.dry_run for record in page.records] == [True, False, True]
    share = await store.audit.failure_share(AuditFilter())
    assert (share.requests, share.failures) == (1, 1)
