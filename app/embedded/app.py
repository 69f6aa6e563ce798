"""The embedded platform as one ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from litestar import Litestar, MediaType, Response
from litestar.exceptions import HTTPException
from litestar.handlers import HTTPRouteHandler

from app.embedded.admin_routes import ADMIN_OPERATIONS
from app.embedded.errors import ApiError, answer_failure, answer_http_error, answer_refusal
from app.embedded.group_routes import GROUP_OPERATIONS
from app.embedded.oauth_routes import oauth_handlers
from app.embedded.openapi import openapi_document
from app.embedded.operations import route_handlers
from app.embedded.platform import Platform
from app.embedded.settings import PlatformSettings
from app.embedded.tenant_routes import TENANT_OPERATIONS

OPERATIONS = (*TENANT_OPERATIONS, *ADMIN_OPERATIONS, *GROUP_OPERATIONS)


def create_platform(database: Path, settings: PlatformSettings = PlatformSettings()) -> Litestar:  # noqa: B008  # frozen
    """The embedded platform over the SQLite file `database`, which is made when missing.

    The database is open while the app's lifespan runs. A server runs it by itself; where the app is called
    in-process (httpx's ASGITransport does not), wrap the use in `async with app.lifespan():`.
    """
    platform = Platform(database, settings)
    document = openapi_document(OPERATIONS)

    @asynccontextmanager
    async def opened(_app: Litestar) -> AsyncIterator[None]:
        async with platform:
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
