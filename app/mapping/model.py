"""The form of a mapping file. Unknown keys are refused, so that a misspelt one is found at start."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec

from app.mapping.transforms import Transform
from app.scim.schema import Schema


class Capabilities(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[platform]`: what the platform's Users API can do; nothing of this is assumed in code."""

    per_page_max: Annotated[int, msgspec.Meta(ge=1)] = 100
    """The largest `per_page` that a list accepts."""
    search: tuple[str, ...] = ("email", "username", "first_name", "last_name", "display_name")
    """Fields in which the `search` parameter finds a substring, without case (full Unicode case folding)."""
    default_sort: str = "created_at"
    """The `sort_by` that pages are pinned to; it must not change while a client pages."""
    sort: dict[str, str] = {}
    """SCIM attribute → `sort_by` value, where the platform's order is exactly that of SCIM."""
    filters: dict[str, str] = {}
    """SCIM attribute → query parameter of the list, where `eq` is answered exactly."""
    narrows: dict[str, str] = {}
    """SCIM attribute → query parameter of the list, where `eq` yields all that match and perhaps more."""
    list_fields: tuple[str, ...] = (
        "email",
        "display_name",
        "status",
        "ou_path",
        "identity_source",
        "mfa_enabled",
        "last_login_at",
    )
    """The fields that a row of the list carries, so that an answer of them needs no further call."""
    members_per_call: Annotated[int, msgspec.Meta(ge=1)] = 100
    """Members that one call may add to a group."""
    group_search: bool = True
    """Whether the list of groups has a `search` that finds a part of the name, without case."""
    merges_custom_attributes: bool = False
    """True if PATCH merges `custom_attributes` by key; false if it replaces the whole object."""
    password_reset_method: str = "DIRECT"  # noqa: S105 - the platform's word for setting one, not a password
    """The `method` of `password/reset` that applies `new_password` at once."""


class StatusRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[status]`: the platform's status enum and SCIM's `active`."""

    inactive: tuple[str, ...] = ("DISABLED",)
    """Statuses that read as `active: false`. A lock or a pending state is not a deprovisioning."""
    disable_to: str = "DISABLED"
    """Written for `active: false`."""
    enable_to: str = "ACTIVE"
    """Written for `active: true` on a disabled user when no earlier status was recorded."""
    lift: tuple[str, ...] = ()
    """Statuses that a written `active: true` turns into `enable_to` (LOCKED: unlock, and so on)."""
    terminate_sessions: bool = True
    """Whether disabling a user also ends its sessions."""


class UserRule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[[user]]`: one SCIM attribute and its place on the platform."""

    scim: str
    """The attribute: `title`, `name.givenName`, `urn:…:User:department`."""
    field: str | None = None
    """The platform's field."""
    custom: str | None = None
    """The key in custom_attributes; dots go into objects, `{domain}` is the provisioning domain."""
    direction: Literal["both", "read", "write"] = "both"
    """`read`: only from the platform to SCIM; `write`: only to the platform."""
    fallback: str | None = None
    """A field that is read where `field` is null."""
    element: dict[str, Any] | None = None
    """For a multi-valued attribute on a single field: what an element looks like beside its `value`."""
    derive_from: str | None = None
    """For such an attribute: the SCIM attribute that supplies an address where none is sent."""
    template: str | None = None
    """Read as this text, `{field}` replaced, unless the client sent another; for `name.formatted`."""
    clear: Literal["null", "record"] = "null"
    """How an unassigned value is written: as null, or, where the platform has a default, as a record."""
    transform: tuple[Transform, ...] = ()
    """Applied in order towards the platform, and undone in reverse order on the way back."""
    sensitivity: Literal["public", "personal", "secret"] | None = None
    """Whether the audit trail may hold its values: always, where the connection says so, or never."""


class RoleEntry(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`[[roles]]`: one role, published under `/Roles`."""

    id: str
    """What `roles[].value` of a user holds, and the last part of the role's URL."""
    display_name: str
    """The role's name, as Okta shows it to administrators."""
    description: str | None = None
    """What the role is for."""


class EntitlementEntry(RoleEntry, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """`[[entitlements]]`: one entitlement, published under `/Entitlements`; its keys are those of a role."""

    type: str | None = None
    """Its kind, as in `entitlements[].type` of a user."""


class MappingFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A whole mapping file."""

    format: Literal[1]
    """The version of this form."""
    name: str
    """How the mapping is called in logs and lists."""
    description: str = ""
    """What the mapping is for."""
    platform: Capabilities = Capabilities()
    """What the platform can do; its keys are below."""
    status: StatusRules = StatusRules()
    """How `active` and the status enum become one another; its keys are below."""
    user: tuple[UserRule, ...]
    """The rules, one an attribute; their keys are below. userName and emails need one."""
    schemas: tuple[Schema, ...] = ()
    """Extension schemas of one's own (RFC 7643 §3.3), published under `/Schemas`."""
    roles: tuple[RoleEntry, ...] = ()
    """The roles that there are, published under `/Roles` for Okta to discover; without any, no `/Roles`."""
    entitlements: tuple[EntitlementEntry, ...] = ()
    """The same for `/Entitlements`."""
    closed: tuple[Literal["roles", "entitlements"], ...] = ()
    """Which of the two users are held to: a value that is not listed is 400. Without it all are taken."""
