"""The audit trail's writer: stories in, batches of records out, off the way of requests.

A read is put in line and recorded a moment later. A write waits for its record: what was acknowledged is in
the trail, also when the process dies right after. Whoever waits is written at once, together with all that
came meanwhile, so that many waiting writes cost one transaction.

A database that fails takes nothing from a request: what is done at the platform must not be reported as
failed. Answers go out, the records stay in line until they can be written, and readiness is degraded until
then.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal, TypeAlias

import msgspec
import structlog

from app.bridge.redaction import Redaction
from app.bridge.story import Story
from app.store.audit import Audit
from app.store.audit_records import AuditEntry
from app.store.errors import StoreError

_log = structlog.get_logger(__name__)

_BATCH = 1024
"""Stories in one transaction. What it costs is mostly the pages that it touches: the larger, the cheaper."""
_IN_A_ROW = 32
"""Stories that records are made of before requests have their turn again."""
_GATHER_S = 0.5
"""Seconds that reads are collected for."""
_BRIEF_S = 0.1
"""Seconds that a read waits for a place in line."""
_AGAIN_S = 1.0
"""Seconds until a database that failed is tried again."""
_REMEMBERED_S = 600.0
"""Seconds for which readiness tells of records that were lost."""
_PRUNE_EVERY_S = 60.0
_PRUNE_PAUSE_S = 0.05
_PRUNE_STEP = 1000


_Waiting: TypeAlias = tuple[Story | AuditEntry | None, asyncio.Future[None] | None]
"""A story or what is recorded of it, and who waits for that."""


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """What is recorded, and for how long."""

    reads: Literal["all", "failures", "none"] = "all"
    queue: int = 10_000
    """Stories that may wait to be written."""
    keep_s: float = 7_776_000.0
    max_records: int = 1_000_000
    """0: no limit."""


class AuditTrail:
    """Takes stories (`Sink`) while it is open."""

    def __init__(self, audit: Audit, rules: Rules) -> None:
        self._audit = audit
        self._rules = rules
        self._redaction: Redaction | None = None
        self._waiting: deque[_Waiting] = deque()
        self._urgent = 0
        """Of those, how many somebody waits for."""
        self._unwritten: list[AuditEntry] = []
        """Of a batch that could not be written."""
        self._wake = asyncio.Event()
        self._room = asyncio.Event()
        self._writer: asyncio.Task[None] | None = None
        self._pruner: asyncio.Task[None] | None = None
        self._gathering: asyncio.TimerHandle | None = None
        self._closing = False
        self._trouble: str | None = None
        self.lost = 0
        """Records that were given up, since the start."""
        self._lost_at: float | None = None

    async def open(self) -> None:
        """Start to write. Raises StoreUnavailable."""
        self._redaction = Redaction(await self._audit.secret())
        self._writer = asyncio.create_task(self._write(), name="audit-writer")
        self._pruner = asyncio.create_task(self._prune(), name="audit-pruner")

    async def aclose(self) -> None:
        """Write what is in line, if the database takes it, and stop; may be called twice."""
        self._closing = True
        self._wake.set()
        if self._pruner is not None:
            self._pruner.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._pruner
        if self._writer is not None:
            await self._writer
        self._writer = self._pruner = None

    def take(self, story: Story) -> asyncio.Future[None] | None:
        """Put a story in line; a write's is to be waited for."""
        if self._writer is None:
            return None
        if len(self._waiting) + len(self._unwritten) >= self._rules.queue:
            if not story.writes:
                return asyncio.ensure_future(self._when_there_is_room(story))
            self._lose(story)
            return None
        if not story.writes or self._trouble is not None:
            # To wait for a database that fails would only hold up the answer.
            self._put(story, None)
            return None
        written = asyncio.get_running_loop().create_future()
        self._put(story, written)
        self._wake.set()
        return written

    @property
    def waiting(self) -> int:
        """Records that are not written yet."""
        return len(self._waiting) + len(self._unwritten)

    async def reason(self) -> str | None:
        """What ails the trail, for readiness; None where nothing does."""
        if self._trouble is not None:
            return f"records cannot be written now: {len(self._waiting) + len(self._unwritten)} wait"
        now = asyncio.get_running_loop().time()
        if self._lost_at is not None and now - self._lost_at < _REMEMBERED_S:
            return f"{self.lost} records were lost since the start: see the bridge's log"
        return None

    def _put(self, story: Story, written: asyncio.Future[None] | None) -> None:
        # A body may be large, its record is not, and a write may go on to be told; all else can wait until
        # records are made in a row.
        at_once = story.writes or story.body is not msgspec.UNSET
        entry = self._entry(story) if at_once else story
        self._urgent += written is not None
        self._waiting.append((entry, written))
        if len(self._waiting) >= _BATCH:
            self._wake.set()
        elif self._gathering is None:
            self._gathering = asyncio.get_running_loop().call_later(_GATHER_S, self._gathered)

    def _gathered(self) -> None:
        self._gathering = None
        self._wake.set()

    async def _when_there_is_room(self, story: Story) -> None:
        """Wait briefly: who reads faster than the database writes is slowed down before records are lost."""
        self._room.clear()
        self._wake.set()
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._room.wait(), _BRIEF_S)
        if len(self._waiting) + len(self._unwritten) < self._rules.queue:
            self._put(story, None)
        else:
            self._lose(story)

    def _lose(self, story: Story) -> None:
        """Give a record up; of a write, the log keeps the least."""
        first = self._lost_at is None
        self._note_lost(1)
        if story.writes or first:
            _log.error(
                "audit record lost: more wait than may",
                method=story.method,
                route=story.route,
                status=story.status,
                correlation_id=story.correlation_id,
                lost=self.lost,
            )

    def _note_lost(self, count: int) -> None:
        self.lost += count
        self._lost_at = asyncio.get_running_loop().time()

    async def _write(self) -> None:
        while not (self._closing and not self._waiting and not self._unwritten):
            if not self._closing and self._trouble is None:
                await self._wake.wait()
            self._wake.clear()
            written = await self._write_batch()
            while written and self._waiting and (self._closing or self._is_due()):
                written = await self._write_batch()
            self._room.set()
            if not written:
                if self._closing:
                    left = len(self._waiting) + len(self._unwritten)
                    _log.error("audit records lost: they could not be written before the end", count=left)
                    return
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._closed(), _AGAIN_S)

    async def _closed(self) -> None:
        while not self._closing:
            self._wake.clear()
            await self._wake.wait()

    def _is_due(self) -> bool:
        """Whether what waits should not wait for more."""
        return len(self._waiting) >= _BATCH or self._urgent > 0

    async def _write_batch(self) -> bool:
        """Write the first of those in line; False where the database does not take them."""
        waiting = [self._waiting.popleft() for _ in range(min(_BATCH, len(self._waiting)))]
        self._urgent -= sum(written is not None for _, written in waiting)
        # What is on its way counts among what waits.
        entries = self._unwritten
        try:
            await self._make(waiting, entries)
            if entries:
                await self._audit.append(entries)
            self._unwritten = []
            if self._trouble is not None:
                _log.info("audit records are written again")
                self._trouble = None
        except StoreError as exc:
            if self._trouble is None:
                _log.error("audit records cannot be written", error=str(exc), waiting=len(self._waiting))
            self._trouble = str(exc)
        except Exception:  # noqa: BLE001 - the writer must not end: every write would wait for it in vain
            _log.exception("audit records lost: they cannot be written", count=len(entries))
            self._unwritten = []
            self._note_lost(len(entries))
        finally:
            for _, written in waiting:
                if written is not None and not written.done():
                    written.set_result(None)
        return self._trouble is None

    async def _make(self, waiting: Sequence[_Waiting], entries: list[AuditEntry]) -> None:
        """Make the records of stories. Many in a row cost a third of what they cost one by one."""
        for number, (told, _) in enumerate(waiting, start=1):
            entry = self._entry(told) if isinstance(told, Story) else told
            if entry is not None:
                entries.append(entry)
            if number % _IN_A_ROW == 0:
                await asyncio.sleep(0)

    def _entry(self, story: Story) -> AuditEntry | None:
        assert self._redaction is not None  # noqa: S101 - open
        reads = self._rules.reads
        kept = story.writes or reads == "all" or (reads == "failures" and story.cause != "")
        try:
            return self._redaction.entry(story) if kept else self._redaction.counted(story)
        except Exception:  # noqa: BLE001 - one story that cannot be told must not end the trail
            _log.exception("audit record lost: it cannot be made", correlation_id=story.correlation_id)
            self._note_lost(1)
            return None

    async def _prune(self) -> None:
        rules = self._rules
        while True:
            try:
                removed = await self._audit.prune(
                    older_than=datetime.now(UTC) - timedelta(seconds=rules.keep_s),
                    max_records=rules.max_records or None,
                    step=_PRUNE_STEP,
                )
            except StoreError as exc:
                _log.warning("old audit records are not removed", error=str(exc))
                removed = 0
            await asyncio.sleep(_PRUNE_PAUSE_S if removed >= _PRUNE_STEP else _PRUNE_EVERY_S)
