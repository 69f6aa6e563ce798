"""`/oauth/token` and what its tokens are good for, over HTTP."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from bridge_rig import SECRETS, Rig, hosted, open_rig
from issuer import AUDIENCE, SUBJECT, Issuer, claims, public_jwk, serve_issuer, signed

from app.store.clients import Client
from app.store.tokens import new_secret

pytestmark = pytest.mark.asyncio(loop_scope="module")

FORM = {"content-type": "application/x-www-form-urlencoded"}
GRANT = {"grant_type": "client_credentials"}
JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    with serve_issuer() as made:
        yield made


class Case:
    """A connection with a client."""

    def __init__(self, rig: Rig, connection_id: str, client: Client, secret: str) -> None:
        self.rig, self.connection_id, self.client, self.secret = rig, connection_id, client, secret

    async def ask(
        self, data: Any = None, *, auth: tuple[str, str] | None = None, method: str = "POST", **options: Any
    ) -> httpx.Response:
        path = options.pop("path", "/oauth/token")
        transport = httpx.ASGITransport(self.rig.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://bridge.test") as client:
            given = {"data": {**GRANT, **data}} if isinstance(data, dict) else {"content": data or b""}
            return await client.request(method, path, auth=auth, **given, **options)

    async def token(self, secret: str | None = None) -> str:
        answer = await self.ask({}, auth=(self.client.id, secret or self.secret))
        assert answer.status_code == 200, answer.text
        text: str = answer.json()["access_token"]
        return text

    async def status(self, token: str) -> int:
        return (await self.rig.scim("GET", "/Users?count=0", token=token)).status_code

    async def asserting(self, assertion: str, **more: str) -> httpx.Response:
        return await self.ask({"client_assertion_type": JWT_BEARER, "client_assertion": assertion, **more})


@pytest_asyncio.fixture(loop_scope="module")
async def case(rig: Rig) -> Case:
    found = await rig.store.token_cache.authenticate(rig.token)
    assert found is not None
    client = await rig.store.clients.add(found.connection.id, "test")
    _, secret = await rig.store.clients.add_secret(client.id)
    SECRETS.append(secret)
    return Case(rig, found.connection.id, client, secret)


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """An error answer of RFC 6749 §5.2."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].partition(";")[0] == "application/json"
    assert answer.headers["cache-control"] == "no-store"
    body: dict[str, Any] = answer.json()
    assert body.keys() == {"error", "error_description"}
    assert body["error"] == code
    assert all(" " <= c <= "~" and c not in '"\\' for c in body["error_description"])
    assert ("www-authenticate" in answer.headers) == (status == 401)
    if status == 401:
        assert answer.headers["www-authenticate"].startswith("Basic")
    return body


async def test_both_ways_to_send_a_secret(case: Case) -> None:
    for answer in (
        await case.ask({}, auth=(case.client.id, case.secret)),
        await case.ask({"client_id": case.client.id, "client_secret": case.secret}),
        await case.ask({"scope": "scim"}, auth=(case.client.id, case.secret)),
    ):
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["content-type"] == "application/json"
        body = answer.json()
        token = body.pop("access_token")
        assert body == {"token_type": "Bearer", "expires_in": 3600}
        assert await case.status(token) == 200


async def test_a_client_id_that_has_to_be_encoded(case: Case) -> None:
    client = await case.rig.store.clients.add(case.connection_id, client_id="okta-prod.2")
    _, secret = await case.rig.store.clients.add_secret(client.id)
    text = f"okta%2Dprod%2E2:{secret.replace('_', '%5F')}".encode()
    header = {"authorization": "Basic " + base64.b64encode(text).decode()}
    assert (await case.ask({}, headers=header)).status_code == 200


async def test_it_authorizes_as_a_token_of_the_connection(case: Case) -> None:
    user = await case.rig.make()
    token = await case.token()
    seen = await case.rig.scim("GET", f"/Users/{user['id']}", token=token)
    assert seen.json() == user
    assert (await case.rig.scim("GET", "/Me", token=token)).status_code == 501


