"""What stands before every page: who is signed in, and whether a form is the console's own."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.connection import ASGIConnection
from litestar.handlers import BaseRouteHandler
from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.console.cookies import secret_in
from app.console.csrf import is_same_origin, is_token
from app.console.errors import Misdirected, Refused, SignInNeeded
from app.console.forms import read_form
from app.console.hosts import is_own_host
from app.console.services import ConsoleServices

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Guarding(ASGIMiddleware):
    """Leaves session and form in the request's state.

    Of a handler's `opt`, `public` lets in who is not signed in, and `polled` says that a page asks by itself.
    Raises `Misdirected`, `SignInNeeded` and `Refused`.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Hand the request on, if it may."""
        services: ConsoleServices = scope["litestar_app"].state.services
        options = scope["route_handler"].opt
        request: Request[Any, Any, Any] = Request(scope, receive, send)
        writes = request.method not in _READS
        headers = request.headers
        if not is_own_host(headers.get("host", ""), services.settings.admin_names()):
            raise Misdirected(
                "The console is not known under this name. If it is a name of yours, add it to "
                "SCIM_BRIDGE_ADMIN_HOSTS."
            )
        if writes and not is_same_origin(
            fetch_site=headers.get("sec-fetch-site", ""),
            origin=headers.get("origin", ""),
            host=headers.get("host", ""),
        ):
            raise Refused("This was not sent by a page of the console.")
        secret = secret_in(request, https=services.is_https(scope))
        session = await services.store.admin_sessions.find(
            secret, idle_s=services.settings.admin_idle_s, uses=not options.get("polled")
        )
        if session is None and not options.get("public"):
            raise SignInNeeded
        scope["state"].update(session=session, secret=secret)
        if writes:
            form = await read_form(request, services.settings.request_timeout_s)
            if not options.get("public") and not is_token(form.text("csrf"), secret):
                raise Refused("The form is out of date: go back, load the page again and send it once more.")
            scope["state"]["form"] = form
        await next_app(scope, receive, send)


def admin_only(connection: ASGIConnection[Any, Any, Any, Any], _handler: BaseRouteHandler) -> None:
    """Let only administrators in."""
    if connection.scope["state"]["session"].token.role != "admin":
        raise Refused("Your token only reads. Sign in with a token of the role admin to change something.")
