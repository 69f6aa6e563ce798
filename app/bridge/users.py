"""The life of one user: create, get, replace, patch, delete, in the fewest platform calls.

Every write reads the live user under a lock, applies the change in memory, and sends only what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from app.bridge.changes import patched, replaced
from app.bridge.context import Context
from app.bridge.forgetting import Forgetting
from app.bridge.journaling import Journaling
from app.bridge.locks import KeyedLocks, user_key, user_name_key
from app.bridge.matching import Matching
from app.bridge.recovery import Recovery
from app.bridge.resources import Resources
from app.bridge.unique_values import UniqueValues
from app.bridge.uniqueness import check_free
from app.bridge.user_calls import UserCalls
from app.bridge.user_writing import USER_CREATE, UserWriter
from app.bridge.writing import status_change
from app.mapping.users import UserChange
from app.planning.planner import PLATFORM_ID
from app.platform.errors import Missing
from app.scim.errors import NotFound, PreconditionFailed
from app.scim.etag import matches as version_matches
from app.scim.etag import version_of
from app.scim.patch import read_patch
from app.scim.schema import Resource
from app.scim.validate import read_resource
from app.store.journal_records import Entry
from app.wire.users import PlatformUser

_SUPPLIED_ELSEWHERE = frozenset({"emails"})
"""Required attributes that a body may lack: an address can come from userName, or stay as it is."""


class Users:
    """The use cases of `/Users`; raises `ScimError` and `PlatformError`."""

    def __init__(
        self,
        calls: UserCalls,
        resources: Resources,
        matching: Matching,
        locks: KeyedLocks,
        forgetting: Forgetting,
        journaling: Journaling,
        writer: UserWriter,
        recovery: Recovery,
        unique: UniqueValues,
    ) -> None:
        self._calls = calls
        self._resources = resources
        self._matching = matching
        self._locks = locks
        self._forgetting = forgetting
        self._journaling = journaling
        self._writer = writer
        self._recovery = recovery
        self._unique = unique

    async def get(self, context: Context, user_id: str) -> Resource:
        """The user with `meta.version`; `NotFound` where there is none, whatever the id looks like."""
        user = await self._read(context, user_id)
        return versioned(await self._resources.one(context, user))

    async def create(self, context: Context, body: object) -> Resource:
        """Create a user from the body of a POST (RFC 7644 §3.3).

        Where an earlier POST has made the user and its client never heard of it, this one completes it.
        """
        wanted = self._read_body(context, body)
        change = context.mapping.to_platform(wanted, before=None, current=None, domain=context.domain)
        # A contradiction is found here, not when the user is there already.
        status_change(context, wanted, present=context.mapping.status.enable_to)
        while True:
            made = await self._recovery.first(partial(self._create, context, wanted, change))
            if not isinstance(made, Entry):
                return versioned(made)
            adopted = await self._recovery.first(partial(self._adopt, context, made, wanted))
            if adopted is not None:
                return versioned(adopted)

    async def replace(
        self, context: Context, user_id: str, body: object, *, if_match: str | None = None
    ) -> Resource:
        """Replace a user by the body of a PUT (RFC 7644 §3.5.1); never creates one."""
        wanted = self._read_body(context, body)

        return await self._write(
            context,
            user_id,
            lambda before: replaced(context, before, wanted),
            if_match,
            sent=frozenset(wanted),
        )

    async def patch(
        self, context: Context, user_id: str, body: object, *, if_match: str | None = None
    ) -> Resource:
        """Apply the operations of a PATCH (RFC 7644 §3.5.2): all of them or none."""
        operations = read_patch(body, context.dialect)

        return await self._write(
            context, user_id, lambda before: patched(context, before, operations), if_match
        )

    async def delete(self, context: Context, user_id: str, *, if_match: str | None = None) -> None:
        """Delete a user (RFC 7644 §3.6).

        What the bridge keeps of it goes also where the platform has it no more: the process may have died
        in between, or somebody else was quicker. Writes that are not finished do not stand in the way.
        """
        async with self._locks.hold(user_key(context, user_id)):
            try:
                user = await self._read(context, user_id)
            except NotFound:
                if PLATFORM_ID.fullmatch(user_id) is not None:
                    await self._forgetting.forget_missing(context, user_id)
                raise
            _check_version(await self._resources.one(context, user), if_match)
            await self._writer.delete(context, user)

    async def _create(self, context: Context, wanted: Resource, change: UserChange) -> Resource | Entry:
        """The new user, or the entry of the creation that has made it before."""
        name = wanted["userName"]
        key = user_name_key(context, name)
        async with self._locks.hold(key):
            if (entry := await self._journaling.made_before(context, USER_CREATE, key)) is not None:
                return entry
            await check_free(self._matching, context, name)
            async with self._unique.held(context, wanted):
                return await self._writer.create(context, wanted, change)

    async def _adopt(self, context: Context, entry: Entry, wanted: Resource) -> Resource | None:
        """Make of a user that an earlier POST has created what this one wants; None where there is none."""
        user_id, name = str(entry.resource_id), wanted["userName"]
        keys = [user_key(context, user_id), user_name_key(context, name)]
        async with self._locks.hold(*keys):
            if entry.id not in {e.id for e in await self._journaling.check(keys)}:
                return None
            with suppress(NotFound):
                current = await self._read(context, user_id)
                before = await self._resources.one(context, current)
                if str(before["userName"]).casefold() == name.casefold():
                    after, sent = replaced(context, before, wanted), frozenset(wanted)
                    return await self._update(
                        context, current, before, after, sent=sent, keys=keys[:1], ends=[entry.id]
                    )
            # Deleted or renamed since: the name is free again, or another's.
            await self._journaling.journal.end([entry.id])
            return None

    async def _write(
        self,
        context: Context,
        user_id: str,
        change_of: Callable[[Resource], Resource],
        if_match: str | None,
        *,
        sent: frozenset[str] = frozenset(),
    ) -> Resource:
        work = partial(self._write_locked, context, user_id, change_of, if_match, sent)
        return versioned(await self._recovery.first(work))

    async def _write_locked(
        self,
        context: Context,
        user_id: str,
        change_of: Callable[[Resource], Resource],
        if_match: str | None,
        sent: frozenset[str],
    ) -> Resource:
        key = user_key(context, user_id)
        async with self._locks.hold(key):
            # Whoever writes to a user by its id knows of it: its creation is acknowledged.
            ends = [e.id for e in await self._journaling.check([key]) if e.state == "done-unacknowledged"]
            current = await self._read(context, user_id)
            before = await self._resources.one(context, current)
            _check_version(before, if_match)
            after = change_of(before)
            update = partial(self._update, context, current, before, after, sent=sent, ends=ends)
            old, name = str(before["userName"]), str(after["userName"])
            if name.casefold() == old.casefold():
                return await update(keys=[key])
            name_key = user_name_key(context, name)
            async with self._locks.hold(name_key):
                await self._journaling.check([name_key])
                await check_free(self._matching, context, name, but=user_id)
                return await update(keys=[key, name_key, user_name_key(context, old)])

    async def _update(
        self,
        context: Context,
        current: PlatformUser,
        before: Resource,
        after: Resource,
        *,
        sent: frozenset[str],
        keys: Sequence[str],
        ends: Sequence[str],
    ) -> Resource:
        """`UserWriter.update`, with the values that have to be unique held meanwhile."""
        async with self._unique.held(context, after, before=before, but=current.id):
            return await self._writer.update(context, current, before, after, sent=sent, keys=keys, ends=ends)

    async def _read(self, context: Context, user_id: str) -> PlatformUser:
        if PLATFORM_ID.fullmatch(user_id) is None:
            raise _not_found(user_id)
        try:
            return await self._calls.read(context, user_id)
        except Missing as exc:
            raise _not_found(user_id) from exc

    def _read_body(self, context: Context, body: object) -> Resource:
        return read_resource(
            body, context.mapping.model, context.dialect, supplied_elsewhere=_SUPPLIED_ELSEWHERE
        )


def versioned(resource: Resource) -> Resource:
    """The resource with its `meta.version`."""
    return {**resource, "meta": {**resource["meta"], "version": version_of(resource)}}


def _check_version(resource: Resource, if_match: str | None) -> None:
    if if_match is not None and not version_matches(if_match, version_of(resource)):
        raise PreconditionFailed("the user has changed since that version: read it again")


def _not_found(user_id: str) -> NotFound:
    return NotFound(f"User {user_id[:128]!r} does not exist")
