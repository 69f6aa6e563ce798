"""Answers with lists: one resource type's or all (RFC 7644 §3.4.2), paged by index or cursor (RFC 9865)."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Mapping, Sequence
from functools import partial
from typing import Any

from litestar import Request
from litestar.types import ASGIApp
from msgspec.structs import replace

from app.bridge.catalogs import search_catalog
from app.bridge.context import Context
from app.bridge.explaining import as_json
from app.bridge.pages import Part, by_cursor, by_index
from app.bridge.query import Found, Query
from app.bridge.refusals import PolicyForbids
from app.bridge.telling import tell_found
from app.bridge.users import versioned
from app.scim.attributes import apply
from app.scim.errors import InvalidValue
from app.scim.messages import list_response
from app.scim.schema import Resource, ResourceModel
from app.web.auth import context_of
from app.web.cursors import scope_of
from app.web.headers import header
from app.web.negotiation import JSON
from app.web.parameters import Source
from app.web.requests import read_query, read_root_queries, read_window
from app.web.responses import scim_response
from app.web.services import Services, served_models

ScimRequest = Request[Any, Any, Any]

EXPLAIN_HEADER = b"scim-bridge-explain"
"""`plan`: answer how the search would be answered; `run`: also what it comes to."""


async def search_users(request: ScimRequest, source: Source) -> ASGIApp:
    """Users by the parameters of `source`; with the header, how they would be found."""
    how = header(request.scope, EXPLAIN_HEADER).decode("latin-1").strip().lower()
    if how:
        return await _explain(request, source, how)
    return await _search(request, source, context_of(request).mapping.model)


async def search_groups(request: ScimRequest, source: Source) -> ASGIApp:
    """Groups by the parameters of `source`."""
    return await _search(request, source, _services(request).group_model)


async def search_listed(request: ScimRequest, source: Source, model: ResourceModel) -> ASGIApp:
    """What the mapping lists of one resource type, by the parameters of `source`."""
    return await _search(request, source, model)


async def search_everything(request: ScimRequest, source: Source) -> ASGIApp:
    """Users, then groups, then what the mapping lists, by `source` (RFC 7644 §3.4.2.1)."""
    context = context_of(request)
    models = served_models(context, _services(request))
    return await _list(request, source, "/", read_root_queries(source, context, models))


async def _explain(request: ScimRequest, source: Source, how: str) -> ASGIApp:
    services, context = _services(request), context_of(request)
    if not context.explains:
        raise PolicyForbids("this connection may not ask how it is answered (policy explain)")
    if how not in ("plan", "run"):
        raise InvalidValue("SCIM-Bridge-Explain is plan, or run to have the search run as well")
    window = read_window(source, services.settings)
    model = context.mapping.model
    query = read_query(source, context, model)
    scope = scope_of(context.connection_id, model.endpoint, [query])
    after = await services.cursors.open(window.cursor, scope) if window.cursor else None
    query = replace(
        query,
        start_index=window.start_index,
        count=window.count,
        by_cursor=window.cursor is not None,
        after=None if after is None else after.within,
    )
    explained = await services.explainer.search(context, query, run=how == "run")
    return scim_response(request, as_json(explained), kind=JSON)


async def _search(request: ScimRequest, source: Source, model: ResourceModel) -> ASGIApp:
    query = read_query(source, context_of(request), model)
    return await _list(request, source, model.endpoint, {model: query})


async def _list(
    request: ScimRequest, source: Source, endpoint: str, queries: Mapping[ResourceModel, Query]
) -> ASGIApp:
    services, context = _services(request), context_of(request)
    window = read_window(source, services.settings)
    # HEAD shows no page, so that none is read; whatever refuses the query refuses it all the same.
    headless = request.method == "HEAD"
    count = 0 if headless else window.count
    parts = [
        Part(resource_type=model.name, query=query, run=_run(services, context, model))
        for model, query in queries.items()
    ]
    if window.cursor is None:
        found = await by_index(parts, window.start_index, count)
        tell_found(found.total, [r for page in found.pages for r in page])
        shown = _shown(queries, found.pages)
        body = list_response(shown, found.total, window.start_index)
        return scim_response(request, body, partial=headless)
    scope = scope_of(context.connection_id, endpoint, queries.values())
    after = await services.cursors.open(window.cursor, scope) if window.cursor else None
    found = await by_cursor(parts, after, count)
    tell_found(found.total, [r for page in found.pages for r in page])
    cursor = None if found.next is None else await services.cursors.seal(found.next, scope)
    shown = _shown(queries, found.pages)
    return scim_response(
        request, list_response(shown, found.total, None, next_cursor=cursor), partial=headless
    )


def _run(
    services: Services, context: Context, model: ResourceModel
) -> Callable[[Query], Coroutine[Any, Any, Found]]:
    """Who answers queries for a resource type."""
    if model is context.mapping.model:
        return partial(services.search.run, context)
    if model is services.group_model:
        return partial(services.group_search.run, context)
    return partial(search_catalog, context, model)


def _shown(queries: Mapping[ResourceModel, Query], pages: Sequence[list[Resource]]) -> list[Resource]:
    """What the clients asked to see; users get their version here, others have it."""
    shown = []
    for (model, query), page in zip(queries.items(), pages, strict=True):
        for resource in page:
            whole = versioned(resource) if model.name == "User" and "meta" in resource else resource
            shown.append(apply(query.projection, whole, model))
    return shown


def _services(request: ScimRequest) -> Services:
    services: Services = request.app.state.services
    return services
