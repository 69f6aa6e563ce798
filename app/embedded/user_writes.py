"""Writing users: creation, changes, status, passwords, deletion, each inside the caller's transaction."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec
from msgspec import UNSET, Struct
from sqlalchemy import delete, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.errors import Conflict, Invalid, NotFound, invalid
from app.embedded.folding import fold, fold_optional, search_text
from app.embedded.identifiers import new_id
from app.embedded.schemas import (
    AdminUserUpdate,
    IdentitySource,
    JsonObject,
    UserCreate,
    UserStatus,
    UserStatusUpdate,
    UserUpdate,
    ValidationError,
)
from app.embedded.tables import groups, mails, memberships, ous, users
from app.embedded.users import UserRow, attributes_of, find_user

Values: TypeAlias = dict[str, str | int | bool | None]

_PLAIN_FIELDS = ("username", "first_name", "last_name", "display_name", "phone", "ou_id")
_SEARCHED_FIELDS = ("email", "username", "first_name", "last_name", "display_name")


class NewAccount(Struct, frozen=True, kw_only=True):
    """What a creation needs beside the request's body."""

    tenant_id: str
    status: UserStatus
    identity_source: IdentitySource
    password_hash: str | None
    now: str


async def create_user(connection: AsyncConnection, body: UserCreate, account: NewAccount) -> UserRow:
    """Insert a user and its memberships. Raises Conflict (taken name) and Invalid (unknown unit, group)."""
    await _require_ou(connection, account.tenant_id, body.ou_id)
    await _require_groups(connection, account.tenant_id, body.group_ids)
    user_id = new_id("usr")
    values: Values = {
        "id": user_id,
        "tenant_id": account.tenant_id,
        "phone": body.phone,
        "locale": body.locale,
        "timezone": body.timezone,
        "ou_id": body.ou_id,
        "status": account.status.value,
        "identity_source": account.identity_source.value,
        "custom_attributes": _encoded(body.custom_attributes),
        "password_hash": account.password_hash,
        "password_changed_at": account.now if account.password_hash else None,
        "require_password_change": body.require_password_change,
        "created_at": account.now,
        **name_columns(body.email, body.username, body.first_name, body.last_name, body.display_name),
    }
    try:
        await connection.execute(insert(users).values(values))
    except IntegrityError as error:
        raise _name_conflict(error) from error
    if body.group_ids:
        rows = [
            {"group_id": group_id, "user_id": user_id, "created_at": account.now}
            for group_id in dict.fromkeys(body.group_ids)
        ]
        await connection.execute(insert(memberships), rows)
    if body.send_welcome_email:
        await record_mail(connection, user_id, "WELCOME", None, account.now)
    return await require_user(connection, user_id, account.tenant_id)


async def update_user(
    connection: AsyncConnection, user: UserRow, body: UserUpdate, *, merge_attributes: bool, now: str
) -> UserRow:
    """Change the keys that the body carries, and only those. Raises Conflict and Invalid."""
    values = _changes(user, body, merge_attributes=merge_attributes)
    if not values:
        return user
    if isinstance(body.ou_id, str):
        await _require_ou(connection, user.tenant_id, body.ou_id)
    values["updated_at"] = now
    await _apply(connection, user, values)
    return await require_user(connection, user.id, user.tenant_id)


async def set_status(connection: AsyncConnection, user: UserRow, body: UserStatusUpdate, now: str) -> UserRow:
    """Set the status and its reason; becoming ACTIVE clears the failed sign-ins, as an unlock does."""
    values: Values = {"status": body.status.value, "status_reason": body.reason, "updated_at": now}
    if body.status is UserStatus.ACTIVE:
        values["failed_attempts"] = 0
    if body.terminate_sessions:
        values["sessions_revoked_at"] = now
    await _apply(connection, user, values)
    return await require_user(connection, user.id, user.tenant_id)


async def unlock_user(connection: AsyncConnection, user: UserRow, now: str) -> UserRow:
    """Reset the failed sign-ins; a LOCKED user becomes ACTIVE, any other status stays."""
    values: Values = {"failed_attempts": 0, "updated_at": now}
    if user.status == UserStatus.LOCKED:
        values |= {"status": UserStatus.ACTIVE.value, "status_reason": None}
    await _apply(connection, user, values)
    return await require_user(connection, user.id, user.tenant_id)


async def disable_mfa(connection: AsyncConnection, user: UserRow, now: str) -> UserRow:
    """Turn the second factor off."""
    await _apply(connection, user, {"mfa_enabled": False, "updated_at": now})
    return await require_user(connection, user.id, user.tenant_id)


async def set_password(
    connection: AsyncConnection, user: UserRow, password_hash: str, now: str, *, require_change: bool
) -> None:
    """Replace the password."""
    values: Values = {
        "password_hash": password_hash,
        "password_changed_at": now,
        "require_password_change": require_change,
        "updated_at": now,
    }
    await _apply(connection, user, values)


