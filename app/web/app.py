"""The Litestar application."""

from __future__ import annotations

from litestar import Litestar, Router
from litestar.datastructures import State

from app.web import discovery, groups, health, root, users, webhooks
from app.web.auth import Authentication
from app.web.contexts import BASE_PATH
from app.web.exceptions import handle
from app.web.limits import Protection
from app.web.services import Services


def create_app(services: Services) -> Litestar:
    """The bridge's endpoints: SCIM under `/scim/v2` behind bearer tokens, health and webhooks beside it."""
    scim = Router(
        path=BASE_PATH,
        middleware=[Authentication(), Protection()],
        route_handlers=[users.router, groups.router, root.router, discovery.router],
    )
    return Litestar(
        route_handlers=[scim, health.router, webhooks.router],
        exception_handlers={Exception: handle},
        request_max_body_size=services.settings.max_body_bytes,
        openapi_config=None,
        logging_config=None,
        state=State(
            {"services": services, "receiver": webhooks.Receiver(services.settings, services.events)}
        ),
    )
