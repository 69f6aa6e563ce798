"""Paging by cursor (RFC 9865): walks, and cursors that are not good for what they are sent with."""

from __future__ import annotations

import base64
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from bridge_rig import Rig, assert_scim_error, person

from app.bridge.query import Across, Keyset, Offset, Query
from app.scim.errors import ExpiredCursor, InvalidCursor
from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.scim.schema import user_model
from app.store.connections import Policies
from app.web.cursors import Cursors, scope_of

pytestmark = pytest.mark.asyncio(loop_scope="module")

UNRESERVED = re.compile(r"[A-Za-z0-9._~-]+")
MODEL = user_model()


async def people(rig: Rig, count: int) -> None:
    for number in range(count):
        name = f"u{number}@example.com"
        body = person(userName=name, title="odd" if number % 2 else "even", emails=[{"value": name}])
        assert (await rig.scim("POST", "/Users", body)).status_code == 201


async def crowds(rig: Rig, count: int) -> None:
    for number in range(count):
        assert (await rig.scim("POST", "/Groups", {"displayName": f"g{number}"})).status_code == 201


async def page(rig: Rig, path: str, **params: Any) -> dict[str, Any]:
    answer = await rig.scim("GET", path, params=params)
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    assert body["itemsPerPage"] == len(body["Resources"])
    assert UNRESERVED.fullmatch(body.get("nextCursor", "x"))
    assert "previousCursor" not in body
    return body


async def refused(rig: Rig, path: str, scim_type: str, **params: Any) -> None:
    answer = await rig.scim("GET", path, params=params)
    assert answer.status_code == 400, answer.text
    assert assert_scim_error(answer)["scimType"] == scim_type


async def walk(rig: Rig, path: str, **params: Any) -> list[dict[str, Any]]:
    """All pages from the first; each is checked to be part of a list paged by cursor."""
    pages = [await page(rig, path, **params, cursor="")]
    while "nextCursor" in pages[-1]:
        pages.append(await page(rig, path, **params, cursor=pages[-1]["nextCursor"]))
        assert len(pages) < 50
    assert all("startIndex" not in p for p in pages)
    assert {p["totalResults"] for p in pages} == {sum(p["itemsPerPage"] for p in pages)}
    return pages


def ids(*pages: dict[str, Any]) -> list[str]:
    return [resource["id"] for p in pages for resource in p["Resources"]]


@pytest.mark.parametrize("path", ["/Users", "/Groups", ""])
@pytest.mark.parametrize("backend", ["platform", "local"])
async def test_a_walk_sees_what_the_index_shows(shared: Rig, path: str, backend: Any) -> None:
    rig = await shared.alone(policies=Policies(groups=backend))
    await people(rig, 5)
    await crowds(rig, 4)
    everything = await page(rig, path)
    assert len(ids(everything)) == {"/Users": 5, "/Groups": 4, "": 9}[path]
    for count in range(1, 11):
        pages = await walk(rig, path, count=count)
        assert ids(*pages) == ids(everything)
        assert all(p["itemsPerPage"] == count for p in pages[:-1])
        assert 0 < pages[-1]["itemsPerPage"] <= count


@pytest.mark.parametrize(
    "params",
    [
        {"filter": 'title eq "odd"'},
        {"filter": "active eq true", "sortBy": "userName", "sortOrder": "descending"},
        {"sortBy": "emails"},
        {"sortBy": "meta.created", "sortOrder": "descending", "attributes": "userName"},
        {"attributes": "id"},
        {"filter": 'userName eq "nobody"'},
    ],
)
async def test_walks_with_filter_and_order(rig: Rig, params: dict[str, str]) -> None:
    await people(rig, 5)
    everything = await page(rig, "/Users", **params)
    pages = await walk(rig, "/Users", **params, count=2)
    assert [r for p in pages for r in p["Resources"]] == everything["Resources"]


async def test_nobody_at_all(rig: Rig) -> None:
    for path in ("/Users", "/Groups", ""):
        assert [p["Resources"] for p in await walk(rig, path)] == [[]]


@pytest.mark.parametrize("query", ["cursor", "cursor=", "CURSOR=", "count=2&cursor&"])
async def test_an_empty_cursor_asks_for_the_first_page(rig: Rig, query: str) -> None:
    await people(rig, 3)
    body = (await rig.scim("GET", f"/Users?{query}")).json()
    assert "startIndex" not in body
    assert body["totalResults"] == 3
    assert ("nextCursor" in body) is ("count" in query)


async def test_without_a_cursor_lists_are_paged_by_index(rig: Rig) -> None:
    await people(rig, 3)
    body = await page(rig, "/Users", count=2)
    assert (body["startIndex"], body["itemsPerPage"]) == (1, 2)
    assert "nextCursor" not in body


