"""The life of one user: create, get, replace, patch, delete, in the fewest platform calls.

Every write reads the live user under a lock, applies the change in memory, and sends only what differs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial

from app.bridge.changes import changed_names, patched, replaced, revived
from app.bridge.context import Context
from app.bridge.forgetting import Forgetting
from app.bridge.journaling import Journaling
from app.bridge.locks import KeyedLocks, user_key, user_name_key
from app.bridge.matching import Matching
from app.bridge.recovery import Recovery
from app.bridge.resources import Resources
from app.bridge.telling import tell_changes, tell_resource
from app.bridge.unique_values import UniqueValues
from app.bridge.uniqueness import check_free, deleted_holder
from app.bridge.user_calls import UserCalls
from app.bridge.user_guard import UserGuard
from app.bridge.user_writing import USER_CREATE, USER_REVIVE, UserWriter
from app.bridge.writing import status_change
from app.mapping.deleted import is_deleted
from app.mapping.kept import kept_of
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
        guard: UserGuard,
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
        self._guard = guard
        self._unique = unique

    async def get(self, context: Context, user_id: str) -> Resource:
        """The user with `meta.version`; `NotFound` where there is none, whatever the id looks like."""
        user = await self._read(context, user_id)
        return versioned(await self._resources.one(context, user))

    async def create(self, context: Context, body: object) -> Resource:
        """Create a user from the body of a POST (RFC 7644 §3.3).

        Where an earlier POST has made the user and its client never heard of it, this one completes it. One
        that SCIM has deleted and the platform keeps is brought back.
        """
        wanted = self._read_body(context, body)
        tell_changes(changed_names({}, wanted))
        change = context.mapping.to_platform(wanted, before=None, current=None, domain=context.domain)
        self._guard.check_creation(context, wanted["userName"], change)
        # A contradiction is found here, not when the user is there already.
        status_change(context, wanted, present=context.mapping.status.enable_to)
        while True:
            made = await self._recovery.first(partial(self._create, context, wanted, change))
            if made is None:
                continue
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
        in between, or somebody else was quicker. Writes that are not finished stand in the way only where
        the platform is to keep the user: what they still do must not be done afterwards.
        """
        await self._recovery.first(partial(self._delete_locked, context, user_id, if_match))

    async def _delete_locked(self, context: Context, user_id: str, if_match: str | None) -> None:
        keeps, key = context.deprovision == "disable", user_key(context, user_id)
        async with self._locks.hold(key):
            ends = [e.id for e in await self._journaling.check([key])] if keeps else []
            try:
                user = await self._found(context, user_id)
            except NotFound:
                if PLATFORM_ID.fullmatch(user_id) is not None:
                    await self._forgetting.forget_missing(context, user_id)
                raise
            resource = await self._resources.one(context, user)
            if is_deleted(resource):
                await self._forgetting.hide(context, resource, ends=ends)
                raise _not_found(user_id)
            tell_resource(resource)
            _check_version(resource, if_match)
            async with self._guard.deletion(context, user, resource):
                if keeps:
                    await self._writer.retire(context, user, ends)
                else:
                    await self._writer.delete(context, user)

    async def _create(
        self, context: Context, wanted: Resource, change: UserChange
    ) -> Resource | Entry | None:
        """The new user, or the entry of the creation that has made it before; None: to be tried anew."""
        name = wanted["userName"]
        key = user_name_key(context, name)
        async with self._locks.hold(key):
            entry = await self._journaling.made_before(context, key, USER_CREATE, USER_REVIVE)
            if entry is not None:
                return entry
            held = await check_free(self._matching, context, name)
            if held is None:
                async with self._unique.held(context, wanted):
                    return await self._writer.create(context, wanted, change)
        return await self._revive(context, held, wanted)

    async def _revive(self, context: Context, user_id: str, wanted: Resource) -> Resource | None:
        """Bring back a user that SCIM had deleted, as `wanted`; None where there is no such user any more."""
        name = wanted["userName"]
        keys = [user_key(context, user_id), user_name_key(context, name)]
        async with self._locks.hold(*keys):
            ends = [e.id for e in await self._journaling.check(keys)]
            try:
                current = await self._found(context, user_id)
            except NotFound:
                await self._forgetting.forget_missing(context, user_id)
                return None
            before = await self._resources.one(context, current)
            if not is_deleted(before) or str(before["userName"]).casefold() != name.casefold():
                return None
            after, sent = revived(before, wanted), frozenset(wanted)
            tell_resource(before)
            tell_changes(changed_names(before, after))
            return await self._update(
                context, current, before, after, sent=sent, keys=keys, ends=ends, revives=True
            )

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
            tell_resource(before)
            after = change_of(before)
            tell_changes(changed_names(before, after))
            update = partial(self._update, context, current, before, after, sent=sent, ends=ends)
            old, name = str(before["userName"]), str(after["userName"])
            if name.casefold() == old.casefold():
                return await update(keys=[key])
            name_key = user_name_key(context, name)
            async with self._locks.hold(name_key):
                await self._journaling.check([name_key])
                held = await check_free(self._matching, context, name, but=user_id)
                if held is not None:
                    raise deleted_holder(name, held)
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
        revives: bool = False,
    ) -> Resource:
        """`UserWriter.update`, with the values that have to be unique held meanwhile."""
        async with self._unique.held(context, after, before=before, but=current.id):
            return await self._writer.update(
                context, current, before, after, sent=sent, keys=keys, ends=ends, revives=revives
            )

    async def _read(self, context: Context, user_id: str) -> PlatformUser:
        user = await self._found(context, user_id)
        if kept_of(user.custom_attributes).deleted is not None:
            raise _not_found(user_id)
        return user

    async def _found(self, context: Context, user_id: str) -> PlatformUser:
        """The user, also one that SCIM has deleted."""
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
