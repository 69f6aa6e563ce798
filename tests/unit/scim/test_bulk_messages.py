"""The bulk request's message and what is wrong with single operations (RFC 7644 §3.7)."""

from __future__ import annotations

from typing import Any

import pytest

from app.scim.bulk import BulkOperation, BulkRequest, read_bulk
from app.scim.bulk_references import references_in, resolved, strings_in, without_references
from app.scim.dialect import LENIENT, STRICT, Dialect
from app.scim.errors import InvalidSyntax, InvalidValue, NotFound, PayloadTooLarge, ScimError
from app.scim.messages import BULK_REQUEST, PATCH_OP

USER = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": "ann@example.com"}


def read(body: object, dialect: Dialect = LENIENT, **limits: int) -> BulkRequest:
    return read_bulk(body, dialect, **{"max_operations": 10, "max_patch_operations": 3, **limits})


def bulk(*operations: object, **members: object) -> dict[str, Any]:
    return {"schemas": [BULK_REQUEST], "Operations": list(operations), **members}


def post(bulk_id: str, path: str = "/Users", **data: Any) -> dict[str, Any]:
    return {"method": "POST", "path": path, "bulkId": bulk_id, "data": {**USER, **data}}


def test_the_operations_of_the_rfc() -> None:
    """The example of RFC 7644 §3.7.3, whose PATCH has an array of operations as its data."""
    found = read(
        bulk(
            post("qwerty"),
            {"method": "PUT", "path": "/Users/b7c1", "version": 'W/"4weym"', "data": USER},
            {
                "method": "PATCH",
                "path": "/Users/5d8d",
                "version": 'W/"edac"',
                "data": [{"op": "remove", "path": "nickName"}],
            },
            {"method": "DELETE", "path": "/Users/e902", "version": 'W/"0ee8"'},
            failOnErrors=1,
        ),
        STRICT,
    )
    assert found.fail_on_errors == 1
    assert [(o.method, o.endpoint, o.target, o.version, o.bulk_id, o.error) for o in found.operations] == [
        ("POST", "Users", None, None, "qwerty", None),
        ("PUT", "Users", "b7c1", 'W/"4weym"', None, None),
        ("PATCH", "Users", "5d8d", 'W/"edac"', None, None),
        ("DELETE", "Users", "e902", 'W/"0ee8"', None, None),
    ]
    assert found.operations[2].data == {
        "schemas": [PATCH_OP],
        "Operations": [{"op": "remove", "path": "nickName"}],
    }


@pytest.mark.parametrize(
    ("body", "dialect", "error"),
    [
        ([], LENIENT, InvalidSyntax),
        (None, LENIENT, InvalidSyntax),
        ("text", LENIENT, InvalidSyntax),
        ({"schemas": [BULK_REQUEST]}, LENIENT, InvalidSyntax),
        (bulk() | {"Operations": {}}, LENIENT, InvalidSyntax),
        (bulk() | {"Operations": None}, LENIENT, InvalidSyntax),
        (bulk(), STRICT, InvalidSyntax),
        (bulk(post("a")) | {"schemas": [PATCH_OP]}, STRICT, InvalidSyntax),
        (bulk(post("a")) | {"schemas": BULK_REQUEST}, STRICT, InvalidSyntax),
        (bulk(post("a"), stray=1), STRICT, InvalidSyntax),
        (bulk(post("a"), operations=[]), LENIENT, InvalidSyntax),
        (bulk(post("a"), failOnErrors="1"), LENIENT, InvalidSyntax),
        (bulk(post("a"), failOnErrors=True), LENIENT, InvalidSyntax),
        (bulk(post("a"), failOnErrors=1.5), LENIENT, InvalidSyntax),
        (bulk(post("a"), failOnErrors=0), LENIENT, InvalidSyntax),
        (bulk(post("a"), failOnErrors=-1), LENIENT, InvalidSyntax),
        (bulk(*[post(str(n)) for n in range(11)]), LENIENT, PayloadTooLarge),
    ],
)
def test_a_wrong_message_is_one_error(body: object, dialect: Dialect, error: type[ScimError]) -> None:
    with pytest.raises(error):
        read(body, dialect)


