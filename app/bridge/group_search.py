"""`GET /Groups`: a plan carried out, exactly. Members are read only where answer or filter need them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from app.bridge.context import Context
from app.bridge.fan_out import gathered
from app.bridge.group_backend import GroupBackend
from app.bridge.query import Found, Query, by_offset
from app.mapping.groups import GroupHead, Member, group_to_scim
from app.planning.groups import (
    AllGroups,
    AnyOf,
    ByExternalId,
    ByName,
    Direct,
    GroupPlan,
    OfMember,
    plan_groups,
)
from app.planning.plan import ById, Nothing
from app.scim.evaluate import predicate, sort_resources
from app.scim.schema import Resource, ResourceModel
from app.store.store import Store


class GroupSearch:
    """Answers queries for groups."""

    def __init__(
        self, backends: Mapping[str, GroupBackend], store: Store, model: ResourceModel, *, list_limit: int
    ) -> None:
        """`list_limit` is how many groups one query may look through."""
        self._backends = backends
        self._records = store.group_records
        self._model = model
        self._list_limit = list_limit

    async def run(self, context: Context, query: Query) -> Found:
        """The page and the exact total."""
        return await by_offset(query, partial(self._answer, context))

    async def _answer(self, context: Context, query: Query) -> Found:
        backend = self._backends[context.groups]
        plan = plan_groups(query.filter, sort=query.sort, descending=query.descending)
        start = query.start_index - 1
        shows_members = query.projection is None or query.projection.wants("members")
        if plan.pages_at_backend:
            window = await backend.window(context, start, query.count)
            page = list(window.items)
            shown = await self._shown(context, page, shows_members)
            return Found(resources=shown, total=window.total - len(page) + len(shown))
        heads = await self._candidates(context, backend, plan)
        matching = await self._matching(context, backend, plan, heads)
        page = [head for head, _ in matching[start : start + query.count]]
        shown = await self._shown(context, page, shows_members)
        return Found(resources=shown, total=len(matching) - len(page) + len(shown))

    async def _candidates(
        self, context: Context, backend: GroupBackend, plan: GroupPlan
    ) -> Sequence[GroupHead]:
        match plan.source:
            case Nothing():
                return ()
            case AllGroups():
                return await backend.everything(context, self._list_limit)
            case AnyOf():
                found: dict[str, GroupHead] = {}
                for source in plan.source.sources:
                    found.update((h.id, h) for h in await self._direct(context, backend, source))
                return tuple(found.values())
            case source:
                return await self._direct(context, backend, source)

    async def _direct(self, context: Context, backend: GroupBackend, source: Direct) -> Sequence[GroupHead]:
        match source:
            case ByName():
                return await backend.named(context, source.name)
            case ById():
                ids: Sequence[str] = (source.id,)
            case ByExternalId():
                ids = await self._records.find_by_external_id(context.tenant_id, context.domain, source.value)
            case OfMember():
                memberships = (await backend.memberships(context, [source.id])).get(source.id, ())
                ids = [m.group_id for m in memberships if m.direct]
        heads = await gathered([partial(backend.get, context, group_id) for group_id in ids])
        return [head for head in heads if head is not None]

    async def _matching(
        self, context: Context, backend: GroupBackend, plan: GroupPlan, heads: Sequence[GroupHead]
    ) -> list[tuple[GroupHead, Resource]]:
        """The groups that satisfy the residual, in the order asked for; with as few members as it takes."""
        known: dict[str, tuple[Member, ...]] = {}
        if plan.all_members:
            known, heads = await self._listed(context, heads)
        elif plan.member_ids:
            memberships = await backend.memberships(context, sorted(plan.member_ids))
            for head in heads:
                known[head.id] = tuple(
                    Member(id=member_id)
                    for member_id, groups in memberships.items()
                    if any(g.direct and g.group_id == head.id for g in groups)
                )
        resources = await self._resources(context, heads, known)
        if plan.residual is not None:
            matches = predicate(plan.residual, self._model)
            resources = [r for r in resources if matches(r)]
        if plan.order is not None:
            resources = sort_resources(resources, plan.order, plan.descending)
        by_id = {head.id: head for head in heads}
        return [(by_id[r["id"]], r) for r in resources]

    async def _shown(
        self, context: Context, heads: Sequence[GroupHead], with_members: bool
    ) -> list[Resource]:
        if not with_members:
            return await self._resources(context, heads, {})
        known, heads = await self._listed(context, heads)
        return await self._resources(context, heads, known)

    async def _listed(
        self, context: Context, heads: Sequence[GroupHead]
    ) -> tuple[dict[str, tuple[Member, ...]], list[GroupHead]]:
        """The members of each group, and the groups without those that were deleted meanwhile."""
        backend = self._backends[context.groups]
        lists = await gathered([partial(backend.members, context, head.id) for head in heads])
        known = {head.id: m for head, m in zip(heads, lists, strict=True) if m is not None}
        return known, [head for head in heads if head.id in known]

    async def _resources(
        self, context: Context, heads: Sequence[GroupHead], members: Mapping[str, tuple[Member, ...]]
    ) -> list[Resource]:
        ids = [head.id for head in heads]
        records = await self._records.records(context.tenant_id, context.domain, ids) if ids else {}
        found = []
        for head in heads:
            record = records[head.id]
            found.append(
                group_to_scim(
                    head,
                    members.get(head.id),
                    external_id=record.external_id,
                    version=record.version,
                    base_url=context.base_url,
                )
            )
        return found
