"""The tables of the bridge's own database, for SQLite and PostgreSQL alike.

A change here needs a revision in `migrations/versions`; a test compares the two.
"""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Dialect,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import TypeDecorator

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)


class UtcDateTime(TypeDecorator[datetime]):
    """A point in time: aware in Python, UTC at rest.

    SQLite has no time zones and would answer a naive value, so the zone is taken off and put back here.
    A naive value is refused: its meaning would depend on the machine.
    """

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn an aware value into UTC, raise ValueError for a naive one."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a stored time must be aware")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Answer the stored value as aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


_Exact = Text().with_variant(Text(collation="C"), "postgresql")
"""Text ordered by code point, as SQLite and Python order it."""

_Wide = BigInteger().with_variant(Integer, "sqlite")
"""SQLite numbers rows by itself only where the type is INTEGER."""

connections = Table(
    "connections",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("name", String(100), nullable=False, unique=True),
    Column("tenant_id", String(128), nullable=False),
    Column("mapping", Text, nullable=False),
    Column("domain", String(64), nullable=False),
    # JSON as text, not a JSON column: msgspec reads and writes it, and the database never looks inside.
    Column("dialect", Text, nullable=False),
    Column("policies", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("connection_id", ForeignKey(connections.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("label", String(200), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
    # The one user whom the token is for, reached as /Me; null: all that the connection may.
    Column("user_id", String(128)),
)

links = Table(
    "links",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("domain", String(64), primary_key=True),
    Column("kind", String(16), primary_key=True),
    Column("value", String(400), primary_key=True),
    Column("resource_id", String(128), primary_key=True),
    Column("first_seen_at", UtcDateTime, nullable=False),
    Index(None, "tenant_id", "resource_id"),
    # The key is nearly the whole row: without it SQLite would keep every row twice.
    sqlite_with_rowid=False,
)

link_state = Table(
    "link_state",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("domain", String(64), primary_key=True),
    Column("complete_since", UtcDateTime),
    Column("scanned_users", Integer, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
)

# What is remembered of groups, wherever they live.

group_external_ids = Table(
    "group_external_ids",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("domain", String(64), primary_key=True),
    Column("group_id", String(128), primary_key=True),
    Column("value", String(400), nullable=False),
    # The value itself where `value` is a digest; as bytes, because it may be a text no database takes.
    Column("exact", LargeBinary),
    Index(None, "tenant_id", "domain", "value"),
    sqlite_with_rowid=False,
)

group_versions = Table(
    "group_versions",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("group_id", String(128), primary_key=True),
    Column("version", BigInteger, nullable=False),
    sqlite_with_rowid=False,
)

# The groups of the `local` backend.

local_groups = Table(
    "local_groups",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("id", String(128), primary_key=True),
    Column("name", Text, nullable=False),
    Column("name_key", String(400), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    UniqueConstraint("tenant_id", "name_key"),
    Index(None, "tenant_id", "created_at", "id"),
)

local_group_members = Table(
    "local_group_members",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("group_id", String(128), primary_key=True),
    Column("member_id", String(128), primary_key=True),
    Column("member_type", String(8), nullable=False),
    Column("display", Text),
    Column("added_at", UtcDateTime, nullable=False),
    ForeignKeyConstraint(
        ["tenant_id", "group_id"], [local_groups.c.tenant_id, local_groups.c.id], ondelete="CASCADE"
    ),
    # Who contains this group? With the type in the index, SQLite does not take the key for the better way.
    Index(None, "tenant_id", "member_id", "member_type"),
    sqlite_with_rowid=False,
)

leases = Table(
    "leases",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("owner", String(64), nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

# The index: what is searched for. See user_index.

index_views = Table(
    "index_views",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("tenant_id", String(128), nullable=False),
    Column("domain", String(64), nullable=False),
    Column("mapping", String(128), nullable=False),
    Column("complete_since", UtcDateTime),
    Column("swept_at", UtcDateTime),
    Column("refreshed_at", UtcDateTime),
    Column("sweeps", Integer, nullable=False),
    Column("sweep", Text),
    UniqueConstraint("tenant_id", "domain", "mapping"),
    # The id of a view that is gone is not given to another: somebody may still hold it.
    sqlite_autoincrement=True,
)

index_attributes = Table(
    "index_attributes",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
)

index_users = Table(
    "index_users",
    metadata,
    Column("seq", _Wide, primary_key=True),
    Column("view_id", ForeignKey(index_views.c.id), nullable=False),
    Column("user_id", _Exact, nullable=False),
    Column("created", _Exact, nullable=False),
    Column("state", String(8), nullable=False),
    Column("revision", BigInteger, nullable=False),
    Column("dirty", Boolean, nullable=False),
    # When it last became dirty; stays when it is read.
    Column("dirty_at", UtcDateTime),
    Column("row_digest", LargeBinary),
    Column("read_at", UtcDateTime),
    Column("seen", Integer, nullable=False),
    UniqueConstraint("view_id", "user_id"),
    Index(None, "view_id", "state", "created", "user_id"),
    Index(None, "view_id", "dirty", "dirty_at", "user_id"),
)

# Of present users only: what is here needs no look at index_users. No foreign keys: every row would pay.
index_values = Table(
    "index_values",
    metadata,
    Column("view_id", Integer, primary_key=True, autoincrement=False),
    Column("attribute_id", Integer, primary_key=True, autoincrement=False),
    # The first characters of the key, and where there are more, all of it.
    Column("key", _Exact, primary_key=True),
    Column("user_seq", BigInteger, primary_key=True, autoincrement=False),
    Column("element", Integer, primary_key=True, autoincrement=False),
    Column("whole", _Exact),
    Index(None, "user_seq", "attribute_id"),
    sqlite_with_rowid=False,
)

# What the bridge has made up for itself and its replicas must agree on.

server_keys = Table(
    "server_keys",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("secret", LargeBinary(64), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

# Unfinished writes. See journal.

journal = Table(
    "journal",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("tenant_id", String(128), nullable=False),
    Column("connection_id", String(64), nullable=False),
    Column("domain", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("state", String(24), nullable=False),
    Column("resource_id", String(128)),
    Column("plan", Text, nullable=False),
    Column("done", Integer, nullable=False),
    Column("owner", String(64)),
    # Until then nobody but the owner looks at it.
    Column("due_at", UtcDateTime, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("error", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("updated_at", UtcDateTime, nullable=False),
    Index(None, "state", "due_at"),
)

journal_keys = Table(
    "journal_keys",
    metadata,
    Column("key", String(400), primary_key=True),
    Column("entry_id", ForeignKey(journal.c.id, ondelete="CASCADE"), primary_key=True, index=True),
    sqlite_with_rowid=False,
)

# OAuth clients of connections, and the access tokens they were given.

clients = Table(
    "clients",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("connection_id", ForeignKey(connections.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("label", String(200), nullable=False),
    Column("created_at", UtcDateTime, nullable=False),
)

client_secrets = Table(
    "client_secrets",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("client_id", ForeignKey(clients.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("label", String(200), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

federation_trusts = Table(
    "federation_trusts",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("connection_id", ForeignKey(connections.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("issuer", String(500), nullable=False),
    Column("subject", String(255), nullable=False),
    Column("audience", String(255), nullable=False),
    Column("jwks_url", Text),
    Column("created_at", UtcDateTime, nullable=False),
    Column("last_used_at", UtcDateTime),
    # An assertion names one connection and no other.
    UniqueConstraint("issuer", "subject", "audience"),
)

access_tokens = Table(
    "access_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("connection_id", ForeignKey(connections.c.id, ondelete="CASCADE"), nullable=False, index=True),
    # By which of the two it was got; it ends with it.
    Column("secret_id", ForeignKey(client_secrets.c.id, ondelete="CASCADE"), index=True),
    Column("trust_id", ForeignKey(federation_trusts.c.id, ondelete="CASCADE"), index=True),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False, index=True),
)

# What guards remember: see deprovisionings and group_records.

deprovisionings = Table(
    "deprovisionings",
    metadata,
    Column("connection_id", ForeignKey(connections.c.id, ondelete="CASCADE"), primary_key=True),
    Column("user_id", String(128), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    # Whether the user was deleted, and not only deactivated.
    Column("removes", Boolean, nullable=False),
    sqlite_with_rowid=False,
)

deprovisioning_stops = Table(
    "deprovisioning_stops",
    metadata,
    Column("connection_id", ForeignKey(connections.c.id, ondelete="CASCADE"), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("counted", Integer, nullable=False),
)

group_creators = Table(
    "group_creators",
    metadata,
    Column("tenant_id", String(128), primary_key=True),
    Column("group_id", String(128), primary_key=True),
    # No foreign key: whose group it was stays known when the connection is removed.
    Column("connection_id", String(64), nullable=False),
    sqlite_with_rowid=False,
)

# Operators of the console. See admin_tokens, admin_sessions, admin_changes.

admin_tokens = Table(
    "admin_tokens",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("label", String(200), nullable=False),
    Column("role", String(16), nullable=False),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime),
    Column("last_used_at", UtcDateTime),
    Column("revoked_at", UtcDateTime),
)

admin_sessions = Table(
    "admin_sessions",
    metadata,
    Column("digest", LargeBinary(32), primary_key=True),
    Column("token_id", ForeignKey(admin_tokens.c.id, ondelete="CASCADE"), nullable=False, index=True),
    Column("created_at", UtcDateTime, nullable=False),
    Column("seen_at", UtcDateTime, nullable=False),
    Column("expires_at", UtcDateTime, nullable=False),
)

# No foreign key: the record outlives the token and what it is about.
admin_changes = Table(
    "admin_changes",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("at", UtcDateTime, nullable=False),
    Column("admin_id", String(64), nullable=False),
    Column("admin_label", String(200), nullable=False),
    Column("action", String(64), nullable=False),
    Column("subject_id", String(128), nullable=False),
    Column("subject_name", String(200), nullable=False),
    Column("value_changes", Text, nullable=False),
    Index(None, "at"),
    Index(None, "subject_id", "at"),
)

# The audit trail. See audit.

audit_facets = Table(
    "audit_facets",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("connection_id", String(64), nullable=False),
    Column("method", String(8), nullable=False),
    Column("resource_type", String(32), nullable=False),
    Column("status", Integer, nullable=False),
    Column("cause", String(32), nullable=False),
    Column("actor", String(16), nullable=False),
    # Named, because PostgreSQL takes no names as long as the usual one would be.
    UniqueConstraint(
        *("connection_id", "method", "resource_type", "status", "cause", "actor"), name="uq_audit_facets"
    ),
)

# No foreign keys: every row would pay.
audit_records = Table(
    "audit_records",
    metadata,
    # When it was recorded, in microseconds, times 1024; see audit_records.record_time.
    Column("id", _Wide, primary_key=True, autoincrement=False),
    Column("facet_id", Integer, nullable=False),
    Column("resource_id", String(128)),
    Column("correlation_id", String(128), nullable=False),
    Column("record", Text, nullable=False),
    Index(None, "facet_id", "id"),
    Index(None, "resource_id", "id"),
    Index(None, "correlation_id"),
)

audit_keys = Table(
    "audit_keys",
    metadata,
    Column("key", LargeBinary(16), primary_key=True),
    Column("record_id", BigInteger, primary_key=True, autoincrement=False, index=True),
    sqlite_with_rowid=False,
)

audit_hours = Table(
    "audit_hours",
    metadata,
    # Hours since 1970 began, in UTC.
    Column("hour", Integer, primary_key=True, autoincrement=False),
    Column("facet_id", Integer, primary_key=True, autoincrement=False),
    Column("requests", BigInteger, nullable=False),
    Column("duration_us", BigInteger, nullable=False),
    Column("calls", BigInteger, nullable=False),
    Column("failed_calls", BigInteger, nullable=False),
    Column("call_us", BigInteger, nullable=False),
    Column("longest_call_us", BigInteger, nullable=False),
    *(Column(f"requests_{n}", BigInteger, nullable=False) for n in range(8)),
    *(Column(f"calls_{n}", BigInteger, nullable=False) for n in range(8)),
    sqlite_with_rowid=False,
)
