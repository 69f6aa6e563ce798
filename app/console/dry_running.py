"""Dry runs: what requests that were pasted would do, as a batch; nothing is done."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromQuery
from litestar.response import Template

from app.bridge.bulk import Allowance
from app.bridge.dry_runs import Preview
from app.console.advice import ADVICE
from app.console.finding import connection_of, context_of
from app.console.forms import form_of
from app.console.rendering import is_htmx, page
from app.console.services import services_of
from app.platform.errors import PlatformError
from app.scim.batch import read_batch
from app.scim.errors import ScimError

_BEGIN_FOR, _ANSWER_AFTER = 0.8, 0.95
"""Parts of `handling_timeout_s`, as for a bulk request."""

_SAMPLE = (
    {
        "method": "POST",
        "path": "/Users",
        "bulkId": "augusta",
        "data": {
            "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
            "userName": "augusta@example.com",
            "name": {"givenName": "Augusta", "familyName": "King"},
            "emails": [{"value": "augusta@example.com", "type": "work", "primary": True}],
        },
    },
    {
        "method": "PATCH",
        "path": "/Users/bulkId:augusta",
        "data": {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "path": "active", "value": False}],
        },
    },
)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the form."""

    connection: str = ""
    requests: str = "\n".join(msgspec.json.encode(each).decode() for each in _SAMPLE)


@get("/")
async def show_dry_run(request: Request[Any, Any, Any], connection: FromQuery[str] = "") -> Template:
    """The form."""
    return await _page(request, Asked(connection=connection))


@post("/", status_code=200)
async def dry_run(request: Request[Any, Any, Any]) -> Template:
    """What the requests would do, each after those before it."""
    services, form = services_of(request), form_of(request)
    asked = Asked(connection=form.text("connection"), requests=form.text("requests"))
    connection = await connection_of(services, asked.connection)
    context = context_of(services, connection)
    preview: Preview | None = None
    trouble: tuple[str, str] | None = None
    status = 200
    settings, now = services.settings, asyncio.get_running_loop().time()
    try:
        batch = read_batch(
            asked.requests.encode(),
            context.dialect,
            max_operations=settings.bulk_max_operations,
            max_patch_operations=settings.max_operations,
        )
        allowance = Allowance(
            start_until=now + _BEGIN_FOR * settings.handling_timeout_s,
            answer_at=now + _ANSWER_AFTER * settings.handling_timeout_s,
        )
        preview = await services.dry_runs.preview(context, batch, allowance)
    except ScimError as exc:
        status, trouble = 422, (exc.scim_type or "refused", exc.detail)
    except PlatformError as exc:
        status, trouble = 502, ("The platform failed", str(exc))
    if is_htmx(request):
        return page(
            request,
            "parts/dry_run.html",
            title="Dry run",
            status=status,
            preview=preview,
            trouble=trouble,
            advice=ADVICE,
        )
    return await _page(request, asked, status=status, preview=preview, trouble=trouble)


async def _page(
    request: Request[Any, Any, Any],
    asked: Asked,
    *,
    status: int = 200,
    preview: Preview | None = None,
    trouble: tuple[str, str] | None = None,
) -> Template:
    return page(
        request,
        "dry_run.html",
        title="Dry run",
        status=status,
        connections=await services_of(request).store.connections.list(),
        asked=asked,
        preview=preview,
        trouble=trouble,
        advice=ADVICE,
    )


router = Router(path="/dry-run", route_handlers=[show_dry_run, dry_run])
