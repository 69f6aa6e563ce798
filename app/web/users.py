"""`/Users` (RFC 7644 §3.3 to §3.6)."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, delete, patch, post, put
from litestar.params import FromPath
from litestar.types import ASGIApp

from app.web.auth import context_of
from app.web.dry_runs import writing
from app.web.lists import search_users
from app.web.parameters import Parameters, SearchRequest
from app.web.reading import read
from app.web.requests import read_json, read_projection
from app.web.responses import no_content, resource_response
from app.web.services import Services

ScimRequest = Request[Any, Any, Any]


@read("/")
async def list_users(request: ScimRequest) -> ASGIApp:
    """List or search users (RFC 7644 §3.4.2)."""
    return await search_users(request, Parameters(request))


@post("/.search")
async def post_search_users(request: ScimRequest) -> ASGIApp:
    """The same, by the parameters in the body (RFC 7644 §3.4.3)."""
    return await search_users(request, SearchRequest(await read_json(request), context_of(request)))


@post("/")
async def create_user(request: ScimRequest) -> ASGIApp:
    """Create a user: 201 with the whole resource and its Location."""
    context = context_of(request)
    projection = read_projection(Parameters(request), context, context.mapping.model)
    resource = await writing(request.scope).users.create(context, await read_json(request))
    return resource_response(request, context.mapping.model, resource, projection=projection, status=201)


@read("/{user_id:str}")
async def get_user(request: ScimRequest, user_id: FromPath[str]) -> ASGIApp:
    """Read a user."""
    return await answer_get(request, user_id)


async def answer_get(request: ScimRequest, user_id: str) -> ASGIApp:
    """GET on a user, by whatever path it is reached."""
    context = context_of(request)
    projection = read_projection(Parameters(request), context, context.mapping.model)
    resource = await _services(request).users.get(context, user_id)
    return resource_response(request, context.mapping.model, resource, projection=projection)


@put("/{user_id:str}")
async def replace_user(request: ScimRequest, user_id: FromPath[str]) -> ASGIApp:
    """Replace a user; answers 200 with the resource."""
    return await answer_put(request, user_id)


async def answer_put(request: ScimRequest, user_id: str) -> ASGIApp:
    """PUT on a user."""
    context = context_of(request)
    projection = read_projection(Parameters(request), context, context.mapping.model)
    resource = await writing(request.scope).users.replace(
        context, user_id, await read_json(request), if_match=request.headers.get("if-match")
    )
    return resource_response(request, context.mapping.model, resource, projection=projection)


@patch("/{user_id:str}")
async def patch_user(request: ScimRequest, user_id: FromPath[str]) -> ASGIApp:
    """Change a user; answers 200 with the resource."""
    return await answer_patch(request, user_id)


async def answer_patch(request: ScimRequest, user_id: str) -> ASGIApp:
    """PATCH on a user."""
    context = context_of(request)
    projection = read_projection(Parameters(request), context, context.mapping.model)
    resource = await writing(request.scope).users.patch(
        context, user_id, await read_json(request), if_match=request.headers.get("if-match")
    )
    return resource_response(request, context.mapping.model, resource, projection=projection)


@delete("/{user_id:str}", status_code=200)
async def delete_user(request: ScimRequest, user_id: FromPath[str]) -> ASGIApp:
    """Delete a user: 204, and 404 from then on."""
    return await answer_delete(request, user_id)


async def answer_delete(request: ScimRequest, user_id: str) -> ASGIApp:
    """DELETE on a user."""
    await writing(request.scope).users.delete(
        context_of(request), user_id, if_match=request.headers.get("if-match")
    )
    return no_content(request)


def _services(request: ScimRequest) -> Services:
    services: Services = request.app.state.services
    return services


router = Router(
    path="/Users",
    route_handlers=[
        list_users,
        post_search_users,
        create_user,
        get_user,
        replace_user,
        patch_user,
        delete_user,
    ],
)
