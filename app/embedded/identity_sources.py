"""Users whose identity source disagrees with the identity provider they are linked to."""

from __future__ import annotations

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.identifiers import new_id
from app.embedded.schemas import IdentityMismatch, IdentitySource
from app.embedded.tables import federated_identities, users


async def link_identity(
    connection: AsyncConnection, user_id: str, provider: IdentitySource, subject: str | None, now: str
) -> None:
    """Link a user to an account at an identity provider of that type."""
    values = {
        "id": new_id("fid"),
        "user_id": user_id,
        "provider_type": provider.value,
        "subject": subject,
        "created_at": now,
    }
    await connection.execute(insert(federated_identities).values(values))


async def find_mismatches(connection: AsyncConnection, tenant_id: str | None) -> list[IdentityMismatch]:
    """Users whose source is none of the types they are linked to; the latest link's type is expected."""
    statement = (
        select(
            users.c.id,
            users.c.tenant_id,
            users.c.email,
            users.c.identity_source,
            federated_identities.c.provider_type,
        )
        .join(federated_identities, federated_identities.c.user_id == users.c.id)
        .where(users.c.deleted_at.is_(None))
        .order_by(users.c.created_at, users.c.id, federated_identities.c.created_at)
    )
    if tenant_id is not None:
        statement = statement.where(users.c.tenant_id == tenant_id)
    found: dict[str, IdentityMismatch] = {}
    agreeing: set[str] = set()
    for row in (await connection.execute(statement)).all():
        if row.identity_source == row.provider_type:
            agreeing.add(row.id)
        found[row.id] = IdentityMismatch(
            user_id=row.id,
            tenant_id=row.tenant_id,
            email=row.email,
            identity_source=IdentitySource(row.identity_source),
            expected_identity_source=IdentitySource(row.provider_type),
            fixed=False,
        )
    return [mismatch for user_id, mismatch in found.items() if user_id not in agreeing]


async def fix_mismatches(connection: AsyncConnection, mismatches: list[IdentityMismatch], now: str) -> None:
    """Set each user's identity source to what is expected."""
    for mismatch in mismatches:
        statement = (
            update(users)
            .where(users.c.id == mismatch.user_id, users.c.tenant_id == mismatch.tenant_id)
            .values(identity_source=mismatch.expected_identity_source.value, updated_at=now)
        )
        await connection.execute(statement)
        mismatch.fixed = True
