"""`/Groups` (RFC 7644 §3.3 to §3.6)."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, delete, patch, post, put
from litestar.params import FromPath
from litestar.types import ASGIApp

from app.scim.attributes import Projection
from app.web.auth import context_of
from app.web.dry_runs import writing
from app.web.lists import search_groups
from app.web.parameters import Parameters, SearchRequest
from app.web.reading import read
from app.web.requests import read_json, read_projection
from app.web.responses import no_content, resource_response
from app.web.services import Services

ScimRequest = Request[Any, Any, Any]


@read("/")
async def list_groups(request: ScimRequest) -> ASGIApp:
    """List or search groups (RFC 7644 §3.4.2)."""
    return await search_groups(request, Parameters(request))


@post("/.search")
async def post_search_groups(request: ScimRequest) -> ASGIApp:
    """The same, by the parameters in the body (RFC 7644 §3.4.3)."""
    return await search_groups(request, SearchRequest(await read_json(request), context_of(request)))


@post("/")
async def create_group(request: ScimRequest) -> ASGIApp:
    """Create a group: 201 with the whole resource and its Location."""
    services, context = _services(request), context_of(request)
    projection = _projection(request)
    resource = await writing(request.scope).groups.create(
        context, await read_json(request), with_members=_wants_members(projection)
    )
    return resource_response(request, services.group_model, resource, projection=projection, status=201)


@read("/{group_id:str}")
async def get_group(request: ScimRequest, group_id: FromPath[str]) -> ASGIApp:
    """Read a group; its members only where they are asked for and shown."""
    services, projection = _services(request), _projection(request)
    context, with_members = context_of(request), _wants_members(projection)
    # HEAD has the headers of GET, for which nobody needs to list the members.
    partial = with_members and request.method == "HEAD"
    if partial:
        resource = await services.groups.bare(context, group_id)
    else:
        resource = await services.groups.get(context, group_id, with_members=with_members)
    return resource_response(request, services.group_model, resource, projection=projection, partial=partial)


@put("/{group_id:str}")
async def replace_group(request: ScimRequest, group_id: FromPath[str]) -> ASGIApp:
    """Replace a group; answers 200 with the resource."""
    services, projection = _services(request), _projection(request)
    resource = await writing(request.scope).groups.replace(
        context_of(request),
        group_id,
        await read_json(request),
        if_match=request.headers.get("if-match"),
        with_members=_wants_members(projection),
    )
    return resource_response(request, services.group_model, resource, projection=projection)


@patch("/{group_id:str}")
async def patch_group(request: ScimRequest, group_id: FromPath[str]) -> ASGIApp:
    """Change a group: 204, or 200 with the resource where attributes are asked for or the policy says so."""
    services, context = _services(request), context_of(request)
    projection = _projection(request)
    groups = writing(request.scope).groups
    await groups.patch(context, group_id, await read_json(request), if_match=request.headers.get("if-match"))
    if projection is None and not context.group_patch_answers:
        return no_content(request)
    resource = await groups.read_back(context, group_id, with_members=_wants_members(projection))
    return resource_response(request, services.group_model, resource, projection=projection)


@delete("/{group_id:str}", status_code=200)
async def delete_group(request: ScimRequest, group_id: FromPath[str]) -> ASGIApp:
    """Delete a group: 204, and 404 from then on. Its members stay."""
    await writing(request.scope).groups.delete(
        context_of(request), group_id, if_match=request.headers.get("if-match")
    )
    return no_content(request)


def _services(request: ScimRequest) -> Services:
    services: Services = request.app.state.services
    return services


def _projection(request: ScimRequest) -> Projection | None:
    return read_projection(Parameters(request), context_of(request), _services(request).group_model)


def _wants_members(projection: Projection | None) -> bool:
    return projection is None or projection.wants("members")


router = Router(
    path="/Groups",
    route_handlers=[
        list_groups,
        post_search_groups,
        create_group,
        get_group,
        replace_group,
        patch_group,
        delete_group,
    ],
)
