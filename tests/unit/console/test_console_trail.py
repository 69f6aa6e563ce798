"""The audit trail in the console: requests, one's story, a user's history, charts."""

from __future__ import annotations

import html
import re
import uuid
from typing import Any

import httpx
import pytest
from bridge_rig import CORE, PATCH_OP, Rig, raises
from console_rig import ConsoleRig

from app.console.advice import ADVICE
from app.store.audit_records import CAUSES, AuditFilter
from app.store.connections import Connection, Policies

pytestmark = pytest.mark.asyncio(loop_scope="module")

HTMX = {"hx-request": "true"}
OFF = {"op": "replace", "path": "active", "value": False}
HOSTILE = "<script>alert(1)</script>\"'>"


def shown(answer: httpx.Response) -> str:
    """What a person reads."""
    assert answer.status_code == 200, answer.text
    return html.unescape(answer.text)


async def connection_of(rig: Rig) -> Connection:
    found = await rig.store.tokens.authenticate(rig.token)
    assert found is not None
    return found.connection


async def told(rig: Rig, method: str, path: str, body: Any = None) -> str:
    """Send a request and answer its correlation id, as soon as the trail has it."""
    correlation_id = f"test-{uuid.uuid4().hex}"
    await rig.scim(method, path, body, headers={"x-correlation-id": correlation_id})
    # A write's record is there with its answer, and whatever came before too.
    await rig.scim("POST", "/Users", {})
    found = await rig.store.audit.page(AuditFilter(text=correlation_id))
    assert len(found.records) == 1
    return correlation_id


def rows(page: str) -> list[str]:
    """Method and route of each row."""
    return re.findall(r'<th scope="row"><a href="/console/requests/[0-9a-f]{16}">([^<]+)</a>', page)


async def test_every_cause_has_its_advice() -> None:
    assert sorted(ADVICE) == sorted(CAUSES)


async def test_requests_are_found_by_what_they_were(either: ConsoleRig) -> None:
    rig = await either.rig.alone()
    connection = await connection_of(rig)
    user = await rig.make(userName="find@example.com", externalId="E-1", emails=None)
    await rig.patch(user["id"], OFF)
    await told(rig, "GET", "/Users/usr_nobody")
    correlation_id = await told(rig, "GET", '/Users?filter=userName eq "find@example.com"')
    browser = await either.signed_in()

    async def found(**asked: str) -> list[str]:
        query = {"connection": connection.id, **asked}
        return rows(shown(await browser.get("/console/requests", params=query)))

    everything = await found()
    assert everything[-2:] == ["PATCH /Users/{id}", "POST /Users"]
    assert await found(method="PATCH") == ["PATCH /Users/{id}"]
    assert await found(result="2", method="POST") == ["POST /Users"]
    assert set(await found(result="failed")) == {"GET /Users/{id}", "POST /Users"}
    assert await found(cause="not-found") == await found(result="4", method="GET") == ["GET /Users/{id}"]
    assert await found(type="Group") == []
    assert await found(text=correlation_id) == ["GET /Users"]
    assert sorted(set(await found(text="FIND@example.com"))) == [
        "GET /Users",
        "PATCH /Users/{id}",
        "POST /Users",
    ]
    assert await found(text="E-2") == []
    assert await found(since="2026-01-01T00:00") == everything
    assert await found(until="2026-01-01T00:00") == []
    assert await found(since="2999-01-01T00:00:00+02:00") == []
    assert await found(connection="con_nobody") == []
    page = shown(await browser.get("/console/requests", params={"connection": connection.id}))
    assert "find@example.com" not in page


async def test_requests_are_paged_from_the_latest(either: ConsoleRig) -> None:
    rig = await either.rig.alone()
    connection = await connection_of(rig)
    for _ in range(60):
        await rig.scim("POST", "/Groups", {})
    browser = await either.signed_in()
    first = shown(await browser.get(f"/console/requests?connection={connection.id}&method=POST"))
    assert len(rows(first)) == 50
    older = re.search(r'<a href="([^"]+)" hx-get="\1"[^>]*>Older ones', first)
    assert older is not None
    second = shown(await browser.get(older[1], headers=HTMX))
    assert len(rows(second)) == 10
    assert "<html" not in second
    assert "Older ones" not in second
    assert "The latest" in second
    assert "10 requests are shown" in second
    ids = re.findall(r"/console/requests/([0-9a-f]{16})", first + second)
    assert len(set(ids)) == len(ids) == 60
    # A place that is none is no page, and no error.
    assert rows(shown(await browser.get("/console/requests?before=nonsense"))) == []


