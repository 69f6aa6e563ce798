"""How many calls are under way at a time, and when none may be."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from app.platform.errors import Throttled, Unavailable

_MAX_PAUSE_S = 300.0
"""A platform that asks for longer is asked again after this time, by one call."""
_BUSY_RETRY_S = 1.0

_urgent: ContextVar[bool] = ContextVar("urgent", default=False)


@contextmanager
def urgent() -> Iterator[None]:
    """Let the calls made in here go out although the platform asked for a pause.

    For what takes back a write that is half done: left to later, it would be left to nobody.
    """
    before = _urgent.set(True)
    try:
        yield
    finally:
        _urgent.reset(before)


class Gate:
    """Lets `size` calls through at a time, in order of arrival; after a pause one, then ever more.

    Whoever has entered must leave. The present limit starts at one when a pause is asked for, and grows by
    one with every call that goes well: doubled in the time of one call, as in the slow start of TCP
    (RFC 5681 §3.1). So those who waited do not all come at once.
    """

    def __init__(
        self,
        size: int,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._size = size
        self._limit = size
        self._running = 0
        self._paused_until = 0.0
        """0 where there is no pause, so that the clock need not be asked."""
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._clock = clock
        self._sleep = sleep

    @property
    def load(self) -> tuple[int, int]:
        """How many are inside, and how many wait."""
        return self._running, len(self._waiting)

    def try_enter(self) -> bool:
        """Enter where nothing has to be waited for."""
        if self._paused_until or self._waiting or self._running >= self._limit:
            return False
        self._running += 1
        return True

    async def enter(self, call: str, deadline: float) -> None:
        """Wait for the end of the pause and for a turn, until `deadline` by the clock.

        Raises `Throttled` where the reason for waiting is that the platform asked to slow down, else
        `Unavailable`; a pause that ends too late is not waited for.
        """
        while True:
            while (pause_s := self._pause_s()) > 0 and not _urgent.get():
                if self._clock() + pause_s >= deadline:
                    raise Throttled(call, "not sent, as the platform asked for a pause", pause_s)
                await self._sleep(pause_s)
            if self._running < self._limit and not self._waiting:
                self._running += 1
                return
            await self._turn(call, deadline)
            if self._pause_s() <= 0 or _urgent.get():
                return
            self.leave()

    def leave(self, *, well: bool = False) -> None:
        """Give the place back; `well` says that the platform took the call as usual."""
        self._running -= 1
        if well and self._limit < self._size:
            self._limit += 1
        while self._waiting and self._running < self._limit:
            turn = self._waiting.popleft()
            if not turn.done():
                self._running += 1
                turn.set_result(None)

    def pause(self, seconds: float) -> None:
        """Let nobody enter for this time, however often it is asked for meanwhile, and few afterwards."""
        self._paused_until = max(self._paused_until, self._clock() + min(seconds, _MAX_PAUSE_S))
        self.slow_start()

    def slow_start(self) -> None:
        """Let calls through one by one for now."""
        self._limit = 1

    def _pause_s(self) -> float:
        if not self._paused_until:
            return 0.0
        left = self._paused_until - self._clock()
        if left <= 0:
            self._paused_until = 0.0
        return left

    async def _turn(self, call: str, deadline: float) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout(deadline - self._clock()):
                await turn
        except BaseException as exc:
            if turn.done() and not turn.cancelled():
                self.leave()
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if not isinstance(exc, TimeoutError):
                raise
            if self._limit < self._size:
                raise Throttled(call, "not sent, as the platform asked to slow down", _BUSY_RETRY_S) from exc
            raise Unavailable(call, "not sent: no turn in time", outcome_unknown=False) from exc
