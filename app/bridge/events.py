"""What an event of the platform does: it marks what it is about as changed, and nothing else.

Its data is never applied, so that one that is late, doubled or out of order does no harm.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal, Protocol, TypeAlias

Kind: TypeAlias = Literal["user", "group"]

CLOCKS_DIFFER = timedelta(seconds=5)
"""How far the platform's clock may be ahead, for an own write to be known as recorded after it was made."""


class Events(Protocol):
    """Takes events of the platform."""

    async def apply(
        self, tenant_id: str, kind: Kind, resource_id: str, *, actor_id: str | None, at: datetime | None
    ) -> None:
        """Note that a user or a group has changed, by whom, and when, as far as that is known.

        Raises `StoreError`: the platform is to send the event again.
        """
        ...


class UserMarks(Protocol):
    """What is kept of users and can be out of date."""

    async def mark(self, tenant_id: str, ids: Sequence[str]) -> None:
        """Have these users read afresh before they are answered from what is kept."""
        ...

    async def recorded_since(self, tenant_id: str, user_id: str, moment: datetime) -> bool:
        """Whether the user was recorded after that by a write or a read, or is to be, wherever it is kept."""
        ...


class GroupVersions(Protocol):
    """The counters behind the ETags of groups."""

    async def raise_version(self, tenant_id: str, group_id: str) -> int:
        """Count one change of a group; answer its new version."""
        ...


class PlatformEvents:
    """Marks users and raises the versions of groups.

    An event of the bridge's own doing tells nothing new: the write was recorded when it was answered, and a
    second version of a group would make a client's `If-Match` fail. Only a user whose write was not recorded,
    because the process died in between, is marked by it.
    """

    def __init__(self, groups: GroupVersions, users: UserMarks, *, own_id: str) -> None:
        """`own_id` is the client id that the bridge has at the platform."""
        self._groups = groups
        self._users = users
        self._own_id = own_id

    async def apply(
        self, tenant_id: str, kind: Kind, resource_id: str, *, actor_id: str | None, at: datetime | None
    ) -> None:
        """A deletion, too, only marks: the next read finds the user gone."""
        own = bool(self._own_id) and actor_id == self._own_id
        if kind == "group":
            if not own:
                await self._groups.raise_version(tenant_id, resource_id)
        elif not (
            own and at and await self._users.recorded_since(tenant_id, resource_id, at - CLOCKS_DIFFER)
        ):
            await self._users.mark(tenant_id, [resource_id])
