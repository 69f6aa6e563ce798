"""When a failed platform call is repeated, and how long to wait before.

Repeated is what was certainly not applied (`PlatformError.outcome_unknown` is False), and what is idempotent:

- GET.
- PUT and DELETE: the second one finds its work done (a DELETE answers 404 then).
- PATCH: its body holds absolute values, so that the second one sets what the first one set. Between the two,
  another writer at the platform can have changed the same key, and is overwritten. That can happen to any
  PATCH, as the platform has no conditional requests; a repetition makes the time longer in which it can.
- POST only where the endpoint is (adding members). Creating a user or a group or setting a password is not.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable

import msgspec
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception, stop_after_attempt

from app.platform.errors import CircuitOpen, PlatformError, Throttled, Unavailable


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Exponential backoff with full jitter; `Retry-After` is obeyed where there is time for it."""

    attempts: int = 3
    """Calls in all, the first one included."""
    base_s: float = 0.1
    """The first wait is at most this long; every further one at most twice the one before."""
    max_wait_s: float = 5.0
    """No wait is longer, where the platform names none."""
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    clock: Callable[[], float] = time.monotonic
    """Seconds that `sleep` lets pass; all time-limits of the client are counted by it."""

    def applies(self, error: BaseException, *, idempotent: bool, latest: float) -> bool:
        """Whether the call may be repeated, by `latest` on the clock."""
        if self.attempts < 2 or not isinstance(error, Throttled | Unavailable):
            return False
        if isinstance(error, CircuitOpen) or (error.outcome_unknown and not idempotent):
            return False
        return self.clock() + (error.retry_after_s or 0.0) <= latest

    async def again(
        self,
        first: PlatformError,
        call: Callable[[], Awaitable[bytes]],
        *,
        idempotent: bool,
        latest: float,
    ) -> bytes:
        """Wait, then repeat `call` for as long as the policy allows; raises the last error.

        `first` must be an error that the policy applies to.
        """
        await self.sleep(self._wait_s(first, 1))
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self.attempts - 1),
            wait=self._wait,
            retry=retry_if_exception(lambda exc: self.applies(exc, idempotent=idempotent, latest=latest)),
            sleep=self.sleep,
            reraise=True,
        )
        return await retrying(call)

    def _wait(self, state: RetryCallState) -> float:
        error = state.outcome.exception() if state.outcome is not None else None
        return self._wait_s(error, state.attempt_number + 1)

    def _wait_s(self, error: BaseException | None, attempt: int) -> float:
        asked = error.retry_after_s if isinstance(error, PlatformError) else None
        if asked is not None:
            return asked
        limit = min(self.max_wait_s, self.base_s * 2 ** (attempt - 1))
        return random.uniform(0, limit)  # noqa: S311 - jitter, not a secret
