"""The index's upkeep: whatever the bridge learns of a user goes into the view that shows it.

The index names candidates, the platform tells the truth. What is written here was read from the platform or
answered by it; a user whose revision has risen since it was read is left to whoever raised it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial

import structlog

from app.bridge.context import Context
from app.bridge.fan_out import gathered
from app.mapping.deleted import is_deleted
from app.platform.client import PlatformClient
from app.platform.errors import Missing, Unreadable
from app.scim.index import index_entries
from app.scim.schema import Resource
from app.store.index_records import IndexedUser, View
from app.store.links import LinkEntry
from app.store.user_index import UserIndex
from app.wire.users import PlatformUser

_log = structlog.get_logger(__name__)

CATCH_UP_LIMIT = 200
"""Users marked by events that one query reads anew before it is answered; more are left to the worker."""


class Indexing:
    """Keeps the views of all connections."""

    def __init__(self, platform: PlatformClient, index: UserIndex) -> None:
        self._platform = platform
        self._index = index
        self._views: dict[tuple[str, str, str], View] = {}
        self._marked = asyncio.Event()

    async def view(self, context: Context) -> View:
        """The view as it is now: complete or not, and how far its sweep is."""
        key = (context.tenant_id, context.domain, view_mapping(context))
        found = self._views[key] = await self._index.view(*key)
        return found

    async def recorded(self, context: Context, resource: Resource, *, ends: Sequence[str] = ()) -> None:
        """After a write through the bridge: the user as it now is, marked for reading in other views.

        The journal's entries `ends` end with it.
        """
        view = self._views.get((context.tenant_id, context.domain, view_mapping(context)))
        user, links = indexed_user(context, resource)
        await self._index.record(view or await self.view(context), user, links, ends=ends)

    async def deleted(self, context: Context, user_id: str) -> None:
        """After a deletion through the bridge."""
        await self._index.record_deleted(context.tenant_id, user_id)

    async def mark(self, tenant_id: str, user_ids: Sequence[str]) -> None:
        """Something has changed these users: they are read before the index answers for them again."""
        await self._index.mark(tenant_id, user_ids)
        self._marked.set()

    async def recorded_since(self, tenant_id: str, user_id: str, moment: datetime) -> bool:
        """Whether every view of the tenant has had the user recorded after that, or is to read it anew."""
        views = await self._index.views(tenant_id)
        for view in views:
            known = (await self._index.known(view.id, [user_id])).get(user_id)
            if known is None or not (known.dirty or (known.read_at is not None and known.read_at >= moment)):
                return False
        return bool(views)

    async def marked(self, timeout_s: float) -> None:
        """Return when users were marked in this process, or after `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._marked.wait()
        except TimeoutError:
            return
        self._marked.clear()

    async def revisions(self, context: Context, ids: Sequence[str]) -> dict[str, int]:
        """To be read before the users are: the revisions of those that are known, 0 of the others."""
        known = await self._index.known((await self.view(context)).id, ids)
        return {i: known[i].revision if i in known else 0 for i in ids}

    async def confirm(
        self, context: Context, read: Mapping[str, Resource | None], revisions: Mapping[str, int]
    ) -> bool:
        """Put what GETs have shown into the index; whether anything there was different.

        `read` is by user id, None for one that is gone; `revisions` are those from before the reading.
        """
        users = {i: None if found is None else indexed_user(context, found) for i, found in read.items()}
        return await self._index.confirm(await self.view(context), users, revisions)

    async def catch_up(self, context: Context, limit: int = CATCH_UP_LIMIT) -> int:
        """Read marked users anew, those marked longest ago first; how many could be.

        One whose record cannot be read stays marked, and is no reason to fail what others are searched for.
        """
        marked = dict(await self._index.dirty((await self.view(context)).id, limit))
        read = dict(filter(None, await gathered([partial(self._read, context, i) for i in marked])))
        if read:
            await self.confirm(context, read, marked)
        return len(read)

    async def _read(self, context: Context, user_id: str) -> tuple[str, Resource | None] | None:
        try:
            user = await self._platform.get_user(context.tenant_id, user_id)
        except Missing:
            return user_id, None
        except Unreadable as error:
            note_unreadable(context, user_id, error)
            return None
        return user_id, plain_resource(context, user)


def note_unreadable(context: Context, user_id: str, error: Unreadable) -> None:
    """Tell the operator of a user whom the index has to do without."""
    _log.warning("user cannot be read", tenant_id=context.tenant_id, user_id=user_id, error=str(error))


def view_mapping(context: Context) -> str:
    """Which form of users a view holds: the mapping's, in whole or only what lookups need."""
    return context.mapping.fingerprint if context.indexed else f"{context.mapping.fingerprint}-lookup"


def plain_resource(context: Context, user: PlatformUser) -> Resource:
    """The user as far as the index is concerned: without what depends on the base URL or on groups."""
    return context.mapping.to_scim(user, domain=context.domain, base_url="")


def indexed_user(context: Context, resource: Resource) -> tuple[IndexedUser, list[LinkEntry]]:
    """What is kept of a user: in `live` mode only what lookups need, of a deleted one the links alone."""
    hidden = is_deleted(resource)
    shown = context.indexed and not hidden
    entries = index_entries(resource, context.mapping.model) if shown else ()
    user = IndexedUser(id=resource["id"], created=resource["meta"]["created"], entries=entries, hidden=hidden)
    return user, links_of(resource, context.domain)


def links_of(resource: Resource, domain: str) -> list[LinkEntry]:
    """The values by which clients look for this user."""
    entries = []
    if user_name := resource.get("userName"):
        entries.append(LinkEntry(kind="userName", value=user_name))
    # A deleted user is only looked for by what is unique.
    if not is_deleted(resource) and (external_id := resource.get("externalId")):
        entries.append(LinkEntry(kind="externalId", value=external_id, domain=domain))
    entries.extend(
        LinkEntry(kind="email", value=email["value"])
        for email in resource.get("emails", ())
        if isinstance(email.get("value"), str)
    )
    return entries
