"""What the console refuses, and how every failure is shown."""

from __future__ import annotations

import uuid
from typing import Any
from urllib.parse import quote

import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.response import Redirect

from app.console.rendering import is_htmx, page
from app.scim.errors import ScimError
from app.store.errors import ClientNotFound, ConnectionNotFound, InvalidRecord, StoreError, TokenNotFound

_log = structlog.get_logger(__name__)

SIGN_IN = "/console/sign-in"


class ConsoleError(Exception):
    """A page that cannot be shown; the text is for the operator."""

    status = 500
    title = "Something went wrong"


class SignInNeeded(ConsoleError):
    """Nobody is signed in, or not any more."""

    status = 401


class Refused(ConsoleError):
    """Not allowed for this role, or not asked by the console's own pages."""

    status = 403
    title = "Not allowed"


class NotThere(ConsoleError):
    """There is no such page, connection, token or entry."""

    status = 404
    title = "Not found"


class Misdirected(ConsoleError):
    """Asked under a name that is not known to be the console's (RFC 9110 §15.5.20)."""

    status = 421
    title = "Unknown host"


class Outdated(ConsoleError):
    """Somebody else was quicker."""

    status = 409
    title = "Changed in the meantime"


class Unusable(ConsoleError):
    """What was sent in a form cannot be used."""

    status = 422
    title = "That does not work"


def handle(request: Request[Any, Any, Any], exc: Exception) -> Response[Any]:
    """The answer to a failed request. 5xx carry a reference that the log has too, never the error's text."""
    error = _translated(exc)
    if isinstance(error, SignInNeeded):
        return _to_sign_in(request)
    detail = str(error)
    if error.status >= 500:
        reference = uuid.uuid4().hex[:16]
        log = _log.bind(reference=reference, method=request.method, path=request.scope["path"])
        log.error("page failed", exc_info=exc)
        detail = f"{detail} (reference {reference})"
    template = "alert.html" if is_htmx(request) else "error.html"
    answer = page(request, template, title=error.title, status=error.status, detail=detail)
    if isinstance(exc, ScimError) and exc.retry_after_s is not None:
        answer.headers["Retry-After"] = str(exc.retry_after_s)
    return answer


def _to_sign_in(request: Request[Any, Any, Any]) -> Response[Any]:
    path = request.scope["path"]
    asked = f"?next={quote(path, safe='/')}" if request.method == "GET" and path != "/console" else ""
    if is_htmx(request):
        # The page as a whole goes, not the part of it that was asked for.
        return Response(b"", status_code=401, headers={"HX-Redirect": SIGN_IN})
    return Redirect(f"{SIGN_IN}{asked}", status_code=303)


def _translated(exc: Exception) -> ConsoleError:
    match exc:
        case ConsoleError():
            return exc
        case ConnectionNotFound() | TokenNotFound() | ClientNotFound():
            return NotThere(str(exc))
        case InvalidRecord():
            return Unusable(str(exc))
        case StoreError():
            return _other(503, "The database does not answer", "The bridge's database cannot be used now.")
        case ScimError() if exc.status < 500:
            return _other(exc.status, "Not now" if exc.status == 429 else "That does not work", exc.detail)
        case HTTPException(status_code=404):
            return NotThere("There is no such page.")
        case HTTPException(status_code=405):
            return _other(405, "Not possible", "This page does not take that.")
        case HTTPException(status_code=413):
            return _other(413, "Too large", "That is more than the console takes.")
        case HTTPException(status_code=status) if 400 <= status < 500:
            return _other(status, "That does not work", "The request cannot be read.")
        case _:
            return ConsoleError("An error in the bridge; its log tells more under this reference.")


def _other(status: int, title: str, detail: str) -> ConsoleError:
    error = ConsoleError(detail)
    error.status, error.title = status, title
    return error
