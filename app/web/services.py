"""What the handlers work with, made once by the composition root."""

from __future__ import annotations

import msgspec

from app.bridge.group_search import GroupSearch
from app.bridge.groups import Groups
from app.bridge.search import Search
from app.bridge.users import Users
from app.config import Settings
from app.scim.schema import ResourceModel
from app.store.store import Store
from app.web.contexts import Contexts


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
