"""The life of a token."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import make_url

from app.store.errors import ConnectionNotFound, InvalidRecord, TokenNotFound
from app.store.store import Store
from app.store.tokens import given_digest, new_secret


@pytest.fixture
async def connection(store):
    return await store.connections.add(name="okta", tenant_id="ten_1", domain="okta")


async def test_a_token_names_its_connection(store, connection, clock):
    token, secret = await store.tokens.create(connection.id, "first", None)
    assert re.fullmatch(r"tok_[a-z0-9]{20}", token.id)
    assert re.fullmatch(r"scb_[A-Za-z0-9_-]{43}", secret)
    assert token.created_at == clock.now
    found = await store.tokens.authenticate(secret)
    assert found.connection == connection
    assert found.token == token
    assert list(await store.tokens.list()) == [token]


async def test_several_are_alive_at_a_time(store, connection):
    made = [await store.tokens.create(connection.id, "same label", None) for _ in range(3)]
    assert len({secret for _, secret in made}) == 3
    for token, secret in made:
        assert (await store.tokens.authenticate(secret)).token.id == token.id


@pytest.mark.parametrize(
    "spoil",
    [
        lambda s: s[:-1] + ("A" if s[-1] != "A" else "B"),
        lambda s: s + "A",
        lambda s: s[:-1],
        lambda s: s[4:],
        lambda s: s.upper(),
        lambda s: " " + s,
        lambda s: s + "\n",
        lambda s: "scb_" + "ä" * 43,
        lambda s: "",
        lambda s: "scb_" + "A" * 1_000_000,
        lambda s: "\0",
    ],
)
async def test_a_wrong_secret_is_nobody(store, connection, spoil):
    _, secret = await store.tokens.create(connection.id, "x", None)
    assert await store.tokens.authenticate(spoil(secret)) is None
    assert await store.token_cache.authenticate(spoil(secret)) is None


async def test_it_expires_on_the_second(store, connection, clock):
    _, secret = await store.tokens.create(connection.id, "x", clock.now + timedelta(seconds=60))
    clock.advance(59.999)
    assert await store.tokens.authenticate(secret) is not None
    clock.advance(0.001)
    assert await store.tokens.authenticate(secret) is None


async def test_revoked_is_revoked(store, connection, clock):
    token, secret = await store.tokens.create(connection.id, "x", None)
    _, other = await store.tokens.create(connection.id, "y", None)
    revoked = await store.tokens.revoke(token.id)
    assert revoked.revoked_at == clock.now
    assert await store.tokens.authenticate(secret) is None
    assert await store.tokens.authenticate(other) is not None
    clock.advance(60)
    assert await store.tokens.revoke(token.id) == revoked
    with pytest.raises(TokenNotFound):
        await store.tokens.revoke("tok_unknown")


async def test_list_by_connection(store, connection, clock):
    other = await store.connections.add(name="entra", tenant_id="ten_2")
    one, _ = await store.tokens.create(connection.id, "1", None)
    clock.advance(1)
    two, _ = await store.tokens.create(other.id, "2", None)
    clock.advance(1)
    three, _ = await store.tokens.create(connection.id, "3", None)
    assert list(await store.tokens.list(connection.id)) == [one, three]
    assert list(await store.tokens.list()) == [one, two, three]


async def test_what_cannot_be_made(store, connection, clock):
    with pytest.raises(ConnectionNotFound):
        await store.tokens.create("con_unknown", "x", None)
    for expires_at in (clock.now, datetime(2030, 1, 1)):  # noqa: DTZ001 - the point
        with pytest.raises(InvalidRecord):
            await store.tokens.create(connection.id, "x", expires_at)
    with pytest.raises(InvalidRecord):
        await store.tokens.create(connection.id, "x" * 201, None)


async def test_the_secret_is_not_in_the_file(store, connection, url):
    if store.db.dialect != "sqlite":
        pytest.skip("SQLite keeps one file")
    token, secret = await store.tokens.create(connection.id, "x", None)
    await store.token_cache.authenticate(secret)
    await store.token_cache.flush()
    path = Path(make_url(url).database)
    content = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert token.id.encode() in content
    assert secret.encode() not in content
    assert secret[4:].encode() not in content


async def test_tokens_outlive_the_process(url, clock):
    store = await Store.open(url, clock=clock)
    connection = await store.connections.add(name="a", tenant_id="t")
    _, secret = await store.tokens.create(connection.id, "x", clock.now + timedelta(days=1))
    await store.close()
    store = await Store.open(url, clock=clock)
    assert (await store.tokens.authenticate(secret)).connection == connection
    await store.close()


# --- secrets made elsewhere --------------------------------------------------------------------------------

GIVEN = "scb_Zk3vX9qLr7TnB2yHs5WdJ8mPc4UaG6eF1oQiR0tVxNw"


async def test_a_secret_made_elsewhere_is_a_token(store, connection, clock):
    secret = new_secret()
    token = await store.tokens.register(connection.id, "vault", given_digest(secret))
    found = await store.tokens.authenticate(secret)
    assert (found.token, found.connection) == (token, connection)
    assert (token.label, token.created_at, token.expires_at) == ("vault", clock.now, None)


@pytest.mark.parametrize(
    "secret",
    [
        "",
        "correct horse battery staple, and then some",
        "A1b2C3d4E5f6G7h8I9j0K1l2M3n4O5p6Q7r8S9t0U1v",
        "scb_",
        "scb_" + "A" * 43,
        "scb_" + "changeme" * 5 + "abc",
        GIVEN + "A",
        GIVEN + "\n",
        GIVEN[:-1] + "é",
    ],
)
def test_secrets_that_nobody_drew_are_refused_unshown(secret):
    with pytest.raises(InvalidRecord, match="scb_ ") as caught:
        given_digest(secret)
    assert secret[4:] == "" or secret[4:] not in str(caught.value)


def test_made_secrets_may_be_given():
    secrets = [GIVEN, *(new_secret() for _ in range(1000))]
    assert len({given_digest(secret) for secret in secrets}) == 1001


async def test_a_secret_belongs_to_one_token_for_good(store, connection):
    other = await store.connections.add(name="other", tenant_id="ten_2")
    token, secret = await store.tokens.create(connection.id, "x")
    await store.tokens.revoke(token.id)
    for place in (connection, other):
        with pytest.raises(InvalidRecord, match="another token"):
            await store.tokens.register(place.id, "again", given_digest(secret))
    assert await store.tokens.authenticate(secret) is None
    with pytest.raises(ConnectionNotFound):
        await store.tokens.register("con_other", "x", given_digest(new_secret()))
    with pytest.raises(InvalidRecord, match="label"):
        await store.tokens.register(other.id, "x\n", given_digest(new_secret()))


async def test_tokens_are_found_by_their_secrets(store, connection):
    token, secret = await store.tokens.create(connection.id, "x")
    gone, revoked = await store.tokens.create(connection.id, "y")
    gone = await store.tokens.revoke(gone.id)
    digests = [given_digest(s) for s in (secret, revoked, new_secret())]
    assert await store.tokens.by_digest(digests) == {digests[0]: token, digests[1]: gone}
    assert await store.tokens.by_digest([]) == {}


async def test_a_token_is_relabelled(store, connection):
    token, secret = await store.tokens.create(connection.id, "x")
    await store.tokens.relabel(token.id, "y")
    assert (await store.tokens.authenticate(secret)).token.label == "y"
    with pytest.raises(TokenNotFound):
        await store.tokens.relabel("tok_other", "y")
    with pytest.raises(InvalidRecord, match="label"):
        await store.tokens.relabel(token.id, "y" * 201)
