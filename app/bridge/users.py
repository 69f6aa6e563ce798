"""The life of one user: create, get, replace, patch, delete, in the fewest platform calls.

Every write reads the live user under a lock, applies the change in memory, and sends only what differs.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from app.bridge.changes import patched, replaced
from app.bridge.context import Context
from app.bridge.indexing import Indexing
from app.bridge.local_groups import DELETED_USERS
from app.bridge.locks import KeyedLocks
from app.bridge.matching import Matching
from app.bridge.resources import Resources
from app.bridge.uniqueness import check_free, explain_taken, name_key
from app.bridge.writing import carry_out, plan_write, status_change
from app.planning.planner import PLATFORM_ID
from app.platform.client import PlatformClient
from app.platform.errors import Missing, PlatformError, Rejected, Taken, Unavailable
from app.platform.gate import urgent
from app.scim.errors import NotFound, PreconditionFailed, ScimError
from app.scim.etag import matches as version_matches
from app.scim.etag import version_of
from app.scim.patch import read_patch
from app.scim.schema import Resource
from app.scim.validate import read_resource
from app.store.store import Store
from app.wire.users import PlatformUser

_SUPPLIED_ELSEWHERE = frozenset({"emails"})
"""Required attributes that a body may lack: an address can come from userName, or stay as it is."""


class Users:
    """The use cases of `/Users`; raises `ScimError` and `PlatformError`."""

    def __init__(
        self,
        platform: PlatformClient,
        store: Store,
        resources: Resources,
        matching: Matching,
        indexing: Indexing,
        locks: KeyedLocks,
    ) -> None:
        self._platform = platform
        self._store = store
        self._resources = resources
        self._matching = matching
        self._indexing = indexing
        self._locks = locks

    async def get(self, context: Context, user_id: str) -> Resource:
        """The user with `meta.version`; `NotFound` where there is none, whatever the id looks like."""
        user = await self._read(context, user_id)
        return versioned(await self._resources.one(context, user))

    async def create(self, context: Context, body: object) -> Resource:
        """Create a user from the body of a POST (RFC 7644 §3.3)."""
        wanted = self._read_body(context, body)
        change = context.mapping.to_platform(wanted, before=None, current=None, domain=context.domain)
        new = change.as_create(
            password=wanted.get("password") if context.sets_passwords else None,
            send_welcome_email=context.send_welcome_email,
        )
        # A contradiction is found here, not when the user is there already.
        status_change(context, wanted, present=context.mapping.status.enable_to)
        async with self._locks.hold(name_key(context, wanted["userName"])):
            await check_free(self._matching, context, wanted["userName"])
            try:
                user = await self._platform.create_user(context.tenant_id, new)
            except Taken as exc:
                raise await explain_taken(self._matching, context, wanted, exc) from exc
            try:
                write = plan_write(context, user, wanted, before=None)
                user = await carry_out(self._platform, context, user, write)
            except (PlatformError, ScimError):
                # A user that was to be inactive must not stay behind as an active one.
                with suppress(PlatformError), urgent():
                    await self._platform.delete_user(context.tenant_id, user.id, user.email)
                raise
            return await self._settled(context, await self._resources.one(context, user))

    async def replace(
        self, context: Context, user_id: str, body: object, *, if_match: str | None = None
    ) -> Resource:
        """Replace a user by the body of a PUT (RFC 7644 §3.5.1); never creates one."""
        wanted = self._read_body(context, body)

        return await self._write(
            context, user_id, lambda before: replaced(before, wanted), if_match, sent=frozenset(wanted)
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
        """Delete a user (RFC 7644 §3.6); the platform wants its present address as confirmation."""
        async with self._locks.hold(_id_key(context, user_id)):
            user = await self._read(context, user_id)
            _check_version(await self._resources.one(context, user), if_match)
            # Missing: somebody else was quicker, or the answer to the first call was lost.
            with suppress(Missing):
                await self._delete(context, user)
            await self._indexing.deleted(context, user_id)
            # Counted before the memberships end: whoever adds the user now will look a second time.
            await self._store.group_records.raise_version(context.tenant_id, DELETED_USERS)
            left = {*await self._store.local_groups.forget_member(context.tenant_id, user_id)}
            left.update(g.group_id for g in user.groups)
            await self._store.group_records.raise_versions(context.tenant_id, left)

    async def _delete(self, context: Context, user: PlatformUser) -> None:
        try:
            await self._platform.delete_user(context.tenant_id, user.id, user.email)
        except (Rejected, Unavailable) as exc:
            if isinstance(exc, Unavailable) and not exc.outcome_unknown:
                raise
            # Either the address changed between the two calls, or the deletion may have been done.
            again = await self._platform.get_user(context.tenant_id, user.id)
            if isinstance(exc, Rejected) and again.email == user.email:
                raise
            await self._platform.delete_user(context.tenant_id, user.id, again.email)

    async def _write(
        self,
        context: Context,
        user_id: str,
        change_of: Callable[[Resource], Resource],
        if_match: str | None,
        *,
        sent: frozenset[str] = frozenset(),
    ) -> Resource:
        async with self._locks.hold(_id_key(context, user_id)):
            current = await self._read(context, user_id)
            before = await self._resources.one(context, current)
            _check_version(before, if_match)
            after = change_of(before)
            name = str(after["userName"])
            if name.casefold() == str(before["userName"]).casefold():
                return await self._apply(context, current, before, after, sent)
            async with self._locks.hold(name_key(context, name)):
                await check_free(self._matching, context, name, but=user_id)
                return await self._apply(context, current, before, after, sent)

    async def _apply(
        self,
        context: Context,
        current: PlatformUser,
        before: Resource,
        after: Resource,
        sent: frozenset[str],
    ) -> Resource:
        write = plan_write(context, current, after, before=before, sent=sent)
        try:
            user = await carry_out(self._platform, context, current, write)
        except Taken as exc:
            raise await explain_taken(self._matching, context, after, exc, but=current.id) from exc
        found = before if user is current else await self._resources.one(context, user)
        return await self._settled(context, found)

    async def _settled(self, context: Context, resource: Resource) -> Resource:
        """After a write: the index as the user now is. Also where nothing was sent: a try before may have
        reached the platform but not the index."""
        await self._indexing.recorded(context, resource)
        return versioned(resource)

    async def _read(self, context: Context, user_id: str) -> PlatformUser:
        if PLATFORM_ID.fullmatch(user_id) is None:
            raise _not_found(user_id)
        try:
            return await self._platform.get_user(context.tenant_id, user_id)
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


def _id_key(context: Context, user_id: str) -> str:
    return f"{context.tenant_id} id {user_id}"
