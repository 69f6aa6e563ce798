"""Puts the use cases that write together, over whatever store and platform they are to stand on."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

import msgspec

from app.bridge.bulk import Bulk
from app.bridge.bulk_endpoints import Endpoint, GroupEndpoint, UserEndpoint
from app.bridge.context import Context
from app.bridge.forgetting import Forgetting
from app.bridge.group_backend import GroupBackend
from app.bridge.group_guard import GroupGuard
from app.bridge.group_resources import GroupResources
from app.bridge.groups import Groups
from app.bridge.indexing import Indexing
from app.bridge.journaling import Journaling
from app.bridge.local_groups import StoredGroups
from app.bridge.locks import KeyedLocks
from app.bridge.matching import Matching
from app.bridge.platform_group_writes import GROUP_CREATE, GROUP_UPDATE, PlatformGroups
from app.bridge.recovery import Recovery, Times
from app.bridge.resources import Resources
from app.bridge.search import Search
from app.bridge.story import Stories
from app.bridge.unique_values import UniqueValues
from app.bridge.upkeep import Upkeep
from app.bridge.user_calls import UserCalls
from app.bridge.user_guard import UserGuard
from app.bridge.user_recovery import UserRecovery
from app.bridge.user_writing import (
    USER_CREATE,
    USER_DELETE,
    USER_RETIRE,
    USER_REVIVE,
    USER_UPDATE,
    UserWriter,
)
from app.bridge.users import Users
from app.platform.client import PlatformClient
from app.platform.groups import GroupClient
from app.scim.schema import ResourceModel
from app.store.store import Store


class Ground(msgspec.Struct, frozen=True, kw_only=True):
    """What the use cases stand on."""

    store: Store
    platform: PlatformClient
    group_client: GroupClient
    group_model: ResourceModel
    locks: KeyedLocks
    indexing: Indexing
    upkeep: Upkeep
    journaling: Journaling
    contexts: Callable[[], Awaitable[Sequence[Context]]]
    """The connections that can be used."""
    times: Times
    stories: Stories
    scan_limit: int
    bulk_concurrency: int


class UseCases(msgspec.Struct, frozen=True, kw_only=True):
    """The use cases that write, and what they share with those that read."""

    users: Users
    groups: Groups
    bulk: Bulk
    recovery: Recovery
    resources: Resources
    search: Search
    backends: dict[str, GroupBackend]


def compose(ground: Ground) -> UseCases:
    """The use cases; nothing runs in the background yet."""
    store, platform, locks, indexing = ground.store, ground.platform, ground.locks, ground.indexing
    journaling = ground.journaling
    resources = Resources(store.local_groups)
    matching = Matching(platform, store.links, resources, indexing, ground.upkeep)
    calls = UserCalls(platform, ground.group_client)
    forgetting = Forgetting(store, indexing)
    user_recovery = UserRecovery(calls, resources, indexing, forgetting)
    platform_groups = PlatformGroups(
        platform, ground.group_client, store.index, store.group_records, journaling
    )
    recovery = Recovery(
        journaling,
        locks,
        ground.contexts,
        {
            USER_CREATE: user_recovery.create,
            USER_UPDATE: user_recovery.update,
            USER_DELETE: user_recovery.delete,
            USER_RETIRE: user_recovery.retire,
            USER_REVIVE: user_recovery.revive,
            GROUP_CREATE: platform_groups.recover_create,
            GROUP_UPDATE: platform_groups.recover_update,
        },
        ground.times,
        ground.stories,
    )
    guard = UserGuard(platform, store.index, indexing, store.deprovisionings)
    writer = UserWriter(calls, resources, matching, indexing, forgetting, journaling, guard)
    search = Search(platform, store.index, resources, matching, indexing, scan_limit=ground.scan_limit)
    unique = UniqueValues(search, locks)
    users = Users(calls, resources, matching, locks, forgetting, journaling, writer, recovery, guard, unique)
    backends: dict[str, GroupBackend] = {
        "platform": platform_groups,
        "local": StoredGroups(platform, store.local_groups, store.group_records),
    }
    groups = Groups(
        GroupResources(backends, store.group_records),
        store.group_records,
        locks,
        ground.group_model,
        GroupGuard(platform, backends, store),
        journaling,
        recovery,
    )
    endpoints: dict[str, Endpoint] = {"Users": UserEndpoint(users), "Groups": GroupEndpoint(groups)}
    return UseCases(
        users=users,
        groups=groups,
        bulk=Bulk(endpoints, concurrency=ground.bulk_concurrency),
        recovery=recovery,
        resources=resources,
        search=search,
        backends=backends,
    )
