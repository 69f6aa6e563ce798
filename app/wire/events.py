"""The platform's events, as its webhooks carry them; fields that the bridge does not use are left out."""

from __future__ import annotations

from typing import Annotated

import msgspec

_Short = Annotated[str, msgspec.Meta(min_length=1, max_length=200)]


class EventResource(msgspec.Struct, frozen=True, kw_only=True):
    """What an event is about."""

    id: str
    type: str | None = None
    """`user`, `group`, …"""


class EventActor(msgspec.Struct, frozen=True, kw_only=True):
    """Who has caused an event."""

    id: str | None = None


class PlatformEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One event. It may come twice, late, or after a later one."""

    event_id: _Short
    event_type: _Short
    """`user.updated`, `group.member_added`, …"""
    timestamp: str | int | float | None = None
    """When it happened; ISO 8601."""
    tenant_id: str | None = None
    resource: EventResource | None = None
    actor: EventActor | None = None
