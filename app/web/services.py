"""What the handlers work with, made once by the composition root."""

from __future__ import annotations

import msgspec

from app.bridge.audit import AuditTrail
from app.bridge.bulk import Bulk
from app.bridge.context import Context
from app.bridge.doctor.doctor import Doctor
from app.bridge.dry_runs import DryRuns
from app.bridge.events import Events
from app.bridge.explaining import Explainer
from app.bridge.group_search import GroupSearch
from app.bridge.groups import Groups
from app.bridge.indexing import Indexing
from app.bridge.recovery import Recovery
from app.bridge.search import Search
from app.bridge.story import Stories
from app.bridge.sweeping import Sweeper
from app.bridge.upkeep import Upkeep
from app.bridge.users import Users
from app.config import Settings
from app.observing.counting import Counting
from app.platform.client import PlatformClient
from app.platform.tracing import Traces
from app.scim.schema import ResourceModel
from app.store.store import Store
from app.web.contexts import Contexts
from app.web.cursors import Cursors
from app.web.health import Health
from app.web.limits import Limits
from app.web.oauth.grants import Grants


class Services(msgspec.Struct, frozen=True, kw_only=True):
    """The use cases and what they need to be reached."""

    settings: Settings
    store: Store
    contexts: Contexts
    users: Users
    search: Search
    groups: Groups
    group_search: GroupSearch
    group_model: ResourceModel
    bulk: Bulk
    explainer: Explainer
    dry_runs: DryRuns
    doctor: Doctor
    indexing: Indexing
    sweeper: Sweeper
    upkeep: Upkeep
    recovery: Recovery
    cursors: Cursors
    events: Events
    grants: Grants
    limits: Limits
    health: Health
    stories: Stories
    """Who hears what happened in requests."""
    audit: AuditTrail
    platform: PlatformClient
    counting: Counting
    """Hears of every platform call, and is among `stories`."""
    tracing: Traces | None
    """None where requests are not traced."""


def served_models(context: Context, services: Services) -> tuple[ResourceModel, ...]:
    """The resource types that a connection is served: users, groups, and what its mapping lists."""
    return (context.mapping.model, services.group_model, *(c.model for c in context.mapping.catalogs))
