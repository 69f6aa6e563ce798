"""Many writers: tasks, engines and processes on one database."""

from __future__ import annotations

import asyncio
import sys

from app.store.links import LinkEntry
from app.store.store import Store


def user_name(value):
    return LinkEntry(kind="userName", value=value)


async def test_twenty_tasks_write_and_read(store):
    connection = await store.connections.add(name="a", tenant_id="t")

    async def work(number):
        for step in range(10):
            await store.links.replace("t", f"u{number}", [user_name(f"n{number}-{step}")])
            assert await store.links.find("t", "userName", f"n{number}-{step}") == (f"u{number}",)
        _, secret = await store.tokens.create(connection.id, f"{number}", None)
        assert await store.token_cache.authenticate(secret) is not None

    await asyncio.gather(*(work(number) for number in range(20)))
    assert len(await store.tokens.list()) == 20
    for number in range(20):
        assert await store.links.find("t", "userName", f"n{number}-8") == ()


async def test_two_engines_write_side_by_side(url):
    first, second = await asyncio.gather(Store.open(url), Store.open(url))

    async def work(store, number):
        for step in range(10):
            await store.links.replace("t", f"u{number}", [user_name(f"n{number}-{step}")])
        await store.links.replace("t", "contested", [user_name("contested")])
        await store.links.set_state("t", "okta", complete_since=None, scanned_users=number)

    await asyncio.gather(*(work(store, n) for n in range(10) for store in (first, second)))
    assert await first.links.find("t", "userName", "contested", fresh=True) == ("contested",)
    for number in range(10):
        assert await second.links.find("t", "userName", f"n{number}-9", fresh=True) == (f"u{number}",)
    await first.close()
    await second.close()


async def test_a_name_is_taken_once_among_many(url):
    stores = [await Store.open(url) for _ in range(2)]
    outcomes = await asyncio.gather(
        *(store.connections.add(name="same", tenant_id="t") for store in stores * 5), return_exceptions=True
    )
    assert sum(not isinstance(outcome, Exception) for outcome in outcomes) == 1
    assert len(await stores[0].connections.list()) == 1
    for store in stores:
        await store.close()


CHILD = """
import asyncio, sys
from app.store.store import Store

async def main(url, connection_id):
    store = await Store.open(url)
    for number in range(25):
        await store.tokens.create(connection_id, f"child {number}")
    await store.close()

asyncio.run(main(*sys.argv[1:]))
"""


async def test_two_processes_write_to_one_database(store, url):
    connection = await store.connections.add(name="a", tenant_id="t")
    children = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", CHILD, url, connection.id, stderr=asyncio.subprocess.PIPE
        )
        for _ in range(2)
    ]
    ended = asyncio.gather(*(child.communicate() for child in children))
    step = 0
    while not ended.done():
        await store.links.replace("t", "u1", [user_name(f"n{step}")])
        step += 1
    outputs = [stderr.decode() for _, stderr in await ended]
    assert [child.returncode for child in children] == [0, 0], outputs
    assert len(await store.tokens.list(connection.id)) == 50
