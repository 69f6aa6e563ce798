"""What is remembered of groups, the groups of the `local` backend, and leases.

Revisions are written by hand and import nothing of `app`: they describe the schema as it was then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the five tables."""
    op.create_table(
        "group_external_ids",
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("domain", sa.String(64), nullable=False),
        sa.Column("group_id", sa.String(128), nullable=False),
        sa.Column("value", sa.String(400), nullable=False),
        sa.Column("exact", sa.LargeBinary),
        sa.PrimaryKeyConstraint("tenant_id", "domain", "group_id", name="pk_group_external_ids"),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_group_external_ids_tenant_id_domain_value", "group_external_ids", ["tenant_id", "domain", "value"]
    )
    op.create_table(
        "group_versions",
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("group_id", sa.String(128), nullable=False),
        sa.Column("version", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "group_id", name="pk_group_versions"),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "local_groups",
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("id", sa.String(128), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("name_key", sa.String(400), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("updated_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "id", name="pk_local_groups"),
        sa.UniqueConstraint("tenant_id", "name_key", name="uq_local_groups_tenant_id_name_key"),
    )
    op.create_index(
        "ix_local_groups_tenant_id_created_at_id", "local_groups", ["tenant_id", "created_at", "id"]
    )
    op.create_table(
        "local_group_members",
        sa.Column("tenant_id", sa.String(128), nullable=False),
        sa.Column("group_id", sa.String(128), nullable=False),
        sa.Column("member_id", sa.String(128), nullable=False),
        sa.Column("member_type", sa.String(8), nullable=False),
        sa.Column("display", sa.Text),
        sa.Column("added_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "group_id", "member_id", name="pk_local_group_members"),
        sa.ForeignKeyConstraint(
            ["tenant_id", "group_id"],
            ["local_groups.tenant_id", "local_groups.id"],
            name="fk_local_group_members_tenant_id_local_groups",
            ondelete="CASCADE",
        ),
        sqlite_with_rowid=False,
    )
    op.create_index(
        "ix_local_group_members_tenant_id_member_id_member_type",
        "local_group_members",
        ["tenant_id", "member_id", "member_type"],
    )
    op.create_table(
        "leases",
        sa.Column("key", sa.String(400), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("key", name="pk_leases"),
    )


def downgrade() -> None:
    """Drop the five tables."""
    for table in ("leases", "local_group_members", "local_groups", "group_versions", "group_external_ids"):
        op.drop_table(table)
