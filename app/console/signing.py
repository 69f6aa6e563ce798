"""Signing in and out."""

from __future__ import annotations

import re
from typing import Any

from litestar import Request, Response, get, post
from litestar.params import FromQuery
from litestar.response import Redirect, Template

from app.console.cookies import removed_cookie, session_cookie
from app.console.errors import SIGN_IN
from app.console.forms import form_of
from app.console.rendering import page
from app.console.services import services_of

_TITLE = "Sign in"
_HOME = "/console"
# Only pages of the console: whoever makes up a link must not choose where a sign-in leads.
_NEXT = re.compile(r"/console(/[A-Za-z0-9_-]+)*")


@get("/sign-in", opt={"public": True})
async def show_sign_in(request: Request[Any, Any, Any], next: FromQuery[str] = _HOME) -> Template:
    """The form."""
    return _form(request, next)


@post("/sign-in", opt={"public": True}, status_code=200)
async def sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    """Open a session for a valid token."""
    services, form = services_of(request), form_of(request)
    services.failures.check(request.scope)
    token = await services.store.admin_tokens.authenticate(form.text("token"))
    if token is None:
        services.failures.count(request.scope)
        return _form(request, form.text("next"), status=401, refused=True)
    https = services.is_https(request.scope)
    sessions = services.store.admin_sessions
    await sessions.close(request.scope["state"]["secret"])
    secret = await sessions.open(
        token, idle_s=services.settings.admin_idle_s, lifetime_s=services.settings.admin_session_s
    )
    answer = Redirect(_safe(form.text("next")), status_code=303)
    answer.set_cookie(session_cookie(secret, https=https))
    return answer


@post("/sign-out", status_code=303)
async def sign_out(request: Request[Any, Any, Any]) -> Redirect:
    """End the session here and at the server."""
    services = services_of(request)
    await services.store.admin_sessions.close(request.scope["state"]["secret"])
    answer = Redirect(SIGN_IN, status_code=303)
    answer.set_cookie(removed_cookie(https=services.is_https(request.scope)))
    return answer


def _form(
    request: Request[Any, Any, Any], following: str, *, status: int = 200, refused: bool = False
) -> Template:
    return page(
        request, "sign_in.html", title=_TITLE, status=status, following=_safe(following), refused=refused
    )


def _safe(path: str) -> str:
    return path if _NEXT.fullmatch(path) else _HOME


handlers = (show_sign_in, sign_in, sign_out)
