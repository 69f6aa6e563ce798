"""OAuth clients, federation trusts, access tokens, and tokens bound to a user.

Revisions are written by hand and import nothing of `app`: they describe the schema as it was then.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

_TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Create the four tables and add the column."""
    if op.get_bind().dialect.name == "sqlite":
        _rebuild_tokens()
    else:
        op.add_column("tokens", sa.Column("user_id", sa.String(128)))
    op.create_table(
        "clients",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_clients"),
        _of_connection("clients"),
    )
    op.create_index("ix_clients_connection_id", "clients", ["connection_id"])
    op.create_table(
        "client_secrets",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("client_id", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_client_secrets"),
        sa.ForeignKeyConstraint(
            ["client_id"],
            ["clients.id"],
            name="fk_client_secrets_client_id_clients",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("digest", name="uq_client_secrets_digest"),
    )
    op.create_index("ix_client_secrets_client_id", "client_secrets", ["client_id"])
    op.create_table(
        "federation_trusts",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.Column("issuer", sa.String(500), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("audience", sa.String(255), nullable=False),
        sa.Column("jwks_url", sa.Text),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("last_used_at", _TIME),
        sa.PrimaryKeyConstraint("id", name="pk_federation_trusts"),
        sa.UniqueConstraint(
            "issuer", "subject", "audience", name="uq_federation_trusts_issuer_subject_audience"
        ),
        _of_connection("federation_trusts"),
    )
    op.create_index("ix_federation_trusts_connection_id", "federation_trusts", ["connection_id"])
    op.create_table(
        "access_tokens",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.Column("secret_id", sa.String(64)),
        sa.Column("trust_id", sa.String(64)),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_access_tokens"),
        _of_connection("access_tokens"),
        sa.ForeignKeyConstraint(
            ["secret_id"],
            ["client_secrets.id"],
            name="fk_access_tokens_secret_id_client_secrets",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["trust_id"],
            ["federation_trusts.id"],
            name="fk_access_tokens_trust_id_federation_trusts",
            ondelete="CASCADE",
        ),
        sa.UniqueConstraint("digest", name="uq_access_tokens_digest"),
    )
    for column in ("connection_id", "secret_id", "trust_id", "expires_at"):
        op.create_index(f"ix_access_tokens_{column}", "access_tokens", [column])


def downgrade() -> None:
    """Drop the four tables and the column, with it the tokens bound to a user: they would gain rights."""
    for table in ("access_tokens", "federation_trusts", "client_secrets", "clients"):
        op.drop_table(table)
    op.execute("DELETE FROM tokens WHERE user_id IS NOT NULL")
    op.drop_column("tokens", "user_id")


def _of_connection(table: str) -> sa.ForeignKeyConstraint:
    return sa.ForeignKeyConstraint(
        ["connection_id"],
        ["connections.id"],
        name=f"fk_{table}_connection_id_connections",
        ondelete="CASCADE",
    )


def _rebuild_tokens() -> None:
    """Make the table anew: SQLite would put a new column behind the constraints, where none is declared."""
    columns = "id, connection_id, label, digest, created_at, expires_at, last_used_at, revoked_at"
    op.drop_index("ix_tokens_connection_id", "tokens")
    op.rename_table("tokens", "former_tokens")
    op.create_table(
        "tokens",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("connection_id", sa.String(64), nullable=False),
        sa.Column("label", sa.String(200), nullable=False),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("created_at", _TIME, nullable=False),
        sa.Column("expires_at", _TIME),
        sa.Column("last_used_at", _TIME),
        sa.Column("revoked_at", _TIME),
        sa.Column("user_id", sa.String(128)),
        sa.PrimaryKeyConstraint("id", name="pk_tokens"),
        _of_connection("tokens"),
        sa.UniqueConstraint("digest", name="uq_tokens_digest"),
    )
    op.execute(f"INSERT INTO tokens ({columns}) SELECT {columns} FROM former_tokens")  # noqa: S608 - constants
    op.drop_table("former_tokens")
    op.create_index("ix_tokens_connection_id", "tokens", ["connection_id"])
