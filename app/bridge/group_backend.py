"""What the bridge needs of a place that keeps groups; `platform_groups` and `local_groups` are the two."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from app.bridge.context import Context
from app.mapping.groups import GroupHead, Member
from app.scim.group_changes import Delta, MemberRef


class Membership(msgspec.Struct, frozen=True, kw_only=True):
    """A group of a user."""

    group_id: str
    name: str
    direct: bool


class Heads(msgspec.Struct, frozen=True, kw_only=True):
    """Groups of one window and how many there are in all."""

    items: tuple[GroupHead, ...]
    total: int


class GroupBackend(Protocol):
    """Groups of a tenant. Methods raise `PlatformError`, `StoreError` and `ScimError`.

    Callers hold the group's lock for `change` and `delete`, and the name's lock for `create` and a rename.
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

    async def create(self, context: Context, name: str) -> GroupHead:
        """Make an empty group; raises `Uniqueness` where the name is taken."""
        ...

    async def rename(self, context: Context, group_id: str, name: str) -> None:
        """Give the group another name; raises `Uniqueness` where it is taken."""
        ...

    async def change(self, context: Context, group_id: str, delta: Delta) -> bool:
        """Write a delta; False where the group does not exist.

        Members that are unknown are skipped where at least one is known; where none is, `InvalidValue` is
        raised and nothing has changed.
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
