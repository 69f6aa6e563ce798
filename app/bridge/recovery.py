"""Recovery: unfinished writes are finished or undone, by a worker or because a client needs the resource."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeAlias, TypeVar

import msgspec
import structlog

from app.bridge.context import Context
from app.bridge.faults import scim_error
from app.bridge.journaling import InHand, Journaling, Unfinished, may_pass
from app.bridge.locks import KeyedLocks
from app.bridge.story import Stories, Story
from app.bridge.telling import telling, within
from app.platform.errors import PlatformError
from app.scim.errors import InternalError, ScimError
from app.store.errors import LeaseTimeout, StoreError
from app.store.journal_records import Entry

_log = structlog.get_logger(__name__)

T = TypeVar("T")

Finisher: TypeAlias = Callable[[Context, Entry, InHand], Awaitable[None]]
"""Finishes or undoes what an entry tells of; ends the entry, or raises what stands in the way."""

_AT_ONCE = 16
"""Entries that a replica's worker recovers side by side."""
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 1.0, 60.0
_PURGE_EVERY_S = 600.0


class Times(msgspec.Struct, frozen=True, kw_only=True):
    """When recovery works."""

    tick_s: float = 2.0
    """Seconds between two looks at what is due."""
    attempts: int = 10
    """Refusals after which an entry is left to an operator."""
    keep_s: float = 86_400.0
    """Seconds for which a creation waits for its client to come back."""


