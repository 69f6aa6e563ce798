"""Routes that read: GET, and HEAD with the same status and headers (RFC 9110 §9.3.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from litestar.handlers import HTTPRouteHandler, route


def read(path: str | list[str]) -> Callable[[Any], HTTPRouteHandler]:
    """What Litestar's `get` does, for HEAD too."""
    return route(path, http_method=["GET", "HEAD"], status_code=200)
