"""What stands before every SCIM route: ids that hide a slash, and bearer tokens (RFC 6750)."""

from __future__ import annotations

from typing import Any

from litestar.connection import ASGIConnection
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.bridge.context import Context
from app.bridge.telling import tell_connection, tell_context, tell_token
from app.scim.dialect import Tolerance
from app.scim.errors import Forbidden, NotAcceptable, NotFound, Unauthorized
from app.web.dry_runs import prepare
from app.web.headers import header
from app.web.negotiation import acceptable
from app.web.paths import BASE_PATH, hides_slash
from app.web.services import Services

_DETAIL = "a valid bearer token is needed: Authorization: Bearer <token>"
_FOR_USERS = frozenset({"Me", "ServiceProviderConfig", "ServiceProviderConfigs", "ResourceTypes", "Schemas"})
"""What a token bound to a user is good for; everything else, also what is to come, is not."""


class InvalidToken(Unauthorized):
    """A bearer token was presented and is not good (RFC 6750 §3.1, `invalid_token`)."""


class InsufficientScope(Forbidden):
    """The token is good, but not for this (RFC 6750 §3.1, `insufficient_scope`)."""


def challenge(error: Unauthorized | InsufficientScope) -> str:
    """The WWW-Authenticate field; without a code where no token was presented (RFC 6750 §3.1)."""
    match error:
        case InvalidToken():
            return 'Bearer realm="scim", error="invalid_token"'
        case InsufficientScope():
            return 'Bearer realm="scim", error="insufficient_scope"'
        case _:
            return 'Bearer realm="scim"'


class Authentication(ASGIMiddleware):
    """Resolves the token's connection and leaves it and its context in the request's state.

    Raises `Unauthorized` without a token and `InvalidToken` with a bad one: malformed, unknown, expired and
    revoked ones cannot be told apart. A middleware and not a guard, because Litestar copies the handler for
    every call of a guard. Raises `TooManyRequests` where too many tokens from one address were refused, and
    `InsufficientScope` where a token that is bound to a user is used for anything else.
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
            raise InvalidToken(_DETAIL)
        if found.user_id is not None and _endpoint(scope) not in _FOR_USERS:
            raise InsufficientScope("this token is bound to one user: it is good for /Me and for discovery")
        base_url = services.contexts.base_url(scope)
        tell_token(found.token)
        tell_connection(found.connection)
        scope["state"]["connection"] = found.connection
        scope["state"]["user_id"] = found.user_id
        context = services.contexts.of(found.connection, base_url)
        scope["state"]["context"] = context
        tell_context(context)
        if not context.dialect.allows(Tolerance.ANY_ACCEPT) and not acceptable(scope):
            raise NotAcceptable("answers are application/scim+json or application/json: accept one of them")
        prepare(scope, context, services.dry_runs)
        await next_app(scope, receive, send)


def _endpoint(scope: Scope) -> str:
    """The first part of the path below the base URL."""
    path: str = scope["path"]
    return path.removeprefix(BASE_PATH).strip("/").partition("/")[0]


def user_of(connection: ASGIConnection[Any, Any, Any, Any]) -> str | None:
    """The id of the user whom the token is bound to."""
    user_id: str | None = connection.scope["state"]["user_id"]
    return user_id


def context_of(connection: ASGIConnection[Any, Any, Any, Any]) -> Context:
    """The context that `Authentication` left."""
    context: Context = connection.scope["state"]["context"]
    return context
