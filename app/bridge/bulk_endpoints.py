"""Users and groups as a bulk request sees them: the use cases of the single requests."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol, TypeAlias

import msgspec

from app.bridge.context import Context
from app.bridge.groups import Groups
from app.bridge.telling import tell_body, tell_resource
from app.bridge.users import Users
from app.scim.bulk import BulkOperation
from app.scim.errors import ScimError
from app.scim.schema import Resource


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that succeeded."""

    id: str
    status: int
    """That of the single request."""
    version: str | None = None
    """`meta.version` of the resource afterwards; None where it is gone."""


class Failed(msgspec.Struct, frozen=True, kw_only=True):
    """An operation that did not."""

    error: ScimError
    reference: str | None = None
    """Where the log says more."""


Outcome: TypeAlias = Done | Failed

Guard: TypeAlias = Callable[[BulkOperation, Awaitable[Done]], Awaitable[Outcome]]
"""Makes an error of the single request a `Failed`."""


class Endpoint(Protocol):
    """What can be done to one type of resource. Errors are those of the single requests."""

    async def create(self, context: Context, data: object) -> Done:
        """POST."""
        ...

    async def replace(self, context: Context, target: str, data: object, if_match: str | None) -> Done:
        """PUT."""
        ...

    async def complete(self, context: Context, target: str, data: object) -> Done:
        """PUT of what was created without the references of its circle (RFC 7644 §3.7.1)."""
        ...

    async def patch(self, context: Context, target: str, data: object, if_match: str | None) -> Done:
        """PATCH."""
        ...

    async def delete(self, context: Context, target: str, if_match: str | None) -> Done:
        """DELETE."""
        ...


Endpoints: TypeAlias = Mapping[str, Endpoint]
"""By the first part of an operation's path."""


class UserEndpoint:
    """`/Users`."""

    def __init__(self, users: Users) -> None:
        self._users = users

    async def create(self, context: Context, data: object) -> Done:
        """As a single POST."""
        return _done(await self._users.create(context, data), 201)

    async def replace(self, context: Context, target: str, data: object, if_match: str | None) -> Done:
        """As a single PUT."""
        return _done(await self._users.replace(context, target, data, if_match=if_match), 200)

    async def complete(self, context: Context, target: str, data: object) -> Done:
        """A PUT like any other."""
        return await self.replace(context, target, data, None)

    async def patch(self, context: Context, target: str, data: object, if_match: str | None) -> Done:
        """As a single PATCH."""
        return _done(await self._users.patch(context, target, data, if_match=if_match), 200)

    async def delete(self, context: Context, target: str, if_match: str | None) -> Done:
        """As a single DELETE."""
        await self._users.delete(context, target, if_match=if_match)
        return Done(id=target, status=204)


class GroupEndpoint:
    """`/Groups`. No answer holds members, so none are read: a version is that of the counter."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups

    async def create(self, context: Context, data: object) -> Done:
        """As a single POST."""
        made = await self._groups.create(context, data, with_members=False)
        return await self._versioned(context, made["id"], 201)

    async def replace(self, context: Context, target: str, data: object, if_match: str | None) -> Done:
        """As a single PUT."""
        await self._groups.replace(context, target, data, if_match=if_match, with_members=False)
        return await self._versioned(context, target, 200)

    async def complete(self, context: Context, target: str, data: object) -> Done:
        """A PUT after which the group may be within itself."""
        await self._groups.replace(context, target, data, if_match=None, with_members=False, circular=True)
        return await self._versioned(context, target, 200)

    async def patch(self, context: Context, target: str, data: object, if_match: str | None) -> Done:
        """As a single PATCH."""
        await self._groups.patch(context, target, data, if_match=if_match)
        return await self._versioned(context, target, 200 if context.group_patch_answers else 204)

    async def delete(self, context: Context, target: str, if_match: str | None) -> Done:
        """As a single DELETE."""
        await self._groups.delete(context, target, if_match=if_match)
        return Done(id=target, status=204)

    async def _versioned(self, context: Context, group_id: str, status: int) -> Done:
        return Done(id=group_id, status=status, version=await self._groups.version(context, group_id))


def _done(resource: Resource, status: int) -> Done:
    return Done(id=resource["id"], status=status, version=resource["meta"]["version"])


async def perform(
    endpoint: Endpoint, context: Context, operation: BulkOperation, target: str, data: Any
) -> Done:
    """Carry out one operation, its references resolved; `target` is not looked at for a POST."""
    tell_body(data)
    if not operation.creates:
        tell_resource({"id": target})
    match operation.method:
        case "POST":
            return await endpoint.create(context, data)
        case "PUT":
            return await endpoint.replace(context, target, data, operation.version)
        case "PATCH":
            return await endpoint.patch(context, target, data, operation.version)
        case _:
            return await endpoint.delete(context, target, operation.version)
