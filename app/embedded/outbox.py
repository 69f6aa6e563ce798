"""Events on their way: written with the change that they tell of, deleted once they are delivered."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec import Struct
from sqlalchemy import Select, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.events import Event
from app.embedded.tables import tenants, webhook_outbox, webhooks
from app.embedded.webhooks import wants

_DELETED_AT_ONCE = 500
"""Below the number of parameters that any SQLite takes in a statement."""


class Delivery(Struct, frozen=True, kw_only=True):
    """One event for one endpoint."""

    seq: int
    """Rises with every event, in the order of the changes."""
    resource_id: str
    event_id: str
    event_type: str
    body: str
    """The envelope as JSON."""
    created_at: datetime


async def record_events(connection: AsyncConnection, events: Sequence[Event]) -> None:
    """Write each event once for every endpoint that wants its tenant's."""
    rows = []
    for tenant_id in dict.fromkeys(event.tenant_id for event in events):
        hooks = select(webhooks.c.id, tenants.c.partner_id).join(tenants, tenants.c.id == tenant_id)
        found = (await connection.execute(hooks.where(wants(tenant_id)))).all()
        rows += [
            _row(webhook_id, msgspec.structs.replace(event, partner_id=partner_id))
            for event in events
            if event.tenant_id == tenant_id
            for webhook_id, partner_id in found
        ]
    if rows:
        await connection.execute(insert(webhook_outbox), rows)


async def next_deliveries(
    connection: AsyncConnection, webhook_id: str, *, after: int, limit: int, resource_id: str | None = None
) -> list[Delivery]:
    """The first deliveries to an endpoint beyond `after`, of one resource or of all."""
    outbox = webhook_outbox.c
    statement: Select[tuple[int, str, str, str, str, str]] = select(
        outbox.seq, outbox.resource_id, outbox.event_id, outbox.event_type, outbox.body, outbox.created_at
    ).where(outbox.webhook_id == webhook_id, outbox.seq > after)
    if resource_id is not None:
        statement = statement.where(outbox.resource_id == resource_id)
    rows = (await connection.execute(statement.order_by(outbox.seq).limit(limit))).all()
    return [
        Delivery(
            seq=row.seq,
            resource_id=row.resource_id,
            event_id=row.event_id,
            event_type=row.event_type,
            body=row.body,
            created_at=datetime.fromisoformat(row.created_at),
        )
        for row in rows
    ]


async def delete_deliveries(connection: AsyncConnection, numbers: Sequence[int]) -> None:
    """Forget what has arrived, or has been given up."""
    for start in range(0, len(numbers), _DELETED_AT_ONCE):
        some = numbers[start : start + _DELETED_AT_ONCE]
        await connection.execute(delete(webhook_outbox).where(webhook_outbox.c.seq.in_(some)))


def _row(webhook_id: str, event: Event) -> dict[str, str]:
    return {
        "webhook_id": webhook_id,
        "resource_id": event.resource.id,
        "event_id": event.event_id,
        "event_type": event.event_type,
        "body": msgspec.json.encode(event).decode(),
        "created_at": event.timestamp,
    }
