"""Reading users: one by id, and pages of those that match a filter, each in a single statement."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import Struct
from sqlalchemy import ColumnElement, Row, Select, and_, bindparam, exists, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.folding import search_term
from app.embedded.schemas import (
    AdminUserListItem,
    AdminUserResponse,
    IdentitySource,
    JsonObject,
    PaginationMeta,
    UserGroupMembership,
    UserListItem,
    UserResponse,
    UserSort,
    UserStatus,
)
from app.embedded.tables import groups, memberships, ous, tenants, users
from app.embedded.webhooks import watched

MAX_OFFSET = 2**62
"""What SQLite can skip; no list has as many rows."""

UserRow: TypeAlias = Row[*tuple[Any, ...]]

_UNSEEN = {"email_key", "username_key", "display_key", "search_text", "password_hash"}

_MEMBERSHIP = func.json_object(
    "group_id", groups.c.id, "name", groups.c.name, "membership_type", memberships.c.membership_type
)
_GROUPS = (
    select(func.json_group_array(_MEMBERSHIP))
    .select_from(memberships.join(groups, groups.c.id == memberships.c.group_id))
    .where(memberships.c.user_id == users.c.id)
    .correlate(users)
    .scalar_subquery()
)
_USER = (
    select(
        *(column for column in users.c if column.name != "search_text"),
        ous.c.path.label("ou_path"),
        _GROUPS.label("groups"),
        watched(users),
    )
    .select_from(users.outerjoin(ous, ous.c.id == users.c.ou_id))
    .where(users.c.id == bindparam("user_id"), users.c.deleted_at.is_(None))
)
_USER_OF_TENANT = _USER.where(users.c.tenant_id == bindparam("tenant_id"))

_MEMBERSHIPS = msgspec.json.Decoder(list[UserGroupMembership])
_ATTRIBUTES = msgspec.json.Decoder(JsonObject)

_ORDERS: dict[UserSort, ColumnElement[str | None]] = {
    "created_at": users.c.created_at,
    "email": users.c.email_key,
    "username": users.c.username_key,
    "display_name": users.c.display_key,
    "last_login_at": users.c.last_login_at,
}


class UserFilter(Struct, frozen=True, kw_only=True):
    """Which users a list is about; None asks nothing."""

    tenant_id: str | None = None
    partner_id: str | None = None
    search: str | None = None
    status: UserStatus | None = None
    ou_id: str | None = None
    group_id: str | None = None
    mfa_enabled: bool | None = None


class PageRequest(Struct, frozen=True, kw_only=True):
    """Which page, of what size, in which order; ties are broken by id. Nulls come first when ascending."""

    page: int
    per_page: int
    sort_by: UserSort = "created_at"
    descending: bool = False


async def find_user(connection: AsyncConnection, user_id: str, tenant_id: str | None) -> UserRow | None:
    """The user's row with `ou_path`, `groups` and `watched`; None when deleted.

    None also when not of the tenant, if one is given.
    """
    if tenant_id is None:
        result = await connection.execute(_USER, {"user_id": user_id})
    else:
        result = await connection.execute(_USER_OF_TENANT, {"user_id": user_id, "tenant_id": tenant_id})
    return result.first()


async def list_users(
    connection: AsyncConnection, matching: UserFilter, request: PageRequest
) -> tuple[list[UserRow], PaginationMeta]:
    """One page of the matching users and the exact total, both as of the same moment."""
    matches = _matches(matching)
    total = select(func.count()).select_from(users).where(matches)
    order = _ORDERS[request.sort_by]
    offset = (request.page - 1) * request.per_page
    if offset > MAX_OFFSET:
        return [], pagination(request.page, request.per_page, (await connection.execute(total)).scalar_one())
    window = _ordered(select(users.c.id).where(matches), order, users.c.id, request)
    window_ids = window.limit(request.per_page).offset(offset).subquery("window")
    statement = _ordered(
        select(
            users.c.id,
            users.c.tenant_id,
            users.c.email,
            users.c.display_name,
            users.c.status,
            ous.c.path.label("ou_path"),
            users.c.identity_source,
            users.c.mfa_enabled,
            users.c.last_login_at,
            total.scalar_subquery().label("total_items"),
        ).select_from(
            window_ids.join(users, users.c.id == window_ids.c.id).outerjoin(ous, ous.c.id == users.c.ou_id)
        ),
        order,
        users.c.id,
        request,
    )
    rows = list((await connection.execute(statement)).all())
    # Beyond the last page there is no row to carry the total.
    total_items = rows[0].total_items if rows else (await connection.execute(total)).scalar_one()
    return rows, pagination(request.page, request.per_page, total_items)


def pagination(page: int, per_page: int, total_items: int) -> PaginationMeta:
    """The page's place among all pages; no pages where there are no items."""
    total_pages = -(-total_items // per_page)
    return PaginationMeta(page=page, per_page=per_page, total_items=total_items, total_pages=total_pages)


def _ordered(
    statement: Select[Any], order: ColumnElement[str | None], tie: ColumnElement[str], request: PageRequest
) -> Select[Any]:
    if request.descending:
        return statement.order_by(order.desc(), tie.desc())
    return statement.order_by(order, tie)


def _matches(matching: UserFilter) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = [users.c.deleted_at.is_(None)]
    if matching.tenant_id is not None:
        conditions.append(users.c.tenant_id == matching.tenant_id)
    if matching.partner_id is not None:
        partners = select(tenants.c.id).where(tenants.c.partner_id == matching.partner_id)
        conditions.append(users.c.tenant_id.in_(partners))
    if matching.search:
        # `instr` knows no wildcards, so the text is looked for as it is.
        conditions.append(func.instr(users.c.search_text, search_term(matching.search)) > 0)
    if matching.status is not None:
        conditions.append(users.c.status == matching.status.value)
    if matching.ou_id is not None:
        conditions.append(users.c.ou_id == matching.ou_id)
    if matching.mfa_enabled is not None:
        conditions.append(users.c.mfa_enabled.is_(matching.mfa_enabled))
    if matching.group_id is not None:
        conditions.append(
            exists().where(memberships.c.group_id == matching.group_id, memberships.c.user_id == users.c.id)
        )
    return and_(*conditions)


def memberships_of(row: UserRow) -> list[UserGroupMembership]:
    """The groups of a row that `find_user` returned, by name."""
    return sorted(_MEMBERSHIPS.decode(row.groups), key=lambda group: (group.name, group.group_id))


def attributes_of(row: UserRow) -> JsonObject | None:
    """The custom attributes of a row."""
    return None if row.custom_attributes is None else _ATTRIBUTES.decode(row.custom_attributes)


def user_response(row: UserRow, *, with_groups: bool = True) -> UserResponse:
    """A row as a tenant sees it."""
    return UserResponse(
        email=row.email,
        username=row.username,
        first_name=row.first_name,
        last_name=row.last_name,
        display_name=row.display_name,
        phone=row.phone,
        locale=row.locale,
        timezone=row.timezone,
        id=row.id,
        email_verified=row.email_verified,
        avatar_url=row.avatar_url,
        ou_id=row.ou_id,
        ou_path=row.ou_path,
        status=UserStatus(row.status),
        identity_source=IdentitySource(row.identity_source),
        mfa_enabled=row.mfa_enabled,
        groups=memberships_of(row) if with_groups else [],
        custom_attributes=attributes_of(row),
        created_at=row.created_at,
        updated_at=row.updated_at,
        last_login_at=row.last_login_at,
        password_changed_at=row.password_changed_at,
    )


def admin_user_response(row: UserRow) -> AdminUserResponse:
    """A row as the administration sees it."""
    return AdminUserResponse(
        **msgspec.structs.asdict(user_response(row)),
        tenant_id=row.tenant_id,
        status_reason=row.status_reason,
        failed_attempts=row.failed_attempts,
        require_password_change=row.require_password_change,
        sessions_revoked_at=row.sessions_revoked_at,
    )


def list_item(row: UserRow) -> UserListItem:
    """A row of a tenant's list."""
    return UserListItem(
        id=row.id,
        email=row.email,
        display_name=row.display_name,
        status=UserStatus(row.status),
        ou_path=row.ou_path,
        identity_source=IdentitySource(row.identity_source),
        mfa_enabled=row.mfa_enabled,
        last_login_at=row.last_login_at,
    )


def admin_list_item(row: UserRow) -> AdminUserListItem:
    """A row of the administration's list."""
    return AdminUserListItem(**msgspec.structs.asdict(list_item(row)), tenant_id=row.tenant_id)
