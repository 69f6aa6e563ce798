"""Writing answers: SCIM JSON under the media type that the client asked for."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from app.scim.attributes import Projection, apply
from app.scim.etag import matches
from app.scim.schema import Resource, ResourceModel
from app.web.headers import header

SCIM_JSON = "application/scim+json"
JSON = "application/json"

_encode = msgspec.json.Encoder().encode


def media_type(request: Request[Any, Any, Any]) -> str:
    """`application/json` where the client asks for it and not for SCIM's own type, which is the default."""
    folded = header(request.scope, b"accept").decode("latin-1").lower()
    return JSON if JSON in folded and SCIM_JSON not in folded else SCIM_JSON


class Answer:
    """A finished answer, as the ASGI application that sends it: Litestar has nothing left to do to it."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self._body = body
        self._status = status
        self._headers = [(name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it."""
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body, "more_body": False})


def scim_response(
    request: Request[Any, Any, Any],
    body: object,
    status: int = 200,
    headers: dict[str, str] | None = None,
    *,
    kind: str | None = None,
) -> ASGIApp:
    """Any SCIM message as an answer, or what is not one under the media type `kind`."""
    text = _encode(body)
    own = {
        "Content-Type": kind or media_type(request),
        "Content-Length": str(len(text)),
    }
    return Answer(text, status, own if headers is None else own | headers)


def resource_response(
    request: Request[Any, Any, Any],
    model: ResourceModel,
    resource: Resource,
    *,
    projection: Projection | None = None,
    status: int = 200,
) -> ASGIApp:
    """A resource with ETag and Location (RFC 7644 §3.1, §3.14), 304 where the client has this version."""
    version = resource["meta"].get("version")
    headers = {} if version is None else {"ETag": version}
    known = header(request.scope, b"if-none-match").decode("latin-1")
    if known and version is not None and request.method == "GET" and matches(known, version):
        return Answer(b"", 304, headers)
    location = resource["meta"]["location"]
    headers["Location" if status == 201 else "Content-Location"] = location
    return scim_response(request, apply(projection, resource, model), status, headers)


def no_content() -> ASGIApp:
    """204."""
    return Answer(b"", 204, {})
