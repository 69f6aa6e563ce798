"""The first page: how the bridge is."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
from litestar import Request, Router, get
from litestar.params import FromQuery
from litestar.response import Template

from app.bridge.context import Context
from app.console.advice import ADVICE
from app.console.charts import SPANS, WIDTH, draw
from app.console.errors import Unusable
from app.console.rendering import page
from app.console.services import ConsoleServices, services_of
from app.mapping.errors import MappingError
from app.store.audit_records import AuditFilter
from app.store.connections import Connection
from app.store.index_records import Stats, View

_TITLE = "Overview"
_USUAL = next(iter(SPANS))
_MOST = 100
"""Connections whose index is looked at for one page."""


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """What the index knows of a connection's tenant."""

    connection: Connection
    view: View | None = None
    stats: Stats | None = None
    trouble: str | None = None
    """Why the connection cannot be used."""

    @property
    def swept_s_ago(self) -> float | None:
        """Seconds since the last sweep that has ended began: changes made elsewhere are known up to then."""
        swept_at = None if self.view is None else self.view.swept_at
        return None if swept_at is None else (datetime.now(UTC) - swept_at).total_seconds()


@get("/")
async def overview(request: Request[Any, Any, Any], span: FromQuery[str] = _USUAL) -> Template:
    """Health, journal, index and the last hours, or days, at a glance."""
    services = services_of(request)
    drawn = await _charts(services, span)
    return page(request, "overview.html", title=_TITLE, **drawn, **await _status(services))


@get("/charts", opt={"polled": True})
async def charts(request: Request[Any, Any, Any], span: FromQuery[str] = _USUAL) -> Template:
    """Another part of it that the page asks for anew."""
    return page(request, "parts/charts.html", title=_TITLE, **await _charts(services_of(request), span))


@get("/status", opt={"polled": True})
async def status(request: Request[Any, Any, Any], was: FromQuery[str] = "") -> Template:
    """The part of it that the page asks for anew by itself; `was` is the health that it shows."""
    return page(request, "parts/status.html", title=_TITLE, **await _status(services_of(request), was))


async def _charts(services: ConsoleServices, asked: str) -> dict[str, Any]:
    span = SPANS.get(asked)
    if span is None:
        raise Unusable(f"Span: one of {', '.join(SPANS)}.")
    now = datetime.now(UTC)
    hours = await services.store.audit.hours(AuditFilter(since=span.begins(now)), step_h=span.step_h)
    return {
        "charts": draw(hours, span, now),
        "chart_width": WIDTH,
        "spans": SPANS,
        "span": asked,
        "advice": ADVICE,
        "names": {c.id: c.name for c in await services.store.connections.list()},
        "drawn_at": now,
    }


async def _status(services: ConsoleServices, was: str = "") -> dict[str, Any]:
    connections = await services.store.connections.list()
    readiness = await services.readiness()
    return {
        "readiness": readiness,
        "turned": was not in ("", readiness.status),
        "counts": await services.store.journal.counts(),
        "freshness": [await _freshness(services, c) for c in connections[:_MOST]],
        "left_out": len(connections[_MOST:]),
        "settings": services.settings,
        "asked_at": datetime.now(UTC),
    }


async def _freshness(services: ConsoleServices, connection: Connection) -> Freshness:
    try:
        context: Context = services.context_of(connection)
    except (MappingError, ValueError) as exc:
        return Freshness(connection=connection, trouble=str(exc))
    view = await services.indexing.view(context)
    return Freshness(connection=connection, view=view, stats=await services.store.index.stats(view.id))


router = Router(path="/", route_handlers=[overview, status, charts])
