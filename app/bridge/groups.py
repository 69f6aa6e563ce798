"""The life of a group: create, get, replace, patch, delete. Membership is only ever written as deltas."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from msgspec import UNSET
from msgspec.structs import replace

from app.bridge.changes import changed_names
from app.bridge.context import Context
from app.bridge.faults import DEFAULT_RETRY_S, scim_error
from app.bridge.group_backend import GroupWrite
from app.bridge.group_errors import unknown_members
from app.bridge.group_guard import GroupGuard
from app.bridge.group_resources import GroupResources, check_id, group_missing
from app.bridge.journaling import Journaling
from app.bridge.locks import KeyedLocks, group_key, group_name_key
from app.bridge.platform_group_writes import GROUP_CREATE
from app.bridge.recovery import Recovery
from app.bridge.telling import tell_changes
from app.mapping.groups import GroupHead, group_version
from app.platform.errors import PlatformError
from app.scim.dialect import Tolerance
from app.scim.errors import InvalidValue, PreconditionFailed, ServiceUnavailable, Uniqueness
from app.scim.etag import matches as version_matches
from app.scim.group_changes import Delta, add_up, members_of, needs_members, resolved, split_patch
from app.scim.patch import apply_patch, read_patch
from app.scim.schema import Resource, ResourceModel
from app.scim.validate import read_resource
from app.store.group_records import GroupRecords
from app.store.journal_records import Entry


class Groups:
    """The use cases of `/Groups`; raises `ScimError`, `PlatformError` and `StoreError`."""

    def __init__(
        self,
        resources: GroupResources,
        records: GroupRecords,
        locks: KeyedLocks,
        model: ResourceModel,
        guard: GroupGuard,
        journaling: Journaling,
        recovery: Recovery,
    ) -> None:
        self._resources = resources
        self._records = records
        self._locks = locks
        self._model = model
        self._guard = guard
        self._journaling = journaling
        self._recovery = recovery

    async def get(self, context: Context, group_id: str, *, with_members: bool) -> Resource:
        """The group; members are not even read where they are not wanted."""
        return await self._resources.get(context, group_id, with_members=with_members)

    async def read_back(self, context: Context, group_id: str, *, with_members: bool) -> Resource:
        """The group after a write; where it cannot be read, nobody must think that the write was refused."""
        try:
            return await self.get(context, group_id, with_members=with_members)
        except PlatformError as exc:
            raise ServiceUnavailable(
                "the group is changed, and cannot be read now: send the change again to be sure",
                retry_after_s=scim_error(exc, context.mapping).retry_after_s or DEFAULT_RETRY_S,
            ) from exc

    async def bare(self, context: Context, group_id: str) -> Resource:
        """The group with its version, as if nobody were a member: what HEAD shows of it."""
        return await self._resources.build(context, await self._resources.head(context, group_id), members=())

    async def version(self, context: Context, group_id: str) -> str:
        """The group's `meta.version` as it is now, without its members being read."""
        versions = await self._records.versions(context.tenant_id, [group_id])
        return group_version(versions.get(group_id, 0))

    async def create(self, context: Context, body: object, *, with_members: bool) -> Resource:
        """Create a group from the body of a POST (RFC 7644 §3.3).

        Where an earlier POST has made the group and its client never heard of it, this one completes it.
        """
        wanted = self._read_body(context, body)
        tell_changes(changed_names({}, wanted))
        delta = Delta(add=members_of(_raw_members(body), self._model, context.dialect))
        await self._guard.creation(context, wanted["displayName"], delta)
        await self._check_members(context, delta)
        while True:
            made = await self._recovery.first(partial(self._create, context, wanted, delta, with_members))
            if not isinstance(made, Entry):
                return made
            adopt = partial(self._adopt, context, made, wanted, delta)
            if await self._recovery.first(adopt):
                return await self.read_back(context, str(made.resource_id), with_members=with_members)

    async def _create(
        self, context: Context, wanted: Resource, delta: Delta, with_members: bool
    ) -> Resource | Entry:
        """The new group, or the entry of the creation that has made it before."""
        name = wanted["displayName"]
        key = group_name_key(context, name)
        async with self._locks.hold(key):
            if (entry := await self._journaling.made_before(context, key, GROUP_CREATE)) is not None:
                return entry
            await self._check_name(context, name)
            write = GroupWrite(name=name, delta=delta, external_id=wanted.get("externalId"))
            made = await self._resources.backend(context).create(context, write, with_members=with_members)
            return await self._resources.build(context, made.head, members=made.members, record=made.record)

    async def _adopt(self, context: Context, entry: Entry, wanted: Resource, delta: Delta) -> bool:
        """Make of a group that an earlier POST has created what this one wants; False where there is none."""
        group_id, name = str(entry.resource_id), wanted["displayName"]
        keys = [group_key(context, group_id), group_name_key(context, name)]
        async with self._locks.hold(*keys):
            if entry.id not in {e.id for e in await self._journaling.check(keys)}:
                return False
            head = await self._resources.backend(context).get(context, group_id)
            if head is None or head.name.casefold() != name.casefold():
                # Deleted or renamed since: the name is free again, or another's.
                await self._journaling.journal.end([entry.id])
                return False
            only = Delta(only=delta.add) if delta else delta
            await self._write(context, group_id, only, [entry.id], head=head, after=wanted)
            return True

    async def replace(
        self,
        context: Context,
        group_id: str,
        body: object,
        *,
        if_match: str | None,
        with_members: bool,
        circular: bool = False,
    ) -> Resource:
        """Replace a group by the body of a PUT (RFC 7644 §3.5.1).

        Without `members` in the body they are left alone: a client that read without them must not empty the
        group. Without that tolerance they are cleared. `circular` allows the group to come to be within
        itself, as a bulk request may have it (§3.7.1).
        """
        wanted = self._read_body(context, body)
        members = _raw_members(body)
        delta = Delta()
        if members is not UNSET or not context.dialect.allows(Tolerance.PUT_KEEPS_MEMBERS):
            delta = Delta(only=members_of(members, self._model, context.dialect))

        async def work() -> None:
            async with self._held(context, group_id) as ends:
                head = await self._resources.head(context, group_id)
                await self._check_version(context, group_id, if_match)
                await self._write(context, group_id, delta, ends, head=head, after=wanted, circular=circular)

        await self._recovery.first(work)
        return await self.read_back(context, group_id, with_members=with_members)

    async def patch(self, context: Context, group_id: str, body: object, *, if_match: str | None) -> None:
        """Apply the operations of a PATCH (RFC 7644 §3.5.2).

        A change of members alone needs no read: one call adds a batch, one call removes a member.
        """
        steps, others = split_patch(read_patch(body, context.dialect), self._model, context.dialect)
        check_id(group_id)

        async def work() -> None:
            async with self._held(context, group_id) as ends:
                await self._check_version(context, group_id, if_match)
                head = after = None
                if others or not steps:
                    head = await self._resources.head(context, group_id)
                    before = await self._resources.build(context, head, members=None)
                    after = apply_patch(before, others, self._model, context.dialect)
                    _check_display_name(after["displayName"])
                members = ()
                if needs_members(steps):
                    whole = await self._resources.get(context, group_id, with_members=True)
                    members = whole.get("members", ())
                delta = add_up(resolved(steps, members, self._model, context.dialect))
                await self._write(context, group_id, delta, ends, head=head, after=after)

        await self._recovery.first(work)

    async def delete(self, context: Context, group_id: str, *, if_match: str | None) -> None:
        """Delete a group (RFC 7644 §3.6); its members stay.

        What the bridge keeps of it goes also where there is no such group: the process may have died in
        between. Writes that are not finished do not stand in the way.
        """
        check_id(group_id)
        key = group_key(context, group_id)
        async with self._locks.hold(key):
            head = await self._resources.backend(context).get(context, group_id)
            if head is not None:
                await self._check_version(context, group_id, if_match)
                await self._guard.deletion(context, head)
                await self._resources.backend(context).delete(context, group_id)
            ends = [e.id for e in await self._journaling.journal.find([key])]
            await self._records.forget(context.tenant_id, group_id, ends=ends)
            if head is None:
                raise group_missing(group_id)

    @asynccontextmanager
    async def _held(self, context: Context, group_id: str) -> AsyncIterator[list[str]]:
        """The group's lock, and the entries that end with a write: who knows the id has had its answer."""
        key = group_key(context, group_id)
        async with self._locks.hold(key):
            known = await self._journaling.check([key])
            yield [e.id for e in known if e.state == "done-unacknowledged"]

    async def _write(
        self,
        context: Context,
        group_id: str,
        delta: Delta,
        ends: Sequence[str],
        *,
        head: GroupHead | None = None,
        after: Resource | None = None,
        circular: bool = False,
    ) -> None:
        """Write what differs; `after` is the group as it is to be apart from its members."""
        delta = await self._guard.change(context, group_id, delta, head, after)
        await self._check_members(context, delta)
        write = GroupWrite(delta=delta, circular=circular)
        async with AsyncExitStack() as held:
            if head is not None and after is not None:
                name, external_id = after["displayName"], after.get("externalId")
                if name != head.name:
                    key = group_name_key(context, name)
                    await held.enter_async_context(self._locks.hold(key))
                    await self._journaling.check([key])
                    await self._check_name(context, name, but=group_id)
                    write = replace(write, name=name, was=head.name)
                if (await self._resources.record(context, group_id)).external_id != external_id:
                    write = replace(write, external_id=external_id)
            tell_changes(_changed(write))
            if write:
                if not await self._resources.backend(context).write(context, group_id, write, ends=ends):
                    raise group_missing(group_id)
            elif head is None:
                await self._resources.head(context, group_id)

    async def _check_members(self, context: Context, delta: Delta) -> None:
        """Unless such are skipped, one unknown member refuses the request before anything is written."""
        if context.dialect.allows(Tolerance.UNKNOWN_MEMBERS_SKIPPED):
            return
        wanted = delta.add if delta.only is None else delta.only
        if not wanted:
            return
        known = {m.id for m in await self._resources.backend(context).known(context, wanted)}
        unknown = [m.value for m in wanted if m.value not in known]
        if unknown:
            raise unknown_members(unknown)

    async def _check_name(self, context: Context, name: str, *, but: str | None = None) -> None:
        others = [h for h in await self._resources.backend(context).named(context, name) if h.id != but]
        if others:
            raise Uniqueness(f"displayName {name!r} is already in use by group {others[0].id}")

    async def _check_version(self, context: Context, group_id: str, if_match: str | None) -> None:
        if if_match is None:
            return
        if not version_matches(if_match, await self.version(context, group_id)):
            raise PreconditionFailed("the group has changed since that version: read it again")

    def _read_body(self, context: Context, body: object) -> Resource:
        wanted = read_resource(body, self._model, context.dialect)
        _check_display_name(wanted["displayName"])
        return wanted


def _raw_members(body: object) -> object:
    """`members` as it stands in a body, UNSET where it does not: null and [] empty a group, absence not."""
    if not isinstance(body, dict):
        return UNSET
    return next((value for key, value in body.items() if str(key).lower() == "members"), UNSET)


def _check_display_name(name: str) -> None:
    if not name.strip():
        raise InvalidValue("displayName is required and cannot be blank")


def _changed(write: GroupWrite) -> list[str]:
    """Names of the attributes that a write changes."""
    told = (
        ("displayName", write.name is not None),
        ("externalId", write.external_id is not UNSET),
        ("members", bool(write.delta)),
    )
    return [name for name, is_changed in told if is_changed]
