"""Whole units of work on a SQLite file in one visit to a thread.

Through the asynchronous driver every step of a connection is a visit of its own; for the few small units on
the way of every request that is most of what they cost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy import Connection, Engine

T = TypeVar("T")


class DirectConnection:
    """One connection with a thread of its own, opened at the first use; units run one after the other."""

    def __init__(self, engine: Engine, *, transactions: bool) -> None:
        """`transactions` begins one around every unit; without, each statement stands for itself."""
        self._engine = engine
        self._transactions = transactions
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sqlite")
        self._connection: Connection | None = None

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in the thread; its errors pass through. A unit that has begun also ends when its caller
        no longer waits."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._run, work)

    async def close(self) -> None:
        """Let the last unit end, then close."""
        await asyncio.get_running_loop().run_in_executor(self._thread, self._dispose)
        self._thread.shutdown()

    def _run(self, work: Callable[[Connection], T]) -> T:
        if self._connection is None:
            self._connection = self._engine.connect()
        if not self._transactions:
            return work(self._connection)
        with self._connection.begin():
            return work(self._connection)

    def _dispose(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._engine.dispose()


class DirectPool:
    """Several connections, for units that take long: as many run side by side."""

    def __init__(self, connections: Sequence[DirectConnection]) -> None:
        self._all = tuple(connections)
        self._free = list(connections)
        self._places = asyncio.Semaphore(len(self._all))

    async def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` on a connection that is free; its errors pass through."""
        async with self._places:
            connection = self._free.pop()
            try:
                return await connection.run(work)
            finally:
                self._free.append(connection)

    async def close(self) -> None:
        """Let the last units end, then close."""
        for connection in self._all:
            await connection.close()
