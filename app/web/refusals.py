"""Errors that are answered before the application has seen a request."""

from __future__ import annotations

import msgspec

from app.scim.errors import ScimError
from app.scim.messages import error_body
from app.web.negotiation import JSON, SCIM_JSON
from app.web.oauth import is_oauth
from app.web.oauth.errors import oauth_body


def refusal(error: ScimError, path: str) -> tuple[bytes, str]:
    """Body and media type, in the form of what is served at the path."""
    if is_oauth(path):
        return msgspec.json.encode(oauth_body(error)), JSON
    return msgspec.json.encode(error_body(error)), SCIM_JSON
