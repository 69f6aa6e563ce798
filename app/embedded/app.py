"""The embedded platform as one ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import httpx
from litestar import Litestar, MediaType, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from app.embedded.admin_routes import ADMIN_OPERATIONS
from app.embedded.deliveries import delivering
from app.embedded.errors import ApiError, answer_failure, answer_http_error, answer_refusal
from app.embedded.group_routes import GROUP_OPERATIONS
from app.embedded.oauth_routes import oauth_handlers
from app.embedded.openapi import openapi_document
from app.embedded.operations import route_handlers
from app.embedded.platform import Platform
from app.embedded.sending import Send, http_sender
from app.embedded.settings import PlatformSettings
from app.embedded.tenant_routes import TENANT_OPERATIONS

OPERATIONS = (*TENANT_OPERATIONS, *ADMIN_OPERATIONS, *GROUP_OPERATIONS)


def create_platform(
    database: Path,
    settings: PlatformSettings = PlatformSettings(),  # noqa: B008  # frozen
    *,
    webhook_transports: Mapping[str, httpx.AsyncBaseTransport] | None = None,
    webhook_send: Send | None = None,
    delivers: bool = True,
) -> Litestar:
    """The embedded platform over the SQLite file `database`, which is made when missing.

    Webhooks are sent by HTTP: to the origins (`https://host:port`) that `webhook_transports` names by the
    transport given for each, such as one to an app in this process; to all others over the network.
    `webhook_send` takes the place of both. Neither is closed here. With `delivers` off, events wait for
    another process that serves the same file.

    The database is open, and events are delivered, while the app's lifespan runs. A server runs it by itself;
    where the app is called in-process (httpx's ASGITransport does not), wrap the use in
    `async with app.lifespan():`.
    """
    platform = Platform(database, settings)
    document = openapi_document(OPERATIONS)

    @asynccontextmanager
    async def opened(_app: Litestar) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(platform)
            if delivers:
                send = webhook_send
                if send is None:
                    send = await stack.enter_async_context(http_sender(webhook_transports or {}))
                await stack.enter_async_context(delivering(platform, send))
            yield

    async def openapi() -> Response[bytes]:
        return Response(document, media_type=MediaType.JSON)

    return Litestar(
        route_handlers=[
            *route_handlers(platform, OPERATIONS),
            *oauth_handlers(platform),
            HTTPRouteHandler("/openapi.json", http_method="GET", status_code=200)(openapi),
        ],
        lifespan=[opened],
        exception_handlers={
            ApiError: answer_refusal,
            HTTPException: answer_http_error,
            Exception: answer_failure,
        },
        request_max_body_size=settings.max_body_bytes,
        openapi_config=None,
        logging_config=None,
        debug=False,
    )
