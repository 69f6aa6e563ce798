"""Who wants to know: the webhook endpoints, and whether a tenant has one."""

from __future__ import annotations

from msgspec import Struct
from sqlalchemy import ColumnElement, Label, Table, delete, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from app.embedded.identifiers import new_id
from app.embedded.tables import webhooks


class Webhook(Struct, frozen=True, kw_only=True):
    """One endpoint that events are sent to."""

    id: str
    url: str
    secret: str
    """Signs what is sent there."""
    tenant_id: str | None
    """None wants the events of all tenants."""


def wants(tenant_id: ColumnElement[str] | str) -> ColumnElement[bool]:
    """The condition on a webhook that it is sent the events of that tenant."""
    return or_(webhooks.c.tenant_id.is_(None), webhooks.c.tenant_id == tenant_id)


def watched(table: Table) -> Label[bool]:
    """Column `watched`: whether anybody is sent the events of the row's tenant.

    A writer learns it from the row that it reads anyway, within its transaction, so that a write nobody wants
    to know of costs no statement more, and none is missed once an endpoint is there.
    """
    exists = select(webhooks.c.id).where(wants(table.c.tenant_id)).correlate(table).exists()
    return exists.label("watched")


async def has_webhooks(connection: AsyncConnection) -> bool:
    """Whether there is an endpoint at all."""
    return (await connection.execute(select(webhooks.c.id).limit(1))).first() is not None


async def list_webhooks(connection: AsyncConnection) -> list[Webhook]:
    """All endpoints, oldest first."""
    columns = (webhooks.c.id, webhooks.c.url, webhooks.c.secret, webhooks.c.tenant_id)
    rows = (await connection.execute(select(*columns).order_by(webhooks.c.created_at, webhooks.c.id))).all()
    return [Webhook(id=id_, url=url, secret=secret, tenant_id=tenant) for id_, url, secret, tenant in rows]


async def ensure_webhook(
    connection: AsyncConnection, url: str, secret: str, tenant_id: str | None, now: str
) -> str:
    """The id of the endpoint at that URL, which from now on has this secret and tenant."""
    known = (await connection.execute(select(webhooks.c.id).where(webhooks.c.url == url))).scalar()
    values = {"secret": secret, "tenant_id": tenant_id}
    if known is not None:
        await connection.execute(update(webhooks).where(webhooks.c.id == known).values(values))
        return str(known)
    webhook_id = new_id("whk")
    await connection.execute(
        insert(webhooks).values({"id": webhook_id, "url": url, "created_at": now, **values})
    )
    return webhook_id


async def remove_webhook(connection: AsyncConnection, url: str) -> bool:
    """Forget the endpoint and what has not been delivered to it; whether there was one."""
    return (await connection.execute(delete(webhooks).where(webhooks.c.url == url))).rowcount > 0