async def test_new_requests_are_counted_as_the_form_asks(either: ConsoleRig) -> None:
    rig = await either.rig.alone()
    connection = await connection_of(rig)
    await told(rig, "GET", "/Users/usr_nobody")
    browser = await either.signed_in()

    def news(page: httpx.Response) -> str:
        found = re.search(r'id="news"[^>]* hx-get="([^"]+)"', page.text)
        assert found is not None, page.text
        return html.unescape(found[1])

    page = await browser.get(f"/console/requests?connection={connection.id}&method=POST")
    quiet = await browser.get(news(page), headers=HTMX)
    assert "new request" not in quiet.text
    await told(rig, "GET", "/Users/usr_nobody")
    await told(rig, "PATCH", "/Users/usr_nobody", {})
    one = await browser.get(news(quiet), headers=HTMX)
    # Each of `told` ends with a POST; what is no POST was not asked for.
    assert "2 new requests: show" in one.text
    assert 'hx-swap-oob="innerHTML:#said">2 new requests.' in one.text
    assert f"/console/requests?connection={connection.id}&amp;method=POST" in one.text
    # What was said is not said again.
    again = await browser.get(news(one), headers=HTMX)
    assert "2 new requests: show" in again.text
    assert "#said" not in again.text
    older = await browser.get(f"/console/requests?connection={connection.id}&before={'f' * 16}")
    assert 'id="news"' not in older.text
    for _ in range(100):
        await rig.scim("POST", "/Groups", {})
    many = await browser.get(news(one), headers=HTMX)
    assert "100 or more new requests: show" in many.text


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("result", "abc"),
        ("result", "9"),
        ("result", "²"),
        ("method", "get"),
        ("type", "Users"),
        ("cause", "bad luck"),
        ("since", "yesterday"),
        ("until", "0001-01-01T00:00+14:00"),
        ("text", "x" * 301),
    ],
)
async def test_what_cannot_be_asked_is_refused(console: ConsoleRig, name: str, value: str) -> None:
    browser = await console.signed_in()
    answer = await browser.get("/console/requests", params={name: value})
    assert answer.status_code == 422
    part = await browser.get("/console/requests", params={name: value}, headers=HTMX)
    assert part.status_code == 422


async def test_a_request_is_told_from_its_beginning_to_its_end(console: ConsoleRig) -> None:
    rig = await console.rig.alone(policies=Policies(audit_values="personal"))
    user = await rig.make(userName="story@example.com", emails=None)
    rig.wire.always("GET user", raises(httpx.ReadTimeout))
    correlation_id = await told(
        rig, "PATCH", f"/Users/{user['id']}", {"schemas": [PATCH_OP], "Operations": [OFF]}
    )
    (record,) = (await rig.store.audit.page(AuditFilter(text=correlation_id))).records
    browser = await console.signed_in()
    page = shown(await browser.get(f"/console/requests/{record.id}"))
    places = [
        page.index(part)
        for part in (
            "Why: platform-unavailable",
            ADVICE["platform-unavailable"],
            "<h2>Request</h2>",
            "<code>PATCH /Users/{id}</code>",
            user["id"],
            correlation_id,
            '"path": "active"',
            "<h2>Platform calls</h2>",
            "no answer (ReadTimeout)",
            "<h2>Answer</h2>",
            '<span class="badge bad">503</span>',
        )
    ]
    assert places == sorted(places)
    assert f'href="/console/users?name={user["id"]}"' in page
    made = (await rig.store.audit.history(user["id"])).records[-1]
    page = shown(await browser.get(f"/console/requests/{made.id}"))
    assert "story@example.com" in page
    assert "Why:" not in page
    assert "userName" in page


