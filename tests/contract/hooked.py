"""A platform with webhooks, quick to try again, and the wait until nothing is on its way any more."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from platform_server import RunningPlatform, Tenant
from webhook_receiver import SECRET, Received, Receiver

from app.embedded import PlatformSettings

QUICK = PlatformSettings(webhook_retry_s=0.01, webhook_retry_max_s=0.05, webhook_poll_s=0.05)


def subscribe(
    platform: RunningPlatform, receiver: Receiver, tenant: Tenant | None = None, secret: str = SECRET
) -> str:
    return platform.call(platform.directory.add_webhook, receiver.url, secret, tenant and tenant.id)


def undelivered(database: Path) -> list[str]:
    """The types of the events in the outbox."""
    with closing(sqlite3.connect(database)) as connection:
        return [row[0] for row in connection.execute("SELECT event_type FROM webhook_outbox ORDER BY seq")]


def settle(platform: RunningPlatform) -> None:
    """Wait until the outbox is empty: an event leaves it once it has arrived, or is given up."""
    wait_until(lambda: not undelivered(platform.database))


def wait_until(good: Callable[[], bool]) -> None:
    ends = time.monotonic() + 30
    while not good():
        assert time.monotonic() < ends
        time.sleep(0.01)


def events_of(receiver: Receiver, tenant: Tenant) -> list[Received]:
    """What was taken of a tenant's events, in the order of the changes."""
    mine = [one for one in receiver.taken if one.event["tenant_id"] == tenant.id]
    return sorted(mine, key=lambda one: one.event["timestamp"])
