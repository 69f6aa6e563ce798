"""Files of requests: a bulk request, an array of its operations, or one in each line."""

from __future__ import annotations

import json
from typing import Any

import pytest

from app.scim.batch import read_batch
from app.scim.bulk import BulkRequest
from app.scim.dialect import LENIENT, STRICT
from app.scim.errors import InvalidSyntax, PayloadTooLarge
from app.scim.messages import BULK_REQUEST

POST = {"method": "POST", "path": "/Users", "data": {"userName": "ada"}}
GONE = {"method": "DELETE", "path": "/scim/v2/Users/usr_1"}


def read(text: str, dialect: Any = STRICT, most: int = 10) -> BulkRequest:
    return read_batch(text.encode(), dialect, max_operations=most, max_patch_operations=10)


@pytest.mark.parametrize(
    "text",
    [
        json.dumps([POST, GONE]),
        f"{json.dumps(POST)}\n{json.dumps(GONE)}\n",
        f"\n{json.dumps(POST)}\r\n\n  {json.dumps(GONE)}",
    ],
)
def test_operations_need_no_bulk_request_around_them(text: str) -> None:
    first, second = read(text).operations
    assert (first.method, first.endpoint, first.data, first.error) == ("POST", "Users", POST["data"], None)
    assert first.bulk_id == "request 1"
    assert (second.method, second.target, second.error) == ("DELETE", "usr_1", None)


def test_one_request_may_have_lines(text: str = json.dumps(POST, indent=2)) -> None:
    (only,) = read(text).operations
    assert only.error is None


def test_a_bulk_request_is_taken_as_it_is() -> None:
    named = {**POST, "bulkId": "a"}
    body = {"schemas": [BULK_REQUEST], "failOnErrors": 2, "Operations": [named, POST]}
    found = read(json.dumps(body))
    assert found.fail_on_errors == 2
    assert [o.bulk_id for o in found.operations] == ["a", None]
    assert found.operations[1].error is not None
    with pytest.raises(InvalidSyntax):
        read(json.dumps({"Operations": [named]}))
    assert read(json.dumps({"Operations": [named]}), LENIENT).operations[0].error is None


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("", "no request"),
        (" \n ", "no request"),
        ("nonsense", "not JSON"),
        ("nonsense\nmore", "not JSON"),
        (f"{json.dumps(POST)}\nno", "Line 2"),
        ("[" * 100_000, "nested"),
    ],
)
def test_what_cannot_be_read(text: str, part: str) -> None:
    with pytest.raises(InvalidSyntax, match=part):
        read(text)


def test_bounds_hold() -> None:
    with pytest.raises(PayloadTooLarge):
        read(json.dumps([POST, GONE]), most=1)
    found = read("\n".join(["7", json.dumps({"method": "GET", "path": "/Users"})]))
    assert all(o.error is not None for o in found.operations)
