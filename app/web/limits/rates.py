"""Rates by key: the generic cell rate algorithm, a token bucket that keeps one number for each key."""

from __future__ import annotations

from collections.abc import Callable

_ROUNDING_S = 1e-6
"""Sums of floating point numbers come out a little beyond what is allowed."""


class Rates:
    """For every key the time at which its bucket will be full again; what is full is not kept for long."""

    def __init__(self, clock: Callable[[], float], *, max_keys: int = 10_000) -> None:
        """`clock` is monotonic, in seconds. Of more than `max_keys` keys the longest unused is forgotten."""
        self._clock = clock
        self._max_keys = max_keys
        self._full_at: dict[str, float] = {}

    def __bool__(self) -> bool:
        """Whether any key is kept."""
        return bool(self._full_at)

    def wait_s(self, key: str, rate: float, burst: int) -> float:
        """Seconds until one more is allowed, 0 where it is now; takes nothing."""
        full_at = self._full_at.get(key)
        if full_at is None:
            return 0.0
        wait = full_at - self._clock() - (burst - 1) / rate
        return wait if wait > _ROUNDING_S else 0.0

    def take(self, key: str, rate: float, burst: int) -> float:
        """Take one, at `rate` a second and `burst` at once: 0, or the seconds until it is allowed."""
        now = self._clock()
        full_at = self._full_at.get(key)
        if full_at is None:
            self._make_room(now)
            full_at = now
        elif full_at < now:
            full_at = now
        else:
            wait = full_at - now - (burst - 1) / rate
            if wait > _ROUNDING_S:
                return wait
        self._full_at[key] = full_at + 1 / rate
        return 0.0

    def charge(self, key: str, rate: float, count: int) -> None:
        """Take so many whether they are allowed or not: whoever comes next waits for them."""
        now = self._clock()
        full_at = self._full_at.get(key)
        if full_at is None:
            self._make_room(now)
        self._full_at[key] = max(now, full_at or 0.0) + count / rate

    def _make_room(self, now: float) -> None:
        if len(self._full_at) < self._max_keys:
            return
        self._full_at = {key: at for key, at in self._full_at.items() if at > now}
        while len(self._full_at) >= self._max_keys:
            del self._full_at[next(iter(self._full_at))]
