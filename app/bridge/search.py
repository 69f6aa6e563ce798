"""`GET /Users`: a plan carried out, exactly.

Whatever a plan's source is, the users that are answered were read from the platform within the request and
satisfy the filter as it was sent. Where the index is the source, what a GET shows goes back into it, and the
window is taken anew until index and platform agree on it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import aclosing
from functools import partial

import msgspec

from app.bridge.context import Context
from app.bridge.indexing import Indexing
from app.bridge.listing import Rows, full_users, read_all, read_window
from app.bridge.matching import Matching
from app.bridge.query import Found, Keyset, Offset, Query, by_offset
from app.bridge.resources import Resources
from app.bridge.telling import tell_plan
from app.mapping.deleted import is_deleted
from app.planning.plan import ById, IndexQuery, Listing, Match, Nothing, Order, Plan, Union
from app.planning.planner import plan_users
from app.platform.client import PlatformClient
from app.platform.errors import Missing
from app.scim.errors import ExpiredCursor, TooMany
from app.scim.evaluate import predicate, sort_resources
from app.scim.index import is_indexed, sort_is_indexed
from app.scim.schema import Resource, ResourceModel
from app.store.index_records import IndexPage, Position
from app.store.index_writes import created_key
from app.store.user_index import UserIndex

_ROUNDS = 4
"""Times that a window is taken from the index until the platform confirms it."""


class Search:
    """Answers queries for users."""

    def __init__(
        self,
        platform: PlatformClient,
        index: UserIndex,
        resources: Resources,
        matching: Matching,
        indexing: Indexing,
        *,
        scan_limit: int,
    ) -> None:
        """`scan_limit` is how many users one query may read one by one."""
        self._platform = platform
        self._index = index
        self._resources = resources
        self._matching = matching
        self._indexing = indexing
        self._scan_limit = scan_limit

    async def plan(self, context: Context, query: Query) -> Plan:
        """How a query is answered as things are now.

        How the index stands is only looked up where it matters: not for lookups.
        """
        plan = self._plan(context, query, index=context.indexed, hides=False)
        if not isinstance(plan.source, IndexQuery | Listing):
            return plan
        view = await self._indexing.view(context)
        complete = view.complete_since is not None
        # Before the first sweep nobody can tell.
        hides = view.hides or (context.deprovision == "disable" and not complete)
        if complete and not hides:
            return plan
        return self._plan(context, query, index=context.indexed and complete, hides=hides)

    def _plan(self, context: Context, query: Query, *, index: bool, hides: bool) -> Plan:
        model = context.mapping.model
        plan = plan_users(
            query.filter,
            context.mapping,
            sort=query.sort,
            descending=query.descending,
            groups_at_platform=context.groups == "platform",
            hides=hides,
            index=index,
            can_index=lambda part: is_indexed(part, model),
            can_sort=sort_is_indexed,
        )
        if index and query.by_cursor and plan.window == "platform":
            return _by_keyset(plan, query, model)
        return plan

    async def run(self, context: Context, query: Query) -> Found:
        """The page and the exact total; raises `PlatformError` and `ScimError` (`tooMany`)."""
        plan = await self.plan(context, query)
        tell_plan(plan)
        if isinstance(plan.source, IndexQuery):
            await self._indexing.catch_up(context)
            if plan.window == "index":
                return await self._index_window(context, plan.source, query)
        return await by_offset(query, partial(self._answer, context, plan))

    async def _answer(self, context: Context, plan: Plan, query: Query) -> Found:
        if plan.window == "platform":
            return await self._platform_window(context, plan, query)
        found = shown(await self._candidates(context, plan))
        if plan.residual is not None:
            matches = predicate(plan.residual, context.mapping.model)
            found = [r for r in found if matches(r)]
        found = ordered(found, plan.order)
        start = query.start_index - 1
        return Found(resources=found[start : start + query.count], total=len(found))

    async def _platform_window(self, context: Context, plan: Plan, query: Query) -> Found:
        """One window of the platform's own list, its total, and the full users behind the rows."""
        assert isinstance(plan.source, Listing)  # noqa: S101 - what `window` says, for the type checker
        platform_query = dict(plan.source.query)
        if plan.order is not None and plan.order.sort_by is not None:
            platform_query["sort_by"] = plan.order.sort_by
            platform_query["sort_order"] = "desc" if plan.order.descending else "asc"
        rows = await read_window(
            self._platform,
            context.tenant_id,
            context.mapping.platform,
            platform_query,
            offset=query.start_index - 1,
            count=query.count,
        )
        found = await self._of_rows(context, rows, query)
        return Found(resources=found, total=rows.total - (len(rows.items) - len(found)))

    async def _of_rows(self, context: Context, rows: Rows, query: Query) -> list[Resource]:
        """The users of a list's rows: without a GET where the rows say all that was asked for."""
        if query.projection is not None and context.mapping.answers_from_row(query.projection):
            return [context.mapping.row_to_scim(row, base_url=context.base_url) for row in rows.items]
        return shown(await self._read(context, (row.id for row in rows.items)))

    async def _index_window(self, context: Context, source: IndexQuery, query: Query) -> Found:
        """One window of the index, every user of it confirmed at the platform."""
        view_id = (await self._indexing.view(context)).id
        read: dict[str, Resource | None] = {}
        for _ in range(_ROUNDS):
            page = await self._index_page(context, view_id, source, query)
            unread = [row for row in page.rows[: query.count] if row.id not in read]
            if not unread:
                break
            users = await self._read_each(context, (row.id for row in unread))
            read.update(users)
            if not await self._indexing.confirm(context, users, {row.id: row.revision for row in unread}):
                break
        matches = None if source.filter is None else predicate(source.filter, context.mapping.model)
        rows = page.rows[: query.count]
        found = shown(r for row in rows if (r := read.get(row.id)) and (matches is None or matches(r)))
        more = len(page.rows) > query.count and rows
        return Found(
            resources=found,
            total=page.total - (len(rows) - len(found)),
            next=_keyset(view_id, rows[-1].position) if more and query.by_cursor else None,
        )

    async def _index_page(
        self, context: Context, view_id: int, source: IndexQuery, query: Query
    ) -> IndexPage:
        if isinstance(query.after, Keyset) and query.after.view != view_id:
            raise ExpiredCursor("users look different since the mapping was changed: start again without it")
        return await self._index.find(
            view_id,
            context.mapping.model,
            source.filter,
            sort=query.sort,
            descending=query.descending,
            offset=_offset(query),
            after=_position(query.after) if isinstance(query.after, Keyset) else None,
            # One more than is shown tells whether there is a next page.
            limit=query.count + 1 if query.count and query.by_cursor else query.count,
        )

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
            case IndexQuery():
                return await self._indexed(context, plan.source)
            case Listing():
                rows = await read_all(
                    self._platform,
                    context.tenant_id,
                    context.mapping.platform,
                    dict(plan.source.query),
                    limit=self._scan_limit,
                )
                return await self._read(context, (row.id for row in rows))

    async def _indexed(self, context: Context, source: IndexQuery) -> list[Resource]:
        """All users that the index finds; what their GETs show goes back into it."""
        view_id = (await self._indexing.view(context)).id
        page = await self._index.find(
            view_id,
            context.mapping.model,
            source.filter,
            sort=None,
            descending=False,
            limit=self._scan_limit,
        )
        if page.total > self._scan_limit:
            raise TooMany(
                f"{page.total} users would have to be read one by one for this filter or order, and at most "
                f"{self._scan_limit} are: narrow it"
            )
        users = await self._read_each(context, (row.id for row in page.rows))
        await self._indexing.confirm(context, users, {row.id: row.revision for row in page.rows})
        return [user for user in users.values() if user is not None]

    async def _direct(self, context: Context, source: ById | Match) -> list[Resource]:
        if isinstance(source, Match):
            return await self._matching.find(context, source)
        try:
            user = await self._platform.get_user(context.tenant_id, source.id)
        except Missing:
            return []
        return [await self._resources.one(context, user)]

    async def _read(self, context: Context, ids: Iterable[str]) -> list[Resource]:
        """The full users; one that is gone meanwhile is left out, one that only SCIM deleted is not."""
        async with aclosing(full_users(self._platform, context.tenant_id, ids)) as reads:
            # Each is translated while the next ones are under way.
            found = [self._resources.bare(context, user) async for _, user in reads if user is not None]
        return await self._resources.complete(context, found)

    async def _read_each(self, context: Context, ids: Iterable[str]) -> dict[str, Resource | None]:
        """The full users by id, None for one that is gone."""
        asked = list(ids)
        found = {r["id"]: r for r in await self._read(context, asked)}
        return {user_id: found.get(user_id) for user_id in asked}


