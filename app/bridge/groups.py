"""The life of a group: create, get, replace, patch, delete. Membership is only ever written as deltas."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Any

from msgspec import UNSET

from app.bridge.context import Context
from app.bridge.group_backend import GroupBackend
from app.bridge.locks import KeyedLocks
from app.bridge.platform_groups import unknown_members
from app.mapping.groups import GroupHead, Member, group_to_scim, group_version
from app.planning.planner import PLATFORM_ID
from app.platform.errors import PlatformError
from app.scim.dialect import STRICT
from app.scim.errors import InvalidValue, NotFound, PreconditionFailed, ScimError, Uniqueness
from app.scim.etag import matches as version_matches
from app.scim.evaluate import element_predicate
from app.scim.group_changes import (
    Add,
    Delta,
    Only,
    Remove,
    RemoveWhere,
    Step,
    add_up,
    members_of,
    split_patch,
)
from app.scim.patch import apply_patch, read_patch
from app.scim.schema import Resource, ResourceModel
from app.scim.validate import read_resource
from app.store.group_records import GroupRecord
from app.store.store import Store


class Groups:
    """The use cases of `/Groups`; raises `ScimError`, `PlatformError` and `StoreError`."""

    def __init__(
        self, backends: Mapping[str, GroupBackend], store: Store, locks: KeyedLocks, model: ResourceModel
    ) -> None:
        self._backends = backends
        self._records = store.group_records
        self._locks = locks
        self._model = model

    async def get(self, context: Context, group_id: str, *, with_members: bool) -> Resource:
        """The group; members are not even read where they are not wanted."""
        head = await self._head(context, group_id)
        return await self._read_resource(context, head, with_members=with_members)

    async def create(self, context: Context, body: object, *, with_members: bool) -> Resource:
        """Create a group from the body of a POST (RFC 7644 §3.3)."""
        wanted = self._read_body(context, body)
        name = wanted["displayName"]
        delta = Delta(add=members_of(_raw_members(body), self._model, context.dialect))
        await self._check_members(context, delta)
        backend = self._backend(context)
        async with self._locks.hold(_name_key(context, name)):
            await self._check_name(context, name)
            head = await backend.create(context, name)
            try:
                if delta:
                    await backend.change(context, head.id, delta)
                await self._records.set_external_id(
                    context.tenant_id, context.domain, head.id, wanted.get("externalId")
                )
            except (ScimError, PlatformError):
                # Told that it was refused, the client must not find it there.
                with suppress(PlatformError):
                    await backend.delete(context, head.id)
                raise
            await self._records.raise_version(context.tenant_id, head.id)
            if not delta:
                return await self._resource(context, head, members=() if with_members else None)
            head = await self._head(context, head.id)
        return await self._read_resource(context, head, with_members=with_members)

    async def replace(
        self, context: Context, group_id: str, body: object, *, if_match: str | None, with_members: bool
    ) -> Resource:
        """Replace a group by the body of a PUT (RFC 7644 §3.5.1).

        Without `members` in the body they are left alone: a client that read without them must not empty the
        group. In strict mode they are cleared, as the RFC has it.
        """
        wanted = self._read_body(context, body)
        members = _raw_members(body)
        steps: tuple[Step, ...] = ()
        if members is not UNSET or context.dialect == STRICT:
            steps = (Only(members=members_of(members, self._model, context.dialect)),)
        async with self._locks.hold(_id_key(context, group_id)):
            head = await self._head(context, group_id)
            await self._check_version(context, group_id, if_match)
            await self._write(context, head.id, steps, head=head, after=wanted)
        return await self.get(context, group_id, with_members=with_members)

    async def patch(self, context: Context, group_id: str, body: object, *, if_match: str | None) -> None:
        """Apply the operations of a PATCH (RFC 7644 §3.5.2).

        A change of members alone needs no read: one call adds a batch, one call removes a member.
        """
        steps, others = split_patch(read_patch(body, context.dialect), self._model, context.dialect)
        _check_id(group_id)
        async with self._locks.hold(_id_key(context, group_id)):
            await self._check_version(context, group_id, if_match)
            if not others and steps:
                await self._write(context, group_id, steps)
                return
            head = await self._head(context, group_id)
            before = await self._read_resource(context, head, with_members=False)
            after = apply_patch(before, others, self._model, context.dialect)
            _check_display_name(after["displayName"])
            await self._write(context, group_id, steps, head=head, after=after)

    async def delete(self, context: Context, group_id: str, *, if_match: str | None) -> None:
        """Delete a group (RFC 7644 §3.6); its members stay."""
        async with self._locks.hold(_id_key(context, group_id)):
            head = await self._head(context, group_id)
            await self._check_version(context, group_id, if_match)
            await self._backend(context).delete(context, head.id)
            await self._records.forget(context.tenant_id, head.id)

    async def _write(
        self,
        context: Context,
        group_id: str,
        steps: tuple[Step, ...],
        *,
        head: GroupHead | None = None,
        after: Resource | None = None,
    ) -> None:
        """Members first, which can be refused as a whole; then the name, then the externalId."""
        backend = self._backend(context)
        delta = add_up(await self._resolved(context, group_id, steps))
        await self._check_members(context, delta)
        renamed = head is not None and after is not None and after["displayName"] != head.name
        async with AsyncExitStack() as held:
            if head is not None and after is not None and renamed:
                await held.enter_async_context(self._locks.hold(_name_key(context, after["displayName"])))
                await self._check_name(context, after["displayName"], but=head.id)
            if delta and not await backend.change(context, group_id, delta):
                raise _not_found(group_id)
            if not delta and head is None:
                await self._head(context, group_id)
            if after is not None and renamed:
                await backend.rename(context, group_id, after["displayName"])
        linked = False
        if after is not None:
            linked = (await self._record(context, group_id)).external_id != after.get("externalId")
            if linked:
                await self._records.set_external_id(
                    context.tenant_id, context.domain, group_id, after.get("externalId")
                )
        if delta or renamed or linked:
            await self._records.raise_version(context.tenant_id, group_id)

    async def _resolved(
        self, context: Context, group_id: str, steps: tuple[Step, ...]
    ) -> list[Add | Remove | Only]:
        """The steps with every filter on members replaced by the ids that it selects at its turn."""
        if not any(isinstance(s, RemoveWhere) for s in steps):
            return [s for s in steps if not isinstance(s, RemoveWhere)]
        head = await self._head(context, group_id)
        resource = await self._read_resource(context, head, with_members=True)
        present: dict[str, Any] = {m["value"]: m for m in resource.get("members", ())}
        attribute = self._model.resolve("members")
        found: list[Add | Remove | Only] = []
        for step in steps:
            match step:
                case RemoveWhere() if attribute is not None:
                    selects = element_predicate(step.filter, attribute.attribute)
                    step = Remove(ids=tuple(i for i, m in present.items() if selects(m)))
                    present = {i: m for i, m in present.items() if i not in step.ids}
                case Add():
                    present = {m.value: {"value": m.value} for m in step.members} | present
                case Only():
                    present = {m.value: present.get(m.value, {"value": m.value}) for m in step.members}
                case Remove():
                    present = {i: m for i, m in present.items() if i not in step.ids}
            if not isinstance(step, RemoveWhere):
                found.append(step)
        return found

    async def _check_members(self, context: Context, delta: Delta) -> None:
        """In strict mode one unknown member refuses the whole request, before anything is written."""
        if context.dialect != STRICT:
            return
        wanted = delta.add if delta.only is None else delta.only
        known = {m.id for m in await self._backend(context).known(context, wanted)} if wanted else set()
        unknown = [m.value for m in wanted if m.value not in known]
        if unknown:
            raise unknown_members(unknown)

    async def _check_name(self, context: Context, name: str, *, but: str | None = None) -> None:
        others = [h for h in await self._backend(context).named(context, name) if h.id != but]
        if others:
            raise Uniqueness(f"displayName {name!r} is already in use by group {others[0].id}")

    async def _check_version(self, context: Context, group_id: str, if_match: str | None) -> None:
        if if_match is None:
            return
        versions = await self._records.versions(context.tenant_id, [group_id])
        if not version_matches(if_match, group_version(versions.get(group_id, 0))):
            raise PreconditionFailed("the group has changed since that version: read it again")

    async def _head(self, context: Context, group_id: str) -> GroupHead:
        _check_id(group_id)
        head = await self._backend(context).get(context, group_id)
        if head is None:
            raise _not_found(group_id)
        return head

    async def _read_resource(self, context: Context, head: GroupHead, *, with_members: bool) -> Resource:
        if not with_members:
            return await self._resource(context, head, members=None)
        # The counter first: were it read after the members, a change in between would go unnoticed.
        record = await self._record(context, head.id)
        members = await self._backend(context).members(context, head.id)
        if members is None:
            raise _not_found(head.id)
        return await self._resource(context, head, members=members, record=record)

    async def _resource(
        self,
        context: Context,
        head: GroupHead,
        *,
        members: Sequence[Member] | None,
        record: GroupRecord | None = None,
    ) -> Resource:
        found = record or await self._record(context, head.id)
        return group_to_scim(
            head, members, external_id=found.external_id, version=found.version, base_url=context.base_url
        )

    async def _record(self, context: Context, group_id: str) -> GroupRecord:
        return (await self._records.records(context.tenant_id, context.domain, [group_id]))[group_id]

    def _read_body(self, context: Context, body: object) -> Resource:
        wanted = read_resource(body, self._model, context.dialect)
        _check_display_name(wanted["displayName"])
        return wanted

    def _backend(self, context: Context) -> GroupBackend:
        return self._backends[context.groups]


def _raw_members(body: object) -> object:
    """`members` as it stands in a body, UNSET where it does not: null and [] empty a group, absence not."""
    if not isinstance(body, dict):
        return UNSET
    return next((value for key, value in body.items() if str(key).lower() == "members"), UNSET)


def _check_display_name(name: str) -> None:
    if not name.strip():
        raise InvalidValue("displayName is required and cannot be blank")


def _check_id(group_id: str) -> None:
    if PLATFORM_ID.fullmatch(group_id) is None:
        raise _not_found(group_id)


def _not_found(group_id: str) -> NotFound:
    return NotFound(f"Group {group_id[:128]!r} does not exist")


def _id_key(context: Context, group_id: str) -> str:
    return f"{context.tenant_id} group {group_id}"


def _name_key(context: Context, name: str) -> str:
    return f"{context.tenant_id} displayName {name.casefold()}"
