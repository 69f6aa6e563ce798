"""What the bridge keeps of a user goes when the user does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from app.bridge.context import Context
from app.bridge.indexing import Indexing
from app.bridge.local_groups import DELETED_USERS
from app.bridge.locks import user_key
from app.scim.schema import Resource
from app.store.store import Store


class Forgetting:
    """Removes a user from index, local groups and journal. May be done twice."""

    def __init__(self, store: Store, indexing: Indexing) -> None:
        self._store = store
        self._indexing = indexing

    async def remembers(self, context: Context, user_id: str) -> bool:
        """Whether the user is a member of a group that is kept here."""
        groups = await self._store.local_groups.groups_of(context.tenant_id, [user_id])
        return bool(groups[user_id])

    async def forget(self, context: Context, user_id: str, group_ids: Iterable[str] = ()) -> None:
        """After a deletion; `group_ids` are the user's groups at the platform."""
        # Counted before the memberships end: whoever adds the user now will look a second time.
        await self._store.group_records.raise_version(context.tenant_id, DELETED_USERS)
        await self._leave(context, user_id, group_ids)
        await self._indexing.deleted(context, user_id)
        await self._end(context, user_id)

    async def hide(
        self,
        context: Context,
        resource: Resource,
        group_ids: Iterable[str] = (),
        *,
        ends: Sequence[str] = (),
    ) -> None:
        """After a deletion for SCIM alone: in no group, and in the index as what holds its name.

        The journal's entries `ends` end with it.
        """
        await self._store.group_records.raise_version(context.tenant_id, DELETED_USERS)
        await self._leave(context, resource["id"], group_ids)
        await self._indexing.recorded(context, resource, ends=ends)

    async def forget_missing(self, context: Context, user_id: str) -> None:
        """Where the platform has no such user: somebody may have been deleted, and not wholly forgotten."""
        await self._leave(context, user_id, ())
        if (await self._indexing.revisions(context, [user_id]))[user_id]:
            await self._indexing.deleted(context, user_id)
        await self._end(context, user_id)

    async def _leave(self, context: Context, user_id: str, group_ids: Iterable[str]) -> None:
        left = await self._store.local_groups.forget_member(context.tenant_id, user_id)
        await self._store.group_records.raise_versions(context.tenant_id, {*left, *group_ids})

    async def _end(self, context: Context, user_id: str) -> None:
        """Nothing that was to be done to the user is left to do."""
        unfinished = await self._store.journal.find([user_key(context, user_id)])
        await self._store.journal.end(e.id for e in unfinished)
