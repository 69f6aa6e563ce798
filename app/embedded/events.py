"""What the platform tells the world: one event a change, in the envelope of its webhooks."""

from __future__ import annotations

from typing import Literal, TypeAlias

from msgspec import Struct

from app.embedded.schemas import Timestamp

UserEvent: TypeAlias = Literal[
    "user.created",
    "user.updated",
    "user.deleted",
    "user.suspended",
    "user.activated",
    "user.password_changed",
    "user.mfa_enabled",
    "user.mfa_disabled",
]
GroupEvent: TypeAlias = Literal["group.created", "group.updated", "group.deleted"]
MemberEvent: TypeAlias = Literal["group.member_added", "group.member_removed"]


class Actor(Struct, frozen=True, kw_only=True):
    """Who made a change."""

    id: str | None
    """Client id of the app that called; None for the platform itself."""
    type: Literal["admin", "user", "scim", "system", "api"]


SYSTEM = Actor(id=None, type="system")
"""The platform itself."""


class EventResource(Struct, frozen=True, kw_only=True):
    """What an event is about."""

    type: Literal["user", "group"]
    id: str


class Event(Struct, frozen=True, kw_only=True):
    """One event as it is sent."""

    event_id: str
    """The same at every delivery of this event."""
    event_type: UserEvent | GroupEvent | MemberEvent
    timestamp: Timestamp
    """When the change was made; later events have later ones."""
    resource: EventResource
    actor: Actor
    data: dict[str, str | None]
    """Of a user email, username and status; of a group name and group_type; of a member user_id."""
    tenant_id: str
    partner_id: str | None = None
