"""One transaction that changes something, and what it tells the webhooks of it."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.events import Actor, Event, EventResource, GroupEvent, MemberEvent, UserEvent
from app.embedded.groups import GroupRow
from app.embedded.identifiers import Clock, new_id
from app.embedded.outbox import record_events
from app.embedded.schemas import UserStatus
from app.embedded.tables import users
from app.embedded.users import UserRow, memberships_of

_OF_STATUS = {"status", "status_reason", "failed_attempts", "sessions_revoked_at"}
_OF_PROFILE = {column.name for column in users.c} - _OF_STATUS - {"search_text", "updated_at", "mfa_enabled"}


class Changes:
    """Collects events while a transaction runs and writes them with it; unwatched rows add none.

    Rows are those of `require_user` and `require_group`: they carry `watched`.
    """

    def __init__(self, connection: AsyncConnection, actor: Actor, clock: Clock) -> None:
        self.connection = connection
        self._actor = actor
        self._clock = clock
        self._events: list[Event] = []

    def user(self, kind: UserEvent, user: UserRow) -> None:
        """Tell one thing of a user."""
        if user.watched:
            data = {"email": user.email, "username": user.username, "status": user.status}
            self._add(kind, EventResource(type="user", id=user.id), user.tenant_id, data)

    def user_created(self, user: UserRow) -> None:
        """Tell of a new user, then of each group it begins in."""
        self.user("user.created", user)
        if user.watched:
            for group in memberships_of(user):
                self._member("group.member_added", group.group_id, user.tenant_id, user.id)

    def user_updated(self, before: UserRow, after: UserRow) -> None:
        """Tell what became of a user: each event of its own, or `user.updated`."""
        if after.watched:
            for kind in user_event_types(before, after):
                self.user(kind, after)

    def user_deleted(self, user: UserRow) -> None:
        """Tell of each group that the user leaves, then of its end."""
        if user.watched:
            for group in memberships_of(user):
                self._member("group.member_removed", group.group_id, user.tenant_id, user.id)
        self.user("user.deleted", user)

    def group(self, kind: GroupEvent, group: GroupRow) -> None:
        """Tell one thing of a group; its end also ends every membership, without an event a member."""
        if group.watched:
            data: dict[str, str | None] = {"name": group.name, "group_type": group.group_type}
            self._add(kind, EventResource(type="group", id=group.id), group.tenant_id, data)

    def members(self, kind: MemberEvent, group: GroupRow, user_ids: Iterable[str]) -> None:
        """Tell of each user that came or went."""
        if group.watched:
            for user_id in user_ids:
                self._member(kind, group.id, group.tenant_id, user_id)

    async def record(self) -> bool:
        """Write what was collected to the outbox; whether there was anything. The transaction's last act."""
        if not self._events:
            return False
        await record_events(self.connection, self._events)
        return True

    def _member(self, kind: MemberEvent, group_id: str, tenant_id: str, user_id: str) -> None:
        self._add(kind, EventResource(type="group", id=group_id), tenant_id, {"user_id": user_id})

    def _add(
        self,
        kind: UserEvent | GroupEvent | MemberEvent,
        resource: EventResource,
        tenant_id: str,
        data: dict[str, str | None],
    ) -> None:
        self._events.append(
            Event(
                event_id=new_id("evt"),
                event_type=kind,
                timestamp=self._clock.now(),
                resource=resource,
                actor=self._actor,
                data=data,
                tenant_id=tenant_id,
            )
        )


def user_event_types(before: UserRow, after: UserRow) -> list[UserEvent]:
    """What a write to a user is called: nothing if nothing was written, `user.updated` if nothing else fits.

    A write that leaves every value as it was still moves `updated_at`, and that is told.
    """
    if before.updated_at == after.updated_at:
        return []
    kinds: list[UserEvent] = []
    if before.status != after.status and after.status == UserStatus.DISABLED:
        kinds.append("user.suspended")
    if before.status != after.status and after.status == UserStatus.ACTIVE:
        kinds.append("user.activated")
    if before.mfa_enabled != after.mfa_enabled:
        kinds.append("user.mfa_enabled" if after.mfa_enabled else "user.mfa_disabled")
    if not kinds or any(getattr(before, name) != getattr(after, name) for name in _OF_PROFILE):
        kinds.append("user.updated")
    return kinds
