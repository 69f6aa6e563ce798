"""The structs of the Users API: they decode requests, encode answers and make up its OpenAPI document."""

from __future__ import annotations

import enum
from typing import Annotated, Any, Generic, Literal, TypeAlias, TypeVar

from msgspec import UNSET, Meta, Struct, UnsetType, field

from app.embedded.identifiers import new_request_id, utc_now

T = TypeVar("T")

JsonObject: TypeAlias = dict[str, Any]
"""A JSON object whose content is the customer's own."""

Email: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "email"})]
Timestamp: TypeAlias = Annotated[str, Meta(extra_json_schema={"format": "date-time"})]
"""ISO 8601 in UTC with microseconds and `Z`, kept as text so that a read converts nothing."""

# The document calls these two plain strings, hence words in place and not schemas of their own.
UserSort: TypeAlias = Literal["created_at", "email", "username", "display_name", "last_login_at"]
SortOrder: TypeAlias = Literal["asc", "desc"]


class UserStatus(enum.StrEnum):
    """User account status."""

    ACTIVE = "ACTIVE"
    PENDING_EMAIL_VERIFICATION = "PENDING_EMAIL_VERIFICATION"
    PENDING_APPROVAL = "PENDING_APPROVAL"
    DISABLED = "DISABLED"
    LOCKED = "LOCKED"


class IdentitySource(enum.StrEnum):
    """How the user was provisioned / identity source."""

    LOCAL = "LOCAL"
    OIDC = "OIDC"
    SAML = "SAML"
    SCIM = "SCIM"
    LDAP = "LDAP"


class MetaResponse(Struct, kw_only=True):
    """Metadata included in API responses."""

    request_id: str | None = field(default_factory=new_request_id)
    timestamp: Timestamp = field(default_factory=utc_now)


class ApiResponse(Struct, Generic[T], kw_only=True):
    """One object in its envelope."""

    data: T
    meta: MetaResponse = field(default_factory=MetaResponse)


class PaginationMeta(Struct, kw_only=True):
    """Pagination metadata."""

    page: int
    per_page: int
    total_items: int
    total_pages: int


class PaginatedResponse(Struct, Generic[T], kw_only=True):
    """One page of a list in its envelope."""

    data: list[T]
    pagination: PaginationMeta
    meta: MetaResponse = field(default_factory=MetaResponse)


class UserGroupMembership(Struct, kw_only=True):
    """Group membership info for a user."""

    group_id: str
    name: str
    membership_type: str = "DIRECT"


class UserResponse(Struct, kw_only=True):
    """Full user response."""

    email: Email
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    display_name: str | None = None
    phone: str | None = None
    locale: str = "en"
    timezone: str = "UTC"
    id: str
    email_verified: bool = False
    avatar_url: str | None = None
    ou_id: str | None = None
    ou_path: str | None = None
    status: UserStatus
    identity_source: IdentitySource
    mfa_enabled: bool = False
    groups: list[UserGroupMembership] = field(default_factory=list)
    custom_attributes: JsonObject | None = None
    created_at: Timestamp
    updated_at: Timestamp | None = None
    last_login_at: Timestamp | None = None
    password_changed_at: Timestamp | None = None


class AdminUserResponse(UserResponse, kw_only=True):
    """A user as the administration sees it: the full response and the state of the account."""

    tenant_id: str
    status_reason: str | None = None
    failed_attempts: int = 0
    require_password_change: bool = False
    sessions_revoked_at: Timestamp | None = None


class UserListItem(Struct, kw_only=True):
    """Abbreviated user info for lists."""

    id: str
    email: str
    display_name: str | None = None
    status: UserStatus
    ou_path: str | None = None
    identity_source: IdentitySource
    mfa_enabled: bool = False
    last_login_at: Timestamp | None = None


class AdminUserListItem(UserListItem, kw_only=True):
    """Abbreviated user info for lists that may span tenants."""

    tenant_id: str


class UserCreate(Struct, kw_only=True):
    """Schema for creating a new user."""

    email: Email
    username: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    display_name: str | None = None
    phone: str | None = None
    locale: str = "en"
    timezone: str = "UTC"
    password: str | None = None
    ou_id: str | None = None
    group_ids: list[str] = field(default_factory=list)
    custom_attributes: JsonObject | None = None
    require_password_change: bool = False
    send_welcome_email: bool = True


class AdminUserCreate(UserCreate, kw_only=True):
    """Creating a user from the administration, which names the tenant unless its token is bound to one."""

    tenant_id: str | None = None
    status: UserStatus | None = None
    identity_source: IdentitySource | None = None


class UserUpdate(Struct, kw_only=True):
    """Schema for updating a user."""

    email: Email | UnsetType | None = UNSET
    username: str | UnsetType | None = UNSET
    first_name: str | UnsetType | None = UNSET
    last_name: str | UnsetType | None = UNSET
    display_name: str | UnsetType | None = UNSET
    phone: str | UnsetType | None = UNSET
    locale: str | UnsetType | None = UNSET
    timezone: str | UnsetType | None = UNSET
    ou_id: str | UnsetType | None = UNSET
    custom_attributes: JsonObject | UnsetType | None = UNSET


class AdminUserUpdate(UserUpdate, kw_only=True):
    """Updating a user from the administration, which may also set the state of the account."""

    email_verified: bool | UnsetType = UNSET
    mfa_enabled: bool | UnsetType = UNSET
    identity_source: IdentitySource | UnsetType = UNSET
    avatar_url: str | UnsetType | None = UNSET


class UserStatusUpdate(Struct, kw_only=True):
    """Schema for updating user status."""

    status: UserStatus
    reason: str | None = None
    terminate_sessions: bool = False


class UserPasswordReset(Struct, kw_only=True):
    """Schema for password reset request."""

    method: str = "EMAIL"
    new_password: str | None = None
    redirect_uri: str | None = None


class AdminPasswordReset(Struct, kw_only=True):
    """A password set by the administration."""

    new_password: str
    require_password_change: bool = False


class PasswordResetResult(Struct, kw_only=True):
    """What a password reset did."""

    user_id: str
    method: str
    password_changed: bool
    email_sent: bool


class IdentityMismatch(Struct, kw_only=True):
    """A user whose identity source disagrees with the identity provider it is linked to."""

    user_id: str
    tenant_id: str
    email: str
    identity_source: IdentitySource
    """The source as found, before any correction."""
    expected_identity_source: IdentitySource
    fixed: bool


class IdentityMismatchReport(Struct, kw_only=True):
    """Every mismatch found, and how many were corrected."""

    mismatches: list[IdentityMismatch]
    total: int
    fixed: int


class ValidationError(Struct, kw_only=True):
    """One thing that is wrong with a request, and where."""

    loc: list[str | int]
    msg: str
    type: str


class HTTPValidationError(Struct, kw_only=True):
    """The body of a 422."""

    detail: list[ValidationError] = field(default_factory=list)
