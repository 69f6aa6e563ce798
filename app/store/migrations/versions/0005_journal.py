"""The journal of unfinished writes.

Revisions are written by hand and import nothing of `app`: they describe the schema as it was then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the two tables."""
    op.create_table(
        "journal",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.Column("domain", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("state", sa.String(24), nullable=False),
        sa.Column("resource_id", sa.String(128)),
        sa.Column("plan", sa.Text, nullable=False),
        sa.Column("done", sa.Integer, nullable=False),
        sa.Column("owner", sa.String(64)),
        sa.Column("due_at", _TIME, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("error", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_journal"),
    )
    op.create_index("ix_journal_state_due_at", "journal", ["state", "due_at"])
    op.create_table(
        "journal_keys",
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("entry_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("key", "entry_id", name="pk_journal_keys"),
        sa.ForeignKeyConstraint(
            ["entry_id"], ["journal.id"], name="fk_journal_keys_entry_id_journal", ondelete="CASCADE"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_journal_keys_entry_id", "journal_keys", ["entry_id"])


def downgrade() -> None:
    """Drop the two tables."""
    for table in ("journal_keys", "journal"):
        op.drop_table(table)
