"""What operators changed in the console."""

from __future__ import annotations

from typing import Any

from litestar import Request, Router, get
from litestar.response import Template

from app.console.rendering import page
from app.console.services import services_of

_SHOWN = 200


@get("/")
async def show_changes(request: Request[Any, Any, Any]) -> Template:
    """The newest ones."""
    changes = await services_of(request).store.admin_changes.list(limit=_SHOWN)
    return page(request, "changes.html", title="Changes", changes=changes, most=_SHOWN)


router = Router(path="/changes", route_handlers=[show_changes])
