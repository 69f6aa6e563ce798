"""One webhook endpoint: its events in order for each resource, repeated until they arrive or are too old."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

import httpx
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    RetryError,
    retry_if_exception_type,
    wait_random_exponential,
)

from app.embedded.database import Database
from app.embedded.outbox import Delivery, next_deliveries
from app.embedded.sending import Send, origin, signed_headers
from app.embedded.settings import PlatformSettings
from app.embedded.webhooks import Webhook

logger = logging.getLogger(__name__)

_MAX_LANES = 100
"""Resources with an event under way or waiting to be sent again; beyond, nothing new begins."""
_PAGE = 100


class _Refused(Exception):
    """The endpoint answered with another status than 2xx."""


class _Lane:
    """The events of one resource, which are sent one after the other."""

    def __init__(self, first: Delivery) -> None:
        self.after = first.seq - 1
        """Up to here all are done."""
        self.upto = first.seq
        """Up to here they are known of."""


class Endpoint:
    """Looks for the events of one webhook and keeps a lane for each resource that has any.

    A resource whose event is refused holds up its own events only. `done` is told the number of each delivery
    that arrived or was given up.
    """

    def __init__(
        self,
        webhook: Webhook,
        *,
        database: Database,
        settings: PlatformSettings,
        send: Send,
        done: Callable[[int], None],
    ) -> None:
        self.webhook = webhook
        """As the database says at present: URL, secret and tenant may change."""
        self._database = database
        self._settings = settings
        self._send = send
        self._done = done
        self._slots = asyncio.Semaphore(settings.webhook_concurrency)
        self._lanes: dict[str, _Lane] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._cursor = 0
        self._failing = False

    async def look(self) -> None:
        """Begin to deliver what has come since the last look, as far as there are lanes for it."""
        while True:
            found = await self._read(after=self._cursor)
            for delivery in found:
                lane = self._lanes.get(delivery.resource_id)
                if lane is not None:
                    lane.upto = delivery.seq
                elif len(self._lanes) < _MAX_LANES:
                    self._start(delivery)
                else:
                    return
                self._cursor = delivery.seq
            if len(found) < _PAGE:
                return

    async def stop(self) -> None:
        """Leave what is under way: it is sent after the next start."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, first: Delivery) -> None:
        self._lanes[first.resource_id] = lane = _Lane(first)
        task = asyncio.create_task(self._run(lane, first))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.error("deliveries to webhook %s failed", self.webhook.id, exc_info=error)

    async def _run(self, lane: _Lane, first: Delivery) -> None:
        try:
            await self._deliver(lane, [first])
            while lane.after < lane.upto:
                upto = lane.upto
                found = await self._read(after=lane.after, resource_id=first.resource_id)
                await self._deliver(lane, found)
                if not found:
                    lane.after = upto  # another server on the same file was quicker
        finally:
            # Nothing is awaited since the last look at `upto`: no event falls between this lane and the next.
            del self._lanes[first.resource_id]
            if lane.after < lane.upto:
                # After an error the next look begins here: some may arrive twice, but none is passed over.
                self._cursor = min(self._cursor, lane.after)

    async def _deliver(self, lane: _Lane, deliveries: Sequence[Delivery]) -> None:
        for delivery in deliveries:
            await self._deliver_one(delivery)
            lane.after = delivery.seq
            lane.upto = max(lane.upto, lane.after)
            self._done(delivery.seq)

    async def _deliver_one(self, delivery: Delivery) -> None:
        """Send until it arrives, or is older than an event may become."""
        settings = self._settings
        old_at = delivery.created_at + timedelta(seconds=settings.webhook_max_age_s)
        retrying = AsyncRetrying(
            retry=retry_if_exception_type((_Refused, httpx.HTTPError, OSError)),
            wait=wait_random_exponential(
                multiplier=settings.webhook_retry_s, max=settings.webhook_retry_max_s
            ),
            stop=lambda _state: datetime.now(UTC) >= old_at,
            before_sleep=self._warn,
        )
        try:
            await retrying(self._attempt, delivery)
        except RetryError as error:
            logger.warning(
                "gave up event %s (%s) for webhook %s: %r",
                delivery.event_id,
                delivery.event_type,
                self.webhook.id,
                error.last_attempt.exception(),
            )

    async def _attempt(self, delivery: Delivery) -> None:
        async with self._slots, asyncio.timeout(self._settings.webhook_timeout_s):
            webhook = self.webhook
            body = delivery.body.encode()
            headers = signed_headers(
                webhook.secret, delivery.event_id, delivery.event_type, body, int(time.time())
            )
            status = await self._send(webhook.url, headers, body)
        if not 200 <= status < 300:
            raise _Refused(f"status {status}")
        if self._failing:
            self._failing = False
            logger.info("webhook %s takes events again", webhook.id)

    def _warn(self, state: RetryCallState) -> None:
        """Say once that the endpoint fails, not at every event and attempt."""
        if not self._failing and state.outcome is not None:
            self._failing = True
            logger.warning(
                "webhook %s at %s takes no events, they are sent again: %r",
                self.webhook.id,
                origin(self.webhook.url),
                state.outcome.exception(),
            )

    async def _read(self, *, after: int, resource_id: str | None = None) -> list[Delivery]:
        async with self._database.read() as connection:
            return await next_deliveries(
                connection, self.webhook.id, after=after, limit=_PAGE, resource_id=resource_id
            )
