"""The bodies of protocol messages (RFC 7644 §3): their URNs, lists and errors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from app.scim.errors import ScimError
from app.scim.schema import Resource

LIST_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
SEARCH_REQUEST = "urn:ietf:params:scim:api:messages:2.0:SearchRequest"
PATCH_OP = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
BULK_REQUEST = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
BULK_RESPONSE = "urn:ietf:params:scim:api:messages:2.0:BulkResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"


def list_response(
    resources: Sequence[Resource],
    total: int,
    start_index: int | None,
    items_per_page: int | None = None,
    next_cursor: str | None = None,
) -> dict[str, Any]:
    """A ListResponse (RFC 7644 §3.4.2): one page of `total` results, the first being number `start_index`.

    Paged by cursor it has no `startIndex`, and `nextCursor` unless it is the last page (RFC 9865 §2).
    `items_per_page` is the number of resources in this page unless given.
    """
    body: dict[str, Any] = {"schemas": [LIST_RESPONSE], "totalResults": total}
    if start_index is not None:
        body["startIndex"] = start_index
    body["itemsPerPage"] = len(resources) if items_per_page is None else items_per_page
    if next_cursor is not None:
        body["nextCursor"] = next_cursor
    body["Resources"] = list(resources)
    return body


def error_body(error: ScimError, correlation_id: str | None = None) -> dict[str, Any]:
    """An Error body (RFC 7644 §3.12): `status` is a string, `scimType` there only where one is defined.

    The correlation id ends the detail, the one member that every client shows or logs.
    """
    detail = error.detail.encode("utf-8", "backslashreplace").decode("utf-8")
    body: dict[str, Any] = {"schemas": [ERROR], "status": str(error.status)}
    if error.scim_type is not None:
        body["scimType"] = error.scim_type
    body["detail"] = detail if correlation_id is None else f"{detail} (reference {correlation_id})"
    return body
