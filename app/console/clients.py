"""OAuth clients of a connection and their secrets: made and shown once, changed without a gap, revoked."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Template

from app.console.errors import NotThere
from app.console.finding import client_of, connection_of, live_secrets_of
from app.console.forms import form_of
from app.console.guarding import admin_only
from app.console.rendering import page
from app.console.services import ConsoleServices, admin_of, services_of
from app.store.clients import Client, ClientSecret
from app.store.connections import Connection


@post("/", status_code=200)
async def create_client(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Template:
    """Make a client and show its secret, this one time."""
    services, form = services_of(request), form_of(request)
    connection = await connection_of(services, connection_id)
    secret, text = await services.operating.add_client(
        admin_of(request), connection, form.text("label"), form.day("Expires", "expires")
    )
    return _made(request, connection, secret, text, title="New client")


@get("/{client_id:str}/remove")
async def ask_removal(
    request: Request[Any, Any, Any], connection_id: FromPath[str], client_id: FromPath[str]
) -> Template:
    """What removing a client comes to."""
    services, connection, client = await _found(request, connection_id, client_id)
    return page(
        request,
        "client_remove.html",
        title="Remove client",
        connection=connection,
        client=client,
        secrets=await live_secrets_of(services, client),
    )


@post("/{client_id:str}/remove", status_code=303)
async def remove_client(
    request: Request[Any, Any, Any], connection_id: FromPath[str], client_id: FromPath[str]
) -> Response[Any]:
    """Remove it."""
    services, connection, client = await _found(request, connection_id, client_id)
    await services.operating.remove_client(admin_of(request), connection, client)
    return Redirect(f"/console/connections/{connection.id}", status_code=303)


@post("/{client_id:str}/secrets", status_code=200)
async def create_secret(
    request: Request[Any, Any, Any], connection_id: FromPath[str], client_id: FromPath[str]
) -> Template:
    """Make another secret and show it, this one time; the former one goes on working."""
    form = form_of(request)
    services, connection, client = await _found(request, connection_id, client_id)
    secret, text = await services.operating.add_secret(
        admin_of(request), connection, client, form.text("label"), form.day("Expires", "expires")
    )
    return _made(request, connection, secret, text, title="New secret")


@get("/{client_id:str}/secrets/{secret_id:str}/revoke")
async def ask_revocation(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    client_id: FromPath[str],
    secret_id: FromPath[str],
) -> Template:
    """What revoking a secret comes to."""
    services, connection, client = await _found(request, connection_id, client_id)
    secret = await _secret_of(services, client, secret_id)
    return page(
        request,
        "secret_revoke.html",
        title="Revoke secret",
        connection=connection,
        client=client,
        secret=secret,
        others=len(await live_secrets_of(services, client)) - 1,
    )


@post("/{client_id:str}/secrets/{secret_id:str}/revoke", status_code=303)
async def revoke_secret(
    request: Request[Any, Any, Any],
    connection_id: FromPath[str],
    client_id: FromPath[str],
    secret_id: FromPath[str],
) -> Response[Any]:
    """Refuse the secret from now on."""
    services, connection, client = await _found(request, connection_id, client_id)
    secret = await _secret_of(services, client, secret_id)
    await services.operating.revoke_secret(admin_of(request), connection, secret)
    return Redirect(f"/console/connections/{connection.id}", status_code=303)


async def _found(
    request: Request[Any, Any, Any], connection_id: str, client_id: str
) -> tuple[ConsoleServices, Connection, Client]:
    services = services_of(request)
    connection = await connection_of(services, connection_id)
    return services, connection, await client_of(services, connection, client_id)


async def _secret_of(services: ConsoleServices, client: Client, secret_id: str) -> ClientSecret:
    for secret in await live_secrets_of(services, client):
        if secret.id == secret_id:
            return secret
    raise NotThere("There is no such secret that is still valid.")


def _made(
    request: Request[Any, Any, Any], connection: Connection, secret: ClientSecret, text: str, *, title: str
) -> Template:
    return page(
        request, "client_made.html", title=title, connection=connection, secret=secret, secret_text=text
    )


router = Router(
    path="/connections/{connection_id:str}/clients",
    guards=[admin_only],
    route_handlers=[create_client, ask_removal, remove_client, create_secret, ask_revocation, revoke_secret],
)
