"""Who was deprovisioned through which connection, and which connection made a group.

Revisions are written by hand and import nothing of `app`: they describe the schema as it was then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "deprovisionings",
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("removes", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("connection_id", "user_id", name="pk_deprovisionings"),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name="fk_deprovisionings_connection_id_connections",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "deprovisioning_stops",
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("counted", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("connection_id", name="pk_deprovisioning_stops"),
        sa.ForeignKeyConstraint(
            ["connection_id"],
            ["connections.id"],
            name="fk_deprovisioning_stops_connection_id_connections",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "group_creators",
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("group_id", sa.String(128), nullable=False),
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "group_id", name="pk_group_creators"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    """Drop the tables."""
    op.drop_table("group_creators")
    op.drop_table("deprovisioning_stops")
    op.drop_table("deprovisionings")
