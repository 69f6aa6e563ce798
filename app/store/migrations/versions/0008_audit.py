"""The audit trail, and what it comes to by the hour.

Revisions are written by hand and import nothing of `app`: they describe the schema as it was then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_WIDE = sa.BigInteger().with_variant(sa.Integer, "sqlite")
_TOLD_APART = ("connection_id", "method", "resource_type", "status", "cause", "actor")
_COUNTS = (
    *("requests", "duration_us", "calls", "failed_calls", "call_us", "longest_call_us"),
    *(f"requests_{n}" for n in range(8)),
    *(f"calls_{n}" for n in range(8)),
)


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "audit_facets",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.Column("method", sa.String(8), nullable=False),
        sa.Column("resource_type", sa.String(32), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("cause", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_facets"),
        sa.UniqueConstraint(*_TOLD_APART, name="uq_audit_facets"),
    )
    op.create_table(
        "audit_records",
        sa.Column("id", _WIDE, nullable=False, autoincrement=False),
        sa.Column("facet_id", sa.Integer, nullable=False),
        sa.Column("resource_id", sa.String(128)),
        sa.Column("correlation_id", sa.String(128), nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_audit_records"),
    )
    op.create_index("ix_audit_records_facet_id_id", "audit_records", ["facet_id", "id"])
    op.create_index("ix_audit_records_resource_id_id", "audit_records", ["resource_id", "id"])
    op.create_index("ix_audit_records_correlation_id", "audit_records", ["correlation_id"])
    op.create_table(
        "audit_keys",
        sa.Column("key", sa.LargeBinary(16), nullable=False),
        sa.Column("record_id", sa.BigInteger, nullable=False, autoincrement=False),
        sa.PrimaryKeyConstraint("key", "record_id", name="pk_audit_keys"),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_audit_keys_record_id", "audit_keys", ["record_id"])
    op.create_table(
        "audit_hours",
        sa.Column("hour", sa.Integer, nullable=False, autoincrement=False),
        sa.Column("facet_id", sa.Integer, nullable=False, autoincrement=False),
        *(sa.Column(name, sa.BigInteger, nullable=False) for name in _COUNTS),
        sa.PrimaryKeyConstraint("hour", "facet_id", name="pk_audit_hours"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the four tables."""
    for table in ("audit_hours", "audit_keys", "audit_records", "audit_facets"):
        op.drop_table(table)
