"""Who asks and under which rules: a connection made ready for use."""

from __future__ import annotations

from typing import Literal

import msgspec

from app.bridge.rules import GroupRules, UserRules
from app.mapping.users import UserMapping
from app.scim.dialect import Dialect
from app.store.deprovisionings import GuardLimits


class Context(msgspec.Struct, frozen=True, kw_only=True):
    """One connection, resolved. Built once for a connection and shared by its requests."""

    connection_id: str
    connection: str
    """The connection's name."""
    tenant_id: str
    domain: str
    """The provisioning domain that externalId belongs to (RFC 7643 §3.1)."""
    mapping: UserMapping
    dialect: Dialect
    base_url: str
    """The SCIM base URL without trailing slash, the root of every `location`."""
    sets_passwords: bool
    """Whether a `password` is passed on; if not it is accepted and dropped."""
    send_welcome_email: bool
    lift: frozenset[str]
    """Statuses that a written `active: true` ends, beside those of the mapping."""
    terminate_sessions: bool
    groups: Literal["platform", "local"]
    """Which backend keeps the groups."""
    indexed: bool
    """Whether searches use the bridge's index; else only what the platform's lists can do, in bounds."""
    explains: bool
    """Whether the client may ask how a search would be answered."""
    dry_runs: bool
    """Whether the client may have its writes rehearsed."""
    group_patch_answers: bool
    """Whether PATCH on a group answers with the resource instead of 204."""
    deprovision: Literal["delete", "disable", "refuse"]
    """What a DELETE of a user does."""
    guard: GuardLimits | None
    """How many users may be deactivated and deleted; None: any number."""
    protected_users: UserRules
    """Users that are read-only."""
    protected_groups: GroupRules
    """Groups that are read-only."""
    group_scope: GroupRules | None
    """Groups that are not read-only; None: all but the protected ones."""
    audits_personal: bool
    """Whether the audit trail holds personal data of this connection's users."""
