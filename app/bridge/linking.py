"""The link table's upkeep: by what a user can be found, and whether every user of a tenant is in it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime

import structlog

from app.bridge.context import Context
from app.bridge.listing import full_users, read_all
from app.platform.client import PlatformClient
from app.platform.errors import PlatformError
from app.scim.errors import ScimError, ServiceUnavailable
from app.scim.schema import Resource
from app.store.errors import StoreError
from app.store.links import LinkEntry
from app.store.store import Store

_log = structlog.get_logger(__name__)

_BATCH = 200
_RETRY_S = 30


def links_of(resource: Resource, domain: str) -> list[LinkEntry]:
    """The values by which clients look for this user."""
    entries = []
    if user_name := resource.get("userName"):
        entries.append(LinkEntry(kind="userName", value=user_name))
    if external_id := resource.get("externalId"):
        entries.append(LinkEntry(kind="externalId", value=external_id, domain=domain))
    entries.extend(
        LinkEntry(kind="email", value=email["value"])
        for email in resource.get("emails", ())
        if isinstance(email.get("value"), str)
    )
    return entries


class Linking:
    """Fills the table on first need: one fill a tenant and domain, shared by all that wait for it.

    A link is never an answer: it names a user to read. So a stale one costs a GET, and only a missing one
    could hide a user; hence the fill before the first miss is believed.
    """

    def __init__(
        self,
        platform: PlatformClient,
        store: Store,
        *,
        wait_s: float = 20.0,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._platform = platform
        self._links = store.links
        self._wait_s = wait_s
        self._now = now
        self._fills: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def remember(self, context: Context, resource: Resource) -> None:
        """Make the links of one user those of this resource."""
        await self._links.replace(
            context.tenant_id, resource["id"], links_of(resource, context.domain), domain=context.domain
        )

    async def ensure_complete(self, context: Context) -> None:
        """Return when every user is in the table.

        Raises `ServiceUnavailable` with `Retry-After` while a large tenant is still being read; the reading
        goes on.
        """
        key = (context.tenant_id, context.domain)
        state = await self._links.state(*key)
        if state is not None and state.complete_since is not None:
            return
        task = self._fills.get(key)
        if task is None:
            task = self._fills[key] = asyncio.create_task(self._fill(context))
            task.add_done_callback(lambda _: self._fills.pop(key, None))
        done, _ = await asyncio.wait({task}, timeout=self._wait_s)
        if not done:
            raise ServiceUnavailable(
                "users are being read for the first time, to find them by externalId and e-mail: try again",
                retry_after_s=_RETRY_S,
            )
        task.result()

    async def aclose(self) -> None:
        """Stop fills under way; they start anew on the next need."""
        tasks = list(self._fills.values())
        for task in tasks:
            task.cancel()
        for task in tasks:
            with suppress(asyncio.CancelledError, PlatformError, ScimError, StoreError):
                await task

    async def _fill(self, context: Context) -> None:
        started = self._now()
        rows = await read_all(self._platform, context.tenant_id, context.mapping.platform, {})
        batch: list[tuple[str, LinkEntry]] = []
        async for user_id, user in full_users(self._platform, context.tenant_id, (r.id for r in rows)):
            if user is None:
                continue
            resource = context.mapping.to_scim(user, domain=context.domain, base_url=context.base_url)
            batch.extend((user_id, entry) for entry in links_of(resource, context.domain))
            if len(batch) >= _BATCH:
                await self._links.add_missing(context.tenant_id, batch)
                batch = []
        await self._links.add_missing(context.tenant_id, batch)
        await self._links.set_state(
            context.tenant_id, context.domain, complete_since=started, scanned_users=len(rows)
        )
        _log.info("links complete", tenant_id=context.tenant_id, domain=context.domain, users=len(rows))
