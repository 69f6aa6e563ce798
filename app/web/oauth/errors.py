"""Error answers of the token endpoint (RFC 6749 §5.2).

`invalid_grant` and `unauthorized_client` of that section have no place here: there is one kind of grant, it
carries nothing that could be invalid, and every client may use it.
"""

from __future__ import annotations

from typing import Any, ClassVar

from app.scim.errors import ScimError


class OAuthError(ScimError):
    """A token request that ends with an error answer; `detail` becomes its `error_description`."""

    status = 400
    code: ClassVar[str] = "invalid_request"


class InvalidRequest(OAuthError):
    """A parameter is missing, comes twice or cannot be read, or there are two ways to authenticate."""


class InvalidClient(OAuthError):
    """The client is not authenticated; nothing tells whether there is such a client."""

    status = 401
    code = "invalid_client"


class UnsupportedGrantType(OAuthError):
    """Another grant than that of client credentials."""

    code = "unsupported_grant_type"


class InvalidScope(OAuthError):
    """A scope that does not exist."""

    code = "invalid_scope"


class TemporarilyUnavailable(OAuthError):
    """The client cannot be authenticated now.

    §5.2 has no code for it, and `invalid_client` would make clients give their credentials up. The code is
    the one of §4.1.2.1, which other servers use at this endpoint too; the status says the same.
    """

    status = 503
    code = "temporarily_unavailable"


def oauth_body(error: ScimError, correlation_id: str | None = None) -> dict[str, Any]:
    """The body for an error of this endpoint, or for one of limits and routing that came before it."""
    text = error.detail if correlation_id is None else f"{error.detail} (reference {correlation_id})"
    return {"error": _code(error), "error_description": "".join(_plain(c) for c in text)}


def _code(error: ScimError) -> str:
    if isinstance(error, OAuthError):
        return error.code
    match error.status:
        case 429 | 503:
            return TemporarilyUnavailable.code
        case status if status >= 500:
            # Of §4.1.2.1 as well.
            return "server_error"
        case _:
            return InvalidRequest.code


def _plain(char: str) -> str:
    """Every character that §5.2 allows in a description; another in place of others."""
    if char in '"\\':
        return "'"
    return char if " " <= char <= "~" else "?"
