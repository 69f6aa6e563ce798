"""The composition root: settings → database and platform client → use cases → ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

from litestar import Litestar

from app.admin import create_admin
from app.bridge.audit import AuditTrail, Rules
from app.bridge.composition import Ground, compose
from app.bridge.context import Context
from app.bridge.doctor.doctor import Doctor
from app.bridge.dry_runs import DryRuns
from app.bridge.events import PlatformEvents
from app.bridge.explaining import Explainer
from app.bridge.group_search import GroupSearch
from app.bridge.indexing import Indexing
from app.bridge.journaling import Journaling
from app.bridge.locks import KeyedLocks
from app.bridge.recovery import Times
from app.bridge.story import Stories
from app.bridge.sweeping import Sweeper
from app.bridge.upkeep import Schedule, Upkeep
from app.config import PREFIX, Settings, SettingsError
from app.observing.access_log import AccessLog
from app.observing.counting import Counting
from app.observing.routes import CallRoutes
from app.platform.auth import ClientCredentials
from app.platform.breaker import Breaker
from app.platform.client import PlatformClient
from app.platform.groups import GroupClient
from app.platform.retry import RetryPolicy
from app.platform.tracing import Traces
from app.platform.transport import Transport, in_process_transport, network_transport
from app.scim.schema import group_model
from app.store.sources import new_id
from app.store.store import Store
from app.web.app import create_app
from app.web.contexts import Contexts
from app.web.cursors import Cursors
from app.web.health import Health
from app.web.limits import Limits
from app.web.oauth.grants import Grants
from app.web.oauth.jwks import MAX_ANSWER_BYTES, IssuerKeys
from app.web.services import Services

_EMBEDDED_URL = "http://embedded-platform"
_EMBEDDED_PATHS = ("/api/", "/openapi.json")
_KEY_FETCHES = 8
"""Connections at a time to those whose assertions are trusted."""


class Front:
    """One port for two applications: the embedded platform at its own paths, the bridge at all others."""

    def __init__(self, bridge: Litestar, platform: Litestar) -> None:
        self._bridge = bridge
        self._platform = platform

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand a request to the application that its path belongs to."""
        at_platform = scope["type"] == "http" and scope["path"].startswith(_EMBEDDED_PATHS)
        app: Any = self._platform if at_platform else self._bridge
        await app(scope, receive, send)


