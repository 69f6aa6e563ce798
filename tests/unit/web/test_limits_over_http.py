"""Limits as a client meets them, and writes that are finished whatever becomes of their request."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from bridge_rig import CORE, Fault, Rig, Send, assert_scim_error, hosted, open_rig, person

from app.store.connections import Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(made_once: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    """A bridge with narrow limits."""
    opening = open_rig(
        made_once,
        tmp_path_factory.mktemp("narrow"),
        requests_per_second=0.001,
        request_burst=40,
        auth_failures_per_minute=5,
        max_requests_in_progress=2,
        max_operations=3,
        max_values=100,
        request_timeout_s=1.0,
        handling_timeout_s=3.0,
    )
    async for rig in hosted(opening):
        yield rig


async def test_a_connection_beyond_its_rate(rig: Rig) -> None:
    for _ in range(40):
        assert (await rig.scim("GET", "/Schemas")).status_code == 200
    refused = await rig.scim("GET", "/Users")
    assert refused.status_code == 429
    assert int(refused.headers["retry-after"]) > 0
    assert "requests a second" in refused.json()["detail"]
    assert rig.wire.seen() == []
    other = await rig.alone()
    assert (await other.scim("GET", "/Schemas")).status_code == 200
    free = await rig.alone(policies=Policies(requests_per_second=0.0))
    for _ in range(60):
        assert (await free.scim("GET", "/ServiceProviderConfig")).status_code == 200
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(rig.app), base_url="http://bridge.test"
    ) as client:
        for _ in range(60):
            assert (await client.get("/health/live")).status_code == 200


async def test_two_tokens_of_a_connection_share_its_rate(rig: Rig) -> None:
    name = f"two-{rig.tenant_id}"
    made = await rig.store.connections.add(
        name=name, tenant_id=rig.tenant_id, policies=Policies(request_burst=2)
    )
    tokens = [(await rig.store.tokens.create(made.id, "", None))[1] for _ in range(2)]
    answers = [(await rig.scim("GET", "/Schemas", token=token)).status_code for token in (*tokens, *tokens)]
    assert answers == [200, 200, 429, 429]


async def test_an_address_with_refused_tokens(rig: Rig) -> None:
    assert (await rig.scim("GET", "/Schemas")).status_code == 200
    fresh = await rig.alone()
    seen = [(await rig.scim("GET", "/Schemas", token="scb_" + f"{n:043}")).status_code for n in range(7)]
    assert seen == [401] * 5 + [429] * 2
    refused = await rig.scim("GET", "/Schemas", token="scb_" + "x" * 43)
    assert int(refused.headers["retry-after"]) > 0
    # A token in use goes on; one that was not seen yet has to wait.
    assert (await rig.scim("GET", "/Schemas")).status_code == 200
    assert (await fresh.scim("GET", "/Schemas")).status_code == 429


@pytest.mark.parametrize(
    ("method", "body", "status", "part"),
    [
        ("PATCH", {"Operations": [{"op": "add", "path": "title", "value": "x"}] * 4}, 413, "3"),
        ("POST", {**person(), "x": [0] * 100}, 413, "100"),
        ("PUT", {**person(), "emails": [{"value": f"{n}@x.org"} for n in range(60)]}, 413, "100"),
    ],
)
async def test_bodies_beyond_their_bounds(
    shared: Rig, method: str, body: dict[str, Any], status: int, part: str
) -> None:
    rig = await open_again(shared)
    answer = await rig.scim(method, "/Users" if method == "POST" else "/Users/usr_1", body)
    assert answer.status_code == status
    assert part in answer.json()["detail"]
    assert rig.wire.seen() == []


async def open_again(rig: Rig) -> Rig:
    """A tenant of its own; its token is known, so that refused tokens of other tests do not matter."""
    alone = await rig.alone()
    assert (await rig.store.token_cache.authenticate(alone.token)) is not None
    return alone


@pytest.mark.parametrize("depth", [51, 200, 900, 100_000])
@pytest.mark.parametrize("place", ["emails", "name", "unknown", CORE])
async def test_deep_bodies(shared: Rig, depth: int, place: str) -> None:
    rig = await open_again(shared)
    text = f'{{"userName":"a@x.org","{place}":' + '{"a":[' * (depth // 2) + "1" + "]}" * (depth // 2) + "}"
    async with rig.client() as client:
        answer = await client.post("/Users", content=text, headers={"content-type": "application/json"})
    assert answer.status_code == 400
    assert assert_scim_error(answer)["scimType"] == "invalidSyntax"


async def test_a_body_that_drips(shared: Rig) -> None:
    rig = await open_again(shared)

    async def drips() -> AsyncIterator[bytes]:
        yield b'{"userName'
        await asyncio.Event().wait()

    async with rig.client() as client:
        answer = await client.post("/Users", content=drips())
    assert answer.status_code == 408
    assert answer.headers["connection"] == "close"
    assert_scim_error(answer)


class Held:
    """A fault that holds a platform call back until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self._reached = asyncio.Semaphore(0)

    def fault(self) -> Fault:
        async def wait(request: httpx.Request, send: Send) -> httpx.Response:
            self._reached.release()
            await self.go.wait()
            return await send(request)

        return wait

    async def reached(self) -> None:
        """Until one more call is held."""
        await self._reached.acquire()


