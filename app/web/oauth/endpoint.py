"""`POST /oauth/token`."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, post
from litestar.types import ASGIApp

from app.bridge.telling import tell_client, tell_connection, tell_token
from app.scim.errors import UnsupportedMediaType
from app.store.clients import ClientSecret
from app.web.limits import read_body
from app.web.negotiation import JSON
from app.web.oauth import PATH
from app.web.oauth.errors import InvalidClient
from app.web.oauth.requests import MAX_BODY_BYTES, check_scope, is_form, read_request
from app.web.responses import scim_response
from app.web.services import Services

NOT_STORED = {"Pragma": "no-cache"}
"""Beside the `Cache-Control` of every answer (RFC 6749 §5.1)."""


@post("/token", status_code=200, request_max_body_size=MAX_BODY_BYTES)
async def issue_token(request: Request[Any, Any, Any]) -> ASGIApp:
    """An access token for the client's connection (RFC 6749 §4.4.3), or an error of §5.2."""
    services: Services = request.app.state.services
    failures = services.limits.auth_failures
    if not is_form(request.headers.get("content-type", "")):
        raise UnsupportedMediaType("send a form: application/x-www-form-urlencoded")
    body = await read_body(request, services.settings.request_timeout_s)
    authorization = [value for name, value in request.scope["headers"] if name == b"authorization"]
    try:
        asked = read_request(authorization, body)
        tell_client(asked.credentials.client_id, known=False)
        if failures and not services.grants.remembers(asked):
            failures.check(request.scope)
        authorized = await services.grants.authenticate(asked)
    except InvalidClient:
        failures.count(request.scope)
        raise
    tell_connection(authorized.connection)
    by = authorized.by
    tell_client(by.client_id if isinstance(by, ClientSecret) else by.id, known=True)
    services.limits.count(authorized.connection)
    check_scope(asked.scope)
    token, text = await services.grants.issue(authorized)
    tell_token(token)
    lifetime_s = int((token.expires_at - token.created_at).total_seconds())
    answer = {"access_token": text, "token_type": "Bearer", "expires_in": lifetime_s}
    return scim_response(request, answer, headers=NOT_STORED, kind=JSON)


router = Router(path=PATH, route_handlers=[issue_token])
