"""The Litestar application."""

from __future__ import annotations

from typing import Any

from litestar import Litestar, Router
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.types import Receive, Scope, Send
from litestar.utils import normalize_path

from app.web import bulk, catalogs, discovery, groups, health, me, root, users, webhooks
from app.web.auth import Authentication
from app.web.exceptions import handle
from app.web.limits import Protection
from app.web.oauth import endpoint
from app.web.paths import BASE_PATH, hides_slash, versioned_path
from app.web.responses import Answer
from app.web.services import Services


class Application(Litestar):
    """Litestar with what comes before routing: paths without a version, and OPTIONS."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if scope["type"] == "http":
            if not scope["path"].startswith(BASE_PATH):
                scope["path"] = versioned_path(scope["path"])
            if scope["method"] == "OPTIONS" and not hides_slash(scope):
                await self._options(scope, receive, send)
                return
        await super().__call__(scope, receive, send)

    async def _options(self, scope: Scope, receive: Receive, send: Send) -> None:
        """204 with the methods of the path (RFC 9110 §9.3.7), also without a token: they stand in the RFC.

        Nothing is said of other origins: a browser has no business with a bearer token for provisioning.
        """
        try:
            found = self.asgi_router.handle_routing(normalize_path(scope["path"]), "OPTIONS")
        except HTTPException:
            await super().__call__(scope, receive, send)
            return
        methods = next(route.methods for route in self.routes if route.path_format == found[-1])
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
    return Application(
        route_handlers=[scim, endpoint.router, health.router, webhooks.router],
        exception_handlers={Exception: handle},
        request_max_body_size=services.settings.max_body_bytes,
        openapi_config=None,
        logging_config=None,
        state=State(
            {"services": services, "receiver": webhooks.Receiver(services.settings, services.events)}
        ),
    )
