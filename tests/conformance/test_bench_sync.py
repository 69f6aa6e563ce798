"""`bench sync` against the bridge: what it finds, what it leaves, and what it does not touch."""

from __future__ import annotations

import asyncio
import copy
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rfc import Create
from rich.console import Console

from app.cli.bench.command import Options, play
from app.cli.bench.figures import Report
from app.cli.bench.population import WORK_EMAIL, Plan
from app.platform.transport import network_transport
from app.store.connections import Policies
from app.store.store import Store

if TYPE_CHECKING:
    from conftest import Served

CLIENTS = ["entra", "okta"]
Send = Callable[[httpx.Request], Awaitable[httpx.Response]]
Tamper = Callable[[httpx.Request, Send], Awaitable[httpx.Response]]

START_S = 60.0


class Tampering(httpx.AsyncBaseTransport):
    """The bridge with something wrong about it."""

    def __init__(self, tamper: Tamper) -> None:
        self._tamper = tamper
        self._bridge = network_transport(8)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        return await self._tamper(request, self._bridge.handle_async_request)

    async def aclose(self) -> None:
        await self._bridge.aclose()


@pytest.fixture(scope="module")
def served(served: Served) -> Served:
    """The bridge by a connection without a guard: who deletes everybody is what it is there to stop."""

    async def add() -> str:
        store = await Store.open(f"sqlite+aiosqlite:///{served.data_dir}/bridge.db")
        try:
            policies = Policies(guard_limit=0)
            made = await store.connections.add(name="bench", tenant_id=served.tenant_id, policies=policies)
            _, secret = await store.tokens.create(made.id, "bench")
        finally:
            await store.close()
        return secret

    own = copy.copy(served)
    own.token = asyncio.run(add())
    return own


async def untouched(request: httpx.Request, send: Send) -> httpx.Response:
    return await send(request)


def bench(
    served: Served, client: str, tamper: Tamper = untouched, *, keep: bool = False, **plan: int
) -> Report:
    """A small run in this process."""
    options = Options(
        url=served.base_url,
        token=served.token,
        client=client,
        plan=Plan(prefix=f"bench-{os.urandom(4).hex()}", **{"users": 6, **plan}),
        connections=4,
        keep=keep,
    )
    return asyncio.run(play(options, Tampering(tamper), Console(file=io.StringIO())))


def wrote(request: httpx.Request, word: bytes) -> bool:
    return request.method in ("PUT", "PATCH") and word in request.content


@pytest.fixture
def nothing_left(scim: httpx.Client) -> Iterator[None]:
    """As many users and groups are there afterwards as before."""

    def count() -> list[int]:
        return [scim.get(p, params={"count": 0}).json()["totalResults"] for p in ("/Users", "/Groups")]

    before = count()
    yield
    assert count() == before


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("nothing_left")
def test_the_bridge_is_right(client: str, served: Served) -> None:
    report = bench(served, client, groups=2, members=3, cycles=3)
    assert report.failures == []
    assert report.differences == []
    assert report.is_good
    assert {"rename", "change e-mail", "deactivate", "reactivate", "change members"} <= set(report.kinds)
    assert report.kinds["create user"].statuses == {"201": 6}
    assert report.kinds["match user"].requests == 6 * 4
    assert report.kinds["read deleted"].statuses == {"404": 8}
    assert sum(kind.requests for kind in report.kinds.values()) == report.requests
    assert sum(phase.requests for phase in report.phases) == report.requests


@pytest.mark.usefixtures("nothing_left")
def test_members_beyond_one_batch(served: Served) -> None:
    report = bench(served, "entra", users=105, groups=1, members=105, cycles=1)
    assert report.is_good, report.failures
    assert report.kinds["change members"].requests == 3


async def loses_mail(request: httpx.Request, send: Send) -> httpx.Response:
    """Okta's PUT and Entra's PATCH of an address do nothing, and answer as if."""
    if wrote(request, b'"c1.'):
        return httpx.Response(200, content=request.content if request.method == "PUT" else b"")
    return await send(request)


async def loses_leavers(request: httpx.Request, send: Send) -> httpx.Response:
    if wrote(request, b'"False"') or wrote(request, b'"active":false'):
        return httpx.Response(204)
    return await send(request)


async def loses_members(request: httpx.Request, send: Send) -> httpx.Response:
    return httpx.Response(204) if wrote(request, b'"members"') else await send(request)


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.parametrize(
    ("tamper", "attribute"), [(loses_mail, WORK_EMAIL), (loses_leavers, "active"), (loses_members, "members")]
)
@pytest.mark.usefixtures("nothing_left")
def test_a_lost_write_is_found(client: str, tamper: Tamper, attribute: str, served: Served) -> None:
    report = bench(served, client, tamper, groups=1, members=2, cycles=1)
    found = {d.attribute for d in report.differences if d.seen_in == "read back"}
    assert found == {attribute}
    assert not report.is_good
    assert report.left == []


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("nothing_left")
def test_a_server_that_ignores_filters_gets_nobody_touched(
    client: str, served: Served, scim: httpx.Client, create: Create
) -> None:
    async def ignores_filters(request: httpx.Request, send: Send) -> httpx.Response:
        if "filter" in request.url.params:
            request = httpx.Request(
                "GET", request.url.copy_with(params={"count": 5}), headers=request.headers
            )
        return await send(request)

    stranger = create()
    place = f"/Users/{stranger['id']}"
    before = scim.get(place).json()
    report = bench(served, client, ignores_filters, cycles=1)
    assert {d.attribute for d in report.differences} == {"totalResults"}
    assert report.left == []
    assert scim.get(place).json() == before
    assert scim.delete(place).status_code == 204


