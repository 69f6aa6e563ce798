"""Users as the platform's API states them: answers decoded, requests encoded.

Only what the bridge needs is checked. Timestamps stay text (they are passed on, never computed with), and
enumerations stay text, so that a value the platform adds later does not make a user unreadable.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET, UnsetType

USERS_PATH = "/api/v1/tenants/{tenant_id}/users"
"""Where a tenant's users are; one user is below, under the id."""

CustomAttributes: TypeAlias = dict[str, Any]
"""The platform's free-form JSON object of a user."""


class GroupMembership(msgspec.Struct, frozen=True, kw_only=True):
    """`UserGroupMembership`: one group of a user."""

    group_id: str
    name: str
    membership_type: str = "DIRECT"


class PlatformUser(msgspec.Struct, frozen=True, kw_only=True):
    """`UserResponse`: a user in full."""

    id: str
    email: str
    status: str
    identity_source: str = "LOCAL"
    created_at: str
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    display_name: str | None = None
    phone: str | None = None
    locale: str | None = None
    timezone: str | None = None
    email_verified: bool = False
    avatar_url: str | None = None
    ou_id: str | None = None
    ou_path: str | None = None
    mfa_enabled: bool = False
    groups: tuple[GroupMembership, ...] = ()
    custom_attributes: CustomAttributes | None = None
    updated_at: str | None = None
    last_login_at: str | None = None
    password_changed_at: str | None = None


class UserListItem(msgspec.Struct, frozen=True, kw_only=True):
    """`UserListItem`: the abbreviated row of a list. It has no username, names or custom_attributes."""

    id: str
    email: str
    status: str
    identity_source: str = "LOCAL"
    display_name: str | None = None
    ou_path: str | None = None
    mfa_enabled: bool = False
    last_login_at: str | None = None


class Pagination(msgspec.Struct, frozen=True, kw_only=True):
    """`PaginationMeta`: which page a list is, and of how many."""

    page: int
    per_page: int
    total_items: int
    total_pages: int


class UserEnvelope(msgspec.Struct, frozen=True, kw_only=True):
    """`ApiResponse_UserResponse_`: one user."""

    data: PlatformUser


class UserPage(msgspec.Struct, frozen=True, kw_only=True):
    """`PaginatedResponse_UserListItem_`: one page of abbreviated users."""

    data: tuple[UserListItem, ...]
    pagination: Pagination


class UserCreate(msgspec.Struct, frozen=True, kw_only=True):
    """`UserCreate`: unset members are left to the platform's defaults, but for the welcome mail."""

    email: str
    username: str | UnsetType | None = UNSET
    first_name: str | UnsetType | None = UNSET
    last_name: str | UnsetType | None = UNSET
    display_name: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    locale: str | UnsetType = UNSET
    timezone: str | UnsetType = UNSET
    password: str | UnsetType = UNSET
    ou_id: str | UnsetType | None = UNSET
    custom_attributes: CustomAttributes | UnsetType = UNSET
    send_welcome_email: bool = False


class UserUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """`UserUpdate`: only members that are set are sent; None clears."""

    email: str | UnsetType = UNSET
    username: str | UnsetType | None = UNSET
    first_name: str | UnsetType | None = UNSET
    last_name: str | UnsetType | None = UNSET
    display_name: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    ou_id: str | UnsetType | None = UNSET
    custom_attributes: CustomAttributes | UnsetType | None = UNSET


class UserStatusUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """`UserStatusUpdate`: the body of `PUT …/status`."""

    status: str
    reason: str | UnsetType = UNSET
    terminate_sessions: bool = False


class UserPasswordReset(msgspec.Struct, frozen=True, kw_only=True):
    """`UserPasswordReset`: the body of `POST …/password/reset`."""

    method: str
    new_password: str


WRITABLE_FIELDS: frozenset[str] = frozenset(UserUpdate.__struct_fields__) - {"custom_attributes"}
"""Platform fields that a mapping may write."""

READABLE_FIELDS: frozenset[str] = frozenset(PlatformUser.__struct_fields__) - {"custom_attributes", "groups"}
"""Platform fields that a mapping may read."""

LISTED_FIELDS: frozenset[str] = frozenset(UserListItem.__struct_fields__) - {"id"}
"""Platform fields that a row of a list can carry beside the id."""
