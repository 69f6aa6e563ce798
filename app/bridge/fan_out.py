"""Several platform calls side by side, within a bound."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

T = TypeVar("T")

FAN_OUT = 16
"""Calls that one request keeps running at a time."""


async def gathered(calls: Sequence[Callable[[], Awaitable[T]]]) -> list[T]:
    """The results in order; on a failure the others are cancelled and the first error is raised as it is."""
    results: list[T] = []
    for start in range(0, len(calls), FAN_OUT):
        tasks = [asyncio.ensure_future(call()) for call in calls[start : start + FAN_OUT]]
        try:
            results += await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
    return results