async def test_nothing_tells_whether_there_is_a_client(case: Case) -> None:
    bodies = []
    for auth in [
        (case.client.id, new_secret(kind="scs_")),
        (case.client.id, "wrong"),
        ("cli_nobody", new_secret(kind="scs_")),
        ("cli_nobody", case.secret),
        ("", ""),
        (case.client.id, case.rig.token),
    ]:
        bodies.append(refused(await case.ask({}, auth=auth), 401, "invalid_client"))
        if all(auth):
            posted = await case.ask({"client_id": auth[0], "client_secret": auth[1]})
            bodies.append(refused(posted, 401, "invalid_client"))
    assert all(body == bodies[0] for body in bodies)


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        ({"grant_type": "authorization_code"}, 400, "unsupported_grant_type"),
        ({"grant_type": ""}, 400, "invalid_request"),
        ({"scope": "admin"}, 400, "invalid_scope"),
        ({"client_secret": "x"}, 400, "invalid_request"),
        ({"client_id": "another"}, 400, "invalid_request"),
        ({"scope": ["scim", "scim"]}, 400, "invalid_request"),
        ({"client_assertion": "x", "client_assertion_type": JWT_BEARER}, 400, "invalid_request"),
    ],
)
async def test_requests_that_are_refused(case: Case, data: dict[str, Any], status: int, code: str) -> None:
    refused(await case.ask(data, auth=(case.client.id, case.secret)), status, code)


async def test_what_is_no_token_request(case: Case) -> None:
    auth = (case.client.id, case.secret)
    refused(await case.ask(json.dumps(GRANT), auth=auth), 415, "invalid_request")
    refused(
        await case.ask(json.dumps(GRANT), auth=auth, headers={"content-type": "application/json"}),
        415,
        "invalid_request",
    )
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        answer = await case.ask(b"", auth=auth, method=method)
        refused(answer, 405, "invalid_request")
        assert "POST" in answer.headers["allow"]
    refused(await case.ask({}, auth=auth, path="/oauth/authorize"), 404, "invalid_request")
    refused(await case.ask(b"a=" + b"x" * 70_000, auth=auth, headers=FORM), 413, "invalid_request")
    for body in (b"\xff\xfe", b"grant_type=client_credentials&a=%ff", b"a=%00", b"&" * 60_000):
        refused(await case.ask(body, auth=auth, headers=FORM), 400, "invalid_request")
    # Parameters of the URL are not looked at (RFC 6749 §2.3.1).
    query = httpx.QueryParams({**GRANT, "client_id": auth[0], "client_secret": auth[1]})
    refused(await case.ask(b"", path=f"/oauth/token?{query}", headers=FORM), 400, "invalid_request")


async def test_two_secrets_in_rotation(case: Case) -> None:
    clients = case.rig.store.clients
    _, present = await clients.add_secret(case.client.id, "next")
    by_former, by_present = await case.token(), await case.token(present)
    first = next(s for s in await clients.secrets() if s.client_id == case.client.id and not s.label)
    await clients.revoke_secret(first.id)
    case.rig.store.token_cache.clear()
    refused(await case.ask({}, auth=(case.client.id, case.secret)), 401, "invalid_client")
    assert await case.status(by_former) == 401
    assert await case.status(by_present) == 200
    assert await case.status(await case.token(present)) == 200


async def test_a_secret_that_ends_sooner(case: Case) -> None:
    ends = datetime.now(UTC) + timedelta(minutes=10)
    _, secret = await case.rig.store.clients.add_secret(case.client.id, "", ends)
    answer = await case.ask({}, auth=(case.client.id, secret))
    assert 500 < answer.json()["expires_in"] <= 600


@pytest.mark.parametrize("what", ["client", "connection"])
async def test_what_is_removed_has_no_access(case: Case, what: str) -> None:
    token = await case.token()
    if what == "client":
        await case.rig.store.clients.remove(case.client.id)
    else:
        await case.rig.store.connections.remove(case.connection_id)
    case.rig.store.token_cache.clear()
    answer = await case.rig.scim("GET", "/Users", token=token)
    assert answer.status_code == 401
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    refused(await case.ask({}, auth=(case.client.id, case.secret)), 401, "invalid_client")


