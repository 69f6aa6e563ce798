"""Locks by name: two writes to one resource, or for one name, wait for each other, also across replicas.

Who needs several takes a resource's own before a name's: `hold` sorts them so.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

from app.bridge.context import Context
from app.store.keys import bounded_key
from app.store.leases import Leases

_SLACK_S = 5.0
"""Between the renewal of a lease and the call that follows it there may be so much time."""
_WAIT_S = 30.0
"""How long another replica is waited for before the client is told to try again."""


class KeyedLocks:
    """A lock for every key, kept only while somebody holds or awaits it."""

    def __init__(self, leases: Leases | None = None, *, settle_s: float = 30.0) -> None:
        """`leases` where several replicas share the database; one process needs none.

        A replica that died holds its keys little longer than `settle_s`: when its last platform call is over.
        """
        self._leases = leases
        self._lease_s = settle_s + _SLACK_S
        self._locks: dict[str, tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def hold(self, *keys: str) -> AsyncIterator[None]:
        """Hold all the keys; they are taken in sorted order, so that two holders cannot block each other.

        Raises `LeaseTimeout` where another replica does not let go, or has taken over what was held.
        """
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
                    async with self._leases.hold(key, self._lease_s, _WAIT_S):
                        yield
        finally:
            lock, users = self._locks[key]
            if users == 1:
                del self._locks[key]
            else:
                self._locks[key] = (lock, users - 1)


def user_key(context: Context, user_id: str) -> str:
    """Of writes to one user."""
    return bounded_key(f"{context.tenant_id} user {user_id}")


def user_name_key(context: Context, user_name: str) -> str:
    """Of those that look whether a userName is free, and then give it."""
    return bounded_key(f"{context.tenant_id} userName {user_name.casefold()}")


def group_key(context: Context, group_id: str) -> str:
    """Of writes to one group."""
    return bounded_key(f"{context.tenant_id} group {group_id}")


def group_name_key(context: Context, name: str) -> str:
    """Of those that look whether a displayName is free, and then give it."""
    return bounded_key(f"{context.tenant_id} groupName {name.casefold()}")


def _ordered(keys: Iterable[str]) -> list[str]:
    return sorted(set(keys))
