"""The seven endpoints over the users of one tenant."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta, Struct

from app.embedded.auth import READ, WRITE
from app.embedded.errors import invalid
from app.embedded.folding import fold
from app.embedded.operations import Call, Nothing, Operation, operation
from app.embedded.platform import Platform
from app.embedded.schemas import (
    ApiResponse,
    PaginatedResponse,
    PasswordResetResult,
    SortOrder,
    UserCreate,
    UserListItem,
    UserPasswordReset,
    UserResponse,
    UserSort,
    UserStatus,
    UserStatusUpdate,
    UserUpdate,
)
from app.embedded.user_writes import (
    NewAccount,
    create_user,
    delete_user,
    record_mail,
    require_user,
    set_password,
    set_status,
    update_user,
)
from app.embedded.users import PageRequest, UserFilter, list_item, list_users, user_response

_USERS = "/api/v1/tenants/{tenant_id}/users"
_USER = _USERS + "/{user_id}"

Page = Annotated[int, Meta(ge=1)]


class UserListQuery(Struct, kw_only=True):
    """What a tenant's list can be asked for."""

    page: Page = 1
    per_page: Page = 20
    search: str | None = None
    status: UserStatus | None = None
    ou_id: str | None = None
    group_id: str | None = None
    mfa_enabled: bool | None = None
    sort_by: UserSort = "created_at"
    sort_order: SortOrder = "asc"


class UserQuery(Struct, kw_only=True):
    """What a user can be asked for with."""

    include: str | None = None


class DeleteQuery(Struct, kw_only=True):
    """The confirmation a deletion needs."""

    confirm_email: str


def require_page_size(platform: Platform, per_page: int) -> None:
    """Raises Invalid for more than the platform gives on one page."""
    maximum = platform.settings.per_page_max
    if per_page > maximum:
        raise invalid(
            ["query", "per_page"], f"Input should be less than or equal to {maximum}", "less_than_equal"
        )


async def list_tenant_users(call: Call[UserListQuery, Nothing]) -> PaginatedResponse[UserListItem]:
    query = call.query
    require_page_size(call.platform, query.per_page)
    matching = UserFilter(
        tenant_id=call.path["tenant_id"],
        search=query.search,
        status=query.status,
        ou_id=query.ou_id,
        group_id=query.group_id,
        mfa_enabled=query.mfa_enabled,
    )
    request = PageRequest(
        page=query.page,
        per_page=query.per_page,
        sort_by=query.sort_by,
        descending=query.sort_order == "desc",
    )
    async with call.platform.database.read() as connection:
        rows, pagination = await list_users(connection, matching, request)
    return PaginatedResponse(data=[list_item(row) for row in rows], pagination=pagination)


async def create_tenant_user(call: Call[Nothing, UserCreate]) -> ApiResponse[UserResponse]:
    platform, body = call.platform, call.body
    password_hash = (
        await platform.passwords.hash(body.password, "password") if body.password is not None else None
    )
    async with call.write() as changes:
        account = NewAccount(
            tenant_id=call.path["tenant_id"],
            status=platform.settings.initial_status,
            identity_source=platform.settings.identity_source,
            password_hash=password_hash,
            now=platform.clock.now(),
        )
        user = await create_user(changes.connection, body, account)
        changes.user_created(user)
    return ApiResponse(data=user_response(user))


async def get_tenant_user(call: Call[UserQuery, Nothing]) -> ApiResponse[UserResponse]:
    asked = "groups" in (call.query.include or "").split(",")
    with_groups = asked or not call.platform.settings.groups_need_include
    async with call.platform.database.read() as connection:
        user = await require_user(connection, call.path["user_id"], call.path["tenant_id"])
    return ApiResponse(data=user_response(user, with_groups=with_groups))


async def update_tenant_user(call: Call[Nothing, UserUpdate]) -> ApiResponse[UserResponse]:
    platform = call.platform
    async with call.write() as changes:
        before = await require_user(changes.connection, call.path["user_id"], call.path["tenant_id"])
        user = await update_user(
            changes.connection,
            before,
            call.body,
            merge_attributes=platform.settings.merge_custom_attributes,
            now=platform.clock.now(),
        )
        changes.user_updated(before, user)
    return ApiResponse(data=user_response(user))