def _by_keyset(plan: Plan, query: Query, model: ResourceModel) -> Plan:
    """The same from the index, where pages go on after a user and not after a number, if it can be."""
    if query.filter is not None and not is_indexed(query.filter, model):
        return plan
    if query.sort is None:
        return Plan(source=IndexQuery(filter=query.filter), residual=None)
    if not sort_is_indexed(query.sort):
        return plan
    order = Order(ref=query.sort, descending=query.descending, made="index")
    return Plan(source=IndexQuery(filter=query.filter), residual=None, order=order)


def shown(resources: Iterable[Resource]) -> list[Resource]:
    """Those that SCIM has."""
    return [r for r in resources if not is_deleted(r)]


def ordered(resources: list[Resource], order: Order | None) -> list[Resource]:
    """In the order asked for; equal ones, and all where none is asked for, by `meta.created`, then `id`."""
    found = sorted(resources, key=lambda r: (created_key(r["meta"]["created"]), r["id"]))
    if order is not None:
        found = sort_resources(found, order.ref, order.descending)
    return found


def _offset(query: Query) -> int:
    """How many results to pass over, from the beginning or from the position that the page goes on after."""
    if isinstance(query.after, Offset):
        return query.after.next_index - 1
    return 0 if query.by_cursor else query.start_index - 1


def _keyset(view_id: int, position: Position) -> Keyset:
    return Keyset(view=view_id, **msgspec.structs.asdict(position))


def _position(keyset: Keyset) -> Position:
    return Position(**{name: getattr(keyset, name) for name in Position.__struct_fields__})
