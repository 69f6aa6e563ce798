"""A connection's mapping as a table, and trying it out, both ways."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromPath
from litestar.response import Template

from app.bridge.trying import Tried, from_platform, from_scim
from app.console.errors import Unusable
from app.console.finding import connection_of, context_of
from app.console.forms import form_of
from app.console.reading import read_json
from app.console.rendering import is_htmx, page
from app.console.services import services_of
from app.mapping.model import UserRule
from app.scim.errors import ScimError

_SAMPLES = {
    "scim": {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "ada@example.com",
        "name": {"givenName": "Ada", "familyName": "Lovelace"},
        "emails": [{"value": "ada@example.com", "type": "work", "primary": True}],
        "title": "Countess",
        "active": True,
    },
    "platform": {
        "id": "usr_1",
        "email": "ada@example.com",
        "username": "ada@example.com",
        "first_name": "Ada",
        "last_name": "Lovelace",
        "status": "ACTIVE",
        "created_at": "2026-01-01T00:00:00Z",
        "custom_attributes": {"title": "Countess"},
    },
}


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """A rule as a row of the table."""

    scim: str
    place: str
    written: str
    """What becomes of it on the way to the platform."""
    read: str
    """What becomes of it on the way back."""


@get("/")
async def show_mappings(request: Request[Any, Any, Any]) -> Template:
    """The connections and their mappings, to choose from."""
    services = services_of(request)
    return page(
        request, "mappings.html", title="Mapping", connections=await services.store.connections.list()
    )


@get("/{connection_id:str}")
async def show_mapping(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Template:
    """One mapping."""
    return await _page(request, connection_id, "scim", _sample("scim"))


@post("/{connection_id:str}/try", status_code=200)
async def try_mapping(request: Request[Any, Any, Any], connection_id: FromPath[str]) -> Template:
    """What a user that was pasted looks like at the other side; nothing is written anywhere."""
    services, form = services_of(request), form_of(request)
    connection = await connection_of(services, connection_id)
    direction, text = form.text("direction"), form.text("document")
    if direction not in _SAMPLES:
        raise Unusable("Direction: scim or platform.")
    tried: Tried | None = None
    trouble: tuple[str, str] | None = None
    try:
        document = read_json(text)
        context = context_of(services, connection)
        tried = from_scim(context, document) if direction == "scim" else from_platform(context, document)
    except ScimError as exc:
        trouble = (exc.scim_type or "refused", exc.detail)
    except RecursionError:
        trouble = ("refused", "The document is nested too deeply.")
    status = 200 if trouble is None else 422
    if is_htmx(request):
        return page(request, "parts/tried.html", title="Result", status=status, tried=tried, trouble=trouble)
    return await _page(request, connection_id, direction, text, status=status, tried=tried, trouble=trouble)


async def _page(
    request: Request[Any, Any, Any],
    connection_id: str,
    direction: str,
    document: str,
    *,
    status: int = 200,
    tried: Tried | None = None,
    trouble: tuple[str, str] | None = None,
) -> Template:
    services = services_of(request)
    connection = await connection_of(services, connection_id)
    mapping = context_of(services, connection).mapping
    return page(
        request,
        "mapping.html",
        title=f"Mapping of {connection.name}",
        status=status,
        connection=connection,
        mapping=mapping.file,
        rules=[_shown(rule) for rule in mapping.file.user],
        status_rules=msgspec.to_builtins(mapping.status),
        capabilities=msgspec.to_builtins(mapping.platform),
        samples={name: _sample(name) for name in _SAMPLES},
        direction=direction,
        document=document,
        tried=tried,
        trouble=trouble,
    )


def _shown(rule: UserRule) -> Shown:
    place = rule.field or (f"custom_attributes.{rule.custom}" if rule.custom else f"text: {rule.template}")
    kinds = [type(transform).__name__.lower() for transform in rule.transform]
    written = ", then ".join(kinds) or ("as it is" if rule.template is None else "kept where it differs")
    read = ", then ".join(f"{kind} undone" for kind in reversed(kinds)) or "as it is"
    if rule.fallback:
        read += f"; {rule.fallback} where it is null"
    if rule.clear == "record":
        written += "; removed: recorded as unassigned"
    if rule.derive_from:
        written += f"; from {rule.derive_from} where none is sent"
    return Shown(
        scim=rule.scim,
        place=place,
        written="never" if rule.direction == "read" else written,
        read="never" if rule.direction == "write" else read,
    )


def _sample(direction: str) -> str:
    return msgspec.json.format(msgspec.json.encode(_SAMPLES[direction]), indent=2).decode()


router = Router(path="/mapping", route_handlers=[show_mappings, show_mapping, try_mapping])
