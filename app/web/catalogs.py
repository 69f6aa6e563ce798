"""`/Roles` and `/Entitlements`: read-only resource types, served where the connection's mapping lists any."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, post
from litestar.params import FromPath
from litestar.types import ASGIApp

from app.bridge.catalogs import catalog_of, listed_resource
from app.scim.schema import ResourceModel, entitlement_model, role_model
from app.web.auth import context_of
from app.web.lists import search_listed
from app.web.parameters import Parameters, SearchRequest
from app.web.reading import read
from app.web.requests import read_json, read_projection
from app.web.responses import resource_response

ScimRequest = Request[Any, Any, Any]


def _router(model: ResourceModel) -> Router:
    @read("/")
    async def list_or_search(request: ScimRequest) -> ASGIApp:
        """List or search (RFC 7644 §3.4.2)."""
        catalog_of(context_of(request), model)
        return await search_listed(request, Parameters(request), model)

    @post("/.search")
    async def post_search(request: ScimRequest) -> ASGIApp:
        """The same, by the parameters in the body (RFC 7644 §3.4.3)."""
        context = context_of(request)
        catalog_of(context, model)
        return await search_listed(request, SearchRequest(await read_json(request), context), model)

    @read("/{resource_id:str}")
    async def read_one(request: ScimRequest, resource_id: FromPath[str]) -> ASGIApp:
        """Read one."""
        context = context_of(request)
        resource = listed_resource(context, model, resource_id)
        projection = read_projection(Parameters(request), context, model)
        return resource_response(request, model, resource, projection=projection)

    return Router(path=model.endpoint, route_handlers=[list_or_search, post_search, read_one])


routers = [_router(role_model()), _router(entitlement_model())]
