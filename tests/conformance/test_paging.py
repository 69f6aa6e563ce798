"""Cursors (RFC 9865) and `/.search` (RFC 7644 §3.4.3) over a socket, on both places that keep groups."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from rfc import LIST, USER, Create, check_error, ids

if TYPE_CHECKING:
    from conftest import Served

SEARCH = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


@pytest.fixture
def mark(groups: httpx.Client) -> str:
    """A part of the displayName of four users and three groups that nobody else bears."""
    mark = uuid.uuid4().hex
    for number in range(4):
        body = {
            "schemas": [USER],
            "userName": f"{mark}-{number}@example.com",
            "displayName": f"{mark} {number}",
        }
        assert groups.post("/Users", json=body).status_code == 201
    for number in range(3):
        body = {"schemas": [GROUP], "displayName": f"{mark} {number}"}
        assert groups.post("/Groups", json=body).status_code == 201
    return mark


def walk(scim: httpx.Client, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    cursor = ""
    while cursor is not None:
        answer = scim.get(path, params={**params, "cursor": cursor})
        assert answer.status_code == 200, answer.text
        body = answer.json()
        assert body["schemas"] == [LIST]
        assert "startIndex" not in body
        yield body
        cursor = body.get("nextCursor")
        assert cursor is None or re.fullmatch(r"[A-Za-z0-9._~-]+", cursor)


@pytest.mark.parametrize(("path", "total"), [("/Users", 4), ("/Groups", 3), ("", 7)])
def test_cursors_lead_through_the_whole_list(groups: httpx.Client, mark: str, path: str, total: int) -> None:
    for count in (1, 2, total, total + 1):
        pages = list(walk(groups, path, filter=f'displayName co "{mark}"', count=count))
        assert [page["totalResults"] for page in pages] == [total] * len(pages)
        assert len(pages) == -(-total // count)
        found = [resource["id"] for page in pages for resource in page["Resources"]]
        assert len(found) == len(set(found)) == total


def test_index_is_the_default_way_of_paging(scim: httpx.Client) -> None:
    config = scim.get("/ServiceProviderConfig").json()["pagination"]
    assert (config["cursor"], config["index"], config["defaultPaginationMethod"]) == (True, True, "index")
    assert config["cursorTimeout"] == 3600
    body = scim.get("/Users", params={"count": 1}).json()
    assert body["startIndex"] == 1
    assert "nextCursor" not in body


def test_cursors_are_good_for_one_query_of_one_client(
    scim: httpx.Client, create: Create, served: Served, local_groups_token: str
) -> None:
    create()
    create()
    cursor = scim.get("/Users", params={"cursor": "", "count": 1}).json()["nextCursor"]
    other = served.scim(Authorization=f"Bearer {local_groups_token}")
    with other:
        check_error(other.get("/Users", params={"cursor": cursor}), 400, "invalidCursor")
    for params in ({"filter": "userName pr"}, {"sortBy": "userName"}):
        check_error(scim.get("/Users", params={**params, "cursor": cursor}), 400, "invalidCursor")
    for path in ("/Groups", ""):
        check_error(scim.get(path, params={"cursor": cursor}), 400, "invalidCursor")
    check_error(scim.get("/Users", params={"cursor": cursor[:-2]}), 400, "invalidCursor")
    check_error(scim.get("/Users", params={"cursor": "", "count": "many"}), 400, "invalidCount")
    assert scim.get("/Users", params={"cursor": cursor}).status_code == 200


@pytest.mark.parametrize("path", ["/Users", "/Groups", ""])
def test_search_by_post_answers_as_get(groups: httpx.Client, mark: str, path: str) -> None:
    text = f'displayName co "{mark}"'
    for members in (
        {"filter": text},
        {"filter": text, "startIndex": 2, "count": 2},
        {"filter": text, "attributes": ["displayName"]},
        {"filter": text, "excludedAttributes": ["meta", "displayName"]},
    ):
        params = {k: ",".join(v) if isinstance(v, list) else v for k, v in members.items()}
        by_get = groups.get(path, params=params)
        for name in ("application/scim+json", "application/json"):
            by_post = groups.post(
                f"{path}/.search", json={"schemas": [SEARCH], **members}, headers={"Content-Type": name}
            )
            assert by_post.status_code == 200, by_post.text
            assert by_post.headers["content-type"].partition(";")[0] == name
            assert by_post.json() == by_get.json()
    check_error(groups.post(f"{path}/.search", json={"filter": "nobody pr"}), 400, "invalidFilter")
    check_error(groups.post(f"{path}/.search", content=b"[]"), 400, "invalidSyntax")


def test_root_search_covers_all_types(groups: httpx.Client, mark: str) -> None:
    def search(text: str) -> dict[str, Any]:
        answer = groups.post("/.search", json={"schemas": [SEARCH], "filter": text})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        assert len(ids(found)) == found["totalResults"]
        return found

    both = search(f'displayName eq "{mark} 1"')
    assert [r["meta"]["resourceType"] for r in both["Resources"]] == ["User", "Group"]
    one = search(f'userName eq "{mark}-1@example.com"')
    assert [r["displayName"] for r in one["Resources"]] == [f"{mark} 1"]
    assert search(f'displayName co "{mark}" and meta.resourceType eq "Group"')["totalResults"] == 3
    assert search(f'displayName co "{mark}" and not (userName pr)')["totalResults"] == 3
    check_error(groups.post("/.search", json={"filter": "nobody pr"}), 400, "invalidFilter")
