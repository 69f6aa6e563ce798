"""Platform users as complete SCIM resources: with the groups of whichever backend keeps them."""

from __future__ import annotations

from app.bridge.context import Context
from app.mapping.groups import user_groups
from app.scim.schema import Resource
from app.store.local_groups import LocalGroups
from app.wire.users import PlatformUser


class Resources:
    """Builds user resources, without `meta.version`."""

    def __init__(self, local_groups: LocalGroups) -> None:
        self._local_groups = local_groups

    async def one(self, context: Context, user: PlatformUser) -> Resource:
        """One user."""
        resource = self.bare(context, user)
        if context.groups == "local":
            await self._attach(context, [resource])
        return resource

    def bare(self, context: Context, user: PlatformUser) -> Resource:
        """One user as far as its platform record goes; `complete` does the rest for many at once."""
        return context.mapping.to_scim(user, domain=context.domain, base_url=context.base_url)

    async def complete(self, context: Context, found: list[Resource]) -> list[Resource]:
        """The same users with their groups; local ones by one query for all."""
        if context.groups == "local" and found:
            await self._attach(context, found)
        return found

    async def _attach(self, context: Context, resources: list[Resource]) -> None:
        ids = [r["id"] for r in resources]
        memberships = await self._local_groups.groups_of(context.tenant_id, ids)
        for resource in resources:
            resource.pop("groups", None)
            own = memberships.get(resource["id"], ())
            if own:
                resource["groups"] = user_groups(
                    ((g.group_id, g.name, g.direct) for g in own), context.base_url
                )
