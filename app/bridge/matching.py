"""Matching lookups: the users with one value of userName, externalId or an e-mail address.

These are what identity providers ask before every write, so they are answered exactly at any size: never
`tooMany`, and a user is only reported after it was read from the platform.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing

from app.bridge.context import Context
from app.bridge.indexing import Indexing
from app.bridge.listing import full_users, read_all
from app.bridge.resources import Resources
from app.bridge.upkeep import Upkeep
from app.mapping.deleted import is_deleted
from app.mapping.rules import ElementRule
from app.planning.plan import Match
from app.platform.client import PlatformClient
from app.platform.errors import Missing
from app.scim.schema import Resource
from app.store.links import Links
from app.wire.users import UserListItem


class Matching:
    """Finds users by a matching attribute; results are read at the platform within this call."""

    def __init__(
        self,
        platform: PlatformClient,
        links: Links,
        resources: Resources,
        indexing: Indexing,
        upkeep: Upkeep,
    ) -> None:
        self._platform = platform
        self._links = links
        self._resources = resources
        self._indexing = indexing
        self._upkeep = upkeep

    async def find(self, context: Context, match: Match) -> list[Resource]:
        """The matching users as resources without version, or an empty list; raises `PlatformError`."""
        return [r for r in await self.find_all(context, match) if not is_deleted(r)]

    async def find_all(self, context: Context, match: Match) -> list[Resource]:
        """`find`, with those who are deleted for SCIM and kept by the platform: their values are taken."""
        match match.kind:
            case "userName":
                return await self._by_user_name(context, match)
            case "externalId":
                return await self._by_external_id(context, match)
            case "email":
                return await self._by_email(context, match)

    async def _by_user_name(self, context: Context, match: Match) -> list[Resource]:
        """One user at most (RFC 7643 §4.1.1, uniqueness `server`): the first that is confirmed.

        A deleted user does not end the search: by its address another may have the same name.
        """
        tried: set[str] = set()
        found = await self._linked(context, match, tried, fresh=False, first=True)
        if found and not is_deleted(found[-1]):
            return found
        if match.search is None:
            await self._up_to_date(context)
            return found + await self._linked(context, match, tried, fresh=True, first=True)
        rows = await self._searched(context, match.search)
        # The row shows the address but not the user name: most often they are the same.
        folded = match.value.casefold()
        ids = [r.id for r in sorted(rows, key=lambda r: r.email.casefold() != folded) if r.id not in tried]
        return found + await self._noticed(context, match, ids, first=True)

    async def _by_external_id(self, context: Context, match: Match) -> list[Resource]:
        """All users that carry it: externalId is not unique (RFC 7643 §3.1)."""
        await self._up_to_date(context)
        return await self._linked(context, match, set(), fresh=True)

    async def _by_email(self, context: Context, match: Match) -> list[Resource]:
        """Those with the address in the platform's field, and those that hold it as a further one.

        Of those that the index does not know yet, only the field can be asked for: in `indexed` mode when
        there is nobody else, so that a known address costs one call.
        """
        tried: set[str] = set()
        await self._up_to_date(context)
        found = await self._linked(context, match, tried, fresh=True)
        rule = context.mapping.rule_for("emails")
        known = context.indexed and not all(map(is_deleted, found))
        if match.search is None or not isinstance(rule, ElementRule) or known:
            return found
        folded = match.search.casefold()
        rows = await self._searched(context, match.search)
        ids = [r.id for r in rows if r.email.casefold() == folded and r.id not in tried]
        return found + await self._noticed(context, match, ids)

    async def _up_to_date(self, context: Context) -> None:
        await self._upkeep.ensure_complete(context)
        await self._indexing.catch_up(context)

    async def _linked(
        self, context: Context, match: Match, tried: set[str], *, fresh: bool, first: bool = False
    ) -> list[Resource]:
        """The users that the link table names, confirmed; ids already tried are passed over."""
        domain = context.domain if match.kind == "externalId" else ""
        ids = await self._links.find(context.tenant_id, match.kind, match.value, domain, fresh=fresh)
        untried = [i for i in ids if i not in tried]
        tried.update(ids)
        if len(untried) == 1:
            return await self._one(context, match, untried[0])
        found: list[Resource] = []
        async with aclosing(self._read(context, untried)) as read:
            async for user_id, resource in read:
                if resource is None:
                    await self._indexing.deleted(context, user_id)
                elif not has(resource, match):
                    await self._indexing.mark(context.tenant_id, [user_id])
                else:
                    found.append(resource)
                    if first and not is_deleted(resource):
                        break
        return found

    async def _one(self, context: Context, match: Match, user_id: str) -> list[Resource]:
        """The user of one id, where it has the value; the usual case, without the machinery for many."""
        try:
            user = await self._platform.get_user(context.tenant_id, user_id)
        except Missing:
            await self._indexing.deleted(context, user_id)
            return []
        resource = await self._resources.one(context, user)
        if has(resource, match):
            return [resource]
        await self._indexing.mark(context.tenant_id, [user_id])
        return []

    async def _searched(self, context: Context, text: str) -> tuple[UserListItem, ...]:
        return await read_all(self._platform, context.tenant_id, context.mapping.platform, {"search": text})

    async def _noticed(
        self, context: Context, match: Match, ids: list[str], *, first: bool = False
    ) -> list[Resource]:
        """The users of a search that really have the value; the index did not know, and does from now on."""
        if not ids:
            return []
        revisions = await self._indexing.revisions(context, ids)
        found: list[Resource] = []
        async with aclosing(self._read(context, ids)) as read:
            async for user_id, resource in read:
                if resource is not None and has(resource, match):
                    await self._indexing.confirm(context, {user_id: resource}, revisions)
                    found.append(resource)
                    if first and not is_deleted(resource):
                        break
        return found

    async def _read(self, context: Context, ids: list[str]) -> AsyncGenerator[tuple[str, Resource | None]]:
        async with aclosing(full_users(self._platform, context.tenant_id, ids)) as users:
            async for user_id, user in users:
                yield user_id, None if user is None else await self._resources.one(context, user)


def has(resource: Resource, match: Match) -> bool:
    """Whether the resource has the value that was looked for."""
    if match.kind == "externalId":
        return bool(resource.get("externalId") == match.value)
    folded = match.value.casefold()
    if match.kind == "userName":
        return str(resource.get("userName", "")).casefold() == folded
    return any(str(e.get("value", "")).casefold() == folded for e in resource.get("emails", ()))
