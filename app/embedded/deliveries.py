"""The worker that delivers events while the platform runs: at least once each, also over restarts.

Two servers on one file deliver every event both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from sqlalchemy.exc import SQLAlchemyError

from app.embedded.endpoints import Endpoint
from app.embedded.outbox import delete_deliveries
from app.embedded.platform import Platform
from app.embedded.sending import Send
from app.embedded.webhooks import list_webhooks

logger = logging.getLogger(__name__)

_PAUSE_S = 0.02
"""Between two rounds, so that many events are looked for, and forgotten, together."""


@asynccontextmanager
async def delivering(platform: Platform, send: Send) -> AsyncIterator[None]:
    """Deliver the events of an open platform for as long as the context is."""
    worker = _Deliveries(platform, send)
    task = asyncio.create_task(worker.run())
    try:
        yield
    finally:
        worker.stop()
        await task


class _Deliveries:
    """In rounds: forget what has arrived, see which webhooks there are, begin with what is new."""

    def __init__(self, platform: Platform, send: Send) -> None:
        self._platform = platform
        self._send = send
        self._endpoints: dict[str, Endpoint] = {}
        self._done: set[int] = set()
        self._stopping = False

    async def run(self) -> None:
        wake = self._platform.new_events
        poll_s = self._platform.settings.webhook_poll_s
        while not self._stopping:
            wake.clear()
            try:
                await self._round()
            except SQLAlchemyError:
                logger.exception("webhook events cannot be read or forgotten now")
            await asyncio.sleep(_PAUSE_S)
            with suppress(TimeoutError):
                async with asyncio.timeout(poll_s):
                    await wake.wait()
        for endpoint in self._endpoints.values():
            await endpoint.stop()
        await self._forget()

    def stop(self) -> None:
        """Let `run` come to its end."""
        self._stopping = True
        self._platform.new_events.set()

    async def _round(self) -> None:
        await self._forget()
        async with self._platform.database.read() as connection:
            webhooks = {webhook.id: webhook for webhook in await list_webhooks(connection)}
        for gone in self._endpoints.keys() - webhooks.keys():
            await self._endpoints.pop(gone).stop()
        for webhook in webhooks.values():
            endpoint = self._endpoints.get(webhook.id)
            if endpoint is None:
                self._endpoints[webhook.id] = endpoint = Endpoint(
                    webhook,
                    database=self._platform.database,
                    settings=self._platform.settings,
                    send=self._send,
                    done=self._note_done,
                )
            endpoint.webhook = webhook
            await endpoint.look()

    def _note_done(self, number: int) -> None:
        self._done.add(number)
        self._platform.new_events.set()

    async def _forget(self) -> None:
        """Delete what is done; one transaction for all that came together."""
        if not self._done:
            return
        numbers = sorted(self._done)
        async with self._platform.database.write() as connection:
            await delete_deliveries(connection, numbers)
        self._done.difference_update(numbers)