async def delete_user(
    connection: AsyncConnection, user: UserRow, now: str, *, keep_names_taken: bool
) -> None:
    """Mark as deleted and leave every group; email and username become free unless they are to stay taken."""
    values: Values = {"deleted_at": now}
    if not keep_names_taken:
        values |= {"email_key": None, "username_key": None}
    await _apply(connection, user, values)
    await connection.execute(delete(memberships).where(memberships.c.user_id == user.id))


async def record_mail(
    connection: AsyncConnection, user_id: str, kind: str, redirect_uri: str | None, now: str
) -> None:
    """Note a mail that a platform with a mail server would send."""
    values = {
        "id": new_id("mail"),
        "user_id": user_id,
        "kind": kind,
        "redirect_uri": redirect_uri,
        "created_at": now,
    }
    await connection.execute(insert(mails).values(values))


async def require_user(connection: AsyncConnection, user_id: str, tenant_id: str | None) -> UserRow:
    """The user's row. Raises NotFound."""
    user = await find_user(connection, user_id, tenant_id)
    if user is None:
        raise NotFound("User not found")
    return user


def name_columns(
    email: str, username: str | None, first_name: str | None, last_name: str | None, display_name: str | None
) -> Values:
    """The five searched fields and the columns that follow from them."""
    return {
        "email": email,
        "email_key": fold(email),
        "username": username,
        "username_key": fold_optional(username),
        "first_name": first_name,
        "last_name": last_name,
        "display_name": display_name,
        "display_key": fold_optional(display_name),
        "search_text": search_text(email, username, first_name, last_name, display_name),
    }


def _changes(user: UserRow, body: UserUpdate, *, merge_attributes: bool) -> Values:
    values: Values = {name: value for name in _PLAIN_FIELDS if (value := getattr(body, name)) is not UNSET}
    if body.email is None:
        raise invalid(["body", "email"], "email cannot be null", "string_type")
    if body.email is not UNSET:
        values["email"] = body.email
        if fold(body.email) != fold(user.email):
            values["email_verified"] = False
    if body.locale is not UNSET:
        values["locale"] = body.locale or "en"
    if body.timezone is not UNSET:
        values["timezone"] = body.timezone or "UTC"
    if body.custom_attributes is not UNSET:
        attributes = body.custom_attributes
        if merge_attributes and attributes is not None:
            attributes = _merged(attributes_of(user) or {}, attributes)
        values["custom_attributes"] = _encoded(attributes)
    if isinstance(body, AdminUserUpdate):
        values |= _admin_changes(body)
    if not values.keys().isdisjoint(_SEARCHED_FIELDS):
        names = (values.get(name, getattr(user, name)) for name in _SEARCHED_FIELDS)
        email, *others = (None if name is None else str(name) for name in names)
        values |= name_columns(email or user.email, *others)
    return values


def _admin_changes(body: AdminUserUpdate) -> Values:
    changes: Values = {}
    if body.email_verified is not UNSET:
        changes["email_verified"] = body.email_verified
    if body.mfa_enabled is not UNSET:
        changes["mfa_enabled"] = body.mfa_enabled
    if body.identity_source is not UNSET:
        changes["identity_source"] = body.identity_source.value
    if body.avatar_url is not UNSET:
        changes["avatar_url"] = body.avatar_url
    return changes


def _merged(present: JsonObject, sent: JsonObject) -> JsonObject:
    """By key at the top level; a null removes the key."""
    merged = {**present, **sent}
    return {key: value for key, value in merged.items() if value is not None}


def _encoded(attributes: JsonObject | None) -> str | None:
    return None if attributes is None else msgspec.json.encode(attributes).decode()


async def _apply(connection: AsyncConnection, user: UserRow, values: Values) -> None:
    statement = update(users).where(users.c.id == user.id, users.c.tenant_id == user.tenant_id).values(values)
    try:
        await connection.execute(statement)
    except IntegrityError as error:
        raise _name_conflict(error) from error


def _name_conflict(error: IntegrityError) -> Exception:
    """Which name is taken; the database alone decides, so that two at once cannot both win."""
    reason = str(error.orig)
    if "users.email_key" in reason:
        return Conflict("A user with this email already exists")
    if "users.username_key" in reason:
        return Conflict("A user with this username already exists")
    return error


async def _require_ou(connection: AsyncConnection, tenant_id: str, ou_id: str | None) -> None:
    if ou_id is None:
        return
    known = select(ous.c.id).where(ous.c.id == ou_id, ous.c.tenant_id == tenant_id)
    if (await connection.execute(known)).first() is None:
        raise invalid(["body", "ou_id"], f"Unknown organizational unit: {ou_id}")


async def _require_groups(connection: AsyncConnection, tenant_id: str, group_ids: Sequence[str]) -> None:
    if not group_ids:
        return
    live = select(groups.c.id).where(
        groups.c.id.in_(set(group_ids)), groups.c.tenant_id == tenant_id, groups.c.deleted_at.is_(None)
    )
    known = set((await connection.execute(live)).scalars())
    errors = [
        ValidationError(
            loc=["body", "group_ids", index], msg=f"Unknown group: {group_id}", type="value_error"
        )
        for index, group_id in enumerate(group_ids)
        if group_id not in known
    ]
    if errors:
        raise Invalid(*errors)