async def delete_tenant_user(call: Call[DeleteQuery, Nothing]) -> None:
    platform = call.platform
    async with call.write() as changes:
        user = await require_user(changes.connection, call.path["user_id"], call.path["tenant_id"])
        if fold(call.query.confirm_email) != fold(user.email):
            raise invalid(["query", "confirm_email"], "confirm_email does not match the user's email")
        kept = platform.settings.keep_deleted_names_taken
        await delete_user(changes.connection, user, platform.clock.now(), keep_names_taken=kept)
        changes.user_deleted(user)


async def reset_tenant_user_password(
    call: Call[Nothing, UserPasswordReset],
) -> ApiResponse[PasswordResetResult]:
    platform, body = call.platform, call.body
    direct = platform.settings.direct_reset_method
    if body.method not in ("EMAIL", direct):
        raise invalid(["body", "method"], f"method must be EMAIL or {direct}", "enum")
    if body.method == direct and body.new_password is None:
        raise invalid(["body", "new_password"], f"new_password is required with method {direct}", "missing")
    password_hash = None
    if body.method == direct and body.new_password is not None:
        await _require_present(call)
        password_hash = await platform.passwords.hash(body.new_password, "new_password")
    async with call.write() as changes:
        user = await require_user(changes.connection, call.path["user_id"], call.path["tenant_id"])
        now = platform.clock.now()
        if password_hash is not None:
            await set_password(changes.connection, user, password_hash, now, require_change=False)
            changes.user("user.password_changed", user)
        else:
            await record_mail(changes.connection, user.id, "RESET", body.redirect_uri, now)
    changed = password_hash is not None
    result = PasswordResetResult(
        user_id=user.id, method=body.method, password_changed=changed, email_sent=not changed
    )
    return ApiResponse(data=result)


async def update_tenant_user_status(call: Call[Nothing, UserStatusUpdate]) -> ApiResponse[UserResponse]:
    platform = call.platform
    async with call.write() as changes:
        before = await require_user(changes.connection, call.path["user_id"], call.path["tenant_id"])
        user = await set_status(changes.connection, before, call.body, platform.clock.now())
        changes.user_updated(before, user)
    return ApiResponse(data=user_response(user))


async def _require_present(call: Call[Nothing, UserPasswordReset]) -> None:
    """Raises NotFound before the work of a hash is done for nobody."""
    async with call.platform.database.read() as connection:
        await require_user(connection, call.path["user_id"], call.path["tenant_id"])


TENANT_OPERATIONS: tuple[Operation, ...] = (
    operation(
        "GET",
        _USERS,
        list_tenant_users,
        summary="List Users",
        tag="tenant",
        scope=READ,
        query=UserListQuery,
        body=Nothing,
        returns=PaginatedResponse[UserListItem],
        authorization_parameter=True,
    ),
    operation(
        "POST",
        _USERS,
        create_tenant_user,
        summary="Create User",
        tag="tenant",
        scope=WRITE,
        query=Nothing,
        body=UserCreate,
        status=201,
        returns=ApiResponse[UserResponse],
    ),
    operation(
        "DELETE",
        _USER,
        delete_tenant_user,
        summary="Delete User",
        tag="tenant",
        scope=WRITE,
        query=DeleteQuery,
        body=Nothing,
        status=204,
    ),
    operation(
        "GET",
        _USER,
        get_tenant_user,
        summary="Get User",
        tag="tenant",
        scope=READ,
        query=UserQuery,
        body=Nothing,
        returns=ApiResponse[UserResponse],
        authorization_parameter=True,
    ),
    operation(
        "PATCH",
        _USER,
        update_tenant_user,
        summary="Update User",
        tag="tenant",
        scope=WRITE,
        query=Nothing,
        body=UserUpdate,
        returns=ApiResponse[UserResponse],
    ),
    operation(
        "POST",
        _USER + "/password/reset",
        reset_tenant_user_password,
        summary="Reset User Password",
        tag="tenant",
        scope=WRITE,
        query=Nothing,
        body=UserPasswordReset,
    ),
    operation(
        "PUT",
        _USER + "/status",
        update_tenant_user_status,
        summary="Update User Status",
        tag="tenant",
        scope=WRITE,
        query=Nothing,
        body=UserStatusUpdate,
    ),
)
