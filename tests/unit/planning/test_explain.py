"""What a plan says of itself before it is carried out."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import httpx
import msgspec
import pytest
from plan_cases import cases, is_known, is_sortable

from app.mapping.load import load_mapping
from app.planning.calls import Call
from app.planning.explain import Explanation, as_text, explain
from app.planning.plan import Plan
from app.planning.planner import plan_users
from app.platform.auth import StaticToken
from app.platform.client import PlatformClient
from app.scim.attributes import parse_projection
from app.scim.errors import InvalidFilter
from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.scim.path import parse_attribute_path

MAPPING = load_mapping("default")
USERS = "/api/v1/tenants/tnt_1/users"
OLDEST_FIRST = {"sort_by": "created_at", "sort_order": "asc"}


def planned(filter: str | None, *, index: bool = False, sort: str | None = None, **options: Any) -> Plan:
    bound = None if filter is None else bind(parse_filter(filter), MAPPING.model)
    ref: Any = None if sort is None else parse_attribute_path(sort, MAPPING.model)
    return plan_users(
        bound, MAPPING, index=index, sort=ref, can_index=is_known, can_sort=is_sortable, **options
    )


def explained(plan: Plan, **options: Any) -> Explanation:
    return explain(plan, MAPPING, tenant_id="tnt_1", **options)


def brief(explanation: Explanation) -> list[str]:
    """Times, and what is called: the list with its query but for the pinned order, or one user."""
    found = []
    for call in explanation.calls:
        what = call.path.removeprefix(USERS)
        query = " ".join(f"{k}={v}" for k, v in call.query.items() if OLDEST_FIRST.get(k) != v)
        found.append(f"{call.times} {what or 'list'} {query}".strip())
    return found


@pytest.mark.parametrize(
    ("filter", "options", "calls", "least", "most"),
    [
        (None, {}, ["1 list page=1 per_page=100", "100 at most /{user_id}"], 1, 101),
        (None, {"count": 1}, ["1 list page=1 per_page=1", "0..1 /{user_id}"], 1, 2),
        (None, {"count": 0}, ["1 list page=1 per_page=1"], 1, 1),
        (
            None,
            {"start_index": 96, "count": 100},
            ["1 list page=1 per_page=100", "0..1 list page=2 per_page=100", "100 at most /{user_id}"],
            1,
            102,
        ),
        (
            "active eq false",
            {"start_index": 11, "count": 10},
            ["1 list status=DISABLED page=2 per_page=10", "10 at most /{user_id}"],
            1,
            11,
        ),
        ('id eq "usr_1"', {}, ["1 /usr_1"], 1, 1),
        ('id eq "../x"', {}, [], 0, 0),
        (
            'userName eq "Ada"',
            {},
            ["0..1 /{user_id}", "0..n list search=Ada page={page} per_page=100", "0..n /{user_id}"],
            1,
            None,
        ),
        ('externalId eq "x"', {}, ["0..n /{user_id}"], 0, None),
        (
            'emails eq "a@x"',
            {},
            ["0..n /{user_id}", "0..n list search=a@x page={page} per_page=100", "0..n /{user_id}"],
            0,
            None,
        ),
        ('id eq "a" or externalId eq "b"', {}, ["1 /a", "0..n /{user_id}"], 1, None),
        ("title pr", {}, ["1..n list page={page} per_page=100", "0..n /{user_id}"], 1, None),
    ],
)
def test_the_calls_of_a_plan(
    filter: str | None, options: dict[str, Any], calls: list[str], least: int, most: int | None
) -> None:
    found = explained(planned(filter), **options)
    assert brief(found) == calls
    assert (found.least_calls, found.most_calls) == (least, most)
    assert all(OLDEST_FIRST.items() <= c.query.items() for c in found.calls if c.path == USERS)


@pytest.mark.parametrize(
    ("filter", "options", "calls"),
    [
        ("title pr", {}, ["100 at most /{user_id}"]),
        ("title pr", {"count": 5}, ["5 at most /{user_id}"]),
        ("title pr", {"count": 0}, []),
        ('title pr and groups.display eq "x"', {}, ["0..n /{user_id}"]),
    ],
)
def test_the_index_itself_costs_no_call(filter: str, options: dict[str, Any], calls: list[str]) -> None:
    assert brief(explained(planned(filter, index=True), **options)) == calls


def test_rows_that_say_everything_spare_the_users() -> None:
    plan = planned(None)
    rows = explained(plan, projection=parse_projection("id,displayName", None, MAPPING.model))
    assert brief(rows) == ["1 list page=1 per_page=100"]
    assert "rows" in rows.cost
    whole = explained(plan, projection=parse_projection("id,userName", None, MAPPING.model))
    assert whole.most_calls == 101


def test_an_order_of_the_platform_is_in_the_query() -> None:
    found = explained(planned(None, sort="meta.created", descending=True))
    assert found.calls[0].query["sort_order"] == "desc"
    assert found.order == "meta.created descending, by the platform's created_at"
    assert explained(planned(None, sort="title", index=True)).order == "title ascending, by the index"
    assert "in memory" in str(explained(planned(None, sort="title")).order)


def test_as_text() -> None:
    plan = planned('active eq false and userName co "smith"', sort="title")
    assert as_text(explained(plan)).splitlines() == [
        "users  the platform's list with status=DISABLED, search=smit",
        f"call   1..n          GET {USERS}?sort_by=created_at&sort_order=asc&status=DISABLED&search=smit"
        "&page={page}&per_page=100  (every page of the list)",
        f"call   0..n          GET {USERS}/{{user_id}}  (each user of the list)",
        'check  active eq false and userName co "smith"',
        "order  title ascending, in memory, when all are read",
        "cost   1 or more: one call for each 100 users of the list, and one for each user",
        "note   The list's search finds more users than userName co … does, so each one is checked.",
        "note   There is no complete index that could answer it.",
    ]


def test_a_body_names_its_keys() -> None:
    call = Call(method="PATCH", path=f"{USERS}/u", body=("email", "phone"), times="1", why="what changes")
    text = as_text(
        Explanation(source="one user", calls=(call,), least_calls=1, most_calls=1, cost="one call")
    )
    assert f"PATCH {USERS}/u {{email, phone}}" in text


@pytest.mark.parametrize("index", [False, True])
def test_every_plan_can_be_told(index: bool) -> None:
    for case in cases():
        try:
            plan = planned(case.filter, index=index, sort=case.sort)
        except InvalidFilter:
            continue
        found = explained(plan)
        assert msgspec.json.decode(msgspec.json.encode(found), type=Explanation) == found
        assert found.most_calls is None or found.least_calls <= found.most_calls
        assert (found.residual is None) == (plan.residual is None)
        assert as_text(found).startswith("users  ")


async def test_calls_are_those_that_the_client_makes() -> None:
    made: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        made.append(request)
        user = {"id": "usr_1", "email": "a@x", "status": "ACTIVE", "created_at": "2026-01-01T00:00:00Z"}
        page = {"page": 1, "per_page": 1, "total_items": 0, "total_pages": 0}
        body = {"data": user} if request.url.path.endswith("usr_1") else {"data": [], "pagination": page}
        return httpx.Response(200, json=body)

    transport = httpx.MockTransport(answer)
    client = PlatformClient(transport, base_url="http://platform.test", tokens=StaticToken("t"))
    listed = explain(planned("active eq false"), MAPPING, tenant_id="a/b c").calls[0]
    one = explain(planned('id eq "usr_1"'), MAPPING, tenant_id="a/b c").calls[0]
    await client.list_users("a/b c", listed.query)
    await client.get_user("a/b c", "usr_1")
    assert [(r.method, r.url.raw_path.decode().partition("?")[0]) for r in made] == [
        (listed.method, listed.path),
        (one.method, one.path),
    ]
    assert dict(parse_qsl(made[0].url.query.decode())) == listed.query
    await client.aclose()
