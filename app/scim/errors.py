"""SCIM errors: one exception per `scimType` or status, each with its section of RFC 7644 or 9865.

Raise these anywhere above `platform`; the web layer turns every one of them into an Error body.
"""

from __future__ import annotations

from typing import ClassVar


class ScimError(Exception):
    """A request that ends with a SCIM Error body (RFC 7644 §3.12).

    `detail` is read by administrators (Okta shows it as it is): say what was wrong and what to do.
    """

    status: ClassVar[int] = 500
    scim_type: ClassVar[str | None] = None

    def __init__(self, detail: str, *, retry_after_s: int | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.retry_after_s = retry_after_s
        """Whole seconds for `Retry-After`, where trying again later is the advice."""


class BadRequest(ScimError):
    """400 without a `scimType`."""

    status = 400


class InvalidSyntax(BadRequest):
    """The body is not JSON or not of the message's form (RFC 7644 §3.12, `invalidSyntax`)."""

    scim_type = "invalidSyntax"


class InvalidFilter(BadRequest):
    """The filter cannot be read or compares what cannot be compared (RFC 7644 §3.4.2.2)."""

    scim_type = "invalidFilter"


class InvalidPath(BadRequest):
    """A PATCH path is malformed or names no attribute (RFC 7644 §3.5.2)."""

    scim_type = "invalidPath"


class NoTarget(BadRequest):
    """A PATCH path selects nothing to operate on (RFC 7644 §3.5.2)."""

    scim_type = "noTarget"


class InvalidValue(BadRequest):
    """A value is missing, of the wrong type, or refused by the platform (RFC 7644 §3.12)."""

    scim_type = "invalidValue"


class InvalidVers(BadRequest):
    """The SCIM version asked for is not served (RFC 7644 §3.12, `invalidVers`)."""

    scim_type = "invalidVers"


class Mutability(BadRequest):
    """The change is not compatible with the attribute's mutability (RFC 7644 §3.12)."""

    scim_type = "mutability"


class TooMany(BadRequest):
    """The filter would need more platform calls than allowed (RFC 7644 §3.12, `tooMany`)."""

    scim_type = "tooMany"


class Sensitive(BadRequest):
    """The request would put personal data into a URI (RFC 7644 §7.5.2)."""

    scim_type = "sensitive"


class InvalidCursor(BadRequest):
    """The cursor is not one that was given out for this query (RFC 9865 §2.1, `invalidCursor`)."""

    scim_type = "invalidCursor"


class ExpiredCursor(BadRequest):
    """The cursor was good but is too old (RFC 9865 §2.1, `expiredCursor`)."""

    scim_type = "expiredCursor"


class InvalidCount(BadRequest):
    """`count` of a list paged by cursor cannot be read (RFC 9865 §2.1, `invalidCount`)."""

    scim_type = "invalidCount"


class Uniqueness(ScimError):
    """A value that must be unique is taken (RFC 7644 §3.3, 409)."""

    status = 409
    scim_type = "uniqueness"


class Conflict(ScimError):
    """What is asked for cannot be had together with something else (RFC 7644 §3.7.1, §3.12, 409)."""

    status = 409


class Unauthorized(ScimError):
    """No bearer token, or not a valid one (RFC 7644 §2; RFC 6750 §3)."""

    status = 401


class Forbidden(ScimError):
    """The operation is not permitted, here or at the platform (RFC 7644 §3.12)."""

    status = 403


class NotFound(ScimError):
    """No such resource or endpoint (RFC 7644 §3.12)."""

    status = 404


class MethodNotAllowed(ScimError):
    """The endpoint does not know this method."""

    status = 405


class NotAcceptable(ScimError):
    """None of the media types that the client accepts is served."""

    status = 406


class RequestTimeout(ScimError):
    """The request did not arrive in time (RFC 9110 §15.5.9); the connection is closed."""

    status = 408


class PreconditionFailed(ScimError):
    """The resource has changed since the version named in `If-Match` (RFC 7644 §3.14)."""

    status = 412


class PayloadTooLarge(ScimError):
    """The body is larger than this server takes (RFC 7644 §3.12, 413)."""

    status = 413


class UriTooLong(ScimError):
    """The request target is longer than this server takes (RFC 7644 §3.4.3 names POST as the way out)."""

    status = 414


class UnsupportedMediaType(ScimError):
    """The body is neither `application/scim+json` nor `application/json`."""

    status = 415


class TooManyRequests(ScimError):
    """The platform or a limit of the bridge asks to slow down; carries `retry_after_s`."""

    status = 429


class HeadersTooLarge(ScimError):
    """The header section has too many fields or bytes (RFC 6585 §5)."""

    status = 431


class InternalError(ScimError):
    """A fault of the bridge itself."""

    status = 500


class NotImplementedHere(ScimError):
    """A part of the protocol that this server does not offer (RFC 7644 §3.12, 501)."""

    status = 501


class BadGateway(ScimError):
    """The platform answered something that cannot be trusted or read."""

    status = 502


class ServiceUnavailable(ScimError):
    """The platform cannot be reached now; carries `retry_after_s`."""

    status = 503


class HttpVersionNotSupported(ScimError):
    """The request is of a version of HTTP that is not served (RFC 9110 §15.6.6)."""

    status = 505
