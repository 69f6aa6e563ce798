"""The background work on the index: sweeps when they are due, marked users read anew, old views dropped."""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog

from app.bridge.context import Context
from app.bridge.indexing import Indexing, view_mapping
from app.bridge.sweeping import Sweeper
from app.platform.errors import PlatformError
from app.scim.errors import ScimError, ServiceUnavailable
from app.store.errors import StoreError
from app.store.index_records import View

_log = structlog.get_logger(__name__)

_RETRY_S = 30
_POLL_S = 0.2
_EXPECTED = (PlatformError, ScimError, StoreError)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """When the background works; seconds."""

    sweep_s: float = 900.0
    """Between two sweeps of a view; 0: a view is only swept when somebody waits for it."""
    refresh_s: float = 86_400.0
    """Between two sweeps that read every user in full."""
    tick_s: float = 5.0
    """Between two looks at what is due."""


class Upkeep:
    """Runs while the bridge does. What fails is logged and tried again at the next tick."""

    def __init__(
        self,
        indexing: Indexing,
        sweeper: Sweeper,
        contexts: Callable[[], Awaitable[Iterable[Context]]],
        schedule: Schedule,
        *,
        wait_s: float = 20.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`contexts` gives the connections; `wait_s` is how long a lookup waits for a first sweep."""
        self.indexing = indexing
        self._sweeper = sweeper
        self._contexts = contexts
        self._schedule = schedule
        self._wait_s = wait_s
        self._now = now
        self._tasks: list[asyncio.Task[None]] = []
        self._sweeps: dict[int, asyncio.Task[bool]] = {}

    async def open(self) -> None:
        """Start the background tasks."""
        self._tasks = [asyncio.create_task(self._read_marked())]
        if self._schedule.sweep_s:
            self._tasks.append(asyncio.create_task(self._sweep_when_due()))

    async def aclose(self) -> None:
        """Stop; a sweep under way goes on from its page when the bridge is back."""
        tasks: list[asyncio.Task[Any]] = [*self._tasks, *self._sweeps.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def ensure_complete(self, context: Context) -> None:
        """Return when every user of the tenant is in the connection's view.

        Raises `ServiceUnavailable` with `Retry-After` while a large tenant is still being read; the reading
        goes on.
        """
        patience_ends = time.monotonic() + self._wait_s
        while (view := await self.indexing.view(context)).complete_since is None:
            task = self._start(context, view)
            left_s = patience_ends - time.monotonic()
            if left_s <= 0:
                raise not_yet(view)
            await asyncio.wait({task}, timeout=left_s)
            # What stopped the sweep stops the lookup. Another process's sweep is waited for.
            if task.done() and not task.result():
                await asyncio.sleep(min(_POLL_S, left_s))

    def _start(self, context: Context, view: View, *, full: bool = False) -> asyncio.Task[bool]:
        """The sweep of a view, begun unless it runs in this process already; a failure is logged."""
        task = self._sweeps.get(view.id)
        if task is None:
            # In a context of its own: what goes on for longer is not part of the request that began it.
            task = asyncio.create_task(
                self._sweeper.sweep(context, view, full=full), context=contextvars.Context()
            )
            self._sweeps[view.id] = task
            task.add_done_callback(lambda done: self._ended(context, view, done))
        return task

    def _ended(self, context: Context, view: View, task: asyncio.Task[bool]) -> None:
        self._sweeps.pop(view.id, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log_failure("sweep", context, error)

    async def _sweep_when_due(self) -> None:
        while True:
            await _logged("look for what is due", self._sweep_what_is_due())
            await asyncio.sleep(self._schedule.tick_s)

    async def _sweep_what_is_due(self) -> None:
        views = await self._sweeper.index.views()
        contexts = await self._distinct()
        for context in contexts.values():
            await _logged("sweep", self._sweep_if_due(context), context)
        for view in views:
            if (view.tenant_id, view.domain, view.mapping) not in contexts and self._is_left(view):
                await self._sweeper.index.drop(view.id)

    def _is_left(self, view: View) -> bool:
        """Whether nobody sweeps a view: not another process either, which may know a later mapping."""
        begun = view.swept_at if view.sweep is None else view.sweep.started_at
        return self._is_over(begun, self._schedule.refresh_s)

    async def _sweep_if_due(self, context: Context) -> None:
        view = await self.indexing.view(context)
        full = self._is_over(view.refreshed_at, self._schedule.refresh_s)
        if view.sweep is not None or full or self._is_over(view.swept_at, self._schedule.sweep_s):
            await asyncio.wait({self._start(context, view, full=full)})

    def _is_over(self, last: datetime | None, every_s: float) -> bool:
        return last is None or self._now() - last >= timedelta(seconds=every_s)

    async def _read_marked(self) -> None:
        while True:
            await self.indexing.marked(self._schedule.tick_s)
            await _logged("reading of marked users", self._read_all_marked())

    async def _read_all_marked(self) -> None:
        for context in (await self._distinct()).values():
            await _logged("reading of marked users", self._catch_up(context), context)

    async def _catch_up(self, context: Context) -> None:
        while await self.indexing.catch_up(context):
            pass

    async def _distinct(self) -> dict[tuple[str, str, str], Context]:
        """One connection a view."""
        return {(c.tenant_id, c.domain, view_mapping(c)): c for c in await self._contexts()}


async def _logged(work: str, run: Awaitable[None], context: Context | None = None) -> None:
    try:
        await run
    except _EXPECTED as error:
        _log_failure(work, context, error)


def _log_failure(work: str, context: Context | None, error: BaseException) -> None:
    of = {} if context is None else {"tenant_id": context.tenant_id, "domain": context.domain}
    _log.warning(f"{work} interrupted", **of, error=str(error))


def not_yet(view: View) -> ServiceUnavailable:
    """What a lookup is told that needs all users to have been read."""
    place = view.sweep
    so_far = f" ({place.listed} of {place.total} so far)" if place is not None and place.total else ""
    return ServiceUnavailable(
        f"users are being read for the first time, to find them by externalId and e-mail{so_far}: try again",
        retry_after_s=_RETRY_S,
    )
