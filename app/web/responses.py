"""Writing answers: SCIM JSON under the media type that the client asked for."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response

from app.scim.attributes import Projection, apply
from app.scim.etag import matches
from app.scim.schema import Resource, ResourceModel

SCIM_JSON = "application/scim+json"
JSON = "application/json"

_encode = msgspec.json.Encoder().encode


def media_type(accept: str) -> str:
    """`application/json` where the client asks for it and not for SCIM's own type, which is the default."""
    folded = accept.lower()
    return JSON if JSON in folded and SCIM_JSON not in folded else SCIM_JSON


def scim_response(
    request: Request[Any, Any, Any],
    body: object,
    status: int = 200,
    headers: dict[str, str] | None = None,
) -> Response[bytes]:
    """Any SCIM message as an answer."""
    return Response(
        _encode(body),
        status_code=status,
        headers=headers,
        media_type=media_type(request.headers.get("accept", "")),
    )


def resource_response(
    request: Request[Any, Any, Any],
    model: ResourceModel,
    resource: Resource,
    *,
    projection: Projection | None = None,
    status: int = 200,
) -> Response[bytes]:
    """A resource with ETag and Location (RFC 7644 §3.1, §3.14), 304 where the client has this version."""
    version = resource["meta"].get("version")
    headers = {} if version is None else {"ETag": version}
    known = request.headers.get("if-none-match")
    if request.method == "GET" and version is not None and known is not None and matches(known, version):
        return Response(b"", status_code=304, headers=headers)
    location = resource["meta"]["location"]
    headers["Location" if status == 201 else "Content-Location"] = location
    return scim_response(request, apply(projection, resource, model), status, headers)


def no_content() -> Response[None]:
    """204."""
    return Response(None, status_code=204)
