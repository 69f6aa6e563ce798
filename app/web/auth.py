"""What stands before every SCIM route: ids that hide a slash, and bearer tokens (RFC 6750)."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.bridge.context import Context
from app.scim.dialect import Tolerance
from app.scim.errors import NotAcceptable, NotFound, Unauthorized
from app.web.headers import header
from app.web.negotiation import acceptable
from app.web.paths import hides_slash
from app.web.services import Services

_DETAIL = "a valid bearer token is needed: Authorization: Bearer <token>"


class Authentication(ASGIMiddleware):
    """Resolves the token's connection and leaves it and its context in the request's state.

    Raises `Unauthorized`: missing, malformed, unknown, expired and revoked tokens cannot be told apart. A
    middleware and not a guard, because Litestar copies the handler for every call of a guard. Raises
    `TooManyRequests` where too many tokens from one address were refused.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Authenticate, then hand the request on."""
        if hides_slash(scope):
            raise NotFound("no resource has an id with a slash")
        scheme, _space, secret = header(scope, b"authorization").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not secret:
            raise Unauthorized(_DETAIL)
        services: Services = scope["litestar_app"].state.services
        failures, tokens, secret = services.limits.auth_failures, services.store.token_cache, secret.strip()
        if failures and not tokens.remembers(secret):
            failures.check(scope)
        found = await tokens.authenticate(secret)
        if found is None:
            failures.count(scope)
            raise Unauthorized(_DETAIL)
        base_url = services.contexts.base_url(scope)
        scope["state"]["connection"] = found.connection
        context = services.contexts.of(found.connection, base_url)
        scope["state"]["context"] = context
        if not context.dialect.allows(Tolerance.ANY_ACCEPT) and not acceptable(scope):
            raise NotAcceptable("answers are application/scim+json or application/json: accept one of them")
        await next_app(scope, receive, send)


def context_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Context:
    """The context that `Authentication` left."""
    context: Context = connection.scope["state"]["context"]
    return context
