"""What the client of a connection may do to users: protected ones stay as they are, masses do not go."""

from __future__ import annotations

import shlex
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog

from app.bridge.context import Context
from app.bridge.indexing import Indexing
from app.bridge.refusals import GuardStops, PolicyForbids
from app.bridge.steps import SetFields
from app.bridge.telling import telling
from app.bridge.writing import Write
from app.mapping.model import StatusRules
from app.mapping.status import reads_active
from app.mapping.users import UserChange
from app.platform.client import PlatformClient
from app.platform.errors import PlatformError
from app.scim.errors import ServiceUnavailable
from app.scim.schema import Resource
from app.store.deprovisionings import Counted, Deprovisionings, GuardLimits, SizeNeeded, Stopped
from app.store.user_index import UserIndex
from app.wire.users import PlatformUser

_log = structlog.get_logger(__name__)

RETRY_S = 600
"""`Retry-After` of a connection that is stopped: how often its client asks whether it is released."""

_SIZE_LIFE_S = 300.0
"""How long the size of a tenant counts; deletions that were counted do not change it."""

_GAINED = "this would make the user one of those that the policy of this connection protects"


class UserGuard:
    """Asked before a user is written to. The refusals are `PolicyForbids` and `GuardStops`."""

    def __init__(
        self,
        platform: PlatformClient,
        index: UserIndex,
        indexing: Indexing,
        deprovisionings: Deprovisionings,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._platform = platform
        self._index = index
        self._indexing = indexing
        self._deprovisionings = deprovisionings
        self._clock = clock
        self._sizes: dict[str, tuple[float, int]] = {}
        self._told: dict[str, Stopped] = {}
        """By the connection's id, the stops that the log has."""

    def check_creation(self, context: Context, user_name: str, change: UserChange) -> None:
        """Whether a user may be made of this: not one that would be protected."""
        self._check_name(context, user_name)
        if context.protected_users.custom(change.custom_attributes):
            raise PolicyForbids(_GAINED)

    @asynccontextmanager
    async def change(
        self, context: Context, current: PlatformUser, before: Resource, after: Resource, write: Write
    ) -> AsyncIterator[None]:
        """Around the calls of a write that makes of `before` what is `after`; a deactivation counts."""
        if not write.steps:
            yield
            return
        self._check_protected(context, current, before)
        self._check_name(context, str(after["userName"]))
        self._check_gained(context, current, write)
        if not _ends_access(context.mapping.status, current.status, write.target):
            yield
            return
        async with self._counted(context, current.id, removes=False):
            yield

    @asynccontextmanager
    async def deletion(
        self, context: Context, current: PlatformUser, before: Resource
    ) -> AsyncIterator[None]:
        """Around the calls that delete a user, which counts."""
        if context.deprovision == "refuse":
            raise PolicyForbids(
                "users are not deleted over this connection: deactivate them with active false"
            )
        self._check_protected(context, current, before)
        async with self._counted(context, current.id, removes=True):
            yield

    def _check_name(self, context: Context, user_name: str) -> None:
        if context.protected_users.name(user_name):
            raise PolicyForbids(
                f"userName {user_name!r} is reserved: the policy of this connection protects it"
            )

    def _check_gained(self, context: Context, user: PlatformUser, write: Write) -> None:
        """What the rules look at must not become what they protect: it may be what makes an administrator."""
        rules = context.protected_users
        if not rules.looks:
            return
        for step in write.steps:
            if isinstance(step, SetFields):
                user = step.applied(user)
        shown = context.mapping.to_scim(user, domain=context.domain, base_url="")
        if rules.names_user(user, str(shown.get("userName", ""))):
            raise PolicyForbids(_GAINED)

    def _check_protected(self, context: Context, current: PlatformUser, resource: Resource) -> None:
        if context.protected_users.names_user(current, str(resource.get("userName", ""))):
            raise PolicyForbids(f"user {current.id} is protected: it can be read over SCIM, not changed")

    @asynccontextmanager
    async def _counted(self, context: Context, user_id: str, *, removes: bool) -> AsyncIterator[None]:
        """Counted before the platform is called, and no longer if it certainly did nothing."""
        if context.guard is None:
            yield
            return
        new = await self._count(context, context.guard, user_id, removes=removes)
        try:
            yield
        except PlatformError as exc:
            if new and not exc.outcome_unknown:
                await self._deprovisionings.forget(context.connection_id, user_id)
            raise

    async def _count(self, context: Context, guard: GuardLimits, user_id: str, *, removes: bool) -> bool:
        """Whether the user counts from now on, and did not before."""
        known = self._sizes.get(context.connection_id)
        size = known[1] if known is not None and known[0] > self._clock() else None
        for _ in range(2):
            found = await self._deprovisionings.count(
                context.connection_id, user_id, guard, removes=removes, size=size
            )
            match found:
                case Counted():
                    return found.new
                case Stopped():
                    self._tell(context, found)
                    raise _stopped(context, guard, found)
                case SizeNeeded():
                    size = await self._users(context, found.removed)
                    self._sizes[context.connection_id] = (self._clock() + _SIZE_LIFE_S, size)
        raise ServiceUnavailable("the connection's guard cannot be asked now; try again", retry_after_s=5)

    def _tell(self, context: Context, stop: Stopped) -> None:
        """Log a stop, once: its client will ask again and again. A dry run stops nothing."""
        story = telling()
        if story is not None and story.dry_run:
            return
        if self._told.get(context.connection_id) != stop:
            self._told[context.connection_id] = stop
            _log.error("connection stopped by its guard", connection=context.connection, counted=stop.counted)

    async def _users(self, context: Context, removed: int) -> int:
        """How many users the tenant had, before so many: by the index, else by the platform's list."""
        view = await self._indexing.view(context)
        if view.complete_since is not None:
            return (await self._index.stats(view.id)).users + removed
        page = await self._platform.list_users(context.tenant_id, {"page": 1, "per_page": 1})
        # Whom only SCIM deleted the list still has.
        return page.pagination.total_items + (0 if context.deprovision == "disable" else removed)


def _ends_access(rules: StatusRules, present: str, target: str | None) -> bool:
    """Whether the status ceases to be active, or to be the one in which users work: a lock is as good."""
    if target is None or not reads_active(present, rules):
        return False
    return present == rules.enable_to or not reads_active(target, rules)


def _stopped(context: Context, guard: GuardLimits, stop: Stopped) -> GuardStops:
    share = f" and {guard.share:.0%} of all" if guard.share else ""
    return GuardStops(
        f"stopped: {stop.counted} users were deactivated or deleted over connection {context.connection!r} "
        f"within {guard.window_s / 3600:g} hours, and its guard lets no more than {guard.number} users"
        f"{share} go unasked; this user is unchanged. Where that is intended, an operator runs: "
        f"scim-bridge connection release {shlex.quote(context.connection)}",
        retry_after_s=RETRY_S,
    )
