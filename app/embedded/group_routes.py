"""The tenant's group endpoints: not in the Users API's document, but by the same pattern."""

from __future__ import annotations

from msgspec import Struct

from app.embedded.auth import READ, WRITE
from app.embedded.errors import invalid
from app.embedded.group_schemas import (
    GroupCreate,
    GroupMember,
    GroupResponse,
    GroupType,
    GroupUpdate,
    MembersAdd,
    MembersAdded,
)
from app.embedded.groups import (
    add_members,
    create_group,
    delete_group,
    group_response,
    list_groups,
    list_members,
    remove_member,
    require_group,
    update_group,
)
from app.embedded.operations import Call, Nothing, Operation, operation
from app.embedded.schemas import ApiResponse, PaginatedResponse
from app.embedded.tenant_routes import Page, require_page_size
from app.embedded.users import PageRequest

_GROUPS = "/api/v1/tenants/{tenant_id}/groups"
_GROUP = _GROUPS + "/{group_id}"


class GroupListQuery(Struct, kw_only=True):
    """What a tenant's groups can be asked for."""

    page: Page = 1
    per_page: Page = 20
    search: str | None = None
    group_type: GroupType | None = None


class MemberListQuery(Struct, kw_only=True):
    """Which page of the members."""

    page: Page = 1
    per_page: Page = 20


async def list_tenant_groups(call: Call[GroupListQuery, Nothing]) -> PaginatedResponse[GroupResponse]:
    query = call.query
    require_page_size(call.platform, query.per_page)
    request = PageRequest(page=query.page, per_page=query.per_page)
    async with call.platform.database.read() as connection:
        rows, pagination = await list_groups(
            connection, call.path["tenant_id"], request, search=query.search, group_type=query.group_type
        )
    return PaginatedResponse(data=[group_response(row) for row in rows], pagination=pagination)


async def create_tenant_group(call: Call[Nothing, GroupCreate]) -> ApiResponse[GroupResponse]:
    _require_name(call.body.name)
    async with call.write() as changes:
        now = call.platform.clock.now()
        group = await create_group(changes.connection, call.path["tenant_id"], call.body, now)
        changes.group("group.created", group)
    return ApiResponse(data=group_response(group))


async def get_tenant_group(call: Call[Nothing, Nothing]) -> ApiResponse[GroupResponse]:
    async with call.platform.database.read() as connection:
        group = await require_group(connection, call.path["tenant_id"], call.path["group_id"])
    return ApiResponse(data=group_response(group))


async def update_tenant_group(call: Call[Nothing, GroupUpdate]) -> ApiResponse[GroupResponse]:
    if isinstance(call.body.name, str):
        _require_name(call.body.name)
    async with call.write() as changes:
        before = await require_group(changes.connection, call.path["tenant_id"], call.path["group_id"])
        group = await update_group(changes.connection, before, call.body, call.platform.clock.now())
        if group.updated_at != before.updated_at:
            changes.group("group.updated", group)
    return ApiResponse(data=group_response(group))


async def delete_tenant_group(call: Call[Nothing, Nothing]) -> None:
    async with call.write() as changes:
        group = await require_group(changes.connection, call.path["tenant_id"], call.path["group_id"])
        await delete_group(changes.connection, group, call.platform.clock.now())
        changes.group("group.deleted", group)


async def list_group_members(call: Call[MemberListQuery, Nothing]) -> PaginatedResponse[GroupMember]:
    require_page_size(call.platform, call.query.per_page)
    request = PageRequest(page=call.query.page, per_page=call.query.per_page)
    async with call.platform.database.read() as connection:
        group = await require_group(connection, call.path["tenant_id"], call.path["group_id"])
        members, pagination = await list_members(connection, group, request)
    return PaginatedResponse(data=members, pagination=pagination)


async def add_group_members(call: Call[Nothing, MembersAdd]) -> ApiResponse[MembersAdded]:
    maximum = call.platform.settings.members_per_call_max
    if len(call.body.user_ids) > maximum:
        raise invalid(["body", "user_ids"], f"List should have at most {maximum} items", "too_long")
    async with call.write() as changes:
        group = await require_group(changes.connection, call.path["tenant_id"], call.path["group_id"])
        added = await add_members(changes.connection, group, call.body.user_ids, call.platform.clock.now())
        changes.members("group.member_added", group, added)
    present = len(set(call.body.user_ids)) - len(added)
    return ApiResponse(data=MembersAdded(added=len(added), already_members=present))


async def remove_group_member(call: Call[Nothing, Nothing]) -> None:
    async with call.write() as changes:
        group = await require_group(changes.connection, call.path["tenant_id"], call.path["group_id"])
        await remove_member(changes.connection, group, call.path["user_id"])
        changes.members("group.member_removed", group, [call.path["user_id"]])


def _require_name(name: str) -> None:
    if not name.strip():
        raise invalid(["body", "name"], "name must not be empty", "too_short")


GROUP_OPERATIONS: tuple[Operation, ...] = (
    operation(
        "GET",
        _GROUPS,
        list_tenant_groups,
        summary="List Groups",
        tag="groups",
        scope=READ,
        query=GroupListQuery,
        body=Nothing,
        returns=PaginatedResponse[GroupResponse],
    ),
    operation(
        "POST",
        _GROUPS,
        create_tenant_group,
        summary="Create Group",
        tag="groups",
        scope=WRITE,
        query=Nothing,
        body=GroupCreate,
        status=201,
        returns=ApiResponse[GroupResponse],
    ),
    operation(
        "GET",
        _GROUP,
        get_tenant_group,
        summary="Get Group",
        tag="groups",
        scope=READ,
        query=Nothing,
        body=Nothing,
        returns=ApiResponse[GroupResponse],
    ),
    operation(
        "PATCH",
        _GROUP,
        update_tenant_group,
        summary="Update Group",
        tag="groups",
        scope=WRITE,
        query=Nothing,
        body=GroupUpdate,
        returns=ApiResponse[GroupResponse],
    ),
    operation(
        "DELETE",
        _GROUP,
        delete_tenant_group,
        summary="Delete Group",
        tag="groups",
        scope=WRITE,
        query=Nothing,
        body=Nothing,
        status=204,
    ),
    operation(
        "GET",
        _GROUP + "/members",
        list_group_members,
        summary="List Group Members",
        tag="groups",
        scope=READ,
        query=MemberListQuery,
        body=Nothing,
        returns=PaginatedResponse[GroupMember],
    ),
    operation(
        "POST",
        _GROUP + "/members",
        add_group_members,
        summary="Add Group Members",
        tag="groups",
        scope=WRITE,
        query=Nothing,
        body=MembersAdd,
        returns=ApiResponse[MembersAdded],
    ),
    operation(
        "DELETE",
        _GROUP + "/members/{user_id}",
        remove_group_member,
        summary="Remove Group Member",
        tag="groups",
        scope=WRITE,
        query=Nothing,
        body=Nothing,
        status=204,
    ),
)