def test_the_limit_that_is_exceeded_is_named() -> None:
    with pytest.raises(PayloadTooLarge, match=r"maxOperations \(1\)"):
        read(bulk(post("a"), post("b")), max_operations=1)


@pytest.mark.parametrize(
    "body",
    [
        {"operations": [post("a")]},
        {"Schemas": None, "Operations": [post("a") | {"stray": 1}], "failonerrors": None},
        {"Operations": [{"METHOD": "POST", "Path": "Users/", "BulkId": "a", "Data": USER}]},
    ],
)
def test_what_a_lenient_connection_takes(body: dict[str, Any]) -> None:
    found = read(body).operations
    assert [(o.method, o.endpoint, o.bulk_id, o.error) for o in found] == [("POST", "Users", "a", None)]


PUT = {"method": "PUT", "path": "/Users/1", "data": USER}


@pytest.mark.parametrize(
    ("operation", "error"),
    [
        (1, InvalidSyntax),
        (None, InvalidSyntax),
        ([], InvalidSyntax),
        ({}, InvalidSyntax),
        (PUT | {"method": "GET"}, InvalidSyntax),
        (PUT | {"method": "put"}, InvalidSyntax),
        (PUT | {"method": 7}, InvalidSyntax),
        (PUT | {"method": ["PUT"]}, InvalidSyntax),
        (PUT | {"method": "PUT", "Method": "PUT"}, InvalidSyntax),
        (PUT | {"version": 3}, InvalidSyntax),
        (PUT | {"bulkId": 3}, InvalidSyntax),
        (PUT | {"bulkId": ["a"]}, InvalidSyntax),
        (PUT | {"bulkId": "a\0b"}, InvalidSyntax),
        (PUT | {"data": None}, InvalidSyntax),
        (PUT | {"data": [USER]}, InvalidSyntax),
        (PUT | {"data": "x"}, InvalidSyntax),
        ({"method": "PUT", "path": "/Users/1"}, InvalidSyntax),
        (PUT | {"method": "DELETE"}, InvalidSyntax),
        (PUT | {"method": "PATCH", "data": 4}, InvalidSyntax),
        (PUT | {"method": "PATCH", "data": {"operations": [1] * 4}}, PayloadTooLarge),
        (PUT | {"method": "POST", "path": "/Users"}, InvalidSyntax),
        (post("") | {"bulkId": ""}, InvalidSyntax),
        (post("a") | {"data": None}, InvalidSyntax),
        (post("a", "/Users/.search"), InvalidValue),
        (post("a", "/Users/1"), InvalidValue),
        (post("a", "/.search"), NotFound),
        (post("a", "/Me"), NotFound),
        (post("a", "/Bulk"), NotFound),
        (post("a", "/users"), NotFound),
        (post("a", ""), NotFound),
        (post("a", "https://example.com/scim/v2/Users"), NotFound),
        (post("a", "/Users?attributes=id"), InvalidValue),
        (post("a", "/Users\0"), InvalidValue),
        (post("a") | {"path": None}, InvalidSyntax),
        (post("a") | {"path": 5}, InvalidSyntax),
        (PUT | {"path": "/Users"}, InvalidValue),
        (PUT | {"path": "/Users/"}, InvalidValue),
        (PUT | {"path": "/Users/1?attributes=id"}, InvalidValue),
        (PUT | {"path": "/Users/1#x"}, InvalidValue),
        (PUT | {"path": "/Me"}, NotFound),
        (PUT | {"path": "/Users/bulkId:nobody"}, InvalidValue),
        (PUT | {"path": "/Users/bulkId:"}, InvalidValue),
        (PUT | {"data": USER | {"manager": {"value": "bulkId:nobody"}}}, InvalidValue),
    ],
)
def test_a_wrong_operation_is_its_own_error(operation: object, error: type[ScimError]) -> None:
    other = post("other")
    found = read(bulk(operation, other)).operations
    assert type(found[0].error) is error
    assert found[1].error is None


def test_both_operations_of_one_bulk_id_are_refused() -> None:
    found = read(bulk(post("a"), post("b"), PUT | {"bulkId": "a"})).operations
    assert [type(o.error) for o in found] == [InvalidValue, type(None), InvalidValue]