async def test_operations_of_a_bulk_request_are_told_together(console: ConsoleRig) -> None:
    rig = await console.rig.alone()
    operations = [
        {"method": "POST", "path": "/Users", "bulkId": n, "data": {"schemas": [CORE], "userName": n}}
        for n in ("a@example.com", "b@example.com")
    ]
    body = {"schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations}
    answer = await rig.scim("POST", "/Bulk", body)
    found = await rig.store.audit.page(AuditFilter(text=answer.headers["x-correlation-id"]))
    whole = next(r for r in found.records if r.route == "/Bulk")
    browser = await console.signed_in()
    page = shown(await browser.get(f"/console/requests/{whole.id}"))
    assert "Under the same correlation id" in page
    assert rows(page) == ["POST /Users", "POST /Users"]


async def test_a_history_is_found_by_every_name(either: ConsoleRig) -> None:
    rig = await either.rig.alone()
    name, external = f"{uuid.uuid4().hex}@example.com", uuid.uuid4().hex
    await rig.scim("POST", "/Users", {"schemas": [CORE], "userName": name, "active": "perhaps"})
    user = await rig.make(userName=name, externalId=external, emails=None)
    await rig.patch(user["id"], {"op": "replace", "path": "userName", "value": f"new-{name}"})
    await rig.scim("DELETE", f"/Users/{user['id']}")
    browser = await either.signed_in()
    story = ["DELETE /Users/{id}", "PATCH /Users/{id}", "POST /Users"]
    for by, expected in (
        (user["id"], story),
        (external, story),
        (f"NEW-{name}", story),
        (name, [*story, "POST /Users"]),
        ("nobody@example.com", []),
    ):
        page = shown(await browser.get("/console/users", params={"name": by}))
        assert rows(page) == expected, by
        assert (user["id"] in page) is bool(expected)
    part = await browser.get("/console/users", params={"name": user["id"]}, headers=HTMX)
    assert "<html" not in part.text
    assert "3 requests are shown" in part.text
    assert "Enter an id or a name" in shown(await browser.get("/console/users"))


async def test_what_clients_sent_is_shown_as_text(console: ConsoleRig) -> None:
    rig = await console.rig.alone(policies=Policies(audit_values="personal"))
    body = {
        "schemas": [CORE],
        "userName": HOSTILE,
        "externalId": HOSTILE,
        "title": HOSTILE,
        "active": HOSTILE,
    }
    headers = {"user-agent": HOSTILE}
    answer = await rig.scim("POST", "/Users", body, headers=headers)
    assert answer.status_code == 400
    found = await rig.store.audit.page(AuditFilter(text=answer.headers["x-correlation-id"]))
    browser = await console.signed_in()
    for path, params in (
        (f"/console/requests/{found.records[0].id}", {}),
        ("/console/users", {"name": HOSTILE}),
        ("/console/requests", {"text": HOSTILE}),
    ):
        page = await browser.get(path, params=params)
        assert page.status_code == 200
        assert "<script>alert" not in page.text
        assert "&lt;script&gt;alert" in page.text
    refused = await browser.get("/console/requests", params={"cause": HOSTILE})
    assert "<script>alert" not in refused.text


async def test_the_overview_looks_back_as_far_as_is_asked(either: ConsoleRig) -> None:
    rig = await either.rig.alone()
    await told(rig, "GET", "/Users/usr_nobody")
    browser = await either.signed_in()
    for span, label in (("24h", "24 hours"), ("7d", "7 days"), ("30d", "30 days"), ("90d", "90 days")):
        page = shown(await browser.get(f"/console?span={span}"))
        assert re.search(rf"[1-9]\d* requests in the last {label}", page)
        assert f'href="/console?span={span}" aria-current="true"' in page
        part = await browser.get(f"/console/charts?span={span}", headers=HTMX)
        assert f"requests in the last {label}" in part.text
        assert f'hx-get="/console/charts?span={span}"' in part.text
        assert "<html" not in part.text
    assert (await browser.get("/console?span=1y")).status_code == 422


async def test_the_overview_draws_the_last_hours(either: ConsoleRig) -> None:
    rig = await either.rig.alone()
    connection = await connection_of(rig)
    user = await rig.make()
    await told(rig, "GET", f"/Users/{user['id']}")
    await told(rig, "GET", "/Users/usr_nobody")
    browser = await either.signed_in()
    page = shown(await browser.get("/console"))
    assert re.search(r"\d+ requests in the last 24 hours, \d+ of them failed", page)
    assert page.count('<svg class="chart"') >= 4
    assert 'class="bad"' in page
    assert 'href="/console/requests?cause=not-found">not-found</a>' in page
    assert ADVICE["not-found"] in page
    share = re.search(rf">{connection.name}</a></th>\s*<td[^>]*>(\d+)</td>\s*<td[^>]*>(\d+)</td>", page)
    assert share is not None
    # Two that were to be: the users without userName that `told` sends, and the one who is not there.
    assert (int(share[1]), int(share[2])) == (5, 3)
    assert "above 40 %, still few" in page
