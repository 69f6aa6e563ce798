"""The limits that stand between authentication and the handlers."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable

from litestar.middleware import ASGIMiddleware
from litestar.types import ASGIApp, Receive, Scope, Send

from app.config import Settings
from app.scim.errors import TooManyRequests
from app.store.connections import Connection
from app.web.limits.addresses import AuthFailures
from app.web.limits.gate import Gate
from app.web.limits.handling import Handling
from app.web.limits.rates import Rates

_READS = frozenset({"GET", "HEAD", "OPTIONS"})


class Limits:
    """The limits of one process and where they stand."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._rates = Rates(clock)
        self._per_s = settings.requests_per_second
        self._burst = settings.request_burst
        self.auth_failures = AuthFailures(settings, clock)
        self.gate = Gate(settings.max_requests_in_progress)
        self.handling = Handling(settings.handling_timeout_s)

    def count(self, connection: Connection) -> None:
        """Count a request of a connection; raises `TooManyRequests` beyond its rate."""
        per_s = self._rate(connection)
        if not per_s:
            return
        burst = connection.policies.request_burst or self._burst
        wait = self._rates.take(connection.id, per_s, burst)
        if wait > 0:
            raise TooManyRequests(
                f"this connection sends more than {per_s:g} requests a second (at most {burst} at once): "
                "wait, then try again",
                retry_after_s=math.ceil(wait),
            )

    def charge(self, connection: Connection, count: int) -> None:
        """Count so many further requests of a connection: those inside a bulk request, never refused."""
        per_s = self._rate(connection)
        if per_s and count > 0:
            self._rates.charge(connection.id, per_s, count)

    def _rate(self, connection: Connection) -> float:
        own = connection.policies.requests_per_second
        return self._per_s if own is None else own


class Protection(ASGIMiddleware):
    """Applies rate, number in progress and time to a request that `Authentication` let in.

    After it, not before: who has no token cannot take the places of those who do.
    """

    async def handle(self, scope: Scope, receive: Receive, send: Send, next_app: ASGIApp) -> None:
        """Hand the request on as soon as it may."""
        limits: Limits = scope["litestar_app"].state.services.limits
        limits.count(scope["state"]["connection"])
        await limits.gate.enter()
        scope["state"]["begun"] = asyncio.get_running_loop().time()
        if scope["method"] in _READS or scope["path"].endswith("/.search"):  # type: ignore[typeddict-item]
            try:
                await limits.handling.read(next_app, scope, receive, send)
            finally:
                limits.gate.leave()
        else:
            await limits.handling.write(next_app, scope, receive, send, limits.gate.leave)
