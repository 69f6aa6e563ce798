"""The base URL as an endpoint: a query over all resource types (RFC 7644 §3.4.2.1, §3.4.3)."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, post
from litestar.types import ASGIApp

from app.web.auth import context_of
from app.web.lists import search_everything
from app.web.parameters import Parameters, SearchRequest
from app.web.reading import read
from app.web.requests import read_json

ScimRequest = Request[Any, Any, Any]


@read("/")
async def list_everything(request: ScimRequest) -> ASGIApp:
    """List or search all resources."""
    return await search_everything(request, Parameters(request))


@post("/.search")
async def post_search_everything(request: ScimRequest) -> ASGIApp:
    """The same, by the parameters in the body."""
    return await search_everything(request, SearchRequest(await read_json(request), context_of(request)))


router = Router(path="/", route_handlers=[list_everything, post_search_everything])
