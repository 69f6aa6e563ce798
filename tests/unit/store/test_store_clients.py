"""Clients, their secrets, federation trusts, and the access tokens that are got by them."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta

import pytest
from sqlalchemy import func, select

from app.store.clients import AuthenticatedClient
from app.store.errors import ClientNotFound, ConnectionNotFound, InvalidRecord, TrustNotFound
from app.store.store import Store
from app.store.tables import access_tokens
from app.store.tokens import CLIENT_SECRET, given_digest, new_secret

ENTRA = {"issuer": "https://login.example/t/v2.0", "subject": "app-1", "audience": "api://bridge"}


@pytest.fixture
async def connection(store):
    return await store.connections.add(name="entra", tenant_id="ten_1")


@pytest.fixture
async def client(store, connection):
    return await store.clients.add(connection.id, "Entra")


async def stored_access_tokens(store):
    async with store.db.read() as db:
        return await db.scalar(select(func.count()).select_from(access_tokens))


async def test_a_secret_names_its_connection(store, connection, client, clock):
    secret, text = await store.clients.add_secret(client.id, "first")
    assert re.fullmatch(r"cli_[a-z0-9]{20}", client.id)
    assert re.fullmatch(r"sec_[a-z0-9]{20}", secret.id)
    assert re.fullmatch(r"scs_[A-Za-z0-9_-]{43}", text)
    found = await store.clients.authenticate(client.id, text)
    assert found == AuthenticatedClient(secret=secret, connection=connection)
    assert list(await store.clients.list()) == [client]
    assert list(await store.clients.secrets()) == [secret]
    assert secret.created_at == clock.now


async def test_whatever_is_wrong_is_nobody(store, connection, client, clock):
    _, text = await store.clients.add_secret(client.id)
    other = await store.clients.add(connection.id)
    _, token = await store.tokens.create(connection.id, "")
    for client_id, secret in [
        (other.id, text),
        ("", text),
        ("cli_unknown", text),
        ("\0", text),
        ("\ud800", text),
        (client.id, text[:-1]),
        (client.id, text + "A"),
        (client.id, text.upper()),
        (client.id, token),
        (client.id, "scb_" + text[4:]),
        (client.id, new_secret(kind=CLIENT_SECRET)),
        (client.id, ""),
        (client.id, "\0"),
        (client.id, "scs_" + "ä" * 43),
    ]:
        assert await store.clients.authenticate(client_id, secret) is None


async def test_a_client_secret_is_no_bearer_token(store, connection, client):
    _, text = await store.clients.add_secret(client.id)
    for form in (text, "scb_" + text[4:], "sca_" + text[4:]):
        assert await store.token_cache.authenticate(form) is None
        assert await store.tokens.authenticate(form) is None
        assert await store.access_tokens.authenticate(form) is None


async def test_two_live_side_by_side_and_no_third(store, client, clock):
    first, one = await store.clients.add_secret(client.id, "1")
    _, two = await store.clients.add_secret(client.id, "2", clock.now + timedelta(hours=1))
    with pytest.raises(InvalidRecord, match="remove one first"):
        await store.clients.add_secret(client.id, "3")
    assert await store.clients.authenticate(client.id, one) is not None
    assert await store.clients.authenticate(client.id, two) is not None
    removed = await store.clients.revoke_secret(first.id)
    assert removed.revoked_at == clock.now
    assert await store.clients.authenticate(client.id, one) is None
    _, three = await store.clients.add_secret(client.id, "3")
    assert await store.clients.authenticate(client.id, three) is not None
    # One that has expired takes no place.
    clock.advance(3600)
    assert await store.clients.authenticate(client.id, two) is None
    await store.clients.add_secret(client.id, "4")
    with pytest.raises(InvalidRecord):
        await store.clients.add_secret(client.id, "5")


async def test_two_that_are_added_at_once_are_counted(store, client):
    made = await asyncio.gather(
        *(store.clients.add_secret(client.id, str(n)) for n in range(6)), return_exceptions=True
    )
    assert sum(isinstance(each, InvalidRecord) for each in made) == 4
    assert len(await store.clients.secrets()) == 2


async def test_what_cannot_be_made(store, connection, client, clock):
    with pytest.raises(ConnectionNotFound):
        await store.clients.add("con_unknown")
    for client_id in ("", "a b", "a" * 65, "ä", "a\n", "a:b"):
        with pytest.raises(InvalidRecord):
            await store.clients.add(connection.id, client_id=client_id)
    with pytest.raises(InvalidRecord, match="already"):
        await store.clients.add(connection.id, client_id=client.id)
    with pytest.raises(InvalidRecord):
        await store.clients.add(connection.id, "x" * 201)
    with pytest.raises(InvalidRecord):
        await store.clients.add_secret(client.id, "", clock.now)
    for call in (
        store.clients.add_secret("cli_unknown"),
        store.clients.remove("cli_unknown"),
        store.clients.relabel("cli_unknown", ""),
        store.clients.revoke_secret("sec_unknown"),
        store.clients.relabel_secret("sec_unknown", ""),
    ):
        with pytest.raises(ClientNotFound):
            await call
    digest = given_digest(new_secret(kind=CLIENT_SECRET), CLIENT_SECRET)
    await store.clients.register_secret(client.id, "", digest)
    with pytest.raises(InvalidRecord, match="already"):
        await store.clients.register_secret(client.id, "", digest)
    assert set(await store.clients.secrets_by_digest([digest, b"?"])) == {digest}


async def test_an_access_token_authorizes_for_an_hour(store, connection, client, clock):
    secret, _ = await store.clients.add_secret(client.id)
    token, text = await store.access_tokens.issue(connection.id, secret)
    assert re.fullmatch(r"sca_[A-Za-z0-9_-]{43}", text)
    found = await store.token_cache.authenticate(text)
    assert found.connection == connection
    assert found.token == token
    assert found.user_id is None
    assert [s.last_used_at for s in await store.clients.secrets()] == [clock.now]
    for wrong in (text[:-1], text + "A", "scb_" + text[4:], "scs_" + text[4:], "sca_" + "A" * 43):
        assert await store.token_cache.authenticate(wrong) is None
    clock.advance(3599.9)
    assert await store.token_cache.authenticate(text) is not None
    clock.advance(0.2)
    assert await store.token_cache.authenticate(text) is None
    assert await store.access_tokens.authenticate(text) is None


async def test_it_does_not_outlive_its_secret(store, connection, client, clock):
    secret, _ = await store.clients.add_secret(client.id, "", clock.now + timedelta(minutes=5))
    token, text = await store.access_tokens.issue(connection.id, secret)
    assert token.expires_at == secret.expires_at
    clock.advance(300)
    assert await store.token_cache.authenticate(text) is None


async def test_every_replica_knows_it(store, connection, client, clock, url):
    secret, _ = await store.clients.add_secret(client.id)
    _, text = await store.access_tokens.issue(connection.id, secret)
    other = await Store.open(url, clock=clock, monotonic=clock.monotonic)
    try:
        assert (await other.token_cache.authenticate(text)).connection == connection
    finally:
        await other.close()


@pytest.mark.parametrize("what", ["secret", "client", "connection", "trust", "connection of a trust"])
async def test_it_ends_with_what_it_was_got_by(store, connection, client, clock, what):
    by, _ = await store.clients.add_secret(client.id)
    if "trust" in what:
        by = await store.federations.add(connection.id, **ENTRA)
    _, text = await store.access_tokens.issue(connection.id, by)
    _, later = await store.access_tokens.issue(connection.id, by)
    assert await store.token_cache.authenticate(text) is not None
    if what == "secret":
        await store.clients.revoke_secret(by.id)
    elif what == "client":
        await store.clients.remove(client.id)
    elif what == "trust":
        await store.federations.remove(by.id)
    else:
        await store.connections.remove(connection.id)
    assert await store.token_cache.authenticate(later) is None
    clock.advance(5)
    assert await store.token_cache.authenticate(text) is None
    if what == "secret":
        # One that was just being given out.
        await store.access_tokens.issue(connection.id, by)
        assert await store.access_tokens.issue(connection.id, by) is not None
        _, late = await store.access_tokens.issue(connection.id, by)
        assert await store.access_tokens.authenticate(late) is None
    else:
        assert await store.access_tokens.issue(connection.id, by) is None
        assert await stored_access_tokens(store) == 0


async def test_the_other_secret_of_a_rotation_keeps_its_tokens(store, connection, client, clock):
    former, _ = await store.clients.add_secret(client.id)
    present, _ = await store.clients.add_secret(client.id)
    _, ends = await store.access_tokens.issue(connection.id, former)
    _, stays = await store.access_tokens.issue(connection.id, present)
    await store.clients.revoke_secret(former.id)
    assert await store.token_cache.authenticate(ends) is None
    assert await store.token_cache.authenticate(stays) is not None


async def test_what_has_expired_is_deleted(store, connection, client, clock):
    secret, _ = await store.clients.add_secret(client.id)
    for _ in range(3):
        await store.access_tokens.issue(connection.id, secret)
    clock.advance(1800)
    await store.access_tokens.issue(connection.id, secret)
    clock.advance(1801)
    await store.access_tokens.issue(connection.id, secret)
    assert await stored_access_tokens(store) == 2


async def test_a_trust_is_found_by_its_three_claims(store, connection, clock):
    trust = await store.federations.add(connection.id, **ENTRA)
    issuer, subject, audience = ENTRA.values()
    assert await store.federations.find(issuer, subject, ["x", audience]) == [(trust, connection)]
    assert await store.federations.of_issuer(issuer) == trust
    for wrong in [
        (issuer + "/", subject, [audience]),
        (issuer, subject.upper(), [audience]),
        (issuer, subject, [audience + "/"]),
        (issuer, subject, []),
        ("\0", subject, [audience]),
        (issuer, "\ud800", [audience]),
        (issuer, subject, ["\0", "x" * 10_000]),
        ("x" * 10_000, subject, [audience]),
    ]:
        assert await store.federations.find(*wrong) == []
    for issuer in ("", "\0", "\ud800", "x" * 10_000, "https://other.example"):
        assert await store.federations.of_issuer(issuer) is None
    assert list(await store.federations.list(connection.id)) == [trust]
    await store.federations.remove(trust.id)
    with pytest.raises(TrustNotFound):
        await store.federations.remove(trust.id)


async def test_three_claims_name_one_connection(store, connection):
    other = await store.connections.add(name="other", tenant_id="ten_2")
    await store.federations.add(connection.id, **ENTRA)
    for each in (connection, other):
        with pytest.raises(InvalidRecord, match="already"):
            await store.federations.add(each.id, **ENTRA)
    await store.federations.add(other.id, **{**ENTRA, "audience": "api://other"})


@pytest.mark.parametrize(
    "wrong",
    [
        {"issuer": "http://login.example/"},
        {"issuer": "https://"},
        {"issuer": "ftp://127.0.0.1"},
        {"issuer": "https://user:pw@login.example"},
        {"issuer": "https://login.example?x=1"},
        {"issuer": "https://login.example#"},
        {"issuer": "https://[::1"},
        {"issuer": "https://login.example:99999999"},
        {"issuer": "https://login.example/" + "x" * 500},
        {"issuer": "https://login.exämple"},
        {"subject": ""},
        {"subject": "x" * 256},
        {"audience": "a\0"},
        {"audience": "ä"},
        {"jwks_url": "http://keys.example"},
        {"jwks_url": "http://127.0.0.1.example/"},
        {"jwks_url": "file:///etc/passwd"},
        {"jwks_url": "https://keys.example/ x"},
    ],
)
async def test_trusts_that_are_refused(store, connection, wrong):
    with pytest.raises(InvalidRecord):
        await store.federations.add(connection.id, **{**ENTRA, **wrong})


@pytest.mark.parametrize(
    "place",
    ["http://127.0.0.1:8000/keys", "http://[::1]/", "http://localhost/", "https://keys.example/a?b=c"],
)
async def test_where_keys_may_be(store, connection, place):
    assert (await store.federations.add(connection.id, **ENTRA, jwks_url=place)).jwks_url == place


async def test_a_token_bound_to_a_user(store, connection):
    token, secret = await store.tokens.create(connection.id, "self", user_id="usr_1")
    assert token.user_id == "usr_1"
    assert (await store.token_cache.authenticate(secret)).user_id == "usr_1"
    assert list(await store.tokens.list()) == [token]
    for wrong in ("", "a/b", "..", "x" * 129, "a\n"):
        with pytest.raises(InvalidRecord):
            await store.tokens.create(connection.id, "self", user_id=wrong)
