"""The explainer: a filter's plan, and the calls that a PATCH comes to."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromQuery
from litestar.response import Template

from app.bridge.context import Context
from app.bridge.explaining import Explained
from app.console.finding import connection_of, context_of
from app.console.forms import Form, form_of
from app.console.reading import read_json
from app.console.rendering import is_htmx, page
from app.console.services import ConsoleServices, services_of
from app.platform.errors import PlatformError
from app.scim.errors import InvalidValue, ScimError
from app.scim.messages import SEARCH_REQUEST

_PATCH = {
    "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
    "Operations": [{"op": "replace", "path": "title", "value": "Countess"}],
}


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the two forms."""

    connection: str = ""
    filter: str = 'name.familyName sw "Lo" and active eq true'
    sort_by: str = ""
    descending: bool = False
    start_index: str = "1"
    count: str = "100"
    attributes: str = ""
    run: bool = False
    user: str = ""
    patch: str = msgspec.json.format(msgspec.json.encode(_PATCH), indent=2).decode()


@get("/")
async def show_explainer(request: Request[Any, Any, Any], connection: FromQuery[str] = "") -> Template:
    """The two forms."""
    return await _page(request, Asked(connection=connection))


@post("/search", status_code=200)
async def explain_search(request: Request[Any, Any, Any]) -> Template:
    """How a search would be answered; with `run`, also what it comes to."""
    asked = _asked(form_of(request))

    async def explain(services: ConsoleServices, context: Context) -> Explained:
        members = {
            "schemas": [SEARCH_REQUEST],
            "filter": asked.filter or None,
            "sortBy": asked.sort_by or None,
            "sortOrder": "descending" if asked.descending else None,
            "startIndex": _whole("Start index", asked.start_index),
            "count": _whole("Count", asked.count),
            "attributes": [a.strip() for a in asked.attributes.split(",") if a.strip()] or None,
        }
        return await services.explainer.search(context, services.read_search(members, context), run=asked.run)

    return await _answer(request, asked, explain)


@post("/patch", status_code=200)
async def explain_patch(request: Request[Any, Any, Any]) -> Template:
    """Which calls a PATCH would come to; the user is read, and not changed."""
    form = form_of(request)
    asked = msgspec.structs.replace(
        Asked(connection=form.text("connection")), user=form.text("user"), patch=form.text("patch")
    )

    async def explain(services: ConsoleServices, context: Context) -> Explained:
        return await services.explainer.patch(context, asked.user, read_json(asked.patch))

    return await _answer(request, asked, explain)


async def _answer(request: Request[Any, Any, Any], asked: Asked, explain: Any) -> Template:
    services = services_of(request)
    connection = await connection_of(services, asked.connection)
    explained: Explained | None = None
    trouble: tuple[str, str] | None = None
    status = 200
    try:
        explained = await explain(services, context_of(services, connection))
    except ScimError as exc:
        status, trouble = 422, (exc.scim_type or "refused", exc.detail)
    except RecursionError:
        status, trouble = 422, ("refused", "The document is nested too deeply.")
    except PlatformError as exc:
        status, trouble = 502, ("The platform failed", str(exc))
    if is_htmx(request):
        return page(
            request,
            "parts/explained.html",
            title="Explained",
            status=status,
            explained=explained,
            trouble=trouble,
        )
    return await _page(request, asked, status=status, explained=explained, trouble=trouble)


async def _page(
    request: Request[Any, Any, Any],
    asked: Asked,
    *,
    status: int = 200,
    explained: Explained | None = None,
    trouble: tuple[str, str] | None = None,
) -> Template:
    return page(
        request,
        "explain.html",
        title="Explain",
        status=status,
        connections=await services_of(request).store.connections.list(),
        asked=asked,
        explained=explained,
        trouble=trouble,
    )


def _asked(form: Form) -> Asked:
    return Asked(
        connection=form.text("connection"),
        filter=form.text("filter"),
        sort_by=form.text("sort_by"),
        descending=form.checked("descending"),
        start_index=form.text("start_index"),
        count=form.text("count"),
        attributes=form.text("attributes"),
        run=form.checked("run"),
    )


def _whole(name: str, text: str) -> int | None:
    if not text:
        return None
    try:
        return int(text[:12])
    except ValueError as exc:
        raise InvalidValue(f"{name} must be a whole number.") from exc


router = Router(path="/explain", route_handlers=[show_explainer, explain_search, explain_patch])
