"""An event loop whose time passes only when nothing else is to be done: waits cost nothing and are exact."""

from __future__ import annotations

import asyncio
import functools
import selectors
from collections.abc import Awaitable, Callable
from typing import Any


class _Selector(selectors.DefaultSelector):  # type: ignore[misc, valid-type]
    """Instead of waiting, moves the clock."""

    now = 1000.0

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if not found:
            if timeout is None:
                raise RuntimeError("nothing will ever happen: a test waits for ever")
            self.now += timeout
        return found


class SimulatedLoop(asyncio.SelectorEventLoop):
    """For tests without sockets to anywhere else."""

    def __init__(self) -> None:
        self._simulated = _Selector()
        super().__init__(self._simulated)

    def time(self) -> float:
        return self._simulated.now


def now() -> float:
    """The present time of the loop that runs the test."""
    return asyncio.get_running_loop().time()


def simulated(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run a test in simulated time."""

    @functools.wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def body() -> None:
            await test(*args, **kwargs)

        with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
            runner.run(body())

    return run
