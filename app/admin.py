"""The second composition root: the application for operators, over the services of the bridge."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import msgspec
from litestar import Litestar

from app.bridge.context import Context
from app.bridge.operating import Operating
from app.bridge.query import Query
from app.console.app import create_console
from app.console.services import ConsoleServices
from app.observing.endpoint import metrics_endpoint
from app.observing.gauges import Sources
from app.store.connections import Connection
from app.web.limits.addresses import AuthFailures
from app.web.parameters import SearchRequest
from app.web.requests import read_query, read_window
from app.web.services import Services


def create_admin(services: Services) -> Litestar:
    """All that the admin listener serves; what is not for a browser goes `beside` the console."""
    settings = services.settings
    contexts = services.contexts

    def context_of(connection: Connection) -> Context:
        return contexts.of(connection, "")

    def read_search(members: dict[str, Any], context: Context) -> Query:
        source = SearchRequest(members, context)
        window = read_window(source, settings)
        return msgspec.structs.replace(
            read_query(source, context, context.mapping.model),
            start_index=window.start_index,
            count=window.count,
        )

    limits = msgspec.structs.replace(settings, auth_failures_per_minute=settings.admin_failures_per_minute)
    return create_console(
        ConsoleServices(
            settings=settings,
            store=services.store,
            operating=Operating(services.store),
            explainer=services.explainer,
            dry_runs=services.dry_runs,
            indexing=services.indexing,
            context_of=context_of,
            read_search=read_search,
            readiness=services.health.readiness,
            is_https=contexts.is_https,
            failures=AuthFailures(limits, time.monotonic),
        ),
        beside=(metrics_endpoint(services.counting, _sources(services, context_of)),),
    )


def _sources(services: Services, context_of: Callable[[Connection], Context]) -> Sources:
    """Where the metrics look for how the bridge is."""
    platform, health = services.platform, services.health
    return Sources(
        store=services.store,
        audit=services.audit,
        context_of=context_of,
        readiness=health.readiness,
        checks=lambda: health.checks,
        circuit=lambda: platform.state,
        requests=lambda: services.limits.gate.load,
        platform_calls=lambda: platform.load,
    )
