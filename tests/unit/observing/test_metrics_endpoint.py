"""`/metrics` as Prometheus reads it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from bridge_rig import CORE, Rig, answers
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from app.admin import create_admin
from app.bridge.context import Context
from app.bridge.story import Story
from app.observing.catalogue import METRICS, PROCESS
from app.store.errors import StoreUnavailable

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
NAME = "Wilhelmina"
LABELS = {metric.name: set(metric.labels) for metric in (*METRICS, *PROCESS)}


async def scrape(rig: Rig, **headers: str) -> httpx.Response:
    """No token, and no session of the console."""
    admin = create_admin(rig.app.state.services)
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(admin), base_url="http://admin.test"
    ) as prometheus:
        answer = await prometheus.get("/metrics", headers=headers)
    assert answer.status_code == 200, answer.text
    return answer


async def values(rig: Rig) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    text = (await scrape(rig)).text
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def of(name: str, **labels: str) -> tuple[str, frozenset[tuple[str, str]]]:
    return f"scim_bridge_{name}", frozenset(labels.items())


async def use(rig: Rig) -> dict[str, Any]:
    made = await rig.scim(
        "POST",
        "/Users",
        {
            "schemas": [CORE],
            "userName": f"{NAME}@example.com",
            "name": {"givenName": NAME},
            "emails": [{"value": f"{NAME}@example.com"}],
        },
    )
    assert made.status_code == 201
    user: dict[str, Any] = made.json()
    await rig.scim("GET", "/Users", params={"filter": f'userName eq "{NAME}@example.com"'})
    await rig.scim("GET", f"/Users/{NAME}@example.com")
    await rig.scim("DELETE", f"/Users/{user['id']}")
    return user


def shown(families: Iterator[Metric]) -> dict[str, set[str]]:
    """Names, as series are named but for the parts of histograms, with their labels."""
    found: dict[str, set[str]] = {}
    for family in families:
        name = family.name
        if family.type == "counter" and not name.endswith("_total"):
            name += "_total"
        for sample in family.samples:
            found.setdefault(name, set()).update(sample.labels.keys() - {"le"})
    return found


@pytest.mark.parametrize("accept", ["", OPENMETRICS])
async def test_all_that_is_documented_is_shown_and_nothing_else(rig: Rig, accept: str) -> None:
    await use(rig)
    rig.app.state.services.counting.take(_recovered())
    await rig.app.state.services.upkeep.ensure_complete(await _context(rig))
    answer = await scrape(rig, accept=accept)
    read = read_openmetrics if accept else text_string_to_metric_families
    kind = answer.headers["content-type"]
    assert kind.startswith(f"{OPENMETRICS if accept else 'text/plain; version=0.0.4'}; charset=utf-8")
    assert kind.count("charset") == 1
    found = shown(read(answer.text))
    assert found == {name: LABELS[name] for name in found}
    missing = LABELS.keys() - found.keys()
    # What the library tells of a process it finds under /proc.
    assert {name for name in missing if not name.startswith("process_")} == set()


async def test_it_says_nothing_of_users(rig: Rig) -> None:
    user = await use(rig)
    text = (await scrape(rig)).text
    assert NAME not in text
    assert user["id"] not in text
    assert rig.tenant_id not in text


async def test_requests_and_the_calls_that_they_took(rig: Rig) -> None:
    before = await values(rig)
    await use(rig)
    after = await values(rig)
    connection = (await _context(rig)).connection
    made = of("requests_total", connection=connection, method="POST", route="/Users", status="201", cause="")
    assert after[made] == before.get(made, 0) + 1
    posts = of("platform_calls_total", method="POST", route="/api/v1/tenants/{tenant_id}/users", outcome="ok")
    assert after[posts] == before.get(posts, 0) + 1
    asked = of(
        "requests_total",
        connection=connection,
        method="GET",
        route="/Users/{id}",
        status="404",
        cause="not-found",
    )
    assert after[asked] == before.get(asked, 0) + 1


async def test_states_are_read_when_somebody_asks(rig: Rig) -> None:
    context = await _context(rig)
    await rig.app.state.services.upkeep.ensure_complete(context)
    found = await values(rig)
    assert found[of("database_up")] == 1
    assert found[of("readiness", status="ok")] == 1
    assert found[of("readiness", status="degraded")] == 0
    assert found[of("readiness_reason", check="journal")] == 0
    assert found[of("platform_circuit", state="closed")] == 1
    assert found[of("connection_stopped", connection=context.connection)] == 0
    assert found[of("index_complete", connection=context.connection)] == 1
    assert 0 <= found[of("index_age_seconds", connection=context.connection)] < 600
    assert found[of("requests_in_progress")] == 0


async def test_requests_and_calls_in_progress_are_seen(rig: Rig) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold(request: httpx.Request, send: Any) -> httpx.Response:
        reached.set()
        await go_on.wait()
        return await send(request)

    rig.wire.always("GET user", hold)
    asked = asyncio.create_task(rig.scim("GET", "/Users/usr_nobody"))
    try:
        async with asyncio.timeout(60):
            await reached.wait()
        during = await values(rig)
    finally:
        go_on.set()
        await asked
        rig.wire.reset()
    assert during[of("requests_in_progress")] == 1
    assert during[of("platform_calls_in_progress")] == 1
    after = await values(rig)
    assert after[of("requests_in_progress")] == after[of("platform_calls_in_progress")] == 0


async def test_a_connection_whose_mapping_is_gone_is_told(rig: Rig) -> None:
    broken = await rig.store.connections.add(name="broken", tenant_id="tnt_x", mapping="/nowhere.toml")
    try:
        found = await values(rig)
    finally:
        await rig.store.connections.remove(broken.id)
    assert found[of("connection_usable", connection="broken")] == 0
    assert of("index_age_seconds", connection="broken") not in found


async def test_a_database_that_does_not_answer_leaves_the_rest(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    await use(rig)

    async def fails(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("the disk is full")

    monkeypatch.setattr(rig.store.journal, "counts", fails)
    found = await values(rig)
    assert found[of("database_up")] == 0
    assert of("journal_stuck_writes") not in found
    assert any(name == "scim_bridge_requests_total" for name, _ in found)


async def test_trouble_at_the_platform_shows_in_calls_and_causes(rig: Rig) -> None:
    before = await values(rig)
    rig.wire.always("GET user", answers(503))
    try:
        answer = await rig.scim("GET", "/Users/usr_1")
    finally:
        rig.wire.reset()
    assert answer.status_code == 503
    after = await values(rig)
    route = "/api/v1/tenants/{tenant_id}/users/{user_id}"
    failed = of("platform_calls_total", method="GET", route=route, outcome="failed")
    assert after[failed] == before.get(failed, 0) + 3
    assert any(
        name == "scim_bridge_requests_total" and ("cause", "platform-unavailable") in labels
        for name, labels in after
    )


async def _context(rig: Rig) -> Context:
    services = rig.app.state.services
    found = await rig.store.tokens.authenticate(rig.token)
    assert found is not None
    context: Context = services.contexts.of(found.connection, "")
    return context


def _recovered() -> Story:
    return Story("POST", "/Users", "a-recovery", actor="recovery").ended(200)
