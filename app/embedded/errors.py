"""Refusals of the embedded platform, and the one place where they become answers."""

from __future__ import annotations

import logging
from collections.abc import Mapping

import msgspec
from litestar import MediaType, Response
from litestar.connection import Request
from litestar.datastructures import State
from litestar.exceptions import HTTPException

from app.embedded.schemas import HTTPValidationError, ValidationError

logger = logging.getLogger(__name__)

AnyRequest = Request[object, object, State]


class ApiError(Exception):
    """A refusal with a status and a sentence that says why."""

    status = 400

    def __init__(self, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.headers = dict(headers or {})

    def body(self) -> bytes:
        """The JSON body of the answer."""
        return msgspec.json.encode({"detail": self.detail})


class Unauthenticated(ApiError):
    """The access token is missing or not good (RFC 6750 §3)."""

    status = 401

    def __init__(self, detail: str) -> None:
        super().__init__(detail, {"WWW-Authenticate": "Bearer"})


class Forbidden(ApiError):
    """The access token does not reach this far."""

    status = 403


class NotFound(ApiError):
    """There is no such thing, or not within reach of this token."""

    status = 404


class Conflict(ApiError):
    """Another object has what must be unique."""

    status = 409


class Invalid(ApiError):
    """The request does not fit its schema; names each place."""

    status = 422

    def __init__(self, *errors: ValidationError) -> None:
        super().__init__("; ".join(error.msg for error in errors))
        self.errors = list(errors)

    def body(self) -> bytes:
        return msgspec.json.encode(HTTPValidationError(detail=self.errors))


def invalid(loc: list[str | int], msg: str, type_: str = "value_error") -> Invalid:
    """One thing that is wrong with the request, at `loc`."""
    return Invalid(ValidationError(loc=loc, msg=msg, type=type_))


def answer_refusal(_request: AnyRequest, error: ApiError) -> Response[bytes]:
    """An ApiError as an answer."""
    return Response(error.body(), status_code=error.status, headers=error.headers, media_type=MediaType.JSON)


def answer_http_error(_request: AnyRequest, error: HTTPException) -> Response[bytes]:
    """What the framework refuses (unknown path, wrong method, too large a body) in the platform's shape."""
    body = msgspec.json.encode({"detail": error.detail or "Error"})
    return Response(body, status_code=error.status_code, headers=error.headers, media_type=MediaType.JSON)


def answer_failure(request: AnyRequest, error: Exception) -> Response[bytes]:
    """A defect as a 500 that tells the caller nothing; the log has the rest."""
    logger.error("%s %s failed", request.method, request.url.path, exc_info=error)
    return Response(b'{"detail":"Internal Server Error"}', status_code=500, media_type=MediaType.JSON)
