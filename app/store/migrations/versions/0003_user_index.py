"""The index of users: views, the names of attributes, users and their values.

Revisions are written by hand and import nothing of `app`: they describe the schema as it was then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)
_EXACT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_WIDE = sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Create the four tables."""
    op.create_table(
        "index_views",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("domain", sa.String(64), nullable=False),
        sa.Column("mapping", sa.String(128), nullable=False),
        sa.Column("complete_since", _TIME),
        sa.Column("swept_at", _TIME),
        sa.Column("refreshed_at", _TIME),
        sa.Column("sweeps", sa.Integer, nullable=False),
        sa.Column("sweep", sa.Text),
        sa.PrimaryKeyConstraint("id", name="pk_index_views"),
        sa.UniqueConstraint("tenant_id", "domain", "mapping", name="uq_index_views_tenant_id_domain_mapping"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "index_attributes",
        sa.Column("id", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_index_attributes"),
        sa.UniqueConstraint("name", name="uq_index_attributes_name"),
    )
    op.create_table(
        "index_users",
        sa.Column("seq", _WIDE, nullable=False),
        sa.Column("view_id", sa.Integer, nullable=False),
        sa.Column("user_id", _EXACT, nullable=False),
        sa.Column("created", _EXACT, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("revision", sa.BigInteger, nullable=False),
        sa.Column("dirty", sa.Boolean, nullable=False),
        sa.Column("dirty_at", _TIME),
        sa.Column("row_digest", sa.LargeBinary),
        sa.Column("read_at", _TIME),
        sa.Column("seen", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_index_users"),
        sa.UniqueConstraint("view_id", "user_id", name="uq_index_users_view_id_user_id"),
        sa.ForeignKeyConstraint(["view_id"], ["index_views.id"], name="fk_index_users_view_id_index_views"),
    )
    op.create_index(
        "ix_index_users_view_id_state_created_user_id",
        "index_users",
        ["view_id", "state", "created", "user_id"],
    )
    op.create_index(
        "ix_index_users_view_id_dirty_dirty_at_user_id",
        "index_users",
        ["view_id", "dirty", "dirty_at", "user_id"],
    )
    op.create_table(
        "index_values",
        sa.Column("view_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("attribute_id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("key", _EXACT, nullable=False),
        sa.Column("user_seq", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("element", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("whole", _EXACT),
        sa.PrimaryKeyConstraint(
            "view_id", "attribute_id", "key", "user_seq", "element", name="pk_index_values"
        ),
        sqlite_with_rowid=False,
    )
    op.create_index("ix_index_values_user_seq_attribute_id", "index_values", ["user_seq", "attribute_id"])


def downgrade() -> None:
    """Drop the four tables."""
    for table in ("index_values", "index_users", "index_attributes", "index_views"):
        op.drop_table(table)
