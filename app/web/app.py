"""The Litestar application."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.enums import ScopeType
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send
from litestar.utils import normalize_path

from app.web import bulk, catalogs, discovery, groups, health, me, root, users, webhooks
from app.web.answering import Answering
from app.web.auth import Authentication
from app.web.exceptions import handle
from app.web.limits import Protection
from app.web.oauth import endpoint
from app.web.paths import BASE_PATH, hides_slash, versioned_path
from app.web.responses import Answer
from app.web.services import Services


class Application(Litestar):
    """Litestar with what comes before routing: paths without a version."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] == "http" and not scope["path"].startswith(BASE_PATH):
            scope["path"] = versioned_path(scope["path"])
        await super().__call__(scope, receive, send)


class _Options:
    """Answers OPTIONS: 204 with the methods of the path (RFC 9110 §9.3.7).

    Also without a token: they stand in the RFC. Nothing is said of other origins: a browser has no business
    with a bearer token for provisioning.
    """

    def __init__(self, app: Litestar) -> None:
        self._app = app
        self._others = app.asgi_handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != ScopeType.HTTP or scope["method"] != "OPTIONS" or hides_slash(scope):
            await self._others(scope, receive, send)
            return
        try:
            found = self._app.asgi_router.handle_routing(normalize_path(scope["path"]), "OPTIONS")
        except HTTPException:
            await self._others(scope, receive, send)
            return
        methods = next(route.methods for route in self._app.routes if route.path_format == found[-1])
        await Answer(b"", 204, {"Allow": ", ".join(sorted(methods))})(scope, receive, send)


def create_app(services: Services) -> Litestar:
    """The bridge's endpoints: SCIM under `/scim/v2` behind bearer tokens, and what stands beside it."""
    scim = Router(
        path=BASE_PATH,
        middleware=[Authentication(), Protection()],
        route_handlers=[
            users.router,
            groups.router,
            me.router,
            bulk.router(services.settings),
            *catalogs.routers,
            root.router,
            discovery.router,
        ],
    )
    app = Application(
        route_handlers=[scim, endpoint.router, health.router, webhooks.router],
        exception_handlers={Exception: handle},
        request_max_body_size=services.settings.max_body_bytes,
        openapi_config=None,
        logging_config=None,
        state=State(
            {"services": services, "receiver": webhooks.Receiver(services.settings, services.events)}
        ),
    )
    # Around Litestar's own handling of errors and unknown routes, where middleware does not reach.
    app.asgi_handler = Answering(_Options(app), services.stories, services.settings, services.tracing)
    return app
