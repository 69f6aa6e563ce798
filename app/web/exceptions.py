"""The one exception handler: every failure, expected or not, becomes a SCIM Error body (RFC 7644 §3.12).

Webhooks are no part of SCIM: theirs is `{"detail": …}`. Nor is the token endpoint: RFC 6749 §5.2.
"""

from __future__ import annotations

from typing import Any

import msgspec
import structlog
from litestar import Request, Response
from litestar.exceptions import HTTPException
from litestar.status_codes import HTTP_401_UNAUTHORIZED

from app.bridge.context import Context
from app.bridge.faults import scim_error
from app.bridge.story import new_correlation_id
from app.bridge.telling import telling
from app.mapping.errors import MappingError
from app.platform.errors import PlatformError
from app.scim.errors import (
    BadRequest,
    InternalError,
    MethodNotAllowed,
    NotFound,
    PayloadTooLarge,
    RequestTimeout,
    ScimError,
    ServiceUnavailable,
    Unauthorized,
)
from app.scim.messages import error_body
from app.store.errors import StoreError
from app.web import webhooks
from app.web.auth import InsufficientScope, challenge
from app.web.dry_runs import DRY_RUN, SAID, is_dry_run, told
from app.web.negotiation import JSON, media_type
from app.web.oauth import is_oauth
from app.web.oauth.endpoint import NOT_STORED
from app.web.oauth.errors import oauth_body
from app.web.paths import hides_slash, nowhere
from app.web.responses import Answer

_log = structlog.get_logger(__name__)

_STORE_RETRY_S = 5


class _Refused(Response[bytes]):
    """An `Answer` where Litestar wants a Response: its own has a body for HEAD too."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(b"")
        self._answer = answer

    def to_asgi_response(self, *_: Any, **__: Any) -> Any:
        """The answer."""
        return self._answer


def handle(request: Request[Any, Any, Any], exc: Exception) -> Response[bytes]:
    """The answer to a failed request. 5xx tell the correlation id, which the log has too, never the error."""
    context: Context | None = request.scope.get("state", {}).get("context")
    path = request.scope["path"]
    if _is_unrouted(exc):
        exc = nowhere(path)
    error, reference = explained(exc, context, method=request.method, path=path)
    if isinstance(error, MethodNotAllowed) and hides_slash(request.scope):
        error = NotFound("no resource has an id with a slash")
    story = telling()
    if story is not None:
        story.failed(error, exc)
    headers: dict[str, str] = {}
    is_webhook, is_token = path.startswith(f"{webhooks.PATH}/"), is_oauth(path)
    if isinstance(error, Unauthorized | InsufficientScope):
        headers["WWW-Authenticate"] = "Signature" if is_webhook else challenge(error)
    if is_token:
        headers.update(NOT_STORED)
        if error.status == HTTP_401_UNAUTHORIZED:
            headers["WWW-Authenticate"] = 'Basic realm="scim"'
    if isinstance(error, MethodNotAllowed) and isinstance(exc, HTTPException):
        allowed = next((v for k, v in (exc.headers or {}).items() if k.lower() == "allow"), "")
        headers["Allow"] = ", ".join(sorted(allowed.split(", ")))
    if isinstance(error, RequestTimeout):
        headers["Connection"] = "close"
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    body = oauth_body(error, reference) if is_token else error_body(error, reference)
    if context is not None and is_dry_run(request.scope):
        body = {**body, DRY_RUN: told(context, error.status)}
        headers.update(SAID)
    content = msgspec.json.encode({"detail": body["detail"]} if is_webhook else body)
    headers["Content-Type"] = JSON if is_webhook or is_token else media_type(request.scope)
    headers["Content-Length"] = str(len(content))
    return _Refused(Answer(content, error.status, headers))


def _is_unrouted(exc: Exception) -> bool:
    return isinstance(exc, HTTPException) and exc.status_code == 404


def explained(exc: Exception, context: Context | None, **noted: Any) -> tuple[ScimError, str | None]:
    """The SCIM error behind an exception and, for a 5xx, the correlation id under which it is logged."""
    error = _translated(exc, context)
    if error.status < 500:
        return error, None
    story = telling()
    reference = new_correlation_id() if story is None else story.correlation_id
    log = _log.bind(reference=reference, **noted)
    if isinstance(error, InternalError):
        log.error("request failed", exc_info=exc)
    else:
        log.warning("request failed", status=error.status, error=str(exc))
    return error, reference


def _translated(exc: Exception, context: Context | None) -> ScimError:
    match exc:
        case ScimError():
            return exc
        case PlatformError() if context is not None:
            return scim_error(exc, context.mapping)
        case StoreError():
            return ServiceUnavailable(
                "the bridge's database cannot be used now: try again", retry_after_s=_STORE_RETRY_S
            )
        case MappingError():
            return InternalError("this connection's mapping cannot be used: see the bridge's log")
        case HTTPException(status_code=405):
            return MethodNotAllowed("this endpoint does not take this method")
        case HTTPException(status_code=413):
            return PayloadTooLarge("the body is larger than this server takes")
        case HTTPException(status_code=status) if 400 <= status < 500:
            return BadRequest("the request cannot be read")
        case _:
            return InternalError("an error in the bridge; its operator finds it under this reference")
