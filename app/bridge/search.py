"""`GET /Users`: a plan carried out, exactly."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing

import msgspec

from app.bridge.context import Context
from app.bridge.listing import full_users, read_all, read_window
from app.bridge.matching import Matching
from app.bridge.resources import Resources
from app.planning.plan import ById, Listing, Match, Nothing, Plan, Union
from app.planning.planner import plan_users
from app.platform.client import PlatformClient
from app.platform.errors import Missing
from app.scim.attributes import Projection
from app.scim.evaluate import predicate, sort_resources
from app.scim.expression import Filter
from app.scim.schema import AttributeRef, Resource


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a list (RFC 7644 §3.4.2), read and bounded by the web layer."""

    filter: Filter | None = None
    """Bound to the model."""
    sort: AttributeRef | None = None
    descending: bool = False
    start_index: int = 1
    """1-based."""
    count: int = 100
    """Resources in the answer at most; 0 asks for the total alone."""
    projection: Projection | None = None


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """One page of results."""

    resources: list[Resource]
    total: int


class Search:
    """Answers queries for users."""

    def __init__(
        self, platform: PlatformClient, resources: Resources, matching: Matching, *, scan_limit: int
    ) -> None:
        """`scan_limit` is how many users one query may read one by one."""
        self._platform = platform
        self._resources = resources
        self._matching = matching
        self._scan_limit = scan_limit

    async def run(self, context: Context, query: Query) -> Found:
        """The page and the exact total; raises `PlatformError` and `ScimError` (`tooMany`)."""
        plan = plan_users(
            query.filter,
            context.mapping,
            sort=query.sort,
            descending=query.descending,
            groups_at_platform=context.groups == "platform",
        )
        if plan.pages_at_platform:
            return await self._window(context, plan, query)
        found = await self._candidates(context, plan)
        if plan.residual is not None:
            matches = predicate(plan.residual, context.mapping.model)
            found = [r for r in found if matches(r)]
        if plan.order is not None:
            found = sort_resources(found, plan.order.ref, plan.order.descending)
        start = query.start_index - 1
        return Found(resources=found[start : start + query.count], total=len(found))

    async def _window(self, context: Context, plan: Plan, query: Query) -> Found:
        """One window of the platform's own list, its total, and the full users behind the rows."""
        assert isinstance(plan.source, Listing)  # noqa: S101 - what pages_at_platform says, for the type checker
        platform_query = dict(plan.source.query)
        if plan.order is not None and plan.order.pushed is not None:
            platform_query["sort_by"] = plan.order.pushed
            platform_query["sort_order"] = "desc" if plan.order.descending else "asc"
        rows = await read_window(
            self._platform,
            context.tenant_id,
            context.mapping.platform,
            platform_query,
            offset=query.start_index - 1,
            count=query.count,
        )
        asked = query.projection.only if query.projection is not None else None
        if asked is not None and asked <= {"id"}:
            bare = [{"schemas": [context.mapping.model.core.id], "id": row.id} for row in rows.items]
            return Found(resources=bare, total=rows.total)
        found = await self._read(context, (row.id for row in rows.items))
        return Found(resources=found, total=rows.total - (len(rows.items) - len(found)))

    async def _candidates(self, context: Context, plan: Plan) -> list[Resource]:
        match plan.source:
            case Nothing():
                return []
            case ById() | Match():
                return await self._direct(context, plan.source)
            case Union():
                found: dict[str, Resource] = {}
                for source in plan.source.sources:
                    found.update((r["id"], r) for r in await self._direct(context, source))
                return list(found.values())
            case Listing():
                rows = await read_all(
                    self._platform,
                    context.tenant_id,
                    context.mapping.platform,
                    dict(plan.source.query),
                    limit=self._scan_limit,
                )
                return await self._read(context, (row.id for row in rows))

    async def _direct(self, context: Context, source: ById | Match) -> list[Resource]:
        if isinstance(source, Match):
            return await self._matching.find(context, source)
        try:
            user = await self._platform.get_user(context.tenant_id, source.id)
        except Missing:
            return []
        return [await self._resources.one(context, user)]

    async def _read(self, context: Context, ids: Iterable[str]) -> list[Resource]:
        """The full users; one that is deleted meanwhile is left out."""
        async with aclosing(full_users(self._platform, context.tenant_id, ids)) as reads:
            users = [user async for _, user in reads if user is not None]
        return await self._resources.many(context, users)
