"""Passwords: the one rule they must meet, and their Argon2id hashes."""

from __future__ import annotations

import asyncio

from argon2 import PasswordHasher
from argon2.profiles import RFC_9106_LOW_MEMORY

from app.embedded.errors import invalid

_MAX_LENGTH = 1024
_PARALLEL_HASHES = 2
"""A hash takes 64 MiB, so that a flood of them must queue."""


class Passwords:
    """Checks and hashes passwords, off the event loop."""

    def __init__(self, *, min_length: int) -> None:
        self._min_length = min_length
        self._hasher = PasswordHasher.from_parameters(RFC_9106_LOW_MEMORY)
        self._slots = asyncio.Semaphore(_PARALLEL_HASHES)

    async def hash(self, password: str, field: str) -> str:
        """The hash in Argon2's own encoded form. Raises Invalid, placed at `field` of the body."""
        if len(password) < self._min_length:
            raise invalid(
                ["body", field], f"Password must have at least {self._min_length} characters", "too_short"
            )
        if len(password) > _MAX_LENGTH:
            raise invalid(["body", field], f"Password must have at most {_MAX_LENGTH} characters", "too_long")
        async with self._slots:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def hash_optional(self, password: str | None, field: str) -> str | None:
        """`hash`, where no password has no hash."""
        return None if password is None else await self.hash(password, field)
