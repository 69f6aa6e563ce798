"""A bounded memory of answers of the link table, in the process.

A hint may be out of date: another process on the same database may have written since. The caller confirms
every id at the platform, so a hint never puts a wrong user into an answer. It could leave one out, where two
users share a value and the second was written elsewhere; hence a short life, `fresh` for lookups that must
not miss, and no hints at all where several replicas share a database.
"""

from __future__ import annotations

import random
from collections import OrderedDict
from collections.abc import Callable, Iterable

Key = tuple[str, str, str, str]
"""Tenant, domain, kind, value as stored."""


class Hints:
    """Least recently used entries leave first; `capacity` 0 keeps nothing."""

    def __init__(self, capacity: int, ttl_s: float, monotonic: Callable[[], float]) -> None:
        self._capacity = capacity
        self._ttl_s = ttl_s
        self._monotonic = monotonic
        self._entries: OrderedDict[Key, tuple[float, tuple[str, ...]]] = OrderedDict()
        self._epoch = 0

    @property
    def epoch(self) -> int:
        """Changes with every write; an answer read from the table under an older epoch is not kept."""
        return self._epoch

    def get(self, key: Key) -> tuple[str, ...] | None:
        """Answer the ids kept for a key, None if there are none or their time is over."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        valid_until_s, ids = entry
        if self._monotonic() >= valid_until_s:
            del self._entries[key]
            return None
        self._entries.move_to_end(key)
        return ids

    def put(self, key: Key, ids: tuple[str, ...], epoch: int) -> None:
        """Keep an answer read under `epoch`.

        An empty answer is not kept: absence is where being out of date hurts, and is rarely asked for twice.
        """
        if not ids or not self._capacity or epoch != self._epoch:
            self._entries.pop(key, None)
            return
        # Not all at once: what was read together would be read again together.
        life_s = self._ttl_s * random.uniform(0.5, 1.0)  # noqa: S311 - spread, not a secret
        self._entries[key] = (self._monotonic() + life_s, ids)
        self._entries.move_to_end(key)
        while len(self._entries) > self._capacity:
            self._entries.popitem(last=False)

    def drop(self, keys: Iterable[Key]) -> None:
        """Forget what a write has touched, and turn away answers being read meanwhile."""
        self._epoch += 1
        for key in keys:
            self._entries.pop(key, None)

    def drop_tenant(self, tenant_id: str) -> None:
        """Forget everything of one tenant."""
        self.drop([key for key in self._entries if key[0] == tenant_id])
