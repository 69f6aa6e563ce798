"""`/health/live` and `/health/ready` for probes; no token is needed."""

from __future__ import annotations

from typing import Any

from litestar import Request, Response, Router, get
from litestar.status_codes import HTTP_503_SERVICE_UNAVAILABLE

from app.store.errors import StoreError


@get("/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "ok"}


@get("/ready")
async def ready(request: Request[Any, Any, Any]) -> Response[dict[str, str]]:
    """The bridge's own database answers. The platform is not asked: its trouble must not drain replicas."""
    try:
        await request.app.state.services.store.ping()
    except StoreError:
        return Response({"status": "unavailable"}, status_code=HTTP_503_SERVICE_UNAVAILABLE)
    return Response({"status": "ok"})


router = Router(path="/health", route_handlers=[live, ready])
