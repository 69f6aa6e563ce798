"""Groups of a tenant and their members: every function takes the tenant."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from msgspec import UNSET
from sqlalchemy import Row, bindparam, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.errors import Conflict, Invalid, NotFound
from app.embedded.folding import fold
from app.embedded.group_schemas import (
    GroupCreate,
    GroupMember,
    GroupResponse,
    GroupType,
    GroupUpdate,
)
from app.embedded.identifiers import new_id
from app.embedded.schemas import PaginationMeta, ValidationError
from app.embedded.tables import groups, memberships, users
from app.embedded.users import MAX_OFFSET, PageRequest, pagination
from app.embedded.webhooks import watched

GroupRow: TypeAlias = Row[*tuple[Any, ...]]

_COLUMNS = (
    groups.c.id,
    groups.c.tenant_id,
    groups.c.name,
    groups.c.description,
    groups.c.group_type,
    groups.c.created_at,
    groups.c.updated_at,
)
_GROUP = select(*_COLUMNS, watched(groups)).where(
    groups.c.id == bindparam("group_id"),
    groups.c.tenant_id == bindparam("tenant_id"),
    groups.c.deleted_at.is_(None),
)


async def require_group(connection: AsyncConnection, tenant_id: str, group_id: str) -> GroupRow:
    """The group's row with `watched`. Raises NotFound."""
    row = (await connection.execute(_GROUP, {"group_id": group_id, "tenant_id": tenant_id})).first()
    if row is None:
        raise NotFound("Group not found")
    return row


async def list_groups(
    connection: AsyncConnection,
    tenant_id: str,
    request: PageRequest,
    *,
    search: str | None,
    group_type: GroupType | None,
) -> tuple[list[GroupRow], PaginationMeta]:
    """One page of the groups in order of creation; `search` looks in the name, without case."""
    conditions = [groups.c.tenant_id == tenant_id, groups.c.deleted_at.is_(None)]
    if search:
        conditions.append(func.instr(groups.c.name_key, fold(search)) > 0)
    if group_type is not None:
        conditions.append(groups.c.group_type == group_type.value)
    total = select(func.count()).select_from(groups).where(*conditions)
    total_items = (await connection.execute(total)).scalar_one()
    rows: Sequence[GroupRow] = []
    if (offset := (request.page - 1) * request.per_page) <= MAX_OFFSET:
        page = select(*_COLUMNS).where(*conditions).order_by(groups.c.created_at, groups.c.id)
        rows = (await connection.execute(page.limit(request.per_page).offset(offset))).all()
    return list(rows), pagination(request.page, request.per_page, total_items)


async def create_group(connection: AsyncConnection, tenant_id: str, body: GroupCreate, now: str) -> GroupRow:
    """Insert a group. Raises Conflict when its name is taken."""
    group_id = new_id("grp")
    values = {
        "id": group_id,
        "tenant_id": tenant_id,
        "name": body.name,
        "name_key": fold(body.name),
        "description": body.description,
        "group_type": body.group_type.value,
        "created_at": now,
    }
    try:
        await connection.execute(insert(groups).values(values))
    except IntegrityError as error:
        raise _name_conflict(error) from error
    return await require_group(connection, tenant_id, group_id)


async def update_group(connection: AsyncConnection, group: GroupRow, body: GroupUpdate, now: str) -> GroupRow:
    """Change the keys that the body carries, and only those. Raises Conflict when the name is taken."""
    values: dict[str, str | None] = {}
    if body.name is not UNSET:
        values |= {"name": body.name, "name_key": fold(body.name)}
    if body.description is not UNSET:
        values["description"] = body.description
    if body.group_type is not UNSET:
        values["group_type"] = body.group_type.value
    if not values:
        return group
    values["updated_at"] = now
    try:
        await connection.execute(update(groups).where(groups.c.id == group.id).values(values))
    except IntegrityError as error:
        raise _name_conflict(error) from error
    return await require_group(connection, group.tenant_id, group.id)


async def delete_group(connection: AsyncConnection, group: GroupRow, now: str) -> None:
    """Mark as deleted, free the name and let every member go."""
    await connection.execute(delete(memberships).where(memberships.c.group_id == group.id))
    await connection.execute(
        update(groups).where(groups.c.id == group.id).values(deleted_at=now, name_key=None)
    )


async def list_members(
    connection: AsyncConnection, group: GroupRow, request: PageRequest
) -> tuple[list[GroupMember], PaginationMeta]:
    """One page of the members by user id."""
    total = select(func.count()).select_from(memberships).where(memberships.c.group_id == group.id)
    total_items = (await connection.execute(total)).scalar_one()
    offset = (request.page - 1) * request.per_page
    if offset > MAX_OFFSET:
        return [], pagination(request.page, request.per_page, total_items)
    page = (
        select(memberships.c.user_id, users.c.display_name, memberships.c.membership_type)
        .select_from(memberships.join(users, users.c.id == memberships.c.user_id))
        .where(memberships.c.group_id == group.id)
        .order_by(memberships.c.user_id)
        .limit(request.per_page)
        .offset(offset)
    )
    rows = (await connection.execute(page)).all()
    members = [
        GroupMember(user_id=user_id, display_name=name, membership_type=kind) for user_id, name, kind in rows
    ]
    return members, pagination(request.page, request.per_page, total_items)


async def add_members(
    connection: AsyncConnection, group: GroupRow, user_ids: Sequence[str], now: str
) -> list[str]:
    """Add users, return those not in before. Raises Invalid for unknown ids, and then adds nobody."""
    wanted = list(dict.fromkeys(user_ids))
    live = select(users.c.id).where(
        users.c.id.in_(wanted), users.c.tenant_id == group.tenant_id, users.c.deleted_at.is_(None)
    )
    known = set((await connection.execute(live)).scalars())
    errors = [
        ValidationError(loc=["body", "user_ids", index], msg=f"Unknown user: {user_id}", type="value_error")
        for index, user_id in enumerate(user_ids)
        if user_id not in known
    ]
    if errors:
        raise Invalid(*errors)
    present = set(
        (
            await connection.execute(
                select(memberships.c.user_id).where(
                    memberships.c.group_id == group.id, memberships.c.user_id.in_(wanted)
                )
            )
        ).scalars()
    )
    fresh = [user_id for user_id in wanted if user_id not in present]
    if fresh:
        rows = [{"group_id": group.id, "user_id": user_id, "created_at": now} for user_id in fresh]
        await connection.execute(insert(memberships), rows)
    return fresh


async def remove_member(connection: AsyncConnection, group: GroupRow, user_id: str) -> None:
    """Take one user out. Raises NotFound when it is not in."""
    statement = delete(memberships).where(
        memberships.c.group_id == group.id, memberships.c.user_id == user_id
    )
    if (await connection.execute(statement)).rowcount == 0:
        raise NotFound("The user is not a member of this group")


def group_response(row: GroupRow) -> GroupResponse:
    """A row as the API shows it."""
    return GroupResponse(
        id=row.id,
        name=row.name,
        description=row.description,
        group_type=GroupType(row.group_type),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _name_conflict(error: IntegrityError) -> Exception:
    if "groups.name_key" in str(error.orig):
        return Conflict("A group with this name already exists")
    return error
