"""How many users each connection has deactivated or deleted: the count behind the guard, for all replicas.

A user counts once. A connection that has gone past what its guard allows is stopped, and stays so until it is
released, also when the window in which was counted is over.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec
from sqlalchemy import delete, func, select, update

from app.store.errors import ConnectionNotFound
from app.store.session import Database, Transaction
from app.store.sources import Clock, utc_now
from app.store.tables import connections, deprovisioning_stops, deprovisionings

GUARD_LIMIT = 100
GUARDED_SIZE = 500
"""What a connection's guard counts to unless that is set, and from how many users on it is in force then."""

_counted, _stops = deprovisionings.c, deprovisioning_stops.c


class GuardLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a connection may deprovision: whatever both of number and share allow."""

    number: int
    """Users."""
    share: float
    """Of the tenant's users; 0: the number alone counts."""
    window_s: int
    """In how many seconds."""
    least_size: int = 0
    """Users that a tenant has at least for the limits to hold."""


class Counted(msgspec.Struct, frozen=True, kw_only=True):
    """The user is counted, and may be deprovisioned."""

    new: bool
    """Whether it was not counted before."""


class Stopped(msgspec.Struct, frozen=True, kw_only=True):
    """The user may not be deprovisioned, until the connection is released."""

    at: datetime
    """When the connection was stopped."""
    counted: int
    """Users counted by then."""


class SizeNeeded(msgspec.Struct, frozen=True, kw_only=True):
    """The number is used up: how many users the tenant has decides."""

    removed: int
    """Users that were counted and deleted: they belong to the size that a share is taken of."""


def decide(
    limits: GuardLimits, counted: int, removed: int, size: int | None, now: datetime
) -> Counted | Stopped | SizeNeeded:
    """Whether one more may be counted, after so many; `size` is as for `Deprovisionings.count`."""
    used_up = counted >= limits.number
    if used_up and (limits.share or limits.least_size) and size is None:
        return SizeNeeded(removed=removed)
    of_all = size or 0
    if used_up and of_all >= limits.least_size and counted + 1 > limits.share * of_all:
        return Stopped(at=now, counted=counted)
    return Counted(new=True)


class Deprovisionings:
    """The counts of all connections."""

    def __init__(self, db: Database, clock: Clock = utc_now) -> None:
        self._db = db
        self._clock = clock

    async def count(
        self, connection_id: str, user_id: str, limits: GuardLimits, *, removes: bool, size: int | None
    ) -> Counted | Stopped | SizeNeeded:
        """Count a user before the platform is called, or say why not: decided and written as one.

        `size` is how many users the tenant had, those included that were counted and deleted since; None
        while nobody has had to know.
        """
        async with self._db.write() as db:
            await self._take_turn(db, connection_id)
            now = self._clock()
            of_connection = _counted.connection_id == connection_id
            stop = await self._stop(db, connection_id)
            if stop is None:
                since = now - timedelta(seconds=limits.window_s)
                await db.execute(delete(deprovisionings).where(of_connection, _counted.at <= since))
            if await self._is_counted(db, connection_id, user_id, removes=removes):
                return Counted(new=False)
            if stop is not None:
                return stop
            numbers = select(func.count(), func.count().filter(_counted.removes)).where(of_connection)
            counted, removed = (await db.execute(numbers.select_from(deprovisionings))).one()
            decision = decide(limits, counted, removed, size, now)
            if isinstance(decision, Stopped):
                row = {"connection_id": connection_id, "at": now, "counted": counted}
                await db.execute(self._db.insert(deprovisioning_stops).values(row))
            elif isinstance(decision, Counted):
                row = {"connection_id": connection_id, "user_id": user_id, "at": now, "removes": removes}
                await db.execute(self._db.insert(deprovisionings).values(row))
            return decision

    async def forget(self, connection_id: str, user_id: str) -> None:
        """Take a user out of the count: the platform refused. A stop that rested on it is decided anew."""
        async with self._db.write() as db:
            await self._take_turn(db, connection_id)
            await db.execute(
                delete(deprovisionings).where(
                    _counted.connection_id == connection_id, _counted.user_id == user_id
                )
            )
            await db.execute(delete(deprovisioning_stops).where(_stops.connection_id == connection_id))

    async def release(self, id_or_name: str, *, within: Transaction | None = None) -> int:
        """Let a connection go on, with a count that starts anew; how many users were counted.

        `within` is a transaction under way. Raises ConnectionNotFound.
        """
        this = (connections.c.id == id_or_name) | (connections.c.name == id_or_name)
        async with self._db.write(within) as db:
            connection_id = await db.scalar(select(connections.c.id).where(this))
            if connection_id is None:
                raise ConnectionNotFound(f"no connection has the id or name {id_or_name!r}")
            await self._take_turn(db, connection_id)
            await db.execute(delete(deprovisioning_stops).where(_stops.connection_id == connection_id))
            gone = await db.execute(delete(deprovisionings).where(_counted.connection_id == connection_id))
        return gone.rowcount

    async def stopped(self) -> dict[str, Stopped]:
        """Answer the connections that are stopped, by id."""
        async with self._db.read() as db:
            rows = await db.execute(select(deprovisioning_stops))
        return {row.connection_id: Stopped(at=row.at, counted=row.counted) for row in rows}

    async def _stop(self, db: Transaction, connection_id: str) -> Stopped | None:
        statement = select(_stops.at, _stops.counted).where(_stops.connection_id == connection_id)
        row = (await db.execute(statement)).first()
        return None if row is None else Stopped(at=row.at, counted=row.counted)

    async def _is_counted(self, db: Transaction, connection_id: str, user_id: str, *, removes: bool) -> bool:
        """Whether the user is counted; who was deactivated and is now deleted counts as deleted."""
        done = await db.execute(
            update(deprovisionings)
            .where(_counted.connection_id == connection_id, _counted.user_id == user_id)
            .values(removes=_counted.removes | removes)
        )
        return bool(done.rowcount)

    async def _take_turn(self, db: Transaction, connection_id: str) -> None:
        await self._db.take_turn(db, f"deprovisioning {connection_id}")
