"""Leases: turns taken by name among all replicas at one database.

A lease is a row with an owner and an end. It is taken by one statement that succeeds if the row is absent or
has ended by the clock of the database, so the replicas' own clocks need not agree. While it is held no
transaction is open: it may span calls to the platform. It is renewed for as long as its holder lives; one
that dies stops nobody for longer than the lease lasts, and its row stays until the key is asked for again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import delete, select, update

from app.store.errors import LeaseTimeout, StoreUnavailable
from app.store.keys import bounded_key
from app.store.session import Database
from app.store.sources import Ids, new_id
from app.store.tables import leases

_log = logging.getLogger(__name__)

_KEPT_PART = 0.9
"""Of its time a lease counts as held: the rest is for the cancellation to take effect."""

POLL_S = (0.005, 0.05)
"""Shortest and longest pause between two looks at a lease somebody else holds."""


class Leases:
    """The leases at one database; a key that concerns a tenant begins with the tenant's id."""

    def __init__(self, db: Database, ids: Ids = new_id) -> None:
        self._db = db
        self._ids = ids

    @asynccontextmanager
    async def hold(self, key: str, ttl_s: float, wait_s: float) -> AsyncIterator[None]:
        """Hold the lease of a key, of any length, for the length of the block.

        It is renewed every third of `ttl_s`. Where that fails until it has nearly ended, the block is
        cancelled before others are let in. Not reentrant: a holder that asks again waits for itself. Raises
        LeaseTimeout when others held the lease for `wait_s`, or when it was lost, and StoreUnavailable.
        """
        stored_key = bounded_key(key)
        owner = self._ids("lea")
        held = False
        try:
            await self._acquire(stored_key, owner, ttl_s, wait_s)
            held = True
            async with self._kept(stored_key, owner, ttl_s):
                yield
        finally:
            # Also when it was interrupted while acquiring: the row may have been written.
            await self._release(stored_key, owner, held=held)

    @asynccontextmanager
    async def try_hold(self, key: str, ttl_s: float) -> AsyncIterator[Lease | None]:
        """Hold the lease of a key for the length of the block, or give None where somebody else holds it.

        For work that may take longer than `ttl_s`: the holder renews. Raises StoreUnavailable.
        """
        stored_key = bounded_key(key)
        owner = self._ids("lea")
        if not await self._try(stored_key, owner, ttl_s):
            yield None
            return
        try:
            yield Lease(self, stored_key, owner)
        finally:
            await self._release(stored_key, owner, held=True)

    async def renew(self, key: str, owner: str, ttl_s: float) -> None:
        """Let a lease end `ttl_s` from now. Raises LeaseTimeout where it has passed to somebody else."""
        statement = (
            update(leases)
            .where(leases.c.key == key, leases.c.owner == owner)
            .values(expires_at=self._db.now(ttl_s))
        )
        async with self._db.write() as db:
            if not (await db.execute(statement)).rowcount:
                raise LeaseTimeout(f"the lease {key!r} ran out and was taken over")

    @asynccontextmanager
    async def _kept(self, key: str, owner: str, ttl_s: float) -> AsyncIterator[None]:
        """Renew a lease that was taken just now, and cancel the block where it is lost."""
        loop = asyncio.get_running_loop()
        renewing: asyncio.Task[None] | None = None

        async def renew_on() -> None:
            while True:
                asked_at = loop.time()
                try:
                    await self.renew(key, owner, ttl_s)
                except LeaseTimeout:
                    limit.reschedule(loop.time())
                    return
                except StoreUnavailable as error:
                    _log.warning("lease %r could not be renewed: %s", _shown(key), error)
                else:
                    limit.reschedule(asked_at + _KEPT_PART * ttl_s)
                await asyncio.sleep(ttl_s / 3)

        def begin() -> None:
            nonlocal renewing
            renewing = asyncio.create_task(renew_on())

        # A task only for those that hold it long: most are done before.
        first = loop.call_later(ttl_s / 3, begin)
        try:
            async with asyncio.timeout(_KEPT_PART * ttl_s) as limit:
                yield
        except TimeoutError as error:
            if not limit.expired():
                raise
            raise LeaseTimeout(f"the lease {key!r} was lost while it was held") from error
        finally:
            first.cancel()
            if renewing is not None:
                renewing.cancel()
                await asyncio.gather(renewing, return_exceptions=True)

    async def _acquire(self, key: str, owner: str, ttl_s: float, wait_s: float) -> None:
        patience_ends = time.monotonic() + wait_s
        while not await self._try(key, owner, ttl_s):
            # Looking is a read: who waits does not stand in the way of those who write.
            while True:
                left_s = patience_ends - time.monotonic()
                if left_s <= 0:
                    raise LeaseTimeout(f"the lease {key!r} was not to be had within {wait_s:g} s")
                pause_s = random.uniform(*POLL_S)  # noqa: S311 - jitter, not a secret
                await asyncio.sleep(min(pause_s, left_s))
                if await self._is_free(key):
                    break

    async def _try(self, key: str, owner: str, ttl_s: float) -> bool:
        taken = {"owner": owner, "expires_at": self._db.now(ttl_s)}
        statement = (
            self._db.insert(leases)
            .values(key=key, **taken)
            .on_conflict_do_update(
                index_elements=[leases.c.key], set_=taken, where=leases.c.expires_at <= self._db.now()
            )
            .returning(leases.c.owner)
        )
        async with self._db.write() as db:
            return await db.scalar(statement) is not None

    async def _is_free(self, key: str) -> bool:
        statement = select(leases.c.owner).where(leases.c.key == key, leases.c.expires_at > self._db.now())
        async with self._db.read() as db:
            return await db.scalar(statement) is None

    async def _release(self, key: str, owner: str, *, held: bool) -> None:
        statement = delete(leases).where(leases.c.key == key, leases.c.owner == owner)
        try:
            async with self._db.write() as db:
                released = (await db.execute(statement)).rowcount
        except StoreUnavailable as error:
            # What was done under the lease is done; the lease ends by itself.
            _log.warning("lease %r is left to run out: %s", _shown(key), error)
            return
        if held and not released:
            _log.warning("lease %r ran out before its holder was done", _shown(key))


class Lease:
    """A lease that is held."""

    def __init__(self, leases: Leases, key: str, owner: str) -> None:
        self._leases = leases
        self._key = key
        self._owner = owner

    async def renew(self, ttl_s: float) -> None:
        """Let it end `ttl_s` from now; raises LeaseTimeout where somebody else has taken it meanwhile."""
        await self._leases.renew(self._key, self._owner, ttl_s)


def _shown(key: str) -> str:
    """What a key may show in the log: whose and of what kind, not the name of a user or group."""
    return " ".join(key.split(" ", 2)[:2])
