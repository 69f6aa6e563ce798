"""What the console works with; the composition root fills it in, so that it knows nothing of `app.web`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import msgspec
from litestar import Request
from litestar.types import Scope

from app.bridge.context import Context
from app.bridge.dry_runs import DryRuns
from app.bridge.explaining import Explainer
from app.bridge.indexing import Indexing
from app.bridge.operating import Operating
from app.bridge.query import Query
from app.config import Settings
from app.store.admin_tokens import AdminToken
from app.store.connections import Connection
from app.store.store import Store


class Readiness(Protocol):
    """How the process is."""

    @property
    def status(self) -> str:
        """`ok`, `degraded`, …"""
        ...

    @property
    def reasons(self) -> Mapping[str, str]:
        """By the name of the check, what is wrong."""
        ...


class SignInFailures(Protocol):
    """A limit on refused sign-ins for each client address."""

    def check(self, scope: Scope) -> None:
        """Raise `TooManyRequests` where there were too many."""
        ...

    def count(self, scope: Scope) -> None:
        """Note one."""
        ...


class ConsoleServices(msgspec.Struct, frozen=True, kw_only=True):
    """The use cases and what they need to be reached."""

    settings: Settings
    store: Store
    operating: Operating
    explainer: Explainer
    dry_runs: DryRuns
    indexing: Indexing
    context_of: Callable[[Connection], Context]
    """Raises `MappingError` or `ValueError` where the connection cannot be used."""
    read_search: Callable[[dict[str, Any], Context], Query]
    """The query of a SearchRequest's members (RFC 7644 §3.4.3); raises `ScimError`."""
    readiness: Callable[[], Awaitable[Readiness]]
    is_https: Callable[[Scope], bool]
    """Whether the browser has sent the request by https, as far as that can be told."""
    failures: SignInFailures


def services_of(request: Request[Any, Any, Any]) -> ConsoleServices:
    """The services of the application that handles the request."""
    services: ConsoleServices = request.app.state.services
    return services


def admin_of(request: Request[Any, Any, Any]) -> AdminToken:
    """Who is signed in; for handlers that are not public."""
    admin: AdminToken = request.scope["state"]["session"].token
    return admin
