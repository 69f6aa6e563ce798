"""ListResponse and Error bodies (RFC 7644 §3.4.2, §3.12), and the schemas that describe discovery."""

from __future__ import annotations

import json

import pytest

from app.scim.errors import BadRequest, InternalError, InvalidFilter, NotFound, Uniqueness
from app.scim.messages import ERROR, LIST_RESPONSE, error_body, list_response
from app.scim.schema import RESOURCE_TYPE, SCHEMA, SERVICE_PROVIDER_CONFIG, load_schema


def test_a_list_response_counts_its_page() -> None:
    assert list_response([{"id": "1"}, {"id": "2"}], 7, 3) == {
        "schemas": [LIST_RESPONSE],
        "totalResults": 7,
        "startIndex": 3,
        "itemsPerPage": 2,
        "Resources": [{"id": "1"}, {"id": "2"}],
    }


def test_a_miss_is_an_empty_list() -> None:
    body = list_response([], 0, 1)
    assert (body["totalResults"], body["itemsPerPage"], body["Resources"]) == (0, 0, [])


def test_items_per_page_can_be_given() -> None:
    assert list_response([], 12, 1, items_per_page=0)["itemsPerPage"] == 0


@pytest.mark.parametrize(
    ("error", "status", "scim_type"),
    [
        (NotFound("No such user."), "404", None),
        (Uniqueness("userName is taken."), "409", "uniqueness"),
        (InvalidFilter("bad"), "400", "invalidFilter"),
        (BadRequest("bad"), "400", None),
    ],
)
def test_an_error_has_its_status_as_a_string(error: BadRequest, status: str, scim_type: str | None) -> None:
    body = error_body(error)
    expected = {"schemas": [ERROR], "status": status, "detail": error.detail}
    assert body == (expected if scim_type is None else {**expected, "scimType": scim_type})


def test_a_correlation_id_ends_the_detail() -> None:
    body = error_body(InternalError("Something went wrong here."), "01J9")
    assert body["detail"] == "Something went wrong here. (reference 01J9)"


def test_a_detail_can_always_be_sent() -> None:
    json.dumps(error_body(BadRequest("half \ud800")), ensure_ascii=False).encode("utf-8")


@pytest.mark.parametrize(
    ("file", "urn", "required"),
    [
        (
            "service_provider_config",
            SERVICE_PROVIDER_CONFIG,
            {"patch", "bulk", "filter", "changePassword", "sort", "etag", "authenticationSchemes"},
        ),
        ("resource_type", RESOURCE_TYPE, {"name", "endpoint", "schema"}),
        ("schema", SCHEMA, {"id", "attributes"}),
    ],
)
def test_discovery_schemas(file: str, urn: str, required: set[str]) -> None:
    schema = load_schema(file)
    assert schema.id == urn
    assert {a.name for a in schema.attributes if a.required} == required
    assert all(a.mutability == "readOnly" and a.description for a in schema.attributes)
