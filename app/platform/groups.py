"""The tenant group endpoints as methods; their path is a setting: the platform does not document it."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlencode

import msgspec

from app.platform.client import PlatformClient, confirm, decode
from app.platform.errors import Missing
from app.wire.groups import (
    GroupCreate,
    GroupEnvelope,
    GroupPage,
    GroupUpdate,
    MemberPage,
    MembersAdd,
    PlatformGroup,
)

_ENVELOPE = msgspec.json.Decoder(GroupEnvelope)
_PAGE = msgspec.json.Decoder(GroupPage)
_MEMBERS = msgspec.json.Decoder(MemberPage)


class GroupClient:
    """Groups and members, with the same time-outs, retries and errors as users."""

    def __init__(self, platform: PlatformClient, *, path: str) -> None:
        """`path` is the collection's path with `{tenant_id}` in it."""
        self._platform = platform
        self.path = path

    async def get(self, tenant_id: str, group_id: str) -> PlatformGroup:
        """One group; `Missing` where there is none."""
        body = await self._platform.send(
            "GET", self._one(tenant_id, group_id), expect=200, resource_id=group_id, idempotent=True
        )
        return decode(_ENVELOPE, body, "GET group").data

    async def list(self, tenant_id: str, query: Mapping[str, str | int]) -> GroupPage:
        """One page of groups: `page` and `per_page` from 1, `search` for a part of the name."""
        path = f"{self._all(tenant_id)}?{urlencode(query)}"
        return decode(
            _PAGE, await self._platform.send("GET", path, expect=200, idempotent=True), "GET groups"
        )

    async def create(self, tenant_id: str, name: str) -> PlatformGroup:
        """Make a group; `Taken` where the name is in use. Repeated only if not applied."""
        body = await self._platform.send(
            "POST", self._all(tenant_id), body=GroupCreate(name=name), expect=201
        )
        return decode(_ENVELOPE, body, "POST groups", wrote=True).data

    async def rename(self, tenant_id: str, group_id: str, name: str) -> PlatformGroup:
        """Give a group another name."""
        body = await self._platform.send(
            "PATCH",
            self._one(tenant_id, group_id),
            body=GroupUpdate(name=name),
            expect=200,
            resource_id=group_id,
            idempotent=True,
        )
        return decode(_ENVELOPE, body, "PATCH group", wrote=True).data

    async def delete(self, tenant_id: str, group_id: str) -> None:
        """Delete a group; its members stay users. `Missing` also where the first attempt's answer is lost."""
        await self._platform.send(
            "DELETE", self._one(tenant_id, group_id), expect=204, resource_id=group_id, idempotent=True
        )

    async def members(self, tenant_id: str, group_id: str, page: int, per_page: int) -> MemberPage:
        """One page of the members."""
        query = urlencode({"page": page, "per_page": per_page})
        path = f"{self._one(tenant_id, group_id)}/members?{query}"
        body = await self._platform.send("GET", path, expect=200, resource_id=group_id, idempotent=True)
        return decode(_MEMBERS, body, "GET members")

    async def add(self, tenant_id: str, group_id: str, user_ids: tuple[str, ...]) -> None:
        """Add users, all or none: `Rejected` where one is unknown. Who is a member already is ignored."""
        body = await self._platform.send(
            "POST",
            f"{self._one(tenant_id, group_id)}/members",
            body=MembersAdd(user_ids=user_ids),
            expect=200,
            resource_id=group_id,
            idempotent=True,
        )
        confirm(body, "POST members")

    async def remove(self, tenant_id: str, group_id: str, user_id: str) -> bool:
        """Remove a user; False where there is no such membership (any more), or no such group or user."""
        path = f"{self._one(tenant_id, group_id)}/members/{quote(user_id, safe='')}"
        try:
            await self._platform.send("DELETE", path, expect=204, resource_id=user_id, idempotent=True)
        except Missing:
            return False
        return True

    def _all(self, tenant_id: str) -> str:
        return self.path.replace("{tenant_id}", quote(tenant_id, safe=""))

    def _one(self, tenant_id: str, group_id: str) -> str:
        return f"{self._all(tenant_id)}/{quote(group_id, safe='')}"
