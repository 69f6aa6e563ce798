"""Filters, where servers get the RFCs wrong; each test is named as in `requirements.py`."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import httpx
import pytest
from rfc import LIST, USER, Create, check_error, find, ids, read

if TYPE_CHECKING:
    from conftest import Served


def test_filter_miss_is_200(scim: httpx.Client) -> None:
    for text in (f'userName eq "{uuid.uuid4()}"', 'externalId eq "nobody has this"', 'id eq "usr_none"'):
        found = find(scim, text)
        assert found == {
            "schemas": [LIST],
            "totalResults": 0,
            "startIndex": 1,
            "itemsPerPage": 0,
            "Resources": [],
        }


@pytest.mark.parametrize(
    "text",
    [
        "userName",
        "userName eq",
        'userName eq "unclosed',
        "userName eq unquoted",
        'userName is "x"',
        '(userName eq "x"',
        'userName eq "x" and',
        'noSuchAttribute eq "x"',
        'emails[type eq "work"',
        'userName eq "x" userName eq "y"',
        "active gt true",
        'password eq "x"',
        "",
        " ",
    ],
)
def test_bad_filter_is_400(scim: httpx.Client, text: str) -> None:
    check_error(scim.get("/Users", params={"filter": text}), 400, "invalidFilter")


def test_user_name_without_case(scim: httpx.Client, create: Create) -> None:
    user = create(userName=f"MiXed.{uuid.uuid4()}@Example.com")
    for name in (user["userName"].upper(), user["userName"].lower()):
        assert ids(find(scim, f'userName eq "{name}"')) == {user["id"]}
        check_error(scim.post("/Users", json={"schemas": [USER], "userName": name}), 409, "uniqueness")
    assert read(scim, user["id"])["userName"] == user["userName"]


def test_external_id_and_id_with_case(scim: httpx.Client, create: Create) -> None:
    user = create(externalId=f"Ext-{uuid.uuid4()}")
    other = create(externalId=user["externalId"].upper())
    assert ids(find(scim, f'externalId eq "{user["externalId"]}"')) == {user["id"]}
    assert ids(find(scim, f'externalId eq "{other["externalId"]}"')) == {other["id"]}
    assert ids(find(scim, f'externalId eq "{user["externalId"].lower()}"')) == set()
    assert ids(find(scim, f'id eq "{user["id"]}"')) == {user["id"]}
    assert ids(find(scim, f'id eq "{user["id"].upper()}"')) == set()
    check_error(scim.get(f"/Users/{user['id'].upper()}"), 404)


def test_external_id_not_unique(scim: httpx.Client, create: Create) -> None:
    external_id = str(uuid.uuid4())
    users = {create(externalId=external_id)["id"], create(externalId=external_id)["id"]}
    assert ids(find(scim, f'externalId eq "{external_id}"')) == users


@pytest.mark.parametrize(
    "value",
    [
        'with "quotes" inside',
        r"back\slash",
        "a&b=c",
        "plus+sign",
        "100%25",
        "Zoë Ünïcode 日本 🎉",
        "it's; a#hash?",
        "tab\there",
    ],
)
def test_values_in_filters(scim: httpx.Client, create: Create, value: str) -> None:
    own = f"{uuid.uuid4()} {value}"
    user = create(externalId=own, title=own)
    create(externalId=own + "x", title=own + "x")
    escaped = own.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t")
    assert user["externalId"] == own
    assert ids(find(scim, f'externalId eq "{escaped}"')) == {user["id"]}
    assert ids(find(scim, f'title eq "{escaped}" and externalId sw "{own[:36]}"')) == {user["id"]}


def test_plus_as_space(served: Served, scim: httpx.Client, create: Create) -> None:
    user = create(userName=f"a+b-{uuid.uuid4()}@example.com")
    name = user["userName"].replace("+", "%2B")
    for url in (f"/Users?filter=userName+eq+%22{name}%22", f"/Users?filter=userName%20eq%20%22{name}%22"):
        assert ids(scim.get(url).json()) == {user["id"]}
    spaced = user["userName"].replace("+", " ")
    other = create(externalId=spaced)
    assert ids(scim.get(f"/Users?filter=externalId+eq+%22{spaced.replace(' ', '+')}%22").json()) == {
        other["id"]
    }


def test_and_binds_before_or(scim: httpx.Client, create: Create) -> None:
    mark = str(uuid.uuid4())
    a = create(externalId=mark, title="a")["id"]
    b = create(externalId=mark, title="b")["id"]
    both = f'externalId eq "{mark}" and'
    assert ids(find(scim, f'{both} title eq "a" or {both} title eq "b"')) == {a, b}
    assert ids(find(scim, f'title eq "a" and externalId eq "{mark}" or externalId eq "none"')) == {a}
    assert ids(find(scim, f'externalId eq "{mark}" or title eq "b" and externalId eq "none"')) == {a, b}
    assert ids(find(scim, f'(externalId eq "{mark}" or title eq "b") and externalId eq "none"')) == set()


def test_not_with_space(scim: httpx.Client, create: Create) -> None:
    mark = str(uuid.uuid4())
    create(externalId=mark, title="a")
    b = create(externalId=mark, title="b")["id"]
    for negation in ("not (", "not(", "NOT ("):
        assert ids(find(scim, f'externalId eq "{mark}" and {negation}title eq "a")')) == {b}


def test_filter_operators_in_any_case(scim: httpx.Client, create: Create) -> None:
    mark = str(uuid.uuid4())
    user = create(externalId=mark, title="Lead engineer")["id"]
    for test in ('title EQ "lead ENGINEER"', 'TITLE Co "ENG"', 'title sW "lead"', "title PR", 'title Ne "x"'):
        assert ids(find(scim, f'externalId eq "{mark}" AND {test}')) == {user}, test
    assert ids(find(scim, f'externalId eq "{mark}" And Not (title Pr)')) == set()
