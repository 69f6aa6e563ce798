"""The cache in front of the tokens: fast, bounded, and never longer wrong than its time to live."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import text

from app.store.connections import Policies
from app.store.errors import StoreUnavailable
from app.store.token_cache import TokenCache
from app.store.tokens import Tokens


class CountingTokens(Tokens):
    """Tokens that count how often the database is asked, and fail when told."""

    def __init__(self, *args):
        super().__init__(*args)
        self.reads = self.writes = 0
        self.broken = False
        self.failed, self.written = asyncio.Event(), asyncio.Event()

    async def authenticate_digest(self, digest):
        self.reads += 1
        return await super().authenticate_digest(digest)

    async def record_use(self, used):
        if self.broken:
            self.failed.set()
            raise StoreUnavailable("told to")
        self.writes += bool(used)
        await super().record_use(used)
        if used:
            self.written.set()


@pytest.fixture
def tokens(store, clock):
    return CountingTokens(store.db, clock)


@pytest.fixture
def cache(store, tokens, clock):
    return TokenCache(tokens, store.access_tokens, clock=clock, monotonic=clock.monotonic, max_entries=3)


@pytest.fixture
async def connection(store):
    return await store.connections.add(name="okta", tenant_id="ten_1")


async def test_a_hit_asks_nobody(cache, tokens, connection):
    _, secret = await tokens.create(connection.id, "x")
    first = await cache.authenticate(secret)
    assert first.connection == connection
    for _ in range(100):
        assert await cache.authenticate(secret) is first
    assert tokens.reads == 1


async def test_a_revocation_elsewhere_is_seen_after_the_time_to_live(store, cache, tokens, connection, clock):
    token, secret = await tokens.create(connection.id, "x")
    await cache.authenticate(secret)
    await store.tokens.revoke(token.id)
    clock.advance(4.9)
    assert await cache.authenticate(secret) is not None
    clock.advance(0.1)
    assert await cache.authenticate(secret) is None


async def test_a_revocation_here_is_seen_at_once(store, cache, tokens, connection):
    token, secret = await tokens.create(connection.id, "x")
    await cache.authenticate(secret)
    await store.tokens.revoke(token.id)
    cache.clear()
    assert await cache.authenticate(secret) is None


async def test_an_answer_read_before_clear_is_not_kept(store, clock, connection):
    reading, go_on = asyncio.Event(), asyncio.Event()

    class SlowTokens(CountingTokens):
        async def authenticate_digest(self, digest):
            answer = await super().authenticate_digest(digest)
            reading.set()
            await go_on.wait()
            return answer

    tokens = SlowTokens(store.db, clock)
    cache = TokenCache(tokens, store.access_tokens, clock=clock, monotonic=clock.monotonic)
    token, secret = await tokens.create(connection.id, "x")
    under_way = asyncio.create_task(cache.authenticate(secret))
    await reading.wait()
    await store.tokens.revoke(token.id)
    cache.clear()
    go_on.set()
    await under_way
    assert await cache.authenticate(secret) is None


async def test_expiry_is_checked_on_a_hit(cache, tokens, connection, clock):
    _, secret = await tokens.create(connection.id, "x", clock.now + timedelta(seconds=2))
    assert await cache.authenticate(secret) is not None
    clock.advance(2)
    assert await cache.authenticate(secret) is None
    assert tokens.reads == 1


async def test_a_change_of_the_connection_is_seen(store, cache, tokens, connection, clock):
    _, secret = await tokens.create(connection.id, "x")
    await cache.authenticate(secret)
    await store.connections.remove(connection.id)
    clock.advance(5)
    assert await cache.authenticate(secret) is None


async def test_an_update_of_the_connection_arrives_within_the_time_to_live(
    store, cache, tokens, connection, clock
):
    _, secret = await tokens.create(connection.id, "x")
    assert (await cache.authenticate(secret)).connection == connection
    changed = await store.connections.update(
        connection.id,
        mapping=connection.mapping,
        domain=connection.domain,
        dialect=connection.dialect,
        policies=Policies(password="set"),
    )
    clock.advance(4.9)
    assert (await cache.authenticate(secret)).connection == connection
    clock.advance(0.1)
    assert (await cache.authenticate(secret)).connection == changed
    assert changed.policies.password == "set"


async def test_failures_are_not_kept(cache, tokens):
    for _ in range(3):
        assert await cache.authenticate("scb_" + "A" * 43) is None
    assert tokens.reads == 3


async def test_it_is_bounded(cache, tokens, connection):
    secrets = [(await tokens.create(connection.id, "x"))[1] for _ in range(5)]
    for secret in secrets:
        await cache.authenticate(secret)
    assert tokens.reads == 5
    for secret in secrets[2:]:
        await cache.authenticate(secret)
    assert tokens.reads == 5
    await cache.authenticate(secrets[0])
    assert tokens.reads == 6


async def test_last_use_is_written_at_most_once_a_minute(cache, tokens, connection, clock):
    created, secret = await tokens.create(connection.id, "x")
    first_use = clock.now

    async def last_use():
        (token,) = await tokens.list()
        return token.last_used_at

    await cache.authenticate(secret)
    assert await last_use() is None
    await cache.flush()
    assert await last_use() == first_use
    for _ in range(11):
        clock.advance(5)
        await cache.authenticate(secret)
        await cache.flush()
    assert (tokens.writes, await last_use()) == (1, first_use)
    clock.advance(5)
    await cache.authenticate(secret)
    await cache.flush()
    assert (tokens.writes, await last_use()) == (2, first_use + timedelta(minutes=1))
    assert created.last_used_at is None


async def test_an_older_use_does_not_replace_a_newer(tokens, connection, clock):
    token, _ = await tokens.create(connection.id, "x")
    await tokens.record_use({token.id: clock.now})
    await tokens.record_use({token.id: clock.now - timedelta(hours=1)})
    assert (await tokens.list())[0].last_used_at == clock.now


async def test_uses_that_could_not_be_written_are_written_later(cache, tokens, connection, clock, caplog):
    _, secret = await tokens.create(connection.id, "x")
    await cache.authenticate(secret)
    tokens.broken = True
    with pytest.raises(StoreUnavailable):
        await cache.flush()
    tokens.broken = False
    await cache.flush()
    assert (await tokens.list())[0].last_used_at == clock.now


async def test_the_background_task_writes_and_survives_trouble(store, tokens, connection, clock, caplog):
    cache = TokenCache(
        tokens, store.access_tokens, clock=clock, monotonic=clock.monotonic, flush_every_s=0.01
    )
    await cache.open()
    _, secret = await tokens.create(connection.id, "x")
    tokens.broken = True
    await cache.authenticate(secret)
    async with asyncio.timeout(5):
        await tokens.failed.wait()
        tokens.broken = False
        await tokens.written.wait()
    assert "not written yet" in caplog.text
    assert (await tokens.list())[0].last_used_at == clock.now
    await cache.close()
    await cache.close()


async def test_close_writes_what_is_left(store, tokens, connection, clock):
    _, secret = await tokens.create(connection.id, "x")
    await store.token_cache.authenticate(secret)
    await store.token_cache.close()
    async with store.db.read() as db:
        assert await db.scalar(text("SELECT count(*) FROM tokens WHERE last_used_at IS NOT NULL")) == 1
