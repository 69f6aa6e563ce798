"""The audit trail: the list of requests, the story of one, and what happened to a user."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

import msgspec
from litestar import Request, Router, get
from litestar.params import FromPath, FromQuery
from litestar.response import Template

from app.console.advice import ADVICE
from app.console.errors import NotThere, Unusable
from app.console.rendering import is_htmx, page
from app.console.services import ConsoleServices, services_of
from app.store.audit_records import CAUSES, AuditFilter

_SHOWN = 50
_RELATED = 100
_LONGEST = 300
_NEWS = 100
"""Requests at most that are counted as new."""
_BEGINNING = "0" * 16
"""Before every record."""

UNKNOWN = "none"
"""In place of a connection: requests that were refused before it was known."""
RESULTS = {
    "failed": "Failed",
    "2": "2xx: done",
    "3": "3xx: not modified",
    "4": "4xx: refused",
    "5": "5xx: not possible now",
}
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
TYPES = ("User", "Group", "Bulk", "Role", "Entitlement", "Client")


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What stands in the form, as it was sent."""

    connection: str = ""
    result: str = ""
    method: str = ""
    type: str = ""
    cause: str = ""
    text: str = ""
    since: str = ""
    until: str = ""

    def wanted(self) -> AuditFilter:
        """The filter; raises `Unusable`."""
        result = _one_of("Answer", self.result, RESULTS)
        return AuditFilter(
            connection_id="" if self.connection == UNKNOWN else self.connection or None,
            failures=result == "failed",
            status_class=int(result) if result not in ("", "failed") else None,
            method=_one_of("Method", self.method, METHODS) or None,
            resource_type=_one_of("Resource type", self.type, TYPES) or None,
            cause=_one_of("Cause", self.cause, CAUSES) or None,
            text=_text(self.text),
            since=_moment("From", self.since),
            until=_moment("Until", self.until),
        )

    def link(self, path: str, **more: str) -> str:
        """A link to a page with the same form."""
        told = {name: value for name, value in msgspec.structs.asdict(self).items() if value} | more
        return f"{path}?{urlencode(told)}" if told else path


@get("/")
async def show_requests(
    request: Request[Any, Any, Any],
    connection: FromQuery[str] = "",
    result: FromQuery[str] = "",
    method: FromQuery[str] = "",
    type: FromQuery[str] = "",
    cause: FromQuery[str] = "",
    text: FromQuery[str] = "",
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
    before: FromQuery[str] = "",
) -> Template:
    """The latest requests that the form asks for, a page of them."""
    asked = Asked(
        connection=connection,
        result=result,
        method=method,
        type=type,
        cause=cause,
        text=text,
        since=since,
        until=until,
    )
    services = services_of(request)
    found = await services.store.audit.page(asked.wanted(), before=before or None, limit=_SHOWN)
    return page(
        request,
        "parts/requests.html" if is_htmx(request) else "requests.html",
        title="Requests",
        asked=asked,
        found=found,
        before=before,
        first=asked.link("/console/requests"),
        older=None if found.next is None else asked.link("/console/requests", before=found.next),
        news=_news_link(asked, found.records[0].id if found.records else _BEGINNING, 0),
        connections=await services.store.connections.list(),
        results=RESULTS,
        methods=METHODS,
        types=TYPES,
        causes=CAUSES,
        unknown=UNKNOWN,
    )


@get("/news", opt={"polled": True})
async def show_news(
    request: Request[Any, Any, Any],
    connection: FromQuery[str] = "",
    result: FromQuery[str] = "",
    method: FromQuery[str] = "",
    type: FromQuery[str] = "",
    cause: FromQuery[str] = "",
    text: FromQuery[str] = "",
    since: FromQuery[str] = "",
    until: FromQuery[str] = "",
    after: FromQuery[str] = _BEGINNING,
    was: FromQuery[int] = 0,
) -> Template:
    """How many requests came after the newest one that a page shows; `was` is the number it tells of.

    They are not put into the page, which would move what somebody reads.
    """
    asked = Asked(
        connection=connection,
        result=result,
        method=method,
        type=type,
        cause=cause,
        text=text,
        since=since,
        until=until,
    )
    found = await services_of(request).store.audit.after(after, asked.wanted(), limit=_NEWS)
    return page(
        request,
        "parts/news.html",
        title="Requests",
        count=len(found),
        most=_NEWS,
        was=was,
        first=asked.link("/console/requests"),
        news=_news_link(asked, after, len(found)),
    )


@get("/{record_id:str}")
async def show_request(request: Request[Any, Any, Any], record_id: FromPath[str]) -> Template:
    """The story of one request."""
    services = services_of(request)
    record = await services.store.audit.get(record_id)
    if record is None:
        raise NotThere("There is no such request in the trail (any more).")
    same = AuditFilter(text=record.correlation_id)
    beside = (await services.store.audit.page(same, limit=_RELATED)).records
    return page(
        request,
        "request.html",
        title=f"{record.method} {record.route}",
        record=record,
        advice=ADVICE.get(record.cause),
        known=await _is_known(services, record.connection_id),
        # The id may be a name somewhere: then others are found by it too.
        beside=[r for r in beside if r.id != record.id and r.correlation_id == record.correlation_id],
    )


@get("/")
async def show_user(
    request: Request[Any, Any, Any], name: FromQuery[str] = "", before: FromQuery[str] = ""
) -> Template:
    """All that happened to a user, by id, userName or externalId; also to a group by its id."""
    wanted = _text(name)
    found = None
    if wanted is not None:
        audit = services_of(request).store.audit
        found = await audit.history(wanted, before=before or None, limit=_SHOWN)
    asked = {"name": name}
    more = found is not None and found.next is not None
    return page(
        request,
        "parts/user.html" if is_htmx(request) else "users.html",
        title="Users",
        name=name,
        found=found,
        ids=[] if found is None else sorted({r.resource_id for r in found.records if r.resource_id}),
        before=before,
        first=f"/console/users?{urlencode(asked)}",
        older=f"/console/users?{urlencode({**asked, 'before': found.next})}" if more and found else None,
    )


async def _is_known(services: ConsoleServices, connection_id: str) -> bool:
    return bool(connection_id) and await services.store.connections.get(connection_id) is not None


def _news_link(asked: Asked, after: str, was: int) -> str:
    return asked.link("/console/requests/news", after=after, was=str(was))


def _one_of(label: str, value: str, options: Any) -> str:
    if value and value not in options:
        raise Unusable(f"{label}: one of {', '.join(options)}.")
    return value


def _text(value: str) -> str | None:
    text = value.strip()
    if len(text) > _LONGEST:
        raise Unusable(f"Text: up to {_LONGEST} characters.")
    return text or None


def _moment(label: str, value: str) -> datetime | None:
    if not value:
        return None
    try:
        at = datetime.fromisoformat(value)
    except ValueError as exc:
        raise Unusable(f"{label}: a date and a time such as 2026-03-01T12:30.") from exc
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError as exc:
        raise Unusable(f"{label}: there is no such time.") from exc


router = Router(path="/requests", route_handlers=[show_requests, show_news, show_request])
users_router = Router(path="/users", route_handlers=[show_user])
