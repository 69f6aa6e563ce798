"""The journal: writes that are not finished, as `scim-bridge journal` shows them."""

from __future__ import annotations

from typing import Any

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import FromPath
from litestar.response import Redirect, Template

from app.bridge.told import ToldStep, told
from app.console.errors import Outdated
from app.console.finding import entry_of
from app.console.guarding import admin_only
from app.console.rendering import page
from app.console.services import ConsoleServices, admin_of, services_of
from app.store.journal_records import Entry


@get("/")
async def show_journal(request: Request[Any, Any, Any]) -> Template:
    """All entries, the oldest first."""
    services = services_of(request)
    return page(
        request,
        "journal.html",
        title="Journal",
        entries=await services.store.journal.list(),
        names=await _names(services),
    )


@get("/{entry_id:str}")
async def show_entry(request: Request[Any, Any, Any], entry_id: FromPath[str]) -> Template:
    """One entry with its steps."""
    return await _page(request, entry_id, "entry.html", "Unfinished write")


@post("/{entry_id:str}/retry", guards=[admin_only], status_code=303)
async def retry_entry(request: Request[Any, Any, Any], entry_id: FromPath[str]) -> Response[Any]:
    """Let it be taken up at once."""
    services = services_of(request)
    entry = await entry_of(services, entry_id)
    if not await services.operating.retry(admin_of(request), entry):
        raise Outdated("It is being worked on, or has nothing left to do.")
    return Redirect(f"/console/journal/{entry.id}", status_code=303)


@get("/{entry_id:str}/abandon", guards=[admin_only])
async def ask_abandoning(request: Request[Any, Any, Any], entry_id: FromPath[str]) -> Template:
    """What would be left as it is."""
    return await _page(request, entry_id, "entry_abandon.html", "Abandon this write?")


@post("/{entry_id:str}/abandon", guards=[admin_only], status_code=303)
async def abandon_entry(request: Request[Any, Any, Any], entry_id: FromPath[str]) -> Response[Any]:
    """Forget it."""
    services = services_of(request)
    await services.operating.abandon(admin_of(request), await entry_of(services, entry_id))
    return Redirect("/console/journal", status_code=303)


async def _page(request: Request[Any, Any, Any], entry_id: str, template: str, title: str) -> Template:
    services = services_of(request)
    entry = await entry_of(services, entry_id)
    names = await _names(services)
    return page(
        request,
        template,
        title=title,
        entry=entry,
        steps=_steps(entry),
        connection=names.get(entry.connection_id),
        changes=await services.store.admin_changes.list(limit=10, subject_id=entry.id),
    )


def _steps(entry: Entry) -> tuple[ToldStep, ...] | None:
    """None where another release wrote them."""
    try:
        return told(entry)
    except msgspec.MsgspecError:
        return None


async def _names(services: ConsoleServices) -> dict[str, str]:
    return {c.id: c.name for c in await services.store.connections.list()}


router = Router(
    path="/journal", route_handlers=[show_journal, show_entry, retry_entry, ask_abandoning, abandon_entry]
)