def test_the_bulk_id_of_a_put_is_given_back_but_stands_for_nothing() -> None:
    found = read(bulk(PUT | {"bulkId": "a"}, {"method": "DELETE", "path": "/Users/bulkId:a"})).operations
    assert (found[0].bulk_id, found[0].error) == ("a", None)
    assert type(found[1].error) is InvalidValue


ODD = ["a b", "ä", 'a"b', "a\\b", "a]b", "a/b", "a?b", "a%20b", "bulkId:a", "/Users/1", " ", "..", "😀"]


@pytest.mark.parametrize("bulk_id", ODD)
def test_bulk_ids_of_any_characters(bulk_id: str) -> None:
    escaped = bulk_id.replace("\\", "\\\\").replace('"', '\\"')
    patch = {"op": "remove", "path": f'members[type eq "User" and value eq "bulkId:{escaped}"]'}
    named: list[BulkOperation] = list(
        read(
            bulk(
                post(bulk_id),
                {"method": "PATCH", "path": f"/Users/bulkId:{bulk_id}", "data": [{"op": "add"}]},
                {"method": "PATCH", "path": "/Groups/1", "data": [patch]},
                post("last", manager={"value": f"bulkId:{bulk_id}"}),
            )
        ).operations
    )
    assert [o.error for o in named] == [None] * 4
    assert [o.references for o in named] == [set(), {bulk_id}, {bulk_id}, {bulk_id}]
    assert named[1].target_reference == bulk_id
    written = resolved(named[2].data, {bulk_id: "id-1"})["Operations"][0]["path"]
    assert written == 'members[type eq "User" and value eq "id-1"]'


def test_escaped_bulk_ids_in_paths() -> None:
    found = read(bulk(post("a b"), {"method": "DELETE", "path": "/Users/bulkId:a%20b"})).operations[1]
    assert (found.error, found.target_reference) == (None, "a b")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("bulkId:a", "1"),
        ("bulkId:b", "bulkId:b"),
        ("bulkId:", "bulkId:"),
        (" bulkId:a", " bulkId:a"),
        ("BULKID:a", "BULKID:a"),
        (["bulkId:a", {"value": "bulkId:a"}], ["1", {"value": "1"}]),
        ({"$ref": "../Users/bulkId:a"}, {"$ref": "../Users/1"}),
        (
            {"$ref": "https://example.com/scim/v2/Groups/bulkId:a"},
            {"$ref": "https://example.com/scim/v2/Groups/1"},
        ),
        ({"path": 'members[value eq "bulkId:a"]'}, {"path": 'members[value eq "1"]'}),
        ({"path": "displayName", "value": "see bulkId:a"}, {"path": "displayName", "value": "see bulkId:a"}),
        ({'members[value eq "bulkId:a"]': None}, {'members[value eq "1"]': None}),
        ({"bulkId:a": 1}, {"bulkId:a": 1}),
        ([1, None, True, 1.5], [1, None, True, 1.5]),
    ],
)
def test_references_are_resolved_wherever_they_stand(before: object, after: object) -> None:
    kept = repr(before)
    assert resolved(before, {"a": "1"}) == after
    assert repr(before) == kept


def test_what_is_left_of_a_resource_whose_references_come_later() -> None:
    extension = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
    data = {
        "userName": "ann",
        "manager": "bulkId:a",
        "emails": [{"value": "x@example.com"}, {"value": "bulkId:a", "type": "work"}],
        "name": {"givenName": "Ann", "familyName": "bulkId:b"},
        extension: {"department": "R&D", "manager": {"value": "bulkId:a", "displayName": "Boss"}},
    }
    assert references_in(data) == {"a", "b"}
    assert without_references(data, {"a"}) == {
        "userName": "ann",
        "emails": [{"value": "x@example.com"}],
        "name": {"givenName": "Ann", "familyName": "bulkId:b"},
        extension: {"department": "R&D"},
    }


def test_strings_of_filters_are_found() -> None:
    found = set(strings_in({"path": 'members[value eq "u1"]', "value": ["a", {"b": "c"}, 1]}))
    assert {"u1", "a", "c"} < found
