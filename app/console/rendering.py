"""Pages: Jinja templates of this package, with what all of them show."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import msgspec
from jinja2 import Environment, PackageLoader, StrictUndefined
from litestar import Request
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Template
from litestar.template import TemplateConfig
from markupsafe import Markup

from app.console.assets import asset_url
from app.console.csrf import csrf_token
from app.console.navigation import PLACES


def templates() -> TemplateConfig[JinjaTemplateEngine]:
    """The templates. What they show is escaped; a name that is not given is an error and not nothing."""
    environment = Environment(
        loader=PackageLoader("app.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(
        moment=_moment, pretty=_pretty, span=_span, milliseconds=_milliseconds, zipped=_zipped
    )
    environment.globals.update(asset=asset_url, places=PLACES)
    return TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment))


def page(
    request: Request[Any, Any, Any], template: str, *, title: str, status: int = 200, **context: Any
) -> Template:
    """A page, or a part of one, as an answer."""
    state = request.scope.get("state", {})
    session = state.get("session")
    return Template(
        template_name=template,
        status_code=status,
        media_type="text/html",
        context={
            "title": title,
            "path": request.scope["path"],
            "partial": is_htmx(request),
            "session": session,
            "is_admin": session is not None and session.token.role == "admin",
            "csrf": "" if session is None else csrf_token(state["secret"]),
            **context,
        },
    )


def is_htmx(request: Request[Any, Any, Any]) -> bool:
    """Whether a part of a page is asked for, to be put into the page that is there."""
    return request.headers.get("hx-request") == "true"


def _moment(value: datetime | None) -> Markup | str:
    """A time for people and machines."""
    if value is None:
        return "never"
    at = value.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(
        at.isoformat(timespec="seconds"), at.strftime("%Y-%m-%d %H:%M:%S")
    )


def _pretty(value: Any) -> str:
    """Any JSON value as indented text."""
    return msgspec.json.format(msgspec.json.encode(value), indent=2).decode()


def _milliseconds(seconds: float) -> str:
    """A short duration."""
    return f"{seconds:.1f} s" if seconds >= 10 else f"{seconds * 1000:.0f} ms"


def _zipped(values: Iterable[str]) -> list[tuple[str, str]]:
    """Options whose values say what they are."""
    return [(value, value) for value in values]


def _span(seconds: float) -> str:
    """A duration in one or two words."""
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
