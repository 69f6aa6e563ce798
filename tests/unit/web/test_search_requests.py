"""`POST …/.search` (RFC 7644 §3.4.3) answers as GET does; and the base URL over all resource types."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from bridge_rig import CORE, ENT, Rig, assert_scim_error, open_rig, person

from app.scim.messages import SEARCH_REQUEST
from app.store.connections import DialectSettings

pytestmark = pytest.mark.asyncio(loop_scope="module")

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


async def filled(rig: Rig) -> Rig:
    """Four users and three groups; one name is borne by a user and a group."""
    users = []
    for number, display in enumerate(["Ada", "Tours", "Cid", "Dee"]):
        name = f"u{number}@example.com"
        body = person(
            userName=name, displayName=display, externalId=f"x{number % 2}", emails=[{"value": name}]
        )
        users.append((await rig.scim("POST", "/Users", {**body, ENT: {"department": "d"}})).json()["id"])
    for number, name in enumerate(["Tours", "Guides", "Empty"]):
        members = [{"value": user} for user in users[:number]]
        made = await rig.scim(
            "POST", "/Groups", {"displayName": name, "members": members, "externalId": "x0"}
        )
        assert made.status_code == 201, made.text
    return rig


async def search(rig: Rig, path: str, **members: Any) -> Any:
    return await rig.scim("POST", f"{path}/.search", {"schemas": [SEARCH_REQUEST], **members})


def names(body: dict[str, Any]) -> list[str]:
    return [r.get("userName") or r["displayName"] for r in body["Resources"]]


QUERIES: list[dict[str, Any]] = [
    {},
    {"count": 2},
    {"startIndex": 2, "count": 1},
    {"startIndex": -3, "count": -1},
    {"startIndex": 99},
    {"count": 10**30},
    {"filter": 'displayName eq "tours"'},
    {"filter": 'externalId eq "x0" and id pr'},
    {"filter": 'externalId eq "nobody"'},
    {"filter": 'meta.created gt "2020-01-01T00:00:00Z"', "count": 2},
    {"filter": 'not (displayName sw "T")'},
    {"sortBy": "displayName"},
    {"sortBy": "displayName", "sortOrder": "descending", "count": 2, "startIndex": 2},
    {"sortBy": "meta.created", "sortOrder": "DESCENDING"},
    {"attributes": ["displayName"]},
    {"attributes": ["displayName", "meta.location"], "count": 1},
    {"attributes": ["id"]},
    {"attributes": []},
    {"attributes": ["nobody"]},
    {"excludedAttributes": ["meta", "members", "emails"]},
    {"cursor": "", "count": 2},
    {"cursor": "", "filter": "displayName pr", "sortBy": "displayName", "count": 1},
    # What is refused is refused alike.
    {"filter": ""},
    {"filter": "displayName"},
    {"filter": "nobody pr"},
    {"filter": "displayName eq 5"},
    {"sortBy": "nobody"},
    {"sortOrder": "up"},
    {"attributes": ["displayName"], "excludedAttributes": ["meta"]},
    {"cursor": "nonsense"},
    {"count": "x"},
    {"count": "x", "cursor": ""},
    {"startIndex": "x"},
]


@pytest.mark.parametrize("path", ["/Users", "/Groups", ""])
async def test_it_answers_as_get_does(rig: Rig, path: str) -> None:
    await filled(rig)
    for query in QUERIES:
        by_body = await search(rig, path, **query)
        params = {k: ",".join(v) if isinstance(v, list) else v for k, v in query.items()}
        by_query = await rig.scim("GET", path, params=params)
        assert by_body.status_code == by_query.status_code, query
        one, other = by_body.json(), by_query.json()
        if by_body.status_code == 200:
            # Two cursors for one place differ when a second begins between them.
            assert ("nextCursor" in one) is ("nextCursor" in other), query
            one, other = ({**b, "nextCursor": None} for b in (one, other))
            assert one == other, query
        else:
            assert one.get("scimType") == other.get("scimType"), query


@pytest.mark.parametrize("path", ["/Users", "/Groups", ""])
async def test_a_walk(rig: Rig, path: str) -> None:
    await filled(rig)
    body = (await search(rig, path, count=2, cursor="")).json()
    seen = names(body)
    while "nextCursor" in body:
        assert "startIndex" not in body
        body = (await search(rig, path, count=2, cursor=body["nextCursor"])).json()
        seen += names(body)
    assert seen == names((await rig.scim("GET", path)).json())


async def test_a_cursor_of_get_goes_on_in_a_search(rig: Rig) -> None:
    await filled(rig)
    first = (await rig.scim("GET", "/Users?cursor&count=3")).json()
    second = (await search(rig, "/Users", cursor=first["nextCursor"])).json()
    assert names(first) + names(second) == [f"u{n}@example.com" for n in range(4)]


async def test_names_in_any_case_and_null_for_absent(rig: Rig) -> None:
    await filled(rig)
    body = {"SCHEMAS": [SEARCH_REQUEST.upper()], "FILTER": 'displayName eq "Ada"', "StartINDEX": 1}
    answer = await rig.scim("POST", "/Users/.search", body)
    assert names(answer.json()) == ["u0@example.com"]
    everything = {
        name: None
        for name in ("filter", "sortBy", "sortOrder", "startIndex", "count", "cursor", "attributes")
    }
    answer = await search(rig, "/Users", **everything)
    assert (answer.json()["totalResults"], answer.json()["startIndex"]) == (4, 1)


async def test_parameters_of_the_url_are_not_looked_at(rig: Rig) -> None:
    await filled(rig)
    answer = await rig.scim("POST", "/Users/.search?count=1&filter=nonsense", {"count": 2})
    assert answer.json()["itemsPerPage"] == 2


HOSTILE: dict[str, tuple[Any, str]] = {
    "filter-number": ({"filter": 7}, "invalidValue"),
    "filter-list": ({"filter": ['userName eq "x"']}, "invalidValue"),
    "filter-object": ({"filter": {"userName": "x"}}, "invalidValue"),
    "filter-long": ({"filter": 'userName eq "' + "x" * 9000 + '"'}, "invalidFilter"),
    "filter-deep": ({"filter": "(" * 5000}, "invalidFilter"),
    "count-text": ({"count": "10"}, "invalidValue"),
    "count-float": ({"count": 1.5}, "invalidValue"),
    "count-whole-float": ({"count": 1.0}, "invalidValue"),
    "count-boolean": ({"count": True}, "invalidValue"),
    "count-list": ({"count": [1]}, "invalidValue"),
    "count-with-cursor": ({"count": "10", "cursor": ""}, "invalidCount"),
    "start-boolean": ({"startIndex": False}, "invalidValue"),
    "start-object": ({"startIndex": {}}, "invalidValue"),
    "sort-number": ({"sortBy": 1}, "invalidValue"),
    "order-boolean": ({"sortBy": "userName", "sortOrder": True}, "invalidValue"),
    "attributes-number": ({"attributes": 1}, "invalidValue"),
    "attributes-object": ({"attributes": {"userName": True}}, "invalidValue"),
    "attributes-mixed": ({"attributes": ["userName", 1]}, "invalidValue"),
    "attributes-nested": ({"attributes": [["userName"]]}, "invalidValue"),
    "attributes-null-inside": ({"excludedAttributes": [None]}, "invalidValue"),
    "cursor-number": ({"cursor": 5}, "invalidValue"),
    "cursor-list": ({"cursor": []}, "invalidValue"),
    "case-twice": ({"filter": "id pr", "Filter": "id pr"}, "invalidSyntax"),
    "case-twice-unknown": ({"a": 1, "A": 2}, "invalidSyntax"),
    "list": ([], "invalidSyntax"),
    "null": (None, "invalidSyntax"),
    "string": ("filter", "invalidSyntax"),
    "number": (1, "invalidSyntax"),
    "true": (True, "invalidSyntax"),
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("path", ["/Users", "/Groups", ""])
async def test_hostile_bodies(rig: Rig, path: str, name: str) -> None:
    body, scim_type = HOSTILE[name]
    async with rig.client(**{"content-type": "application/json"}) as client:
        answer = await client.post(f"{path}/.search", content=json.dumps(body).encode())
    assert answer.status_code == 400, answer.text
    assert assert_scim_error(answer)["scimType"] == scim_type
    assert rig.wire.seen() == []


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b'{"filter": "\\ud800"}', b"[" * 100_000, b"{} {}"])
async def test_bodies_that_are_not_json(rig: Rig, content: bytes) -> None:
    async with rig.client(**{"content-type": "application/scim+json"}) as client:
        for path in ("/Users", "/Groups", ""):
            answer = await client.post(f"{path}/.search", content=content)
            assert answer.status_code == 400
            assert_scim_error(answer)


async def test_the_same_key_twice_is_no_5xx(rig: Rig) -> None:
    async with rig.client(**{"content-type": "application/json"}) as client:
        answer = await client.post("/Users/.search", content=b'{"count": 1, "count": 2}')
    assert answer.status_code in (200, 400)


async def test_other_media_types_and_large_bodies(made_once: Path, tmp_path: Path) -> None:
    async with open_rig(made_once, tmp_path, max_body_bytes=500) as rig:
        async with rig.client(**{"content-type": "text/plain"}) as client:
            assert (await client.post("/Users/.search", content=b"{}")).status_code == 415
        answer = await rig.scim("POST", "/.search", {"filter": "x" * 600})
        assert answer.status_code == 413


async def test_a_token_is_needed(rig: Rig) -> None:
    for path in ("/Users", "/Groups", ""):
        assert (await rig.scim("POST", f"{path}/.search", {}, token="wrong")).status_code == 401
        assert (await rig.scim("GET", path, token="wrong")).status_code == 401


async def test_what_the_dialect_decides(shared: Rig) -> None:
    lenient = await shared.alone()
    strict = await shared.alone(dialect=DialectSettings(mode="strict"))
    named = {"schemas": [SEARCH_REQUEST]}
    for body in ({}, {"schemas": [CORE]}, {**named, "domain": "x"}, {**named, "attributes": "userName"}):
        assert (await lenient.scim("POST", "/Users/.search", body)).status_code == 200
        assert (await strict.scim("POST", "/Users/.search", body)).status_code == 400, body
    for body in (named, {**named, "attributes": ["userName"], "count": 1}):
        assert (await strict.scim("POST", "/Users/.search", body)).status_code == 200


# --- over all resource types -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, ["u0", "u1", "u2", "u3", "Tours", "Guides", "Empty"]),
        ('displayName eq "TOURS"', ["u1", "Tours"]),
        ('userName eq "u2@example.com"', ["u2"]),
        ('userName eq "u2@example.com" or displayName eq "Tours"', ["u1", "u2", "Tours"]),
        ('displayName eq "Tours" and not (userName pr)', ["Tours"]),
        ("members pr", ["Guides", "Empty"]),
        ('externalId eq "x0"', ["u0", "u2", "Tours", "Guides", "Empty"]),
        ('meta.resourceType eq "User"', ["u0", "u1", "u2", "u3"]),
        ('meta.resourceType eq "Group" and displayName sw "t"', ["Tours"]),
        ('meta.resourceType eq "Nobody"', []),
        ('userName eq "nobody"', []),
        (f'{ENT}:department eq "d" and displayName co "o"', ["u1"]),
    ],
)
async def test_filters_over_users_and_groups(rig: Rig, text: str | None, found: list[str]) -> None:
    await filled(rig)
    members = {} if text is None else {"filter": text}
    body = (await search(rig, "", **members)).json()
    shown = [n.removesuffix("@example.com") for n in names(body)]
    assert (sorted(shown), body["totalResults"]) == (sorted(found), len(found))
    assert [n for n in shown if n.startswith("u")] == shown[: sum(n.startswith("u") for n in shown)]
    for count in (1, 2, 3):
        seen = []
        for start in range(1, len(found) + 2, count):
            window = (await search(rig, "", **members, startIndex=start, count=count)).json()
            assert (window["totalResults"], window["startIndex"]) == (len(found), start)
            seen += window["Resources"]
        assert seen == body["Resources"]


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ('meta.resourceType eq "Nobody"', set()),
        ('userName eq "nobody" and members pr', set()),
        ('meta.resourceType eq "Group" and id eq "grp_0"', {"GET"}),
    ],
)
async def test_a_type_of_which_nothing_can_match_is_not_read(rig: Rig, text: str, calls: set[str]) -> None:
    body = (await search(rig, "", filter=text)).json()
    assert body["totalResults"] == 0
    assert not any("users" in call or "user" in call for call in rig.wire.calls)
    assert {call.split()[0] for call in rig.wire.calls} == calls


async def test_each_resource_is_shown_by_its_own_schema(rig: Rig) -> None:
    await filled(rig)
    body = (await search(rig, "", attributes=["userName", "members.value"])).json()
    users = [r for r in body["Resources"] if CORE in r["schemas"]]
    groups = [r for r in body["Resources"] if GROUP in r["schemas"]]
    assert (len(users), len(groups)) == (4, 3)
    assert all(set(u) == {"schemas", "id", "userName"} for u in users)
    assert [len(g.get("members", ())) for g in groups] == [0, 1, 2]
    assert all(set(g) <= {"schemas", "id", "members"} for g in groups)


async def test_an_order_needs_one_type(rig: Rig) -> None:
    await filled(rig)
    refused = await search(rig, "", sortBy="displayName")
    assert refused.status_code == 400
    assert refused.json()["scimType"] == "invalidValue"
    assert "sortBy" in refused.json()["detail"]
    for text, found in (
        ('meta.resourceType eq "User"', ["u0", "u2", "u3", "u1"]),
        ("userName pr", ["u0", "u2", "u3", "u1"]),
        ('meta.resourceType eq "Group"', ["Empty", "Guides", "Tours"]),
    ):
        body = (await search(rig, "", sortBy="displayName", filter=text)).json()
        assert [n.removesuffix("@example.com") for n in names(body)] == found


async def test_the_base_url_with_a_slash(rig: Rig) -> None:
    await filled(rig)
    for path in ("", "/"):
        assert (await rig.scim("GET", path)).json()["totalResults"] == 7
