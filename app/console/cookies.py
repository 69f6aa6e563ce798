"""The cookie that holds a session's secret."""

from __future__ import annotations

from typing import Any

from litestar import Request
from litestar.datastructures import Cookie

_PLAIN = "scim_bridge_console"
_SECURE = f"__Host-{_PLAIN}"


def secret_in(request: Request[Any, Any, Any], *, https: bool) -> str:
    """The secret that the browser sent, empty where it has none.

    By https only the name with the prefix counts, which no other host and no plain http can set.
    """
    return request.cookies.get(_SECURE if https else _PLAIN, "")


def session_cookie(secret: str, *, https: bool) -> Cookie:
    """The cookie of a session, for as long as the browser runs; the server knows when it ends."""
    if https:
        return Cookie(key=_SECURE, value=secret, path="/", httponly=True, secure=True, samesite="strict")
    # Hosts have one set of cookies for all ports: the path keeps this one from what is served at others.
    return Cookie(key=_PLAIN, value=secret, path="/console", httponly=True, samesite="strict")


def removed_cookie(*, https: bool) -> Cookie:
    """The cookie that takes it away."""
    cookie = session_cookie("", https=https)
    cookie.max_age = 0
    return cookie