async def test_no_secret_in_the_logs(
    case: Case, issuer: Issuer, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"{issuer.origin}/logs"
    await case.rig.store.federations.add(case.connection_id, issuer=url, subject=SUBJECT, audience=AUDIENCE)
    good, bad = signed(claims(url)), signed(claims(url, sub="somebody"))
    token = await case.token()
    assert (await case.asserting(good)).status_code == 200
    refused(await case.asserting(bad), 401, "invalid_client")
    refused(await case.ask({}, auth=("x", case.secret)), 401, "invalid_client")
    refused(await case.ask({"client_secret": case.secret}, auth=("x", case.secret)), 400, "invalid_request")
    await case.status(token)
    shown = "".join(capfd.readouterr()) + caplog.text
    assert "client assertion refused" in shown
    for secret in (case.secret, token, good, bad, good.rpartition(".")[2], bad.rpartition(".")[2]):
        assert secret not in shown


# --- assertions ---------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(loop_scope="module")
async def trusted(case: Case, issuer: Issuer) -> tuple[Case, str]:
    """The case, and an issuer of its own that it trusts."""
    url = f"{issuer.origin}/{case.rig.tenant_id}"
    await case.rig.store.federations.add(case.connection_id, issuer=url, subject=SUBJECT, audience=AUDIENCE)
    return case, url


async def test_an_assertion_authenticates(trusted: tuple[Case, str]) -> None:
    case, url = trusted
    (trust,) = await case.rig.store.federations.list(case.connection_id)
    for more in (
        {},
        {"client_id": SUBJECT},
        {"client_id": trust.id, "scope": "scim"},
        {"scope": "scim.readwrite"},
    ):
        answer = await case.asserting(signed(claims(url)), **more)
        assert answer.status_code == 200, answer.text
        assert answer.json()["expires_in"] == 3600
        assert await case.status(answer.json()["access_token"]) == 200
    refused(await case.asserting(signed(claims(url)), client_id="else"), 401, "invalid_client")
    (trust,) = await case.rig.store.federations.list(case.connection_id)
    assert trust.last_used_at is not None
    token = answer.json()["access_token"]
    await case.rig.store.federations.remove(trust.id)
    case.rig.store.token_cache.clear()
    assert await case.status(token) == 401
    refused(await case.asserting(signed(claims(url))), 401, "invalid_client")


async def test_assertions_that_are_refused(trusted: tuple[Case, str], issuer: Issuer) -> None:
    case, url = trusted
    bodies = []
    for assertion in [
        signed(claims(url, sub="somebody-else")),
        signed(claims(url, aud="api://else")),
        signed(claims(issuer.origin + "/untrusted")),
        signed(claims("https://login.example/x")),
        signed(claims(url, iat=1000, nbf=1000, exp=2000)),
        signed(claims(url, exp=None)),
        signed(claims(url), "stranger", kid="one"),
        signed(claims(url), kid="unknown"),
        "x.y.z",
        "\ud7ff",
        "x" * 50_000,
    ]:
        bodies.append(refused(await case.asserting(assertion), 401, "invalid_client"))
    assert all(body == bodies[0] for body in bodies)
    # Of an issuer that nobody trusts nothing was fetched.
    assert not any("untrusted" in path for path in issuer.asked)


async def test_a_flood_of_unknown_keys_is_one_fetch(trusted: tuple[Case, str], issuer: Issuer) -> None:
    case, url = trusted
    before = issuer.key_fetches
    for n in range(20):
        refused(await case.asserting(signed(claims(url), kid=f"k{n}")), 401, "invalid_client")
    assert issuer.key_fetches == before + 1
    assert (await case.asserting(signed(claims(url)))).status_code == 200


async def test_an_issuer_whose_keys_cannot_be_had(trusted: tuple[Case, str], issuer: Issuer) -> None:
    case, url = trusted
    issuer.status = 500
    try:
        # Whoever the issuer may have signed for: nothing tells whether that subject is trusted.
        for sub in (SUBJECT, "somebody-else"):
            answer = await case.asserting(signed(claims(url, sub=sub)))
            refused(answer, 503, "temporarily_unavailable")
            assert answer.headers["retry-after"].isdigit()
    finally:
        issuer.status = 200


async def test_an_assertion_for_two_connections_is_for_none(
    trusted: tuple[Case, str], issuer: Issuer
) -> None:
    case, url = trusted
    other = await case.rig.store.connections.add(name=f"other-{url}"[:100], tenant_id=case.rig.tenant_id)
    await case.rig.store.federations.add(other.id, issuer=url, subject=SUBJECT, audience="api://two")
    both = signed(claims(url, aud=[AUDIENCE, "api://two"]))
    refused(await case.asserting(both), 401, "invalid_client")
    assert (await case.asserting(signed(claims(url, aud=["api://two"])))).status_code == 200


async def test_a_key_at_a_declared_address(case: Case, issuer: Issuer) -> None:
    issuer.documents["/elsewhere"] = json.dumps({"keys": [public_jwk("c", "ES256")]}).encode()
    url = "https://idp.example/a"
    await case.rig.store.federations.add(
        case.connection_id,
        issuer=url,
        subject=SUBJECT,
        audience=AUDIENCE,
        jwks_url=f"{issuer.origin}/elsewhere",
    )
    answer = await case.asserting(signed(claims(url), "c", "ES256"))
    assert answer.status_code == 200


# --- limits -------------------------------------------------------------------------------------------------


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def narrow_rig(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    opening = open_rig(
        made_once,
        tmp_path_factory.mktemp("narrow"),
        requests_per_second=0.001,
        request_burst=6,
        auth_failures_per_minute=4,
        request_timeout_s=1.0,
    )
    async for made in hosted(opening):
        yield made


async def test_guessing_and_asking_too_often(narrow_rig: Rig) -> None:
    connection = await narrow_rig.store.connections.by_name("main")
    assert connection is not None
    client = await narrow_rig.store.clients.add(connection.id)
    made = [await narrow_rig.store.clients.add_secret(client.id) for _ in range(2)]
    case = Case(narrow_rig, connection.id, client, made[0][1])
    await case.token()
    for _ in range(4):
        refused(await case.ask({}, auth=(client.id, "guess")), 401, "invalid_client")
    blocked = await case.ask({}, auth=(client.id, "guess"))
    refused(blocked, 429, "temporarily_unavailable")
    assert int(blocked.headers["retry-after"]) > 0
    # The same limit as that of bearer tokens; a secret in use goes on, one that was not seen yet waits.
    assert await case.status("scb_" + "A" * 43) == 429
    await case.token()
    refused(await case.ask({}, auth=(client.id, made[1][1])), 429, "temporarily_unavailable")
    # A secret that was removed is not in use any more.
    await narrow_rig.store.clients.revoke_secret(made[1][0].id)
    # Tokens count as requests of the connection.
    seen = [(await case.ask({}, auth=(client.id, case.secret))).status_code for _ in range(6)]
    assert seen == [200] * 4 + [429] * 2
    refused(await case.ask({}, auth=(client.id, case.secret)), 429, "temporarily_unavailable")


async def test_a_form_that_drips(narrow_rig: Rig) -> None:
    async def drips() -> AsyncIterator[bytes]:
        yield b"grant_type="
        await asyncio.Event().wait()

    connection = await narrow_rig.store.connections.by_name("main")
    assert connection is not None
    transport = httpx.ASGITransport(narrow_rig.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://bridge.test") as client:
        refused(await client.post("/oauth/token", content=drips(), headers=FORM), 408, "invalid_request")


async def test_without_the_database(made_once: Path, tmp_path: Path) -> None:
    async for made in hosted(open_rig(made_once, tmp_path)):
        connection = await made.store.connections.by_name("main")
        assert connection is not None
        client = await made.store.clients.add(connection.id)
        _, secret = await made.store.clients.add_secret(client.id)
        await made.store.db.close()
        case = Case(made, connection.id, client, secret)
        answer = await case.ask({}, auth=(client.id, secret))
        refused(answer, 503, "temporarily_unavailable")
        assert answer.headers["retry-after"].isdigit()
        # What cannot be a secret needs no database.
        refused(await case.ask({}, auth=(client.id, "x")), 401, "invalid_client")
