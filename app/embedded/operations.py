"""One endpoint as data: what is documented, checked and called comes from the same declaration."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Generic, TypeAlias, TypeVar

import msgspec
from litestar import MediaType, Response
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.embedded.auth import authenticate, require_scope, require_tenant
from app.embedded.changes import Changes
from app.embedded.errors import AnyRequest
from app.embedded.events import Actor
from app.embedded.platform import Platform
from app.embedded.tokens import Principal
from app.embedded.validation import parse_body, parse_query

Q = TypeVar("Q", bound=Struct)
B = TypeVar("B", bound=Struct)


class Nothing(Struct):
    """No query parameters, or no body."""


class Call(Struct, Generic[Q, B], frozen=True, kw_only=True):
    """One authenticated, checked request."""

    platform: Platform
    principal: Principal
    path: Mapping[str, str]
    query: Q
    body: B

    def write(self) -> AbstractAsyncContextManager[Changes]:
        """A transaction whose events name the calling app."""
        return self.platform.write(Actor(id=self.principal.client_id, type="api"))


Run: TypeAlias = Callable[[Platform, AnyRequest], Awaitable[Struct | None]]


class Operation(Struct, frozen=True, kw_only=True):
    """One endpoint of the API."""

    method: str
    path: str
    """With `{name}` for each path parameter; a trailing slash makes no difference to what is answered."""
    operation_id: str
    summary: str
    tag: str
    status: int
    query: type[Struct]
    body: type[Struct] | None
    """None where the request has no body."""
    body_is_object: bool
    """Whether the document shows the body as a plain object."""
    returns: object
    """The struct of a successful answer; None where the document says `any`, or there is no body."""
    authorization_parameter: bool
    """Whether the document lists the `Authorization` header among the parameters."""
    run: Run


def operation(
    method: str,
    path: str,
    handler: Callable[[Call[Q, B]], Awaitable[Struct | None]],
    *,
    summary: str,
    tag: str,
    scope: str,
    query: type[Q],
    body: type[B],
    status: int = 200,
    returns: object = None,
    body_is_object: bool = False,
    authorization_parameter: bool = False,
) -> Operation:
    """Declare an endpoint; `handler` is called once token, scope, tenant, query and body are found good."""

    async def run(platform: Platform, request: AnyRequest) -> Struct | None:
        principal = authenticate(platform.tokens, request.headers.get("authorization"))
        require_scope(principal, scope)
        parameters = request.path_params
        if "tenant_id" in parameters:
            await require_tenant(platform, principal, parameters["tenant_id"])
        return await handler(
            Call(
                platform=platform,
                principal=principal,
                path=parameters,
                query=parse_query(request.scope["query_string"], query),
                body=_no_body if body is Nothing else parse_body(await request.body(), body),  # type: ignore[arg-type]  # Nothing is B here
            )
        )

    return Operation(
        method=method,
        path=path,
        operation_id=f"{tag}_{handler.__name__}",
        summary=summary,
        tag=tag,
        status=status,
        query=query,
        body=None if body is Nothing else body,
        body_is_object=body_is_object,
        returns=returns,
        authorization_parameter=authorization_parameter,
        run=run,
    )


def route_handlers(platform: Platform, operations: Sequence[Operation]) -> list[HTTPRouteHandler]:
    """The operations as routes of the web framework."""
    return [_route_handler(platform, declared) for declared in operations]


_no_body = Nothing()


def _route_handler(platform: Platform, declared: Operation) -> HTTPRouteHandler:
    path = declared.path.replace("}", ":str}")

    if declared.status == 204:

        async def endpoint_without_body(request: AnyRequest) -> None:
            await declared.run(platform, request)

        return HTTPRouteHandler(path, http_method=declared.method, status_code=204)(endpoint_without_body)  # type: ignore[arg-type]

    async def endpoint(request: AnyRequest) -> Response[bytes]:
        payload = await declared.run(platform, request)
        return Response(msgspec.json.encode(payload), media_type=MediaType.JSON)

    return HTTPRouteHandler(path, http_method=declared.method, status_code=declared.status)(endpoint)  # type: ignore[arg-type]
