"""Reading the platform's lists: single windows, whole lists, and the full users behind the rows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterable, Mapping

import msgspec

from app.bridge.fan_out import FAN_OUT
from app.mapping.model import Capabilities
from app.planning.pages import pages_for, pinned
from app.platform.client import PlatformClient
from app.platform.errors import Missing
from app.scim.errors import ServiceUnavailable, TooMany
from app.wire.users import PlatformUser, UserListItem, UserPage

_SETTLE_ROUNDS = 4


class Rows(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of a list and how many there are in all."""

    items: tuple[UserListItem, ...]
    total: int


async def read_window(
    platform: PlatformClient,
    tenant_id: str,
    capabilities: Capabilities,
    query: Mapping[str, str],
    *,
    offset: int,
    count: int,
) -> Rows:
    """The rows of one window and the platform's total. With `count` 0 only the total is read."""
    size, pages = pages_for(offset, max(count, 1), capabilities.per_page_max)
    base = pinned(query, capabilities)
    found: list[UserPage] = []
    for page in pages:
        if found and (page - 1) * size >= found[-1].pagination.total_items:
            break
        found.append(await platform.list_users(tenant_id, {**base, "page": page, "per_page": size}))
    skip = offset - (pages[0] - 1) * size
    rows = [row for page in found for row in page.data][skip : skip + count]
    return Rows(items=tuple(rows), total=found[-1].pagination.total_items)


async def read_all(
    platform: PlatformClient,
    tenant_id: str,
    capabilities: Capabilities,
    query: Mapping[str, str],
    *,
    limit: int | None = None,
) -> tuple[UserListItem, ...]:
    """Every row of a list, each once.

    A user removed meanwhile shifts the pages behind it, so that a row could be skipped: the list counts as
    read when the first and the last page tell the same total and that many rows were seen, else it is read
    again. Raises `TooMany` past `limit`, `ServiceUnavailable` where the list does not come to rest.
    """
    base = pinned(query, capabilities)
    size = capabilities.per_page_max
    for _ in range(_SETTLE_ROUNDS):
        rows: dict[str, UserListItem] = {}
        totals: set[int] = set()
        number = 1
        while True:
            page = await platform.list_users(tenant_id, {**base, "page": number, "per_page": size})
            totals.add(page.pagination.total_items)
            if limit is not None and page.pagination.total_items > limit:
                raise TooMany(
                    f"this filter or order needs all {page.pagination.total_items} users to be read one by "
                    f"one, and at most {limit} are: narrow it with userName, externalId, emails, id or status"
                )
            rows.update((row.id, row) for row in page.data)
            if not page.data or number * size >= page.pagination.total_items:
                break
            number += 1
        if totals == {len(rows)}:
            return tuple(rows.values())
    raise ServiceUnavailable("users are being added or removed too quickly to list them all", retry_after_s=5)


async def full_users(
    platform: PlatformClient, tenant_id: str, ids: Iterable[str]
) -> AsyncGenerator[tuple[str, PlatformUser | None]]:
    """The users of these ids in order, None for one that is gone; a bounded number is read at a time."""
    pending: list[tuple[str, asyncio.Task[PlatformUser]]] = []
    remaining = iter(ids)
    try:
        while True:
            while len(pending) < FAN_OUT and (user_id := next(remaining, None)) is not None:
                pending.append((user_id, asyncio.create_task(platform.get_user(tenant_id, user_id))))
            if not pending:
                return
            user_id, task = pending.pop(0)
            try:
                yield user_id, await task
            except Missing:
                yield user_id, None
    finally:
        for _, task in pending:
            task.cancel()
        await asyncio.gather(*(task for _, task in pending), return_exceptions=True)
