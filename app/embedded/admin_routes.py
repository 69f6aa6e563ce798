"""The ten endpoints of the administration; a tenant-bound token sees its own tenant there and no other."""

from __future__ import annotations

from msgspec import Struct

from app.embedded.auth import READ, WRITE, require_scope, require_tenant, tenant_scope
from app.embedded.errors import invalid
from app.embedded.identity_sources import find_mismatches, fix_mismatches
from app.embedded.operations import Call, Nothing, Operation, operation
from app.embedded.schemas import (
    AdminPasswordReset,
    AdminUserCreate,
    AdminUserListItem,
    AdminUserResponse,
    AdminUserUpdate,
    ApiResponse,
    IdentityMismatchReport,
    PaginatedResponse,
    PasswordResetResult,
    UserGroupMembership,
    UserStatus,
)
from app.embedded.tenant_routes import Page, require_page_size
from app.embedded.user_writes import (
    NewAccount,
    create_user,
    delete_user,
    disable_mfa,
    require_user,
    set_password,
    unlock_user,
    update_user,
)
from app.embedded.users import (
    PageRequest,
    UserFilter,
    admin_list_item,
    admin_user_response,
    list_users,
    memberships_of,
)
from app.embedded.webhooks import has_webhooks

_USERS = "/api/v1/admin/users/"
_USER = _USERS + "{user_id}"


class AdminListQuery(Struct, kw_only=True):
    """What the administration's list can be asked for."""

    page: Page = 1
    per_page: Page = 20
    search: str | None = None
    status: str | None = None
    tenant_id: str | None = None
    partner_id: str | None = None


class MismatchQuery(Struct, kw_only=True):
    """Which mismatches, and whether to correct them."""

    tenant_id: str | None = None
    fix: bool = False


async def list_all_users(call: Call[AdminListQuery, Nothing]) -> PaginatedResponse[AdminUserListItem]:
    query = call.query
    require_page_size(call.platform, query.per_page)
    matching = UserFilter(
        tenant_id=tenant_scope(call.principal, query.tenant_id),
        partner_id=query.partner_id or None,
        search=query.search,
        status=_status(query.status),
    )
    async with call.platform.database.read() as connection:
        rows, pagination = await list_users(
            connection, matching, PageRequest(page=query.page, per_page=query.per_page)
        )
    return PaginatedResponse(data=[admin_list_item(row) for row in rows], pagination=pagination)


async def create_any_user(call: Call[Nothing, AdminUserCreate]) -> ApiResponse[AdminUserResponse]:
    platform, body = call.platform, call.body
    tenant_id = tenant_scope(call.principal, body.tenant_id)
    if tenant_id is None:
        raise invalid(["body", "tenant_id"], "Field required", "missing")
    await require_tenant(platform, call.principal, tenant_id)
    password_hash = (
        await platform.passwords.hash(body.password, "password") if body.password is not None else None
    )
    async with call.write() as changes:
        account = NewAccount(
            tenant_id=tenant_id,
            status=body.status or platform.settings.initial_status,
            identity_source=body.identity_source or platform.settings.identity_source,
            password_hash=password_hash,
            now=platform.clock.now(),
        )
        user = await create_user(changes.connection, body, account)
        changes.user_created(user)
    return ApiResponse(data=admin_user_response(user))


async def list_identity_mismatches(call: Call[MismatchQuery, Nothing]) -> ApiResponse[IdentityMismatchReport]:
    tenant_id = tenant_scope(call.principal, call.query.tenant_id)
    database = call.platform.database
    if call.query.fix:
        require_scope(call.principal, WRITE)
        async with call.write() as changes:
            mismatches = await find_mismatches(changes.connection, tenant_id)
            await fix_mismatches(changes.connection, mismatches, call.platform.clock.now())
            if mismatches and await has_webhooks(changes.connection):
                for mismatch in mismatches:
                    user = await require_user(changes.connection, mismatch.user_id, mismatch.tenant_id)
                    changes.user("user.updated", user)
    else:
        async with database.read() as connection:
            mismatches = await find_mismatches(connection, tenant_id)
    fixed = sum(mismatch.fixed for mismatch in mismatches)
    return ApiResponse(data=IdentityMismatchReport(mismatches=mismatches, total=len(mismatches), fixed=fixed))


async def get_any_user(call: Call[Nothing, Nothing]) -> ApiResponse[AdminUserResponse]:
    async with call.platform.database.read() as connection:
        user = await require_user(connection, call.path["user_id"], call.principal.tenant_id)
    return ApiResponse(data=admin_user_response(user))


async def update_any_user(call: Call[Nothing, AdminUserUpdate]) -> ApiResponse[AdminUserResponse]:
    platform = call.platform
    async with call.write() as changes:
        before = await require_user(changes.connection, call.path["user_id"], call.principal.tenant_id)
        user = await update_user(
            changes.connection,
            before,
            call.body,
            merge_attributes=platform.settings.merge_custom_attributes,
            now=platform.clock.now(),
        )
        changes.user_updated(before, user)
    return ApiResponse(data=admin_user_response(user))