async def test_the_cursor_wins_over_start_index(rig: Rig) -> None:
    await people(rig, 3)
    for start in ("3", "x"):
        first = await page(rig, "/Users", cursor="", startIndex=start, count=2)
        assert ids(first) == ids(await page(rig, "/Users", count=2))
        second = await page(rig, "/Users", cursor=first["nextCursor"], startIndex=start, count=2)
        assert ids(first, second) == ids(await page(rig, "/Users"))


async def test_count_and_attributes_may_change_on_the_way(rig: Rig) -> None:
    await people(rig, 6)
    everything = ids(await page(rig, "/Users"))
    first = await page(rig, "/Users", cursor="", count=1)
    second = await page(rig, "/Users", cursor=first["nextCursor"], count=3, attributes="userName")
    third = await page(rig, "/Users", cursor=second["nextCursor"])
    assert ids(first, second, third) == everything
    assert "nextCursor" not in third
    assert set(second["Resources"][0]) == {"schemas", "id", "userName"}


async def test_a_cursor_can_be_used_again(rig: Rig) -> None:
    await people(rig, 3)
    cursor = (await page(rig, "/Users", cursor="", count=1))["nextCursor"]
    assert ids(await page(rig, "/Users", cursor=cursor)) == ids(await page(rig, "/Users", cursor=cursor))


@pytest.mark.parametrize("count", ["0", "-1", "-99999999999999999999"])
async def test_no_count_is_the_total_alone(rig: Rig, count: str) -> None:
    await people(rig, 2)
    body = await page(rig, "/Users", cursor="", count=count)
    assert (body["totalResults"], body["Resources"]) == (2, [])
    assert "nextCursor" not in body
    cursor = (await page(rig, "/Users", cursor="", count=1))["nextCursor"]
    assert (await page(rig, "/Users", cursor=cursor, count=count))["totalResults"] == 2


async def test_a_large_count_is_capped(rig: Rig) -> None:
    await people(rig, 2)
    assert (await page(rig, "/Users", cursor="", count=10**30))["itemsPerPage"] == 2


@pytest.mark.parametrize("count", ["x", "1.5", "1_0", "٣", "0x1"])
async def test_a_count_that_is_no_number(rig: Rig, count: str) -> None:
    for path in ("/Users", "/Groups", ""):
        await refused(rig, path, "invalidCount", cursor="", count=count)
        await refused(rig, path, "invalidValue", count=count)


async def test_a_cursor_is_good_for_its_query_alone(rig: Rig) -> None:
    await people(rig, 3)
    await crowds(rig, 3)
    base = {"filter": 'title co "e" or active eq true', "sortBy": "userName", "count": 1}
    cursor = (await page(rig, "/Users", **base, cursor=""))["nextCursor"]
    same = [
        {"filter": 'TITLE CO "e" or (ACTIVE eq TRUE)', "sortBy": "USERNAME"},
        {"sortOrder": "Ascending", "sortBy": "urn:ietf:params:scim:schemas:core:2.0:User:userName"},
    ]
    for change in same:
        await page(rig, "/Users", **{**base, **change, "cursor": cursor})
    others: list[dict[str, Any]] = [
        {"filter": 'title co "o" or active eq true'},
        {"filter": 'title co "E" or active eq true'},
        {"filter": None},
        {"sortBy": "title"},
        {"sortBy": None},
        {"sortOrder": "descending"},
    ]
    for change in others:
        params = {k: v for k, v in {**base, **change}.items() if v is not None}
        await refused(rig, "/Users", "invalidCursor", **params, cursor=cursor)
    plain = {
        path: (await page(rig, path, cursor="", count=1))["nextCursor"] for path in ("/Users", "/Groups", "")
    }
    for path in plain:
        for origin, other in plain.items():
            if path == origin:
                await page(rig, path, cursor=other)
            else:
                await refused(rig, path, "invalidCursor", cursor=other)


async def test_a_cursor_is_good_for_its_connection_alone(rig: Rig) -> None:
    await people(rig, 3)
    cursor = (await page(rig, "/Users", cursor="", count=1))["nextCursor"]
    made = await rig.store.connections.add(name=f"second-{rig.tenant_id}", tenant_id=rig.tenant_id)
    _, token = await rig.store.tokens.create(made.id, "", None)
    answer = await rig.scim("GET", "/Users", params={"cursor": cursor}, token=token)
    assert answer.status_code == 400
    assert answer.json()["scimType"] == "invalidCursor"
    stranger = await rig.alone()
    await refused(stranger, "/Users", "invalidCursor", cursor=cursor)