@pytest.mark.parametrize("cycles", [0, 1])
@pytest.mark.usefixtures("nothing_left")
def test_users_whose_creation_was_not_answered_are_found_and_deleted(cycles: int, served: Served) -> None:
    lost: list[httpx.URL] = []

    async def loses_answers(request: httpx.Request, send: Send) -> httpx.Response:
        response = await send(request)
        if request.method == "POST" and len(lost) < 2:
            lost.append(request.url)
            raise httpx.ReadError("reset", request=request)
        return response

    report = bench(served, "okta", loses_answers, cycles=cycles)
    assert report.failures_in_all == 2
    assert report.kinds["create user"].statuses == {"201": 4, "none": 2}
    assert report.kinds["delete user"].statuses == {"204": 6}
    assert report.differences == []
    assert report.left == []


def test_deletions_that_are_not_done_are_found(served: Served, scim: httpx.Client) -> None:
    async def keeps_all(request: httpx.Request, send: Send) -> httpx.Response:
        return httpx.Response(204) if request.method == "DELETE" else await send(request)

    report = bench(served, "entra", keeps_all, users=2)
    assert len(report.left) == 2
    assert not report.is_good
    assert {(f.kind, f.status) for f in report.failures} == {("read deleted", "200")}
    delete_all(scim, report.prefix)


def test_keep_leaves_everything(served: Served, scim: httpx.Client) -> None:
    report = bench(served, "okta", users=2, groups=1, members=2, keep=True)
    assert report.is_good
    assert len(report.left) == 3
    assert delete_all(scim, report.prefix) == 3


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.usefixtures("nothing_left")
def test_throttled_requests_are_sent_again(client: str, served: Served) -> None:
    sent = [0]

    async def throttles(request: httpx.Request, send: Send) -> httpx.Response:
        sent[0] += 1
        # 4 connections: no request meets ten of these in a row.
        return httpx.Response(429, headers={"Retry-After": "0"}) if sent[0] % 3 == 0 else await send(request)

    report = bench(served, client, throttles, groups=1, members=3, cycles=1)
    assert report.is_good, report.failures
    assert report.throttling.answers == report.throttling.repeated == sent[0] // 3
    assert report.requests == sent[0]


@pytest.mark.parametrize("signals", [1, 2])
def test_an_interruption_clears_up(signals: int, served: Served, scim: httpx.Client) -> None:
    created = [0]

    async def interrupts(request: httpx.Request, send: Send) -> httpx.Response:
        response = await send(request)
        if request.method == "POST":
            created[0] += 1
            if created[0] == 5:
                signal.raise_signal(signal.SIGINT)
        if request.method == "DELETE" and signals == 2:
            signal.raise_signal(signal.SIGINT)
        return response

    handler = signal.getsignal(signal.SIGINT)
    report = bench(served, "okta", interrupts, users=40)
    assert signal.getsignal(signal.SIGINT) is handler
    assert report.interrupted
    assert not report.is_good
    assert 5 <= created[0] < 40
    assert bool(report.left) is (signals == 2)
    assert delete_all(scim, report.prefix) <= len(report.left)


def test_ctrl_c_on_the_command_line(served: Served, scim: httpx.Client) -> None:
    with command(served, "--users", "500", "--rate", "40", "--prefix", "ctrl-c") as process:
        deadline = time.monotonic() + START_S
        while not starting_with(scim, "/Users", "userName", "ctrl-c-"):
            assert time.monotonic() < deadline
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=START_S)
    assert process.returncode == 130, err
    assert "It was interrupted" in out
    assert "was deleted again" in out
    assert "Traceback" not in err
    assert starting_with(scim, "/Users", "userName", "ctrl-c-") == []


def test_the_command_reports_in_json(served: Served, tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text(f"{served.token}\n")
    with command(served, "--users", "3", "--json", "--token-file", str(file), token="wrong") as process:
        out, err = process.communicate(timeout=START_S)
    assert process.returncode == 0, err
    report = json.loads(out)
    assert (report["users"], report["failures"], report["left"]) == (3, [], [])
    assert "first sync, users" in err
    assert served.token not in out + err


def test_a_refused_token_is_one_line(served: Served) -> None:
    with command(served, token="wrong") as process:
        out, err = process.communicate(timeout=START_S)
    assert process.returncode == 1
    assert out == ""
    assert "Traceback" not in err
    [line] = [each for each in err.splitlines() if each.startswith("error:")]
    assert "the test of the connection failed: 401" in line
    assert "wrong" not in line


def command(served: Served, *options: str, token: str | None = None) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "app.cli", "bench", "sync", served.base_url, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "COLUMNS": "200", "SCIM_BENCH_TOKEN": token or served.token},
    )


def starting_with(scim: httpx.Client, path: str, attribute: str, prefix: str) -> list[dict[str, Any]]:
    answer = scim.get(path, params={"filter": f'{attribute} sw "{prefix}"', "attributes": attribute})
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["Resources"]
    return found


def delete_all(scim: httpx.Client, prefix: str) -> int:
    """Delete what a run has left; how many that were."""
    deleted = 0
    for path, attribute in (("/Groups", "displayName"), ("/Users", "userName")):
        for resource in starting_with(scim, path, attribute, prefix):
            # What a run was sending when it was ended may still have been carried out.
            assert scim.delete(f"{path}/{resource['id']}").status_code in (204, 404)
            deleted += 1
    return deleted
