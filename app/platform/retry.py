"""When a failed platform call is repeated, and how long to wait before."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from app.platform.errors import PlatformError, Throttled, Unavailable


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential backoff with full jitter; `Retry-After` is obeyed where it is short."""

    attempts: int = 3
    """Calls in all, the first one included."""
    base_s: float = 0.1
    """The first wait is at most this long; every further one at most twice the one before."""
    max_wait_s: float = 5.0
    """A platform that asks for a longer wait is not waited for: the client is told instead."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep

    def applies(self, error: BaseException, *, idempotent: bool) -> bool:
        """Whether the call may be repeated: refused before it was done, or harmless to do twice."""
        if self.attempts < 2:
            return False
        if isinstance(error, Throttled):
            return (error.retry_after_s or 0.0) <= self.max_wait_s
        if isinstance(error, Unavailable):
            short = (error.retry_after_s or 0.0) <= self.max_wait_s
            return short and (idempotent or not error.outcome_unknown)
        return False

    async def again(
        self, first: PlatformError, call: Callable[[], Awaitable[bytes]], *, idempotent: bool
    ) -> bytes:
        """Wait, then repeat `call` for as long as the policy allows; raises the last error."""
        await self.sleep(self._wait_s(first, 1))
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.attempts - 1),
            wait=self._wait,
            retry=retry_if_exception(lambda exc: self.applies(exc, idempotent=idempotent)),
            sleep=self.sleep,
            reraise=True,
        )
        return await retrying(call)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return self._wait_s(error, state.attempt_number + 1)

    def _wait_s(self, error: BaseException | None, attempt: int) -> float:
        asked = error.retry_after_s if isinstance(error, Throttled | Unavailable) else None
        if asked is not None:
            return min(asked, self.max_wait_s)
        limit = min(self.max_wait_s, self.base_s * 2 ** (attempt - 1))
        return random.uniform(0, limit)  # noqa: S311 - jitter, not a secret
