"""The Litestar application of the admin listener."""

from __future__ import annotations

from collections.abc import Sequence

from litestar import Litestar, Router, get
from litestar.datastructures import State
from litestar.plugins.htmx import HTMXPlugin
from litestar.response import Redirect
from litestar.types import ControllerRouterHandler

from app.console import (
    assets,
    changes,
    clients,
    connections,
    dry_running,
    explaining,
    journal,
    mapping,
    overview,
    requests,
    signing,
    tokens,
)
from app.console.errors import handle
from app.console.guarding import Guarding
from app.console.headers import add_headers
from app.console.rendering import templates
from app.console.services import ConsoleServices


@get("/", include_in_schema=False)
async def home() -> Redirect:
    """Nothing else is here to see."""
    return Redirect("/console")


def create_console(services: ConsoleServices, *, beside: Sequence[ControllerRouterHandler] = ()) -> Litestar:
    """The console under `/console`; `beside` are other things of the admin listener, without its sign-in."""
    console = Router(
        path="/console",
        middleware=[Guarding()],
        route_handlers=[
            *signing.handlers,
            assets.router,
            overview.router,
            requests.router,
            requests.users_router,
            connections.router,
            tokens.router,
            clients.router,
            mapping.router,
            explaining.router,
            dry_running.router,
            journal.router,
            changes.router,
        ],
    )
    return Litestar(
        route_handlers=[home, console, *beside],
        plugins=[HTMXPlugin()],
        template_config=templates(),
        exception_handlers={Exception: handle},
        before_send=[add_headers],
        request_max_body_size=services.settings.max_body_bytes,
        openapi_config=None,
        logging_config=None,
        state=State({"services": services}),
    )
