"""Keys that the bridge makes for itself: once, for all replicas and later starts."""

from __future__ import annotations

import asyncio

from app.store.server_keys import KEY_BYTES
from app.store.store import Store


async def test_a_key_is_made_once_and_kept(url: str, store: Store) -> None:
    key = await store.server_keys.get("cursors")
    assert len(key) == KEY_BYTES
    assert await store.server_keys.get("cursors") == key
    again = await Store.open(url)
    assert await again.server_keys.get("cursors") == key
    await again.close()


async def test_keys_differ_by_name_and_by_database(store: Store, new_url) -> None:
    other = await Store.open(await new_url())
    keys = [await s.server_keys.get(name) for s in (store, other) for name in ("cursors", "else")]
    assert len(set(keys)) == 4
    await other.close()


async def test_replicas_that_ask_at_once_get_the_same(url: str) -> None:
    replicas = [await Store.open(url) for _ in range(4)]
    keys = await asyncio.gather(*(r.server_keys.get("cursors") for r in replicas for _ in range(3)))
    assert len(set(keys)) == 1
    for replica in replicas:
        await replica.close()
