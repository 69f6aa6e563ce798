"""Sweeps: paging through the platform's users in the background, to fill the index and to keep it true.

A pass reads the list row by row; a user is read in full when it is new, marked, or its row has changed, and
in a full sweep always. Users whom a pass did not list are asked for by GET and leave the index when they are
gone. Rows shift when others delete users while pages are read, so the first sweep of a view repeats its
passes until one brings nobody new; every later one finds what the one before it missed.

A sweep notes its place after every page and goes on from there after a restart. A lease lets one replica
sweep a view at a time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import TypeVar

import msgspec
import structlog
from aiolimiter import AsyncLimiter

from app.bridge.context import Context
from app.bridge.fan_out import gathered
from app.bridge.indexing import Indexing, indexed_user, note_unreadable, plain_resource
from app.planning.pages import pinned
from app.platform.client import PlatformClient
from app.platform.errors import Missing, Unreadable
from app.scim.schema import Resource
from app.store.index_records import Known, Sweep, View
from app.store.leases import Lease, Leases
from app.store.user_index import UserIndex
from app.wire.users import UserListItem

_log = structlog.get_logger(__name__)

MAX_PASSES = 6
"""Passes of a first sweep at most; users of a tenant that never rests are then left to the next sweep."""

LEASE_S = 60.0
"""How long the lease of a sweep outlives its process; renewed when a quarter of it has passed."""

TOMBSTONE_LIFE = timedelta(hours=1)
"""Longer than a sweep holds a row that it read before the user was deleted."""

_UNLISTED_AT_ONCE = 200

T = TypeVar("T")

Progress = Callable[[Sweep], None]
"""Told after every page how far the sweep is."""


class Sweeper:
    """Carries out sweeps; all of a process share one pace."""

    def __init__(
        self,
        platform: PlatformClient,
        index: UserIndex,
        indexing: Indexing,
        leases: Leases,
        *,
        calls_per_second: float,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`calls_per_second` bounds what the sweeps of this process ask of the platform."""
        self.platform = platform
        self.index = index
        self.indexing = indexing
        self._leases = leases
        self._pace = AsyncLimiter(max(1.0, calls_per_second / 10), max(0.1, 1 / calls_per_second))
        self.now = now
        self.monotonic = monotonic

    async def sweep(
        self, context: Context, view: View, *, full: bool = False, progress: Progress | None = None
    ) -> bool:
        """Sweep to the end, from where the last one stopped; False where another process is at it.

        A view that was never complete is read in full, and a full sweep does not go on with one that is not.
        Raises `PlatformError` and `StoreError`; the place reached is kept.
        """
        async with self._leases.try_hold(f"{view.tenant_id} sweep {view.id}", LEASE_S) as lease:
            if lease is None:
                return False
            view = await self.index.view(view.tenant_id, view.domain, view.mapping)
            run = await _Run.begin(self, context, view, lease, full=full)
            while not await run.step():
                if progress is not None:
                    progress(run.place)
            return True

    async def paced(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call in its turn."""
        async with self._pace:
            return await call()


class _Run:
    """One sweep under way: a page a step, then the users that no page listed."""

    def __init__(self, sweeper: Sweeper, context: Context, view: View, lease: Lease, place: Sweep) -> None:
        self._sweeper = sweeper
        self._index = sweeper.index
        self._context = context
        self._view = view
        self._lease = lease
        self._renewed_at = sweeper.monotonic()
        self.place = place

    @classmethod
    async def begin(cls, sweeper: Sweeper, context: Context, view: View, lease: Lease, *, full: bool) -> _Run:
        """Go on with the sweep that has not ended, or begin one."""
        full = full or view.complete_since is None
        place = view.sweep
        if place is None or (full and not place.full):
            place = Sweep(number=view.sweeps + 1, full=full, started_at=sweeper.now())
            # Its number is taken at once: whom the sweep before has met does not count as met by this one.
            await sweeper.index.save(view.id, sweep=place)
        return cls(sweeper, context, view, lease, place)

    async def step(self) -> bool:
        """Read the next page; whether the sweep is done."""
        context, place = self._context, self.place
        capabilities = context.mapping.platform
        size = capabilities.per_page_max
        query: dict[str, str | int] = {**pinned({}, capabilities), "page": place.page + 1, "per_page": size}
        page = await self._asked(partial(self._sweeper.platform.list_users, context.tenant_id, query))
        total = page.pagination.total_items
        new, read = await self._read(page.data)
        place = msgspec.structs.replace(
            place,
            page=place.page + 1,
            listed=min(place.page * size + len(page.data), total),
            total=total,
            new=place.new + new,
            read=place.read + read,
        )
        if page.data and place.page * size < total:
            return await self._keep(place)
        place = msgspec.structs.replace(place, passes=place.passes + 1, page=0)
        settled = self._view.complete_since is not None or place.new == 0 or place.passes >= MAX_PASSES
        if not settled:
            return await self._keep(msgspec.structs.replace(place, new=0))
        await self._drop_unlisted(place)
        await self._finish(place)
        return True

    async def _read(self, rows: Sequence[UserListItem]) -> tuple[int, int]:
        """Read the users of a page that have to be; how many were not known, and how many were read."""
        known = await self._index.known(self._view.id, [row.id for row in rows])
        digests: dict[str, bytes | None] = {row.id: row_digest(row) for row in rows}
        wanted = [i for i, digest in digests.items() if self._is_wanted(known.get(i), digest)]
        users = await self._full(wanted)
        found = [
            (*indexed_user(self._context, user), known[user_id].revision if user_id in known else 0)
            for user_id, user in users.items()
            if user is not None
        ]
        if await self._index.put_many(self._view, found) < len(found):
            # Somebody was quicker, maybe with a read from before the row was as it is: next time once more.
            digests |= dict.fromkeys(wanted)
        # Whom nobody could read is to be read again.
        digests |= dict.fromkeys(set(wanted) - users.keys())
        for user_id, user in users.items():
            if user is None and user_id in known:
                await self._index.remove(self._view, user_id, expected=known[user_id].revision)
        await self._index.seen(self._view.id, self.place.number, list(digests.items()))
        return sum(user_id not in known for user_id in users), len(users)

    def _is_wanted(self, known: Known | None, digest: bytes | None) -> bool:
        if known is None or known.read_at is None or known.dirty:
            return True
        if known.gone:
            # Listed before it was deleted, or back since: a tombstone younger than the sweep is right.
            return known.read_at < self.place.started_at
        return known.row_digest != digest or (self.place.full and known.read_at < self.place.started_at)

    async def _full(self, ids: Sequence[str]) -> dict[str, Resource | None]:
        """The users by id, None for one that is gone.

        One whose record cannot be read is left as the index has it; but a view is not called complete while
        there is somebody of whom nothing is known.
        """

        async def read(user_id: str) -> tuple[str, Resource | None] | None:
            get = partial(self._sweeper.platform.get_user, self._context.tenant_id, user_id)
            try:
                return user_id, plain_resource(self._context, await self._asked(get))
            except Missing:
                return user_id, None
            except Unreadable as error:
                if self._view.complete_since is None:
                    raise
                note_unreadable(self._context, user_id, error)
                return None

        return dict(filter(None, await gathered([partial(read, user_id) for user_id in ids])))

    async def _asked(self, call: Callable[[], Awaitable[T]]) -> T:
        """Make one call in its turn; the lease is kept meanwhile, however long the turns take."""

        async def kept() -> T:
            now = self._sweeper.monotonic()
            if now - self._renewed_at > LEASE_S / 4:
                self._renewed_at = now
                await self._lease.renew(LEASE_S)
            return await call()

        return await self._sweeper.paced(kept)

    async def _drop_unlisted(self, place: Sweep) -> None:
        """Ask for the users that were not listed: they are gone, or slipped between two pages."""
        while unlisted := dict(await self._index.unseen(self._view.id, place.number, _UNLISTED_AT_ONCE)):
            found = await self._full(list(unlisted))
            await self._sweeper.indexing.confirm(self._context, found, unlisted)
            await self._index.seen(self._view.id, place.number, [(user_id, None) for user_id in unlisted])

    async def _keep(self, place: Sweep) -> bool:
        self.place = place
        await self._index.save(self._view.id, sweep=place)
        return False

    async def _finish(self, place: Sweep) -> None:
        started = place.started_at
        await self._index.save(
            self._view.id,
            sweep=None,
            complete_since=self._view.complete_since or started,
            swept_at=started,
            refreshed_at=started if place.full else msgspec.UNSET,
        )
        await self._index.purge(self._view.id, started - TOMBSTONE_LIFE)
        _log.info(
            "swept",
            tenant_id=self._view.tenant_id,
            domain=self._view.domain,
            full=place.full,
            users=place.total,
            read=place.read,
            passes=place.passes,
        )


def row_digest(row: UserListItem) -> bytes:
    """Tells whether a row of the list has changed."""
    return hashlib.blake2b(_encode(row), digest_size=8).digest()


_encode = msgspec.json.Encoder().encode
