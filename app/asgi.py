"""The composition root: settings → database and platform client → use cases → ASGI application."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from litestar import Litestar

from app.bridge.group_backend import GroupBackend
from app.bridge.group_search import GroupSearch
from app.bridge.groups import Groups
from app.bridge.linking import Linking
from app.bridge.local_groups import StoredGroups
from app.bridge.locks import KeyedLocks
from app.bridge.matching import Matching
from app.bridge.platform_groups import PlatformGroups
from app.bridge.resources import Resources
from app.bridge.search import Search
from app.bridge.users import Users
from app.config import Settings
from app.platform.auth import ClientCredentials
from app.platform.client import PlatformClient
from app.platform.groups import GroupClient
from app.platform.retry import RetryPolicy
from app.platform.transport import Transport, in_process_transport, network_transport
from app.scim.schema import group_model
from app.store.store import Store
from app.web.app import create_app
from app.web.contexts import Contexts, resolve
from app.web.services import Services

_EMBEDDED_URL = "http://embedded-platform"
_EMBEDDED_PATHS = ("/api/", "/openapi.json")


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


@asynccontextmanager
async def open_bridge(
    settings: Settings,
    *,
    embedded: Litestar | None = None,
    transport: Transport | None = None,
    retry: RetryPolicy | None = None,
) -> AsyncIterator[Any]:
    """The bridge as an ASGI application, open for as long as the context is.

    `embedded` is the embedded platform's application, not yet started; without it the platform is at
    `settings.platform_url`. `transport` takes the place of the network, `retry` that of
    the usual policy. Raises `StoreError` and
    `MappingError` where it cannot start.
    """
    async with AsyncExitStack() as stack:
        store = await Store.open(settings.bridge_database_url)
        stack.push_async_callback(store.close)
        if embedded is not None:
            await stack.enter_async_context(embedded.lifespan())
            transport = transport or in_process_transport(embedded)
        transport = transport or network_transport(settings.platform_concurrency)
        platform = _platform_client(settings, transport, retry)
        stack.push_async_callback(platform.aclose)
        services, linking = await _services(settings, store, platform)
        stack.push_async_callback(linking.aclose)
        bridge = create_app(services)
        await stack.enter_async_context(bridge.lifespan())
        yield bridge if embedded is None else Front(bridge, embedded)


def _platform_client(settings: Settings, transport: Transport, retry: RetryPolicy | None) -> PlatformClient:
    base_url = (settings.platform_url or _EMBEDDED_URL).rstrip("/")
    tokens = ClientCredentials(
        transport,
        token_url=base_url + settings.platform_token_path,
        client_id=settings.platform_client_id,
        client_secret=settings.platform_client_secret,
        scope=settings.platform_scope,
        timeout_s=settings.platform_timeout_s,
    )
    return PlatformClient(
        transport,
        base_url=base_url,
        tokens=tokens,
        timeout_s=settings.platform_timeout_s,
        max_concurrency=settings.platform_concurrency,
        user_include=settings.platform_user_include,
        retry=retry,
    )


async def _services(settings: Settings, store: Store, platform: PlatformClient) -> tuple[Services, Linking]:
    contexts = Contexts(settings)
    for connection in await store.connections.list():
        # A mapping or tolerance that cannot be used is found at start, not at the first request.
        resolve(connection, "", contexts.mappings_dir)
    # Several replicas share a PostgreSQL; a SQLite file belongs to one.
    locks = KeyedLocks(store.leases if store.db.dialect == "postgresql" else None)
    resources = Resources(store.local_groups)
    linking = Linking(platform, store, wait_s=settings.link_wait_s)
    matching = Matching(platform, store, resources, linking)
    model = group_model()
    backends: dict[str, GroupBackend] = {
        "platform": PlatformGroups(platform, GroupClient(platform, path=settings.platform_groups_path)),
        "local": StoredGroups(platform, store.local_groups, store.group_records),
    }
    services = Services(
        settings=settings,
        store=store,
        contexts=contexts,
        users=Users(platform, store, resources, matching, linking, locks),
        search=Search(platform, resources, matching, scan_limit=settings.scan_limit),
        groups=Groups(backends, store, locks, model),
        group_search=GroupSearch(backends, store, model, list_limit=settings.group_list_limit),
        group_model=model,
    )
    return services, linking
