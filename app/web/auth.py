"""Guards of the SCIM routes: ids that hide a slash, and bearer tokens (RFC 6750)."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler

from app.bridge.context import Context
from app.scim.errors import NotFound, Unauthorized
from app.web.services import Services

_DETAIL = "a valid bearer token is needed: Authorization: Bearer <token>"


async def refuse_hidden_slashes(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Raise `NotFound` for an escaped slash in the path: routing would take it for a real one."""
    if hides_slash(connection):
        raise NotFound("no resource has an id with a slash")


def hides_slash(connection: ASGIConnection[Any, Any, Any, Any]) -> bool:
    """Whether the path holds an escaped slash."""
    raw_path: bytes = connection.scope.get("raw_path") or b""
    return b"%2f" in raw_path.lower()


async def authenticate(connection: ASGIConnection[Any, Any, Any, Any], _: BaseRouteHandler) -> None:
    """Guard of every SCIM route: resolve the token's connection, or raise `Unauthorized`.

    Missing, malformed, unknown, expired and revoked tokens cannot be told apart.
    """
    services: Services = connection.app.state.services
    scheme, _space, secret = connection.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret:
        raise Unauthorized(_DETAIL)
    found = await services.store.token_cache.authenticate(secret.strip())
    if found is None:
        raise Unauthorized(_DETAIL)
    base_url = services.contexts.base_url(connection)
    connection.scope["state"]["context"] = services.contexts.of(found.connection, base_url)


def context_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Context:
    """The context that the guard left."""
    context: Context = connection.scope["state"]["context"]
    return context
