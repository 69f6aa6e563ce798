"""The structs of the tenant's group endpoints, which follow the pattern of its users."""

from __future__ import annotations

import enum

from msgspec import UNSET, Struct, UnsetType

from app.embedded.schemas import Timestamp


class GroupType(enum.StrEnum):
    """What a group is for."""

    SECURITY = "SECURITY"
    DISTRIBUTION_LIST = "DISTRIBUTION_LIST"


class GroupCreate(Struct, kw_only=True):
    """Schema for creating a group."""

    name: str
    description: str | None = None
    group_type: GroupType = GroupType.SECURITY


class GroupUpdate(Struct, kw_only=True):
    """Schema for updating a group."""

    name: str | UnsetType = UNSET
    description: str | UnsetType | None = UNSET
    group_type: GroupType | UnsetType = UNSET


class GroupResponse(Struct, kw_only=True):
    """A group."""

    id: str
    name: str
    description: str | None = None
    group_type: GroupType
    created_at: Timestamp
    updated_at: Timestamp | None = None


class GroupMember(Struct, kw_only=True):
    """One user in a group."""

    user_id: str
    display_name: str | None = None
    membership_type: str = "DIRECT"


class MembersAdd(Struct, kw_only=True):
    """The users to add to a group."""

    user_ids: list[str]


class MembersAdded(Struct, kw_only=True):
    """What an addition did."""

    added: int
    already_members: int
