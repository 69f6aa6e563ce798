"""The tables of the embedded platform and the indexes that keep its lists usable."""

from __future__ import annotations

from sqlalchemy import (
    Boolean,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

metadata = MetaData()

SCHEMA_VERSION = 2
"""Kept in SQLite's `user_version`; a database of a later version is refused.

2 added the webhooks' tables.
"""

_LIVE = text("deleted_at IS NULL")

tenants = Table(
    "tenants",
    metadata,
    Column("id", Text, primary_key=True),
    Column("slug", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("partner_id", Text),
    Column("created_at", Text, nullable=False),
    Index("ix_tenants_partner", "partner_id"),
)

ous = Table(
    "ous",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.id"), nullable=False),
    Column("parent_id", Text, ForeignKey("ous.id")),
    Column("name", Text, nullable=False),
    Column("path", Text, nullable=False),  # "/Engineering/Backend", written once: units are never moved
    Column("created_at", Text, nullable=False),
    Index("ux_ous_path", "tenant_id", "path", unique=True),
)

users = Table(
    "users",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.id"), nullable=False),
    Column("email", Text, nullable=False),
    Column("email_key", Text),  # folded; null when a deleted user has freed it
    Column("username", Text),
    Column("username_key", Text),
    Column("first_name", Text),
    Column("last_name", Text),
    Column("display_name", Text),
    Column("display_key", Text),
    Column("search_text", Text, nullable=False),
    Column("phone", Text),
    Column("locale", Text, nullable=False),
    Column("timezone", Text, nullable=False),
    Column("email_verified", Boolean, nullable=False, default=False),
    Column("avatar_url", Text),
    Column("ou_id", Text, ForeignKey("ous.id")),
    Column("status", Text, nullable=False),
    Column("status_reason", Text),
    Column("identity_source", Text, nullable=False),
    Column("mfa_enabled", Boolean, nullable=False, default=False),
    Column("custom_attributes", Text),  # a JSON object
    Column("password_hash", Text),
    Column("require_password_change", Boolean, nullable=False, default=False),
    Column("failed_attempts", Integer, nullable=False, default=0),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text),
    Column("last_login_at", Text),
    Column("password_changed_at", Text),
    Column("sessions_revoked_at", Text),
    Column("deleted_at", Text),
    Index("ux_users_email", "tenant_id", "email_key", unique=True),
    Index("ux_users_username", "tenant_id", "username_key", unique=True),
    # SQLite counts from an index alone only where `deleted_at` is in it, although the condition implies it.
    # Lists in order of creation and every scan of a filter read this first one.
    Index(
        "ix_users_created",
        "tenant_id",
        "created_at",
        "id",
        "status",
        "mfa_enabled",
        "ou_id",
        "search_text",
        "deleted_at",
        sqlite_where=_LIVE,
    ),
    Index("ix_users_status", "tenant_id", "status", "created_at", "id", "deleted_at", sqlite_where=_LIVE),
    Index("ix_users_email", "tenant_id", "email_key", "id", sqlite_where=_LIVE),
    Index("ix_users_username", "tenant_id", "username_key", "id", sqlite_where=_LIVE),
    Index("ix_users_display", "tenant_id", "display_key", "id", sqlite_where=_LIVE),
    Index("ix_users_login", "tenant_id", "last_login_at", "id", "deleted_at", sqlite_where=_LIVE),
    Index("ix_users_everywhere", "created_at", "id", "deleted_at", sqlite_where=_LIVE),
    Index("ix_users_ou", "ou_id"),
)

groups = Table(
    "groups",
    metadata,
    Column("id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("name_key", Text),  # folded; null once deleted
    Column("description", Text),
    Column("group_type", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    Column("updated_at", Text),
    Column("deleted_at", Text),
    Index("ux_groups_name", "tenant_id", "name_key", unique=True),
    Index("ix_groups_created", "tenant_id", "created_at", "id", sqlite_where=_LIVE),
)

memberships = Table(
    "memberships",
    metadata,
    Column("group_id", Text, ForeignKey("groups.id"), nullable=False),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("membership_type", Text, nullable=False, default="DIRECT"),
    Column("created_at", Text, nullable=False),
    PrimaryKeyConstraint("group_id", "user_id"),
    Index("ix_memberships_user", "user_id"),
    sqlite_with_rowid=False,
)

federated_identities = Table(
    "federated_identities",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("provider_type", Text, nullable=False),
    Column("subject", Text),
    Column("created_at", Text, nullable=False),
    Index("ix_federated_user", "user_id", "created_at"),
)

mails = Table(
    "mails",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, ForeignKey("users.id"), nullable=False),
    Column("kind", Text, nullable=False),  # WELCOME or RESET
    Column("redirect_uri", Text),
    Column("created_at", Text, nullable=False),
    Index("ix_mails_user", "user_id", "created_at"),
)

apps = Table(
    "apps",
    metadata,
    Column("client_id", Text, primary_key=True),
    Column("tenant_id", Text, ForeignKey("tenants.id")),  # null: spans all tenants
    Column("name", Text, nullable=False),
    Column("scopes", Text, nullable=False),  # space-separated
    Column("secret_hash", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)

signing_keys = Table(
    "signing_keys",
    metadata,
    Column("kid", Text, primary_key=True),
    Column("private_pem", Text, nullable=False),
    Column("created_at", Text, nullable=False),
)

webhooks = Table(
    "webhooks",
    metadata,
    Column("id", Text, primary_key=True),
    Column("url", Text, nullable=False, unique=True),
    Column("secret", Text, nullable=False),  # signs, hence not hashed
    Column("tenant_id", Text, ForeignKey("tenants.id")),  # null: the events of all tenants
    Column("created_at", Text, nullable=False),
)

webhook_outbox = Table(
    "webhook_outbox",
    metadata,
    Column("seq", Integer, primary_key=True),
    Column("webhook_id", Text, ForeignKey("webhooks.id", ondelete="CASCADE"), nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("event_type", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("created_at", Text, nullable=False),
    # Each index ends with `seq`, as every index of SQLite does with the row's number.
    Index("ix_outbox_webhook", "webhook_id"),
    Index("ix_outbox_resource", "webhook_id", "resource_id"),
    sqlite_autoincrement=True,  # a number is never used twice, or a running server would pass an event over
)
