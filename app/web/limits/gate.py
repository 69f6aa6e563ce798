"""How many requests are handled at a time."""

from __future__ import annotations

import asyncio

from app.scim.errors import ServiceUnavailable

_WAIT_S = 2.0
_RETRY_S = 1


class Gate:
    """So many requests in progress, as many more waiting in order and not for long, the rest refused."""

    def __init__(self, size: int, *, wait_s: float = _WAIT_S) -> None:
        self._places = asyncio.Semaphore(size)
        self._size = size
        self._inside = 0
        self._waiting = 0
        self._wait_s = wait_s

    @property
    def load(self) -> tuple[int, int]:
        """Requests in progress, and requests that wait."""
        return self._inside, self._waiting

    async def enter(self) -> None:
        """Take a place; raises `ServiceUnavailable` where none gets free in time."""
        if not self._places.locked():
            await self._places.acquire()
            self._inside += 1
            return
        if self._waiting >= self._size:
            raise _overloaded()
        self._waiting += 1
        try:
            async with asyncio.timeout(self._wait_s):
                await self._places.acquire()
        except TimeoutError as exc:
            raise _overloaded() from exc
        finally:
            self._waiting -= 1
        self._inside += 1

    def leave(self) -> None:
        """Give the place to who waits longest."""
        self._inside -= 1
        self._places.release()


def _overloaded() -> ServiceUnavailable:
    return ServiceUnavailable(
        "the bridge has as many requests in progress as it takes: try again", retry_after_s=_RETRY_S
    )
