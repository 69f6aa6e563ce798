"""Filters, orders and projections rule by rule (RFC 7644 §3.4.2, §3.9)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rfc import ENTERPRISE, PATCH, USER, Create, check_error, find, ids, patch, read

if TYPE_CHECKING:
    from conftest import Serve


@pytest.fixture(scope="module")
def crew(scim: httpx.Client) -> tuple[str, dict[str, str]]:
    """The mark that only these users bear, and their ids by title."""
    mark = uuid.uuid4().hex
    people: dict[str, dict[str, Any]] = {
        "Ada": {
            "nickName": "beta",
            "emails": [
                {"value": f"{mark}.ada@work.example", "type": "work", "primary": True},
                {"value": f"{mark}.ada@home.example", "type": "home"},
            ],
        },
        "Bea": {"nickName": "Alpha", "emails": [{"value": f"{mark}.bea@home.example", "type": "work"}]},
        "Cid": {"emails": [{"value": f"{mark}.cid@home.example", "type": "home"}], "active": False},
    }
    made = {}
    for title, more in people.items():
        body = {"schemas": [USER], "userName": f"{mark}-{title}", "title": title, "externalId": mark, **more}
        answer = scim.post("/Users", json=body)
        assert answer.status_code == 201, answer.text
        made[title] = answer.json()["id"]
    return mark, made


@pytest.mark.parametrize(
    ("test", "titles"),
    [
        ('title eq "ADA"', "Ada"),
        ('title ne "ada"', "Bea Cid"),
        ('title co "E"', "Bea"),
        ('title sw "c"', "Cid"),
        ('title ew "A"', "Ada Bea"),
        ("nickName pr", "Ada Bea"),
        ("not (nickName pr)", "Cid"),
        ('title gt "ada"', "Bea Cid"),
        ('title ge "bea"', "Bea Cid"),
        ('title lt "BEA"', "Ada"),
        ('title le "BEA"', "Ada Bea"),
        ("active eq true", "Ada Bea"),
        ("active ne true", "Cid"),
        ('meta.created gt "2001-01-01T00:00:00Z"', "Ada Bea Cid"),
        ('meta.created lt "2001-01-01T00:00:00+01:00"', ""),
        ('meta.lastModified ge "2001-01-01T00:00:00Z"', "Ada Bea Cid"),
        ('emails co "home.example"', "Ada Bea Cid"),
        ('emails.type eq "work"', "Ada Bea"),
        ('emails[type eq "work" and value co "home.example"]', "Bea"),
        ('emails.type eq "work" and emails.value co "home.example"', "Ada Bea"),
        ('emails[type eq "home" and not (value co "ada")]', "Cid"),
        ('title eq "Ada" or title eq "Bea" and active eq false', "Ada"),
        ('(title eq "Ada" or title eq "Cid") and active eq false', "Cid"),
        ('not (title eq "Ada") and nickName pr', "Bea"),
        (f'{USER}:title eq "Bea"', "Bea"),
        (f'schemas eq "{ENTERPRISE}"', ""),
    ],
)
def test_every_operator(scim: httpx.Client, crew: tuple[str, dict[str, str]], test: str, titles: str) -> None:
    mark, made = crew
    expected = {made[title] for title in titles.split()}
    assert ids(find(scim, f'externalId eq "{mark}" and ({test})')) == expected
    assert ids(find(scim, f'({test}) and userName sw "{mark}"')) == expected


@pytest.mark.parametrize(
    "text",
    [
        *(f"active {op} true" for op in ("gt", "ge", "lt", "le")),
        *(f'x509Certificates.value {op} "QQ=="' for op in ("gt", "ge", "lt", "le")),
        'name eq "Ada"',
        'meta.created gt "yesterday"',
        'userName regex "a.*"',
        'emails[nobody eq "x"]',
        'userName[value eq "x"]',
        'emails[emails[value eq "x"]]',
    ],
)
def test_comparisons_that_make_no_sense(scim: httpx.Client, text: str) -> None:
    check_error(scim.get("/Users", params={"filter": text}), 400, "invalidFilter")


def test_defaults_are_found_as_they_were_answered(scim: httpx.Client, create: Create) -> None:
    user = create()
    for attribute in ("locale", "timezone", "displayName"):
        text = f'id eq "{user["id"]}" and {attribute}'
        if attribute in user:
            assert ids(find(scim, f'{text} eq "{user[attribute]}"')) == {user["id"]}, attribute
        assert ids(find(scim, f"{text} pr")) == ({user["id"]} if attribute in user else set()), attribute
    assert "locale" in user
    (email,) = user["emails"]
    text = f'emails[type eq "{email["type"]}" and primary eq true].value eq "{email["value"]}"'
    assert ids(find(scim, text)) == {user["id"]}
    patch(scim, user["id"], {"op": "remove", "path": "locale"})
    assert "locale" not in read(scim, user["id"])
    assert ids(find(scim, f'id eq "{user["id"]}" and locale pr')) == set()


@pytest.mark.parametrize(
    ("by", "order", "titles"),
    [
        ("title", None, "Ada Bea Cid"),
        ("title", "ascending", "Ada Bea Cid"),
        ("title", "descending", "Cid Bea Ada"),
        ("nickName", None, "Bea Ada Cid"),
        ("nickName", "descending", "Cid Ada Bea"),
        ("emails", None, "Ada Bea Cid"),
        ("emails.value", "descending", "Cid Bea Ada"),
        ("meta.created", "descending", "Cid Bea Ada"),
    ],
)
def test_sorting(
    scim: httpx.Client, crew: tuple[str, dict[str, str]], by: str, order: str | None, titles: str
) -> None:
    mark, made = crew
    params = {"sortBy": by} if order is None else {"sortBy": by, "sortOrder": order}
    text = f'userName sw "{mark}"'
    expected = [made[title] for title in titles.split()]
    assert [r["id"] for r in find(scim, text, **params)["Resources"]] == expected
    by_post = scim.post("/Users/.search", json={"filter": text, **params}).json()
    assert [r["id"] for r in by_post["Resources"]] == expected


def test_sorting_goes_by_the_case_rule(scim: httpx.Client) -> None:
    mark = uuid.uuid4().hex
    made = {}
    for value in ("b", "A", "a", "B"):
        body = {"schemas": [USER], "userName": f"{mark}-{uuid.uuid4()}", "title": mark}
        body |= {"nickName": value, "externalId": value, "emails": [{"value": f"{uuid.uuid4()}@x.org"}]}
        made[scim.post("/Users", json=body).json()["id"]] = value

    def order(by: str) -> str:
        found = find(scim, f'title eq "{mark}"', sortBy=by)["Resources"]
        return "".join(made[resource["id"]] for resource in found)

    assert order("externalId") == "ABab"
    assert order("nickName").lower() == "aabb"


def test_too_many(serve: Serve) -> None:
    """What no index narrows is refused past the bound, and never cut short."""
    served = serve(None, SCIM_BRIDGE_SCAN_LIMIT="2")
    with served.scim() as scim:
        for number in range(4):
            made = scim.post("/Users", json={"schemas": [USER], "userName": f"u{number}@example.com"})
            assert made.status_code == 201
            answer = scim.get("/Users", params={"filter": "meta.location pr"})
            if number < 2:
                assert ids(answer.json()) and answer.json()["totalResults"] == number + 1
            else:
                check_error(answer, 400, "tooMany")
        check_error(scim.post("/Users/.search", json={"filter": "meta.location pr"}), 400, "tooMany")


def test_every_answer_can_be_projected(scim: httpx.Client, create: Create) -> None:
    name = f"u-{uuid.uuid4()}@example.com"
    body = {"schemas": [USER], "userName": name, "title": "t", "nickName": "n"}
    answers = [scim.post("/Users", params={"attributes": "title"}, json=body)]
    place = f"/Users/{answers[0].json()['id']}"
    change = {"schemas": [PATCH], "Operations": [{"op": "add", "path": "nickName", "value": "m"}]}
    answers += [
        scim.get(place, params={"attributes": "title"}),
        scim.put(place, params={"attributes": "title"}, json=body),
        scim.patch(place, params={"attributes": "title"}, json=change),
    ]
    user_id = answers[0].json()["id"]
    for answer in answers:
        assert answer.is_success, answer.text
        shown = answer.json()
        assert {k: v for k, v in shown.items() if k != "schemas"} == {"id": user_id, "title": "t"}
    for answer in (
        scim.get(place, params={"excludedAttributes": "title,id"}),
        scim.put(place, params={"excludedAttributes": "title,id"}, json=body),
        scim.patch(place, params={"excludedAttributes": "title,id"}, json=change),
        scim.post(
            "/Users",
            params={"excludedAttributes": "title,id"},
            json={**body, "userName": f"2{name}"},
        ),
    ):
        shown = answer.json()
        assert "title" not in shown
        assert shown["id"]
        assert shown["nickName"]


@pytest.mark.parametrize("version", ["v1", "v3", "v22"])
def test_other_versions_are_refused(scim: httpx.Client, version: str) -> None:
    base = str(scim.base_url).rstrip("/")
    assert base.endswith("/v2")
    for path in ("/Users", "/Groups", "/ServiceProviderConfig"):
        check_error(scim.get(f"{base.removesuffix('v2')}{version}{path}"), 400, "invalidVers")