class LateApp:
    """An application that is known after whoever calls it: until then, calls fail and are made again."""

    def __init__(self) -> None:
        self.app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand on a request. Raises ConnectionError while there is nobody to hand it to."""
        if self.app is None:
            raise ConnectionRefusedError("the application is not open yet")
        await self.app(scope, receive, send)


@asynccontextmanager
async def open_bridge(
    settings: Settings,
    *,
    embedded: Litestar | None = None,
    transport: Transport | None = None,
    retry: RetryPolicy | None = None,
    health: Health | None = None,
    admin: LateApp | None = None,
) -> AsyncIterator[Any]:
    """The bridge as an ASGI application, open and at work in the background for as long as the context is.

    `admin` becomes the application for operators, over the same services. Writes under way are finished
    before all is closed. Other arguments and errors are those of `open_services`.
    """
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(
            open_services(settings, embedded=embedded, transport=transport, retry=retry, health=health)
        )
        await services.audit.open()
        stack.push_async_callback(services.audit.aclose)
        await services.upkeep.open()
        await services.recovery.open()
        stack.push_async_callback(services.recovery.aclose)
        stack.push_async_callback(_finish_writes, services)
        bridge = create_app(services)
        await stack.enter_async_context(bridge.lifespan())
        if admin is not None:
            admin.app = create_admin(services)
            await stack.enter_async_context(admin.app.lifespan())
        yield bridge if embedded is None else Front(bridge, embedded)


@asynccontextmanager
async def open_services(
    settings: Settings,
    *,
    embedded: Litestar | None = None,
    transport: Transport | None = None,
    retry: RetryPolicy | None = None,
    health: Health | None = None,
) -> AsyncIterator[Services]:
    """The use cases over an open database and platform, with nothing running in the background.

    `embedded` is the embedded platform's application, not yet started; without it the platform is at
    `settings.platform_url`. `transport` takes the place of the network, `retry` that of the usual policy;
    `health` is given by who tells it of the shutdown. Raises `StoreError` and `MappingError` where it cannot
    start.
    """
    async with AsyncExitStack() as stack:
        store = await Store.open(settings.bridge_database_url)
        stack.push_async_callback(store.close)
        if embedded is not None:
            await stack.enter_async_context(_started(embedded))
            transport = transport or in_process_transport(embedded)
        routes = CallRoutes(settings.platform_groups_path)
        counting = Counting(routes)
        platform = _platform_client(settings, transport or _network(settings), retry, counting)
        stack.push_async_callback(platform.aclose)
        stories = Stories([counting])
        tracing = await stack.enter_async_context(_tracing(settings, routes, stories))
        if settings.log_requests:
            stories.add(AccessLog())
        services = await _services(settings, store, platform, health or Health(), stories, counting, tracing)
        # Also without background work, somebody who waits for a sweep begins one.
        stack.push_async_callback(services.upkeep.aclose)
        stack.push_async_callback(services.grants.aclose)
        yield services


@asynccontextmanager
async def _started(app: Litestar) -> AsyncIterator[None]:
    """An open application. It does not hear of a failure: it would wrap it in an ExceptionGroup."""
    lifespan = app.lifespan()
    await lifespan.__aenter__()
    try:
        yield
    finally:
        await lifespan.__aexit__(None, None, None)


async def _finish_writes(services: Services) -> None:
    settings = services.settings
    patience_s = settings.shutdown_delay_s + settings.shutdown_timeout_s
    await services.limits.handling.finish(max(1.0, patience_s - services.health.stopping_s))


async def _platform_reason(platform: PlatformClient) -> str | None:
    circuit = platform.state
    return (
        None
        if circuit.state == "closed"
        else f"no calls since {circuit.since:%H:%M:%S} UTC: {circuit.reason}"
    )


def _network(settings: Settings) -> Transport:
    # One connection more than calls: a token can be had while all are under way.
    return network_transport(
        settings.platform_concurrency + 1, max_answer_bytes=settings.platform_max_answer_bytes
    )


def _platform_client(
    settings: Settings, transport: Transport, retry: RetryPolicy | None, counting: Counting
) -> PlatformClient:
    base_url = (settings.platform_url or _EMBEDDED_URL).rstrip("/")
    retry = retry or RetryPolicy()
    breaker = Breaker(
        failures=settings.platform_breaker_failures,
        reset_s=settings.platform_breaker_reset_s,
        clock=retry.clock,
    )
    tokens = ClientCredentials(
        transport,
        token_url=base_url + settings.platform_token_path,
        client_id=settings.platform_client_id,
        client_secret=settings.platform_client_secret,
        scope=settings.platform_scope,
        timeout_s=min(
            settings.platform_connect_timeout_s + settings.platform_read_timeout_s,
            settings.platform_timeout_s,
        ),
        breaker=breaker,
    )
    return PlatformClient(
        transport,
        base_url=base_url,
        tokens=tokens,
        connect_timeout_s=settings.platform_connect_timeout_s,
        read_timeout_s=settings.platform_read_timeout_s,
        timeout_s=settings.platform_timeout_s,
        max_concurrency=settings.platform_concurrency,
        max_answer_bytes=settings.platform_max_answer_bytes,
        user_include=settings.platform_user_include,
        correlation_header=settings.platform_correlation_header,
        retry=retry,
        breaker=breaker,
        heard=counting.heard,
    )


@asynccontextmanager
async def _tracing(settings: Settings, routes: CallRoutes, stories: Stories) -> AsyncIterator[Traces | None]:
    """Who makes traces of the stories, if that is wanted; raises SettingsError where it cannot be had."""
    if not settings.otel_traces:
        yield None
        return
    try:
        # An extra, which takes long to import.
        from app.observing.tracing import Tracing
    except ModuleNotFoundError as exc:
        raise SettingsError(
            f"{PREFIX}OTEL_TRACES: {exc.name} is not installed: pip install 'scim-bridge[otel]'"
        ) from exc
    tracing = Tracing(routes)
    stories.add(tracing)
    try:
        yield tracing
    finally:
        await tracing.aclose()


async def _services(
    settings: Settings,
    store: Store,
    platform: PlatformClient,
    health: Health,
    stories: Stories,
    counting: Counting,
    tracing: Traces | None,
) -> Services:
    health.add("database", store.ping, required=True)
    health.add("platform", partial(_platform_reason, platform))
    contexts = Contexts(settings)

    async def usable() -> list[Context]:
        return contexts.usable(await store.connections.list())

    # A mapping or tolerance that cannot be used is found at start, not at the first request.
    for connection in await store.connections.list():
        contexts.of(connection, "")
    # Several replicas share a PostgreSQL; a SQLite file belongs to one.
    locks = KeyedLocks(store.leases if store.db.dialect == "postgresql" else None, settle_s=settings.settle_s)
    indexing = Indexing(platform, store.index)
    sweeper = Sweeper(platform, store.index, indexing, store.leases, calls_per_second=settings.index_rate)
    upkeep = Upkeep(
        indexing,
        sweeper,
        usable,
        Schedule(sweep_s=settings.index_sweep_s, refresh_s=settings.index_refresh_s),
        wait_s=settings.link_wait_s,
    )
    journaling = Journaling(
        store.journal,
        settle_s=settings.settle_s,
        owner=new_id("own"),
    )
    group_client = GroupClient(platform, path=settings.platform_groups_path)
    ground = Ground(
        store=store,
        platform=platform,
        group_client=group_client,
        group_model=group_model(),
        locks=locks,
        indexing=indexing,
        upkeep=upkeep,
        journaling=journaling,
        contexts=usable,
        times=Times(
            tick_s=settings.journal_tick_s,
            attempts=settings.journal_attempts,
            keep_s=settings.journal_keep_s,
        ),
        stories=stories,
        scan_limit=settings.scan_limit,
        bulk_concurrency=settings.bulk_concurrency,
    )
    cases = compose(ground)
    audit = AuditTrail(
        store.audit,
        Rules(
            reads=settings.audit_reads,
            queue=settings.audit_queue,
            keep_s=settings.audit_keep_s,
            max_records=settings.audit_max_rows,
        ),
    )
    health.add("journal", cases.recovery.reason)
    health.add("audit", audit.reason)
    stories.add(audit)
    return Services(
        settings=settings,
        store=store,
        contexts=contexts,
        users=cases.users,
        recovery=cases.recovery,
        search=cases.search,
        explainer=Explainer(platform, cases.resources, cases.search),
        dry_runs=DryRuns(ground, sweeper, user_include=settings.platform_user_include),
        doctor=Doctor(platform, group_client),
        groups=cases.groups,
        group_search=GroupSearch(
            cases.backends, store, ground.group_model, list_limit=settings.group_list_limit
        ),
        group_model=ground.group_model,
        bulk=cases.bulk,
        indexing=indexing,
        sweeper=sweeper,
        upkeep=upkeep,
        cursors=Cursors(store.server_keys, timeout_s=settings.cursor_timeout_s),
        events=PlatformEvents(store.group_records, indexing, own_id=settings.platform_client_id),
        grants=_grants(store),
        limits=Limits(settings),
        health=health,
        stories=stories,
        audit=audit,
        platform=platform,
        counting=counting,
        tracing=tracing,
    )


def _grants(store: Store) -> Grants:
    keys = IssuerKeys(partial(network_transport, _KEY_FETCHES, max_answer_bytes=MAX_ANSWER_BYTES))
    return Grants(store.clients, store.federations, store.access_tokens, keys)
