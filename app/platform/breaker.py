"""A circuit breaker: a platform that fails again and again is left alone for a while."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal

import msgspec
import structlog

from app.platform.errors import CircuitOpen

_log = structlog.get_logger(__name__)

_PROBE_RETRY_S = 1.0
"""What a call is told to wait while the one probe is under way."""


class Circuit(msgspec.Struct, frozen=True, kw_only=True):
    """What the breaker does at present."""

    state: Literal["closed", "open", "half-open"]
    """closed: calls are made; open: none is; half-open: one at a time, to see if the platform is back."""
    since: datetime
    """When it last opened or closed, in UTC; at first the start."""
    reason: str
    """The failure that opened it; empty while it is closed."""


class Breaker:
    """Opens after `failures` failures with no success between them; probes after `reset_s` seconds.

    A failure is a 5xx, a time-out or a lost or refused connection: whoever answers anything else is there.
    Every opening and closing starts an era. The outcome of a call belongs to the era it was admitted in, and
    is ignored in another: a call from before the trouble says nothing about its end.
    """

    def __init__(
        self, *, failures: int = 20, reset_s: float = 10.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._limit = failures
        self._reset_s = reset_s
        self._clock = clock
        self._failures = 0
        self._retry_at = 0.0
        self._probing = False
        self._since = datetime.now(UTC)
        self._reason = ""
        self.closed = True
        """Whether calls are made as usual; while False, every call needs `check` and `probe`."""
        self.era = 0

    @property
    def circuit(self) -> Circuit:
        """The present state; half-open from the time on at which a probe would be let through."""
        state: Literal["closed", "open", "half-open"] = "closed"
        if not self.closed:
            state = "half-open" if self._probing or self._clock() >= self._retry_at else "open"
        return Circuit(state=state, since=self._since, reason=self._reason)

    def check(self, call: str) -> None:
        """Raise `CircuitOpen` where `call` would not be let through."""
        if self.closed:
            return
        wait_s = _PROBE_RETRY_S if self._probing else self._retry_at - self._clock()
        if wait_s > 0:
            raise CircuitOpen(call, f"not sent, as the platform fails ({self._reason})", wait_s)

    def probe(self, call: str) -> int:
        """Let `call` through as the one probe and answer its era; raises `CircuitOpen`."""
        self.check(call)
        self._probing = not self.closed
        return self.era

    def succeeded(self, era: int) -> bool:
        """A call of this era was answered; True where that closed the circuit."""
        if era != self.era:
            return False
        self._failures = 0
        if self.closed:
            return False
        self._turn(closed=True, reason="")
        _log.info("platform_circuit_closed")
        return True

    def failed(self, era: int, reason: str) -> None:
        """A call of this era failed."""
        if era != self.era:
            return
        self._failures += 1
        if self.closed and self._failures < self._limit:
            return
        if self.closed:
            _log.warning("platform_circuit_opened", reason=reason, reset_s=self._reset_s)
        self._retry_at = self._clock() + self._reset_s
        self._turn(closed=False, reason=reason)

    def gave_up(self, era: int) -> None:
        """A call of this era ended without telling anything: the next one may be the probe."""
        if era == self.era:
            self._probing = False

    def _turn(self, *, closed: bool, reason: str) -> None:
        if closed is not self.closed:
            self._since = datetime.now(UTC)
        self.closed = closed
        self.era += 1
        self._failures = 0
        self._probing = False
        self._reason = reason
