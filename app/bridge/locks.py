"""Locks by name: two writes to one resource, or for one name, wait for each other, also across replicas."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from app.store.leases import Leases

_LEASE_S = 300.0
"""A replica that died holds its keys this long; longer than any write with its calls takes."""
_WAIT_S = 30.0
"""How long another replica is waited for before the client is told to try again."""


class KeyedLocks:
    """A lock for every key, kept only while somebody holds or awaits it."""

    def __init__(self, leases: Leases | None = None) -> None:
        """`leases` where several replicas share the database; one process needs none."""
        self._leases = leases
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, *keys: str) -> AsyncIterator[None]:
        """Hold all the keys; they are taken in sorted order, so that two holders cannot block each other."""
        async with AsyncExitStack() as stack:
            for key in _ordered(keys):
                await stack.enter_async_context(self._one(key))
            yield

    @asynccontextmanager
    async def _one(self, key: str) -> AsyncIterator[None]:
        lock, users = self._locks.get(key) or (asyncio.Lock(), 0)
        self._locks[key] = (lock, users + 1)
        try:
            async with lock:
                if self._leases is None:
                    yield
                else:
                    async with self._leases.hold(key, _LEASE_S, _WAIT_S):
                        yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


def _ordered(keys: Iterable[str]) -> list[str]:
    return sorted(set(keys))
