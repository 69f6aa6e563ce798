"""The time that handling a request may take, and writes that are finished whatever becomes of the request."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import structlog
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.bridge.telling import tell_late
from app.scim.errors import ServiceUnavailable

_log = structlog.get_logger(__name__)

_RETRY_READ_S = 5
_RETRY_WRITE_S = 30
_UNWIND_S = 2.0


class Handling:
    """Runs requests within a time.

    A read that takes longer is cancelled. A write is not: cancelled between two platform calls it would be
    left half done. It runs in a task of its own, which neither the end of the time nor a cancelled request
    (a server that is shutting down, a client that has gone) touches.
    """

    def __init__(self, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._writes: set[asyncio.Task[None]] = set()

    async def read(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or raise `ServiceUnavailable` in time."""
        try:
            async with asyncio.timeout(self._timeout_s) as bound:
                await app(scope, receive, send)
        except TimeoutError as exc:
            if not bound.expired():
                raise
            raise ServiceUnavailable(
                f"this took longer than {self._timeout_s:g} s and was given up: try again, "
                "with a narrower filter or a smaller count",
                retry_after_s=_RETRY_READ_S,
            ) from exc

    async def write(
        self, app: ASGIApp, scope: Scope, receive: Receive, send: Send, done: Callable[[], None]
    ) -> None:
        """Answer, or raise `ServiceUnavailable` in time and go on; `done` is called when all is finished."""
        answer = _Answer(send)
        task = asyncio.create_task(_run(app, scope, receive, answer))
        self._writes.add(task)

        def finished(task: asyncio.Task[None]) -> None:
            self._writes.discard(task)
            done()
            if not task.cancelled() and (error := task.exception()) is not None and answer.closed:
                _log.error("a write failed after its request had ended", exc_info=error)

        task.add_done_callback(finished)
        try:
            async with asyncio.timeout(self._timeout_s) as bound:
                await asyncio.shield(task)
        except TimeoutError as exc:
            if not bound.expired():
                raise
            if answer.started:
                await asyncio.shield(task)
                return
            answer.closed = True
            raise ServiceUnavailable(
                f"the write takes longer than {self._timeout_s:g} s and goes on: look whether it is done "
                "before it is repeated",
                retry_after_s=_RETRY_WRITE_S,
            ) from exc
        except asyncio.CancelledError:
            answer.closed = True
            raise

    async def finish(self, timeout_s: float) -> None:
        """Wait for the writes that are under way, at the end of the process; cut off what takes longer."""
        if not self._writes:
            return
        _done, left = await asyncio.wait(self._writes, timeout=timeout_s)
        if left:
            _log.error("writes were cut off by the end of the process", count=len(left))
            for task in left:
                task.cancel()
            await asyncio.wait(left, timeout=_UNWIND_S)


async def _run(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    await app(scope, receive, send)


class _Answer:
    """Passes an answer on until the request has got another one."""

    __slots__ = ("_send", "closed", "started")

    def __init__(self, send: Send) -> None:
        self._send = send
        self.started = False
        self.closed = False

    async def __call__(self, message: Message) -> None:
        if self.closed:
            if message["type"] == "http.response.start":
                tell_late(message["status"])
            return
        self.started = True
        await self._send(message)
