"""`GET /Roles` and `/Entitlements`: what the connection's mapping lists, searched in memory."""

from __future__ import annotations

from functools import partial

from app.bridge.context import Context
from app.bridge.query import Found, Query, by_offset
from app.mapping.catalogs import Catalog
from app.scim.errors import NotFound
from app.scim.evaluate import predicate, sort_resources
from app.scim.schema import Resource, ResourceModel


def catalog_of(context: Context, model: ResourceModel) -> Catalog:
    """The connection's catalog of this resource type; `NotFound` where its mapping has none."""
    for catalog in context.mapping.catalogs:
        if catalog.model is model:
            return catalog
    raise NotFound(f"there is no {model.endpoint}: the connection's mapping lists none")


def listed_resource(context: Context, model: ResourceModel, resource_id: str) -> Resource:
    """One resource by its id; `NotFound` where there is none."""
    for resource in catalog_of(context, model).resources(context.base_url):
        if resource["id"] == resource_id:
            return resource
    raise NotFound(f"{model.name} {resource_id[:128]!r} does not exist")


async def search_catalog(context: Context, model: ResourceModel, query: Query) -> Found:
    """The page and the total; in the mapping's order where no other is asked for."""
    return await by_offset(query, partial(_answer, catalog_of(context, model), context.base_url))


async def _answer(catalog: Catalog, base_url: str, query: Query) -> Found:
    found = catalog.resources(base_url)
    if query.filter is not None:
        matches = predicate(query.filter, catalog.model)
        found = [r for r in found if matches(r)]
    if query.sort is not None:
        found = sort_resources(found, query.sort, query.descending)
    start = query.start_index - 1
    return Found(resources=found[start : start + query.count], total=len(found))
