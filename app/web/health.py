"""`/health/live` and `/health/ready` for probes; no token is needed."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Any, Literal

import msgspec
import structlog
from litestar import Request, Router
from litestar.status_codes import HTTP_200_OK, HTTP_503_SERVICE_UNAVAILABLE
from litestar.types import ASGIApp

from app.web.negotiation import JSON
from app.web.reading import read
from app.web.responses import scim_response

_log = structlog.get_logger(__name__)

HealthCheck = Callable[[], Awaitable[str | None]]
"""Says what is wrong, in words that anybody may read, or None. An exception counts as something wrong."""

_CHECK_S = 2.0
_FRESH_S = 1.0


class Readiness(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What `/health/ready` answers."""

    status: Literal["ok", "degraded", "unavailable", "shutting down"]
    reasons: dict[str, str] = {}
    """By the name of the check, what is wrong."""

    @property
    def ready(self) -> bool:
        """Whether this process should get requests."""
        return self.status in ("ok", "degraded")


class Health:
    """Named checks, and whether the process is shutting down.

    What a check says makes readiness `degraded`, still with 200: what ails all replicas alike, such as
    trouble at the platform, must not drain them all. Only a `required` check makes it 503.
    """

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is monotonic, in seconds."""
        self._clock = clock
        self._checks: dict[str, tuple[HealthCheck, bool]] = {}
        self._lock = asyncio.Lock()
        self._asked: tuple[float, Readiness] | None = None
        self._stopped_at: float | None = None

    def add(self, name: str, check: HealthCheck, *, required: bool = False) -> None:
        """Add a check, which is asked at most once a second and has two seconds to answer."""
        self._checks[name] = (check, required)

    @property
    def checks(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(self._checks)

    def stop(self) -> None:
        """From now on this process is shutting down."""
        if self._stopped_at is None:
            self._stopped_at = self._clock()

    @property
    def stopping_s(self) -> float:
        """Seconds since it began to shut down, 0 where it has not."""
        return 0.0 if self._stopped_at is None else self._clock() - self._stopped_at

    async def readiness(self) -> Readiness:
        """The present state; at most a second old, but for the shutdown, which shows at once."""
        async with self._lock:
            if self._stopped_at is None and (
                self._asked is None or self._clock() - self._asked[0] >= _FRESH_S
            ):
                self._asked = (self._clock(), await self._ask())
        if self._stopped_at is not None or self._asked is None:
            return Readiness(status="shutting down")
        return self._asked[1]

    async def _ask(self) -> Readiness:
        said = await asyncio.gather(*(_reason(name, check) for name, (check, _) in self._checks.items()))
        reasons = {name: reason for name, reason in zip(self._checks, said, strict=True) if reason}
        if not reasons:
            return Readiness(status="ok")
        needed = any(self._checks[name][1] for name in reasons)
        return Readiness(status="unavailable" if needed else "degraded", reasons=reasons)


async def _reason(name: str, check: HealthCheck) -> str | None:
    try:
        async with asyncio.timeout(_CHECK_S):
            return await check()
    except TimeoutError:
        return f"no answer within {_CHECK_S:g} s"
    except Exception as exc:  # noqa: BLE001 - whatever it is, the probe is to be told that something is wrong
        # Its text may name hosts and users: for the log only.
        _log.warning("health check failed", check=name, error=str(exc))
        return "the check failed; the bridge's log says why"


@read("/live")
async def live(request: Request[Any, Any, Any]) -> ASGIApp:
    """The process answers."""
    return scim_response(request, {"status": "ok"}, kind=JSON)


@read("/ready")
async def ready(request: Request[Any, Any, Any]) -> ASGIApp:
    """Whether this process should get requests: 200 or 503."""
    readiness: Readiness = await request.app.state.services.health.readiness()
    status = HTTP_200_OK if readiness.ready else HTTP_503_SERVICE_UNAVAILABLE
    return scim_response(request, readiness, status, kind=JSON)


router = Router(path="/health", route_handlers=[live, ready])
