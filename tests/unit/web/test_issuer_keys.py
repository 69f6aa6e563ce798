"""Keys fetched from an issuer over a socket: kept, renewed, and asked for no more often than is good."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from functools import partial

import pytest
from issuer import Issuer, public_jwk, serve_issuer

from app.platform.transport import network_transport
from app.web.oauth.jwks import MAX_ANSWER_BYTES, RETRY_S, IssuerKeys, KeysUnavailable


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def issuer() -> Iterator[Issuer]:
    with serve_issuer() as made:
        yield made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(clock: Clock) -> AsyncIterator[IssuerKeys]:
    made = IssuerKeys(partial(network_transport, 4, max_answer_bytes=MAX_ANSWER_BYTES), clock=clock)
    yield made
    await made.aclose()


async def ids(keys: IssuerKeys, issuer: Issuer, kid: str | None) -> list[str | None]:
    return [key.kid for key in await keys.find(issuer.url, None, kid)]


async def test_found_by_discovery_and_kept(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    for _ in range(5):
        assert await ids(keys, issuer, "one") == ["one"]
        clock.now += RETRY_S + 1
    assert issuer.asked == ["/tenant/v2.0/.well-known/openid-configuration", "/tenant/v2.0/keys"]


async def test_a_declared_address_needs_no_discovery(keys: IssuerKeys, issuer: Issuer) -> None:
    (found,) = await keys.find("https://nobody.example", f"{issuer.origin}/my/keys", "one")
    assert found.kid == "one"
    assert issuer.asked == ["/my/keys"]


@pytest.mark.parametrize(
    ("header", "fresh_s"),
    [
        (None, 3600),
        ("public, max-age=600", 600),
        ("max-age=0", 60),
        ("no-store", 3600),
        ("MAX-AGE=100000000", 86_400),
        ("max-age=x", 3600),
    ],
)
async def test_the_maximum_age(
    keys: IssuerKeys, issuer: Issuer, clock: Clock, header: str | None, fresh_s: int
) -> None:
    issuer.headers = {} if header is None else {"Cache-Control": header}
    await ids(keys, issuer, "one")
    clock.now += fresh_s - 1
    await ids(keys, issuer, "one")
    assert issuer.key_fetches == 1
    clock.now += 2
    await ids(keys, issuer, "one")
    assert issuer.key_fetches == 2


async def test_a_new_key_is_found_when_it_is_used(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    await ids(keys, issuer, "one")
    issuer.keys = [public_jwk("one"), public_jwk("two")]
    clock.now += RETRY_S
    assert await ids(keys, issuer, "two") == ["two"]
    issuer.keys = [public_jwk("two")]
    clock.now += 3601
    assert await ids(keys, issuer, "one") == []
    assert await ids(keys, issuer, "two") == ["two"]


async def test_unknown_keys_cause_a_fetch_now_and_then(
    keys: IssuerKeys, issuer: Issuer, clock: Clock
) -> None:
    for n in range(200):
        assert await ids(keys, issuer, f"unknown-{n}") == []
    assert issuer.key_fetches == 1
    clock.now += RETRY_S
    await asyncio.gather(*(ids(keys, issuer, f"unknown-{n}") for n in range(50)))
    assert issuer.key_fetches == 2
    assert await ids(keys, issuer, "one") == ["one"]


async def test_one_fetch_for_all_who_wait(keys: IssuerKeys, issuer: Issuer) -> None:
    issuer.may_answer.clear()
    waiting = [asyncio.create_task(ids(keys, issuer, "one")) for _ in range(20)]
    await asyncio.sleep(0)
    issuer.may_answer.set()
    assert await asyncio.gather(*waiting) == [["one"]] * 20
    assert issuer.key_fetches == 1


async def test_one_who_no_longer_waits_does_not_take_the_fetch_from_others(
    keys: IssuerKeys, issuer: Issuer
) -> None:
    issuer.may_answer.clear()
    first, second = (asyncio.create_task(ids(keys, issuer, "one")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    issuer.may_answer.set()
    assert await second == ["one"]


async def test_the_last_good_keys_stand_in(
    keys: IssuerKeys, issuer: Issuer, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    await ids(keys, issuer, "one")
    issuer.status = 500
    clock.now += 4000
    assert await ids(keys, issuer, "one") == ["one"]
    assert issuer.asked[-1].endswith("/openid-configuration")
    asked = len(issuer.asked)
    assert await ids(keys, issuer, "one") == ["one"]
    # Whether there is such a key cannot be told.
    with pytest.raises(KeysUnavailable):
        await ids(keys, issuer, "two")
    assert len(issuer.asked) == asked
    issuer.status = 200
    clock.now += RETRY_S
    assert await ids(keys, issuer, "two") == []
    assert issuer.key_fetches == 2


async def test_but_not_for_more_than_a_day(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    await ids(keys, issuer, "one")
    issuer.status = 500
    clock.now += 86_399
    assert await ids(keys, issuer, "one") == ["one"]
    clock.now += RETRY_S
    with pytest.raises(KeysUnavailable):
        await ids(keys, issuer, "one")


async def test_without_an_id_the_only_key_is_meant(keys: IssuerKeys, issuer: Issuer, clock: Clock) -> None:
    assert await ids(keys, issuer, None) == ["one"]
    issuer.keys = [public_jwk("one"), public_jwk("two")]
    clock.now += 3601
    assert await ids(keys, issuer, None) == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"{}",
        b'{"keys": []}',
        b'{"keys": [{"kty": "oct", "k": "AA", "kid": "one"}]}',
        b'{"keys": [' + b" " * (MAX_ANSWER_BYTES + 1) + b"]}",
    ],
)
async def test_answers_that_are_no_keys(keys: IssuerKeys, issuer: Issuer, body: bytes) -> None:
    issuer.documents["/tenant/v2.0/keys"] = body
    with pytest.raises(KeysUnavailable):
        await ids(keys, issuer, "one")


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"issuer": "https://other.example", "jwks_uri": "{keys}"},
        {"issuer": "{issuer}/", "jwks_uri": "{keys}"},
        {"issuer": "{issuer}", "jwks_uri": "http://keys.example/"},
        {"issuer": "{issuer}", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "{issuer}", "jwks_uri": 5},
        [],
    ],
)
async def test_discovery_that_leads_elsewhere(keys: IssuerKeys, issuer: Issuer, document: object) -> None:
    text = json.dumps(document).replace("{issuer}", issuer.url).replace("{keys}", f"{issuer.url}/keys")
    issuer.documents["/tenant/v2.0/.well-known/openid-configuration"] = text.encode()
    with pytest.raises(KeysUnavailable):
        await ids(keys, issuer, "one")
    assert issuer.key_fetches == 0


async def test_redirects_are_not_followed(keys: IssuerKeys, issuer: Issuer) -> None:
    issuer.status, issuer.headers = 302, {"Location": f"{issuer.url}/keys"}
    with pytest.raises(KeysUnavailable):
        await ids(keys, issuer, "one")
    assert issuer.key_fetches == 0


async def test_nobody_listens(keys: IssuerKeys) -> None:
    with pytest.raises(KeysUnavailable):
        await keys.find("http://127.0.0.1:1", None, "one")