async def test_more_requests_than_may_be_in_progress(shared: Rig) -> None:
    rig, held = await open_again(shared), Held()
    users = [await rig.make(userName=f"{n}@x.org", emails=None) for n in range(2)]
    rig.wire.always("PATCH user", held.fault())
    change = {"op": "replace", "path": "title", "value": "x"}
    writing = [asyncio.create_task(rig.patch(user["id"], change)) for user in users]
    for _ in writing:
        await held.reached()
    reading = {asyncio.create_task(rig.scim("GET", "/Schemas")) for _ in range(5)}
    refused: list[httpx.Response] = []
    while len(refused) < 3:
        done, reading = await asyncio.wait(reading, return_when=asyncio.FIRST_COMPLETED)
        refused += [task.result() for task in done]
    assert [(r.status_code, r.headers["retry-after"]) for r in refused] == [(503, "1")] * 3
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(rig.app), base_url="http://bridge.test"
    ) as client:
        assert (await client.get("/health/ready")).status_code == 200
    held.go.set()
    assert [(await task).status_code for task in reading] == [200, 200]
    await asyncio.gather(*writing)
    assert (await rig.scim("GET", "/Schemas")).status_code == 200


async def test_a_read_that_takes_too_long(shared: Rig) -> None:
    rig, held = await open_again(shared), Held()
    user = await rig.make()
    rig.wire.always("GET user", held.fault())
    answer = await rig.scim("GET", f"/Users/{user['id']}")
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    rig.wire.reset()
    assert (await rig.scim("GET", f"/Users/{user['id']}")).status_code == 200


async def finished(rig: Rig) -> None:
    await rig.app.state.services.limits.handling.finish(30)


async def test_a_write_that_takes_too_long_is_finished(shared: Rig) -> None:
    rig, held = await open_again(shared), Held()
    rig.wire.always("PUT status", held.fault())
    answer = await rig.scim("POST", "/Users", person(active=False))
    assert answer.status_code == 503
    assert answer.headers["retry-after"].isdigit()
    assert "goes on" in answer.json()["detail"]
    held.go.set()
    await finished(rig)
    (user,) = await rig.all_at_platform()
    assert user["status"] == "DISABLED"
    listed = await rig.scim("GET", '/Users?filter=userName eq "ada@example.com"')
    assert [r["active"] for r in listed.json()["Resources"]] == [False]


@pytest.mark.parametrize("call", ["POST users", "PUT status"])
async def test_a_creation_whose_request_is_cancelled_is_finished(shared: Rig, call: str) -> None:
    rig, held = await open_again(shared), Held()
    rig.wire.always(call, held.fault())
    request = asyncio.create_task(rig.scim("POST", "/Users", person(active=False)))
    await held.reached()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    held.go.set()
    await finished(rig)
    assert [user["status"] for user in await rig.all_at_platform()] == ["DISABLED"]


async def test_a_change_whose_request_is_cancelled_is_finished(shared: Rig) -> None:
    rig, held = await open_again(shared), Held()
    user = await rig.make()
    rig.wire.always("PUT status", held.fault())
    changes = [
        {"op": "replace", "path": "title", "value": "late"},
        {"op": "replace", "path": "active", "value": False},
    ]
    request = asyncio.create_task(rig.patch(user["id"], *changes))
    await held.reached()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    held.go.set()
    await finished(rig)
    rig.wire.reset()
    found = (await rig.scim("GET", f"/Users/{user['id']}")).json()
    assert (found["title"], found["active"]) == ("late", False)
    # The trail has both: that nobody was answered, and what became of it.
    statuses: list[int] = []
    async with asyncio.timeout(60):
        while len(statuses) < 2:
            records = (await rig.store.audit.history(user["id"])).records
            statuses = [r.status for r in reversed(records) if r.method == "PATCH"]
            await asyncio.sleep(0.01)
    assert statuses == [0, 200]
