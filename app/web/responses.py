"""Writing answers: SCIM JSON under the media type that the client asked for."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request
from litestar.types import ASGIApp, Receive, Scope, Send

from app.bridge.telling import tell_resource
from app.scim.attributes import Projection, apply
from app.scim.etag import matches
from app.scim.schema import Resource, ResourceModel
from app.web.dry_runs import DRY_RUN, SAID, is_dry_run, told, would_be
from app.web.headers import joined
from app.web.negotiation import media_type

COMMON_HEADERS = {"Vary": "Accept", "Cache-Control": "no-store"}
"""Of every answer: the media type depends on `Accept`, and what a token shows belongs into no cache."""

_COMMON = [(name.lower().encode(), value.encode()) for name, value in COMMON_HEADERS.items()]

_encode = msgspec.json.Encoder().encode


class Answer:
    """A finished answer, as the ASGI application that sends it: Litestar has nothing left to do to it."""

    __slots__ = ("_body", "_headers", "_status")

    def __init__(self, body: bytes, status: int, headers: dict[str, str]) -> None:
        self._body = body
        self._status = status
        self._headers = [
            *((name.lower().encode(), value.encode("latin-1")) for name, value in headers.items()),
            *_COMMON,
        ]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it; to HEAD without the body."""
        body = b"" if scope["method"] == "HEAD" else self._body  # type: ignore[typeddict-item]
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})


def scim_response(
    request: Request[Any, Any, Any],
    body: object,
    status: int = 200,
    headers: dict[str, str] | None = None,
    *,
    kind: str | None = None,
    partial: bool = False,
) -> ASGIApp:
    """Any SCIM message as an answer, or what is not one under the media type `kind`.

    `partial`: HEAD was spared what the body needs, so that its length is not known (RFC 9110 §9.3.2).
    """
    text = _encode(body)
    own = {"Content-Type": kind or media_type(request.scope)}
    if not partial:
        own["Content-Length"] = str(len(text))
    return Answer(text, status, own if headers is None else own | headers)


def resource_response(
    request: Request[Any, Any, Any],
    model: ResourceModel,
    resource: Resource,
    *,
    projection: Projection | None = None,
    status: int = 200,
    partial: bool = False,
) -> ASGIApp:
    """A resource with ETag and Content-Location (RFC 7644 §3.14, RFC 7643 §3.1), Location where it is new.

    304 where the client has this version.
    """
    tell_resource(resource)
    if is_dry_run(request.scope):
        body = apply(projection, would_be(resource), model)
        return _rehearsed(request, body, status)
    version = resource["meta"].get("version")
    headers = {} if version is None else {"ETag": version}
    headers["Content-Location"] = resource["meta"]["location"]
    if status == 201:
        headers["Location"] = resource["meta"]["location"]
    known = joined(request.scope, b"if-none-match").decode("latin-1")
    if known and version is not None and request.method in ("GET", "HEAD") and matches(known, version):
        return Answer(b"", 304, headers)
    return scim_response(request, apply(projection, resource, model), status, headers, partial=partial)


def no_content(request: Request[Any, Any, Any]) -> ASGIApp:
    """204."""
    return _rehearsed(request, {}, 204) if is_dry_run(request.scope) else Answer(b"", 204, {})


def _rehearsed(request: Request[Any, Any, Any], body: dict[str, Any], status: int) -> ASGIApp:
    """What would have been answered, and how it would have come about."""
    report = told(request.scope["state"]["context"], status)
    whole = {**body, "schemas": [*body.get("schemas", ()), DRY_RUN], DRY_RUN: report}
    return scim_response(request, whole, 200 if status == 204 else status, SAID)