async def delete_any_user(call: Call[Nothing, Nothing]) -> None:
    platform = call.platform
    async with call.write() as changes:
        user = await require_user(changes.connection, call.path["user_id"], call.principal.tenant_id)
        kept = platform.settings.keep_deleted_names_taken
        await delete_user(changes.connection, user, platform.clock.now(), keep_names_taken=kept)
        changes.user_deleted(user)


async def list_groups_of_user(call: Call[Nothing, Nothing]) -> ApiResponse[list[UserGroupMembership]]:
    async with call.platform.database.read() as connection:
        user = await require_user(connection, call.path["user_id"], call.principal.tenant_id)
    return ApiResponse(data=memberships_of(user))


async def disable_user_mfa(call: Call[Nothing, Nothing]) -> ApiResponse[AdminUserResponse]:
    platform = call.platform
    async with call.write() as changes:
        before = await require_user(changes.connection, call.path["user_id"], call.principal.tenant_id)
        user = await disable_mfa(changes.connection, before, platform.clock.now())
        changes.user_updated(before, user)
    return ApiResponse(data=admin_user_response(user))


async def reset_any_password(call: Call[Nothing, AdminPasswordReset]) -> ApiResponse[PasswordResetResult]:
    platform, body = call.platform, call.body
    async with platform.database.read() as connection:
        await require_user(connection, call.path["user_id"], call.principal.tenant_id)
    password_hash = await platform.passwords.hash(body.new_password, "new_password")
    async with call.write() as changes:
        user = await require_user(changes.connection, call.path["user_id"], call.principal.tenant_id)
        await set_password(
            changes.connection,
            user,
            password_hash,
            platform.clock.now(),
            require_change=body.require_password_change,
        )
        changes.user("user.password_changed", user)
    method = platform.settings.direct_reset_method
    return ApiResponse(
        data=PasswordResetResult(user_id=user.id, method=method, password_changed=True, email_sent=False)
    )


async def unlock_any_user(call: Call[Nothing, Nothing]) -> ApiResponse[AdminUserResponse]:
    platform = call.platform
    async with call.write() as changes:
        before = await require_user(changes.connection, call.path["user_id"], call.principal.tenant_id)
        user = await unlock_user(changes.connection, before, platform.clock.now())
        changes.user_updated(before, user)
    return ApiResponse(data=admin_user_response(user))


def _status(text: str | None) -> UserStatus | None:
    """The document calls this filter a plain string; a word that is no status is refused all the same."""
    if text is None:
        return None
    try:
        return UserStatus(text)
    except ValueError as error:
        raise invalid(["query", "status"], f"Invalid enum value '{text}'", "enum") from error


ADMIN_OPERATIONS: tuple[Operation, ...] = (
    operation(
        "GET",
        _USERS,
        list_all_users,
        summary="List Users",
        tag="admin",
        scope=READ,
        query=AdminListQuery,
        body=Nothing,
        authorization_parameter=True,
    ),
    operation(
        "POST",
        _USERS,
        create_any_user,
        summary="Create User",
        tag="admin",
        scope=WRITE,
        query=Nothing,
        body=AdminUserCreate,
        status=201,
        body_is_object=True,
        authorization_parameter=True,
    ),
    operation(
        "GET",
        _USERS + "identity-source/mismatches",
        list_identity_mismatches,
        summary="Get Identity Source Mismatches",
        tag="admin",
        scope=READ,
        query=MismatchQuery,
        body=Nothing,
        authorization_parameter=True,
    ),
    operation(
        "DELETE",
        _USER,
        delete_any_user,
        summary="Delete User",
        tag="admin",
        scope=WRITE,
        query=Nothing,
        body=Nothing,
        status=204,
        authorization_parameter=True,
    ),
    operation(
        "GET",
        _USER,
        get_any_user,
        summary="Get User",
        tag="admin",
        scope=READ,
        query=Nothing,
        body=Nothing,
        authorization_parameter=True,
    ),
    operation(
        "PATCH",
        _USER,
        update_any_user,
        summary="Update User",
        tag="admin",
        scope=WRITE,
        query=Nothing,
        body=AdminUserUpdate,
        body_is_object=True,
        authorization_parameter=True,
    ),
    operation(
        "GET",
        _USER + "/groups",
        list_groups_of_user,
        summary="Get User Groups",
        tag="admin",
        scope=READ,
        query=Nothing,
        body=Nothing,
        authorization_parameter=True,
    ),
    operation(
        "POST",
        _USER + "/mfa/disable",
        disable_user_mfa,
        summary="Disable User Mfa",
        tag="admin",
        scope=WRITE,
        query=Nothing,
        body=Nothing,
        authorization_parameter=True,
    ),
    operation(
        "POST",
        _USER + "/reset-password",
        reset_any_password,
        summary="Reset User Password",
        tag="admin",
        scope=WRITE,
        query=Nothing,
        body=AdminPasswordReset,
        body_is_object=True,
        authorization_parameter=True,
    ),
    operation(
        "POST",
        _USER + "/unlock",
        unlock_any_user,
        summary="Unlock User",
        tag="admin",
        scope=WRITE,
        query=Nothing,
        body=Nothing,
        authorization_parameter=True,
    ),
)
