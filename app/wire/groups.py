"""Groups as the platform's tenant group endpoints state them."""

from __future__ import annotations

import msgspec
from msgspec import UNSET, UnsetType

from app.wire.users import Pagination


class PlatformGroup(msgspec.Struct, frozen=True, kw_only=True):
    """A group, in full; lists hold the same."""

    id: str
    name: str
    created_at: str
    updated_at: str | None = None


class PlatformMember(msgspec.Struct, frozen=True, kw_only=True):
    """One row of a group's members."""

    user_id: str
    display_name: str | None = None
    membership_type: str = "DIRECT"


class GroupEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """One group."""

    data: PlatformGroup


class GroupPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of groups."""

    data: tuple[PlatformGroup, ...]
    pagination: Pagination


class MemberPage(msgspec.Struct, frozen=True, kw_only=True):
    """One page of a group's members."""

    data: tuple[PlatformMember, ...]
    pagination: Pagination


class GroupCreate(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a creation."""

    name: str


class GroupUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a PATCH."""

    name: str | UnsetType = UNSET


class MembersAdd(msgspec.Struct, frozen=True, kw_only=True):
    """The body of an addition of members."""

    user_ids: tuple[str, ...]