async def test_tampering(rig: Rig) -> None:
    await people(rig, 2)
    cursor = (await page(rig, "/Users", cursor="", count=1))["nextCursor"]
    for place in range(len(cursor)):
        for letter in "Ax_":
            if cursor[place] != letter:
                await refused(
                    rig, "/Users", "invalidCursor", cursor=cursor[:place] + letter + cursor[place + 1 :]
                )
    for text in (
        cursor[:-1],
        cursor[1:],
        cursor + "A",
        cursor * 2,
        cursor + "=",
        cursor + " ",
        cursor.lower(),
    ):
        await refused(rig, "/Users", "invalidCursor", cursor=text)


@pytest.mark.parametrize(
    "cursor",
    ["x", "1", "AAAA", "AAAAAAAAAAAAAAAAAAAAAA", " ", "é", "\0", "%", "a+b/", "~.", "A" * 20_000, "null"],
)
async def test_what_never_was_a_cursor(rig: Rig, cursor: str) -> None:
    for path in ("/Users", "/Groups", ""):
        await refused(rig, path, "invalidCursor", cursor=cursor)


async def test_two_cursors_are_one_too_many(rig: Rig) -> None:
    await refused(rig, "/Users", "invalidValue", cursor=["", ""])


async def test_an_old_cursor(rig: Rig) -> None:
    """Made by a replica at the same database, a little more than an hour ago."""
    await people(rig, 2)
    connection = await rig.store.token_cache.authenticate(rig.token)
    assert connection is not None
    scope = scope_of(connection.connection.id, "/Users", [Query()])
    place = Across(resource_type="User", within=Offset(next_index=2))

    async def made(ago: timedelta) -> str:
        cursors = Cursors(rig.store.server_keys, timeout_s=3600, clock=lambda: datetime.now(UTC) - ago)
        return await cursors.seal(place, scope)

    await refused(rig, "/Users", "expiredCursor", cursor=await made(timedelta(seconds=3601)))
    young = await page(rig, "/Users", cursor=await made(timedelta(seconds=3000)))
    assert ids(young) == ids(await page(rig, "/Users"))[1:]


async def test_what_a_cursor_holds_cannot_be_read(rig: Rig) -> None:
    cursors = Cursors(rig.store.server_keys, timeout_s=60)
    place = Across(
        resource_type="User",
        within=Keyset(view=7, key="ada@example.com", created="2026-01-01T00:00:00Z", id="usr_1"),
    )
    cursor = await cursors.seal(place, b"scope")
    assert await cursors.open(cursor, b"scope") == place
    raw = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    assert not any(text in raw for text in (b"ada", b"usr_1", b"User", b"2026"))
    with pytest.raises(InvalidCursor):
        await cursors.open(cursor, b"another")


async def test_the_last_second(rig: Rig) -> None:
    now = datetime(2026, 3, 1, tzinfo=UTC)
    times = [now]
    cursors = Cursors(rig.store.server_keys, timeout_s=10, clock=lambda: times[0])
    place = Across(resource_type="Group", within=None)
    cursor = await cursors.seal(place, b"s")
    times[0] = now + timedelta(seconds=9)
    assert await cursors.open(cursor, b"s") == place
    times[0] = now + timedelta(seconds=10)
    with pytest.raises(ExpiredCursor):
        await cursors.open(cursor, b"s")


async def test_scopes_differ_where_queries_do() -> None:
    def bound(text: str) -> Query:
        return Query(filter=bind(parse_filter(text), MODEL))

    title = MODEL.resolve("title")
    queries = [
        [Query()],
        [Query(), Query()],
        [],
        [bound('title eq "a"')],
        [bound('title eq "1"')],
        [bound("active eq true")],
        [bound('active eq "true" and title pr')],
        [Query(sort=title)],
        [Query(sort=title, descending=True)],
    ]
    scopes = [scope_of(c, e, q) for c in ("a", "b") for e in ("/Users", "/") for q in queries]
    assert len(set(scopes)) == len(scopes)
    assert scope_of("a", "/", [Query(descending=True)]) == scope_of("a", "/", [Query()])


async def test_the_configuration_says_so(rig: Rig) -> None:
    body = (await rig.scim("GET", "/ServiceProviderConfig")).json()
    assert body["pagination"] == {
        "cursor": True,
        "index": True,
        "defaultPaginationMethod": "index",
        "defaultPageSize": 100,
        "maxPageSize": 200,
        "cursorTimeout": 3600,
    }


async def test_faults_of_the_platform_pass_through_a_walk(rig: Rig) -> None:
    await people(rig, 2)
    cursor = (await page(rig, "/Users", cursor="", count=1))["nextCursor"]
    rig.wire.always("GET users", gone)
    answer = await rig.scim("GET", "/Users", params={"cursor": cursor})
    assert answer.status_code == 503
    rig.wire.reset()
    await page(rig, "/Users", cursor=cursor)


async def gone(request: httpx.Request, _send: Any) -> httpx.Response:
    raise httpx.ConnectError("refused")
