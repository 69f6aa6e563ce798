"""Operators of the console: their tokens, sessions and changes.

Revisions are written by hand and import nothing of `app`: they describe the schema as it was then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the three tables."""
    op.create_table(
        "admin_tokens",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_admin_tokens"),
        sa.UniqueConstraint("digest", name="uq_admin_tokens_digest"),
    )
    op.create_table(
        "admin_sessions",
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("token_id", sa.String(64), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("seen_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("digest", name="pk_admin_sessions"),
        sa.ForeignKeyConstraint(
            ["token_id"],
            ["admin_tokens.id"],
            name="fk_admin_sessions_token_id_admin_tokens",
            ondelete="CASCADE",
        ),
    )
    op.create_index("ix_admin_sessions_token_id", "admin_sessions", ["token_id"])
    op.create_table(
        "admin_changes",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("at", _TIME, nullable=False),
        sa.Column("admin_id", sa.String(64), nullable=False),
        sa.Column("admin_label", sa.String(200), nullable=False),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("subject_id", sa.String(128), nullable=False),
        sa.Column("subject_name", sa.String(200), nullable=False),
        sa.Column("value_changes", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_admin_changes"),
    )
    op.create_index("ix_admin_changes_at", "admin_changes", ["at"])
    op.create_index("ix_admin_changes_subject_id_at", "admin_changes", ["subject_id", "at"])


def downgrade() -> None:
    """Drop the three tables."""
    for table in ("admin_changes", "admin_sessions", "admin_tokens"):
        op.drop_table(table)
