"""Bearer tokens of a connection: made and shown once, changed without a gap, revoked."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Template

from app.console.finding import connection_of, live_token_of
from app.console.forms import form_of
from app.console.guarding import admin_only
from app.console.rendering import page
from app.console.services import admin_of, services_of


@post("/", status_code=200)
async def create_token(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Template:
    """Make a token and show its secret, this one time."""
    services, form = services_of(request), form_of(request)
    connection = await connection_of(services, connection_id)
    token, secret = await services.operating.create_token(
        admin_of(request), connection, form.text("label"), form.day("Expires", "expires")
    )
    return page(
        request,
        "token_made.html",
        title="New token",
        connection=connection,
        token=token,
        secret=secret,
        former=None,
    )


@get("/{token_id:str}/rotate")
async def ask_rotation(
    request: Request[Any, Any, Any], connection_id: FromPath[str], token_id: FromPath[str]
) -> Template:
    """What changing a token comes to."""
    services = services_of(request)
    connection = await connection_of(services, connection_id)
    token = await live_token_of(services, connection, token_id)
    return page(request, "token_rotate.html", title="Rotate token", connection=connection, token=token)


@post("/{token_id:str}/rotate", status_code=200)
async def rotate_token(
    request: Request[Any, Any, Any], connection_id: FromPath[str], token_id: FromPath[str]
) -> Template:
    """Make another token of the same label; the former one goes on working until it is revoked."""
    services, form = services_of(request), form_of(request)
    connection = await connection_of(services, connection_id)
    former = await live_token_of(services, connection, token_id)
    token, secret = await services.operating.create_token(
        admin_of(request), connection, former.label, form.day("Expires", "expires")
    )
    return page(
        request,
        "token_made.html",
        title="New token",
        connection=connection,
        token=token,
        secret=secret,
        former=former,
    )


@get("/{token_id:str}/revoke")
async def ask_revocation(
    request: Request[Any, Any, Any], connection_id: FromPath[str], token_id: FromPath[str]
) -> Template:
    """What revoking a token comes to."""
    services = services_of(request)
    connection = await connection_of(services, connection_id)
    token = await live_token_of(services, connection, token_id)
    others = [
        t
        for t in await services.store.tokens.list(connection.id)
        if t.id != token.id and t.alive_at(datetime.now(UTC))
    ]
    return page(
        request, "token_revoke.html", title="Revoke token", connection=connection, token=token, others=others
    )


@post("/{token_id:str}/revoke", status_code=303)
async def revoke_token(
    request: Request[Any, Any, Any], connection_id: FromPath[str], token_id: FromPath[str]
) -> Response[Any]:
    """Refuse the token from now on."""
    services = services_of(request)
    connection = await connection_of(services, connection_id)
    token = await live_token_of(services, connection, token_id)
    await services.operating.revoke_token(admin_of(request), connection, token)
    return Redirect(f"/console/connections/{connection.id}", status_code=303)


router = Router(
    path="/connections/{connection_id:str}/tokens",
    guards=[admin_only],
    route_handlers=[create_token, ask_rotation, rotate_token, ask_revocation, revoke_token],
)
