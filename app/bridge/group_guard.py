"""What the client of a connection may do to groups: which it may change, and whom it may add and remove.

A request that changes nothing is let through, so that a client can send back what it has read.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing

from app.bridge.context import Context
from app.bridge.group_backend import GroupBackend
from app.bridge.listing import full_users
from app.bridge.refusals import PolicyForbids
from app.bridge.rules import GroupRules
from app.mapping.groups import GroupHead
from app.planning.planner import PLATFORM_ID
from app.platform.client import PlatformClient
from app.scim.group_changes import Delta, MemberRef
from app.scim.schema import Resource
from app.store.store import Store


class GroupGuard:
    """Asked before a group is written to. The refusal is `PolicyForbids`."""

    def __init__(self, platform: PlatformClient, backends: Mapping[str, GroupBackend], store: Store) -> None:
        self._platform = platform
        self._backends = backends
        self._records = store.group_records
        self._local_groups = store.local_groups

    async def creation(self, context: Context, name: str, delta: Delta) -> None:
        """Whether the connection may make a group of this name with these members."""
        scope = context.group_scope
        self._check_name(context, name, stays=scope is not None and scope.own)
        if hits := await self._protected(context, [m.value for m in delta.add]):
            raise _protected_members(hits)

    async def change(
        self, context: Context, group_id: str, delta: Delta, head: GroupHead | None, after: Resource | None
    ) -> Delta:
        """What of a delta is to be written, and the rest changes nothing.

        `head` and `after` are the group and what is to become of it, None where only members are written.
        """
        reason = await self._read_only(context, group_id, head)
        if reason is not None:
            if head is None and await self._backend(context).get(context, group_id) is None:
                # Whoever writes it will say so.
                return delta
            if await self._differs(context, group_id, head, after) or await self._effect(
                context, group_id, delta
            ):
                raise PolicyForbids(reason)
            return Delta()
        if head is not None and after is not None and after["displayName"] != head.name:
            scope = context.group_scope
            stays = scope is not None and await self._is_named(context, scope, group_id, None, by_name=False)
            self._check_name(context, after["displayName"], stays=stays)
        if not delta or not (context.protected_users or self._nests(context)):
            return delta
        if delta.only is not None:
            # Whoever was added meanwhile by others is not removed: only those who are seen here are.
            delta = await self._effect(context, group_id, delta)
        return await self._without_protected(context, group_id, delta)

    async def deletion(self, context: Context, head: GroupHead) -> None:
        """Whether the connection may delete the group, which ends the memberships of all."""
        if (reason := await self._read_only(context, head.id, head)) is not None:
            raise PolicyForbids(reason)
        if context.protected_users or self._nests(context):
            members = await self._backend(context).members(context, head.id) or ()
            if hits := await self._protected(context, [m.id for m in members]):
                raise _protected_members(hits)

    def _check_name(self, context: Context, name: str, *, stays: bool) -> None:
        """Whether a group may have this name; `stays`: it is in scope whatever it is called."""
        if context.protected_groups.name(name):
            raise PolicyForbids(
                f"displayName {name!r} is reserved: the policy of this connection protects it"
            )
        scope = context.group_scope
        if scope is not None and not scope.name(name) and not stays:
            raise PolicyForbids(
                f"displayName {name!r} is outside of the groups that this connection may change"
            )

    async def _read_only(self, context: Context, group_id: str, head: GroupHead | None) -> str | None:
        """Why the group may not be changed, or None; the group is read only where a name decides."""
        protected, scope = context.protected_groups, context.group_scope
        if not protected and scope is None:
            return None
        if await self._is_named(context, protected, group_id, head):
            return f"group {group_id} is protected: it can be read over SCIM, not changed"
        if self._nests(context) and (above := await self._protected_above(context, group_id)):
            return f"group {group_id} is protected, as it is in group {above}: it can be read, not changed"
        if scope is not None and not await self._is_named(context, scope, group_id, head):
            return f"group {group_id} is not one that this connection may change: it can be read only"
        return None

    async def _is_named(
        self,
        context: Context,
        rules: GroupRules,
        group_id: str,
        head: GroupHead | None,
        *,
        by_name: bool = True,
    ) -> bool:
        if group_id in rules.ids:
            return True
        if rules.own and await self._is_own(context, group_id):
            return True
        if not rules.names or not by_name:
            return False
        head = head or await self._backend(context).get(context, group_id)
        return head is not None and rules.name(head.name)

    async def _protected_above(self, context: Context, group_id: str) -> str | None:
        """A protected group that the group is in: whoever joins this one joins that one, too."""
        rules = context.protected_groups
        above = (await self._backend(context).memberships(context, [group_id])).get(group_id, ())
        return next((m.group_id for m in above if m.group_id in rules.ids or rules.name(m.name)), None)

    async def _is_own(self, context: Context, group_id: str) -> bool:
        return await self._records.creator(context.tenant_id, group_id) == context.connection_id

    async def _differs(
        self, context: Context, group_id: str, head: GroupHead | None, after: Resource | None
    ) -> bool:
        """Whether anything but the membership would change."""
        if head is None or after is None:
            return False
        records = await self._records.records(context.tenant_id, context.domain, [group_id])
        return after["displayName"] != head.name or after.get("externalId") != records[group_id].external_id

    async def _effect(self, context: Context, group_id: str, delta: Delta) -> Delta:
        """The delta without those whom it adds though they are members, or removes though they are none."""
        if not delta:
            return delta
        backend = self._backend(context)
        present = {m.id for m in await backend.members(context, group_id) or ()}
        add: Sequence[MemberRef] = [m for m in delta.add if m.value not in present]
        remove = [i for i in delta.remove if i in present]
        if delta.only is not None:
            keep = {m.value for m in delta.only}
            remove = sorted(present - keep)
            add = [m for m in delta.only if m.value not in present]
            if add and (keep & present):
                # Unknown members are passed over where another one of the request is known.
                known = {m.id for m in await backend.known(context, add)}
                add = [m for m in add if m.value in known]
        return Delta(add=tuple(add), remove=tuple(remove))

    async def _without_protected(self, context: Context, group_id: str, delta: Delta) -> Delta:
        """The delta, of which protected members are no part: their membership is as it should be."""
        named = [m.value for m in delta.add] + list(delta.remove)
        hits = await self._protected(context, named)
        if not hits:
            return delta
        groups = await self._backend(context).memberships(context, sorted(hits))
        inside = {i for i in hits if any(m.direct and m.group_id == group_id for m in groups.get(i, ()))}
        moved = [m.value for m in delta.add if m.value in hits - inside]
        moved += [i for i in delta.remove if i in inside]
        if moved:
            raise _protected_members(moved)
        return Delta(
            add=tuple(m for m in delta.add if m.value not in hits),
            remove=tuple(i for i in delta.remove if i not in hits),
        )

    async def _protected(self, context: Context, ids: Iterable[str]) -> set[str]:
        """Those of the ids that are protected, and groups with somebody in them who is."""
        usable = [i for i in ids if PLATFORM_ID.fullmatch(i)]
        groups = frozenset[str]()
        if context.groups == "local":
            groups = await self._local_groups.existing(context.tenant_id, usable)
        hits = await self._protected_users(context, [i for i in usable if i not in groups])
        for group_id in sorted(groups):
            if await self._holds_protected(context, group_id):
                hits.add(group_id)
        return hits

    async def _protected_users(self, context: Context, ids: Iterable[str]) -> set[str]:
        """Users are read only where their names or attributes decide."""
        rules = context.protected_users
        ids = list(ids)
        hits = {i for i in ids if i in rules.ids}
        if not rules.looks:
            return hits
        left = [i for i in ids if i not in hits]
        async with aclosing(full_users(self._platform, context.tenant_id, left)) as users:
            async for user_id, user in users:
                if user is not None:
                    shown = context.mapping.to_scim(user, domain=context.domain, base_url="")
                    if rules.names_user(user, str(shown.get("userName", ""))):
                        hits.add(user_id)
        return hits

    async def _holds_protected(self, context: Context, group_id: str) -> bool:
        """Whether the group, or somebody in it at any depth, is protected."""
        users: set[str] = set()
        seen, waiting = {group_id}, [group_id]
        while waiting:
            each = waiting.pop()
            if await self._is_named(context, context.protected_groups, each, None):
                return True
            for member in await self._backend(context).members(context, each) or ():
                if member.type != "Group":
                    users.add(member.id)
                elif member.id not in seen:
                    seen.add(member.id)
                    waiting.append(member.id)
        return bool(await self._protected_users(context, sorted(users)))

    def _nests(self, context: Context) -> bool:
        """Whether a protected group could be a member of another one."""
        return bool(context.protected_groups) and context.groups == "local"

    def _backend(self, context: Context) -> GroupBackend:
        return self._backends[context.groups]


def _protected_members(ids: Iterable[str]) -> PolicyForbids:
    shown = ", ".join(sorted(ids)[:5])
    return PolicyForbids(f"members: {shown} protected: groups are neither gained nor lost by them over SCIM")
