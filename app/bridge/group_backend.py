"""What the bridge needs of a place that keeps groups; `platform_groups` and `local_groups` are the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec
from msgspec import UNSET, UnsetType

from app.bridge.context import Context
from app.mapping.groups import GroupHead, Member
from app.scim.group_changes import Delta, MemberRef
from app.store.group_records import GroupRecord


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A group of a user."""

    group_id: str
    name: str
    direct: bool


class Heads(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of one window and how many there are in all."""

    items: tuple[GroupHead, ...]
    total: int


class GroupWrite(msgspec.Struct, frozen=True, kw_only=True):
    """What a write changes of a group."""

    name: str | None = None
    """The new name, None where it stays."""
    was: str | None = None
    """The name before, where it changes."""
    delta: Delta = Delta()
    external_id: str | UnsetType | None = UNSET
    """In the connection's domain; None forgets it, UNSET leaves it."""
    circular: bool = False
    """Whether the group may come to be within itself; only a circle of a bulk request may."""

    @property
    def linked_to(self) -> str | None:
        """The externalId of a group that is created."""
        return self.external_id if isinstance(self.external_id, str) else None

    def __bool__(self) -> bool:
        return self.name is not None or bool(self.delta) or self.external_id is not UNSET


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """A group that was created, as it is now."""

    head: GroupHead
    members: tuple[Member, ...] | None
    """None where they are not wanted."""
    record: GroupRecord


class GroupBackend(Protocol):
    """Groups of a tenant. Methods raise `PlatformError`, `StoreError` and `ScimError`.

    Callers hold the group's lock for `write` and `delete`, and the name's lock for `create` and a rename, and
    have asked the journal.
    """

    async def get(self, context: Context, group_id: str) -> GroupHead | None:
        """The group, None where there is none."""
        ...

    async def window(self, context: Context, offset: int, count: int) -> Heads:
        """A window of all groups in a pinned order, oldest first; `count` 0 asks for the total alone."""
        ...

    async def everything(self, context: Context, limit: int) -> tuple[GroupHead, ...]:
        """All groups; raises `TooMany` past `limit`."""
        ...

    async def named(self, context: Context, name: str) -> tuple[GroupHead, ...]:
        """The groups of this name, compared without case."""
        ...

    async def known(self, context: Context, members: Sequence[MemberRef]) -> tuple[Member, ...]:
        """Those of the members that exist; raises `InvalidValue` for kinds that cannot be members."""
        ...

    async def create(self, context: Context, write: GroupWrite, *, with_members: bool) -> Made:
        """Make a group, whole or not at all; raises `Uniqueness` where the name is taken.

        Members that are unknown are skipped as in `write`.
        """
        ...

    async def write(
        self, context: Context, group_id: str, write: GroupWrite, *, ends: Sequence[str] = ()
    ) -> bool:
        """Change a group and count it, all or nothing; False where the group does not exist.

        Members that are unknown are skipped where at least one is known; where none is, `InvalidValue` is
        raised. `Uniqueness` where the new name is taken. The journal's entries `ends` end with it.
        """
        ...

    async def delete(self, context: Context, group_id: str) -> None:
        """Delete the group; its members stay."""
        ...

    async def members(self, context: Context, group_id: str) -> tuple[Member, ...] | None:
        """All direct members, each once; None where the group does not exist (any more)."""
        ...

    async def memberships(
        self, context: Context, member_ids: Sequence[str]
    ) -> dict[str, tuple[Membership, ...]]:
        """The groups of users, direct and indirect; unknown users have none."""
        ...
