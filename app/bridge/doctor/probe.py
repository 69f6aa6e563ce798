"""What all checks use: the calls, and a few users to compare the platform's answers with."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from app.bridge.context import Context
from app.bridge.fan_out import gathered
from app.platform.client import PlatformClient
from app.platform.errors import Missing
from app.platform.groups import GroupClient
from app.wire.users import USERS_PATH, PlatformUser, UserPage

SAMPLE = 10
"""Users that are read in full to compare lists with."""


class Probe:
    """One examination of one tenant."""

    def __init__(self, platform: PlatformClient, groups: GroupClient, context: Context) -> None:
        self.platform = platform
        self.groups = groups
        self.context = context
        self.tenant_id = context.tenant_id
        self.capabilities = context.mapping.platform
        self._sample: list[PlatformUser] | None = None

    async def page(self, query: Mapping[str, str | int] | None = None) -> UserPage:
        """One page of users, of the declared size unless the query says otherwise; raises `PlatformError`."""
        size = self.capabilities.per_page_max
        return await self.platform.list_users(self.tenant_id, {"page": 1, "per_page": size, **(query or {})})

    async def raw_rows(self) -> list[dict[str, Any]]:
        """A page's rows as they come, with whatever members they have."""
        users = USERS_PATH.format(tenant_id=quote(self.tenant_id, safe=""))
        path = f"{users}?{urlencode({'page': 1, 'per_page': SAMPLE})}"
        body = await self.platform.send("GET", path, expect=200, idempotent=True)
        rows = msgspec.json.decode(body).get("data")
        return [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []

    async def sample(self) -> list[PlatformUser]:
        """Some users in full, in the order of the default list; read once."""
        if self._sample is None:
            rows = (await self.page({"per_page": SAMPLE})).data
            read = await gathered([partial(self._user, row.id) for row in rows])
            self._sample = [user for user in read if user is not None]
        return self._sample

    async def _user(self, user_id: str) -> PlatformUser | None:
        try:
            return await self.platform.get_user(self.tenant_id, user_id)
        except Missing:
            return None