class Recovery:
    """Runs while the bridge does; every replica takes its share."""

    def __init__(
        self,
        journaling: Journaling,
        locks: KeyedLocks,
        contexts: Callable[[], Awaitable[Sequence[Context]]],
        finishers: Mapping[str, Finisher],
        times: Times,
        stories: Stories,
    ) -> None:
        """`finishers` are by the kind of their entries; `stories` hears what became of them."""
        self._stories = stories
        self._journaling = journaling
        self._locks = locks
        self._contexts = contexts
        self._finishers = finishers
        self._times = times
        self._worker: asyncio.Task[None] | None = None
        self._running: dict[str, asyncio.Task[None]] = {}

    async def open(self) -> None:
        """Start the worker."""
        self._worker = asyncio.create_task(self._work())

    async def aclose(self) -> None:
        """Stop it; what it had in hand is due again when its lease has run out."""
        tasks = [*self._running.values(), *([self._worker] if self._worker else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def first(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do the work; where it finds an unfinished write in its way that is due, finish that before.

        Raises what the work raises: `Unfinished` where the other write has to be waited for.
        """
        try:
            return await work()
        except Unfinished as exc:
            if not exc.due:
                raise
            for entry_id in exc.entry_ids:
                await self.run(entry_id)
        return await work()

    async def run(self, entry_id: str) -> bool:
        """Recover one entry if it is due; False where it is not, or where it stays as it is.

        Holds no lock of its caller's: it takes those of the entry, in their order.
        """
        found = await self._journaling.journal.get(entry_id)
        if found is None:
            return False
        async with self._locks.hold(*found.keys):
            claimed = await self._journaling.claim(entry_id)
            if claimed is None:
                return False
            entry, hand = claimed
            if entry.keys != found.keys:
                # A creation has learnt an id while it was waited for.
                await hand.leave(LookupError("its keys have changed"), due_in_s=0)
                return False
            with within(*_place(entry), actor="recovery") as story:
                try:
                    await self._finish(entry, hand)
                except StoreError:
                    raise
                except Exception as exc:  # noqa: BLE001 - what one entry trips over must not stop all others
                    await self._put_off(entry, hand, exc)
                    await self._tell(story, exc)
                    return False
                await self._tell(story, None)
        _log.info("unfinished write recovered", entry=entry.id, kind=entry.kind, resource=entry.resource_id)
        return True

    async def reason(self) -> str | None:
        """Why the bridge is degraded by what is in the journal; None where it is not."""
        counts = await self._journaling.journal.counts()
        if not counts.unfinished and not counts.stuck:
            return None
        told = f"{counts.unfinished} unfinished writes, the oldest for {counts.oldest_s:.0f} s"
        return f"{told}; {counts.stuck} stuck: see scim-bridge journal list" if counts.stuck else told

    async def _finish(self, entry: Entry, hand: InHand) -> None:
        finisher = self._finishers.get(entry.kind)
        if finisher is None:
            raise LookupError(f"entries of the kind {entry.kind!r} are of another release")
        context = await self._context(entry)
        if (story := telling()) is not None:
            story.context, story.connection = context, context.connection
            story.resource_id = entry.resource_id
        await finisher(context, entry, hand)

    async def _tell(self, story: Story, error: Exception | None) -> None:
        """What became of an entry; a try that has changed nothing is not worth telling, and is made again."""
        if error is None:
            await self._stories.told(story.ended(200))
        elif any(call.method != "GET" for call in story.recording.calls):
            told: ScimError = InternalError("see the bridge's log")
            if isinstance(error, PlatformError) and story.context is not None:
                told = scim_error(error, story.context.mapping)
            story.failed(told, error)
            await self._stories.told(story.ended(told.status))

    async def _context(self, entry: Entry) -> Context:
        """The connection that wrote it; where that is gone, another one of the tenant and domain."""
        contexts = await self._contexts()
        for match in (
            lambda c: c.connection_id == entry.connection_id,
            lambda c: (c.tenant_id, c.domain) == (entry.tenant_id, entry.domain),
        ):
            for context in contexts:
                if match(context):
                    return context
        raise LookupError(f"no connection to tenant {entry.tenant_id} is left to finish this with")

    async def _put_off(self, entry: Entry, hand: InHand, error: Exception) -> None:
        """Later, and ever later; what is refused again and again is left to an operator."""
        refused = not (isinstance(error, PlatformError) and may_pass(error))
        stuck = refused and entry.attempts + 1 >= self._times.attempts
        age_s = (entry.now - entry.created_at).total_seconds()
        pause_s: float | None = min(_LONGEST_PAUSE_S, max(_FIRST_PAUSE_S, age_s / 4))
        if isinstance(error, PlatformError) and error.outcome_unknown:
            # The call may still be under way.
            pause_s = None
        await hand.leave(error, due_in_s=pause_s, state="stuck" if stuck else None, refused=refused)
        log = _log.error if stuck else _log.warning
        log("unfinished write stays", entry=entry.id, kind=entry.kind, stuck=stuck, error=str(error))

    async def _work(self) -> None:
        purge_at = 0.0
        while True:
            try:
                # An entry whose resource is being written has to wait for that; the others go on.
                for entry in await self._journaling.journal.due(_AT_ONCE):
                    if entry.id not in self._running and len(self._running) < _AT_ONCE:
                        self._start(entry.id)
                now = asyncio.get_running_loop().time()
                if now > purge_at:
                    purge_at = now + _PURGE_EVERY_S
                    await self._journaling.journal.purge(self._times.keep_s)
            except StoreError as exc:
                _log.warning("the journal cannot be read", error=str(exc))
            await asyncio.sleep(self._times.tick_s)

    def _start(self, entry_id: str) -> None:
        task = self._running[entry_id] = asyncio.create_task(self._run_logged(entry_id))
        task.add_done_callback(lambda _: self._running.pop(entry_id, None))

    async def _run_logged(self, entry_id: str) -> None:
        try:
            await self.run(entry_id)
        except LeaseTimeout:
            # Another replica is at it, or writes to the resource.
            return
        except StoreError as exc:
            _log.warning("recovery interrupted", entry=entry_id, error=str(exc))


def _place(entry: Entry) -> tuple[str, str]:
    """Method and path of the request that began it."""
    kind, _, what = entry.kind.partition("-")
    endpoint = {"user": "/Users", "group": "/Groups"}.get(kind, "")
    path = endpoint if entry.resource_id is None else f"{endpoint}/{entry.resource_id}"
    method = {"create": "POST", "revive": "POST", "delete": "DELETE", "retire": "DELETE"}.get(what, "PATCH")
    return method, path
