"""Connections: the list, one with its policies and tokens, and changing policies."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from litestar import Request, Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Template

from app.bridge.operating import Overtaken, policy_changes
from app.console.errors import Outdated
from app.console.finding import connection_of
from app.console.forms import form_of
from app.console.guarding import admin_only
from app.console.policies import FIELDS, decoded, encoded, read_policies
from app.console.rendering import page
from app.console.services import ConsoleServices, admin_of, services_of
from app.mapping.errors import MappingError
from app.scim.dialect import Dialect, Tolerance
from app.store.clients import MAX_SECRETS
from app.store.connections import DialectSettings
from app.store.deprovisionings import Stopped

_RECENT = 10


@get("/")
async def show_connections(request: Request[Any, Any, Any]) -> Template:
    """All connections."""
    services = services_of(request)
    now = datetime.now(UTC)
    tokens = [t for t in await services.store.tokens.list() if t.alive_at(now)]
    live: dict[str, int] = {}
    for token in tokens:
        live[token.connection_id] = live.get(token.connection_id, 0) + 1
    return page(
        request,
        "connections.html",
        title="Connections",
        connections=await services.store.connections.list(),
        live=live,
        stops=await services.store.deprovisionings.stopped(),
    )


@get("/{connection_id:str}")
async def show_connection(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Template:
    """One connection."""
    services = services_of(request)
    connection = await connection_of(services, connection_id)
    trouble = None
    try:
        services.context_of(connection)
    except (MappingError, ValueError) as exc:
        trouble = str(exc)
    tokens = list(reversed(await services.store.tokens.list(connection.id)))
    secrets = await services.store.clients.secrets()
    now = datetime.now(UTC)
    return page(
        request,
        "connection.html",
        title=connection.name,
        connection=connection,
        trouble=trouble,
        fields=FIELDS,
        tolerances=_tolerances(connection.dialect),
        live=[t for t in tokens if t.alive_at(now)],
        dead=[t for t in tokens if not t.alive_at(now)],
        clients=[
            (client, [s for s in secrets if s.client_id == client.id and s.alive_at(now)])
            for client in await services.store.clients.list(connection.id)
        ],
        most_secrets=MAX_SECRETS,
        trusts=await services.store.federations.list(connection.id),
        stop=(await services.store.deprovisionings.stopped()).get(connection.id),
        changes=await services.store.admin_changes.list(limit=_RECENT, subject_id=connection.id),
    )


@get("/{connection_id:str}/policies", guards=[admin_only])
async def edit_policies(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Template:
    """The form of policies."""
    connection = await connection_of(services_of(request), connection_id)
    return page(
        request,
        "policies.html",
        title=f"Policies of {connection.name}",
        connection=connection,
        fields=FIELDS,
        seen=encoded(connection.policies),
    )


@post("/{connection_id:str}/policies/review", guards=[admin_only], status_code=200)
async def review_policies(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Template:
    """What the form would change, to be confirmed."""
    connection = await connection_of(services_of(request), connection_id)
    form = form_of(request)
    seen = decoded(form.text("seen"))
    wanted = read_policies(form, seen)
    return page(
        request,
        "policies_review.html",
        title=f"Policies of {connection.name}: review",
        connection=connection,
        differences=policy_changes(seen, wanted),
        seen=encoded(seen),
        wanted=encoded(wanted),
    )


@post("/{connection_id:str}/policies", guards=[admin_only], status_code=303)
async def change_policies(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Response[Any]:
    """Make the change that was reviewed."""
    services, form = services_of(request), form_of(request)
    try:
        await services.operating.set_policies(
            admin_of(request),
            connection_id,
            decoded(form.text("wanted")),
            seen=decoded(form.text("seen")),
        )
    except Overtaken as exc:
        raise Outdated(
            "Somebody has changed these policies since you looked at them; nothing was written. "
            "Look at the connection again."
        ) from exc
    return Redirect(f"/console/connections/{connection_id}", status_code=303)


@get("/{connection_id:str}/release", guards=[admin_only])
async def ask_release(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Template:
    """What letting it go on means."""
    services = services_of(request)
    connection = await connection_of(services, connection_id)
    return page(
        request,
        "connection_release.html",
        title=f"Release {connection.name}?",
        connection=connection,
        stop=await _stop(services, connection.id),
    )


@post("/{connection_id:str}/release", guards=[admin_only], status_code=303)
async def release_connection(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Response[Any]:
    """Let a connection go on that its guard has stopped."""
    services = services_of(request)
    connection = await connection_of(services, connection_id)
    await _stop(services, connection.id)
    await services.operating.release(admin_of(request), connection)
    return Redirect(f"/console/connections/{connection.id}", status_code=303)


async def _stop(services: ConsoleServices, connection_id: str) -> Stopped:
    """Why the connection is stopped; raises `Outdated` where it is not."""
    stop = (await services.store.deprovisionings.stopped()).get(connection_id)
    if stop is None:
        raise Outdated("The guard does not stop this connection (any more).")
    return stop


def _tolerances(settings: DialectSettings) -> list[tuple[str, str, str, bool]]:
    """Each tolerance: name, what is taken, who needs it, and whether it is on."""
    try:
        dialect = Dialect.of(settings.mode, off=settings.off, on=settings.on)
    except ValueError:
        return []
    return [(t.value, t.accepts, t.clients, dialect.allows(t)) for t in Tolerance]


router = Router(
    path="/connections",
    route_handlers=[
        show_connections,
        show_connection,
        edit_policies,
        review_policies,
        change_policies,
        ask_release,
        release_connection,
    ],
)
