"""Token requests, read from header and form (RFC 6749 §2.3.1, §4.4.2; RFC 7523 §2.2); pure."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, unquote_plus

import msgspec

from app.web.oauth.errors import InvalidClient, InvalidRequest, InvalidScope, UnsupportedGrantType

MAX_BODY_BYTES = 65_536
"""Bytes of a token request at most; an assertion has a few thousand."""

SCOPES = ("scim", "scim.readwrite")
"""Names of the one thing that there is to ask for, as Microsoft Entra ID has them; none is needed."""

JWT_BEARER = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

_FORM = "application/x-www-form-urlencoded"
_MAX_FIELDS = 50


class SecretCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """`client_secret_basic` or `client_secret_post`."""

    client_id: str
    secret: str


class AssertionCredentials(msgspec.Struct, frozen=True, kw_only=True):
    """`private_key_jwt`, by whoever the trust names."""

    assertion: str
    client_id: str | None
    """Need not be sent; where it is, it has to name the same client (RFC 7521 §4.2)."""


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for an access token by client credentials."""

    credentials: SecretCredentials | AssertionCredentials
    scope: str | None


def is_form(content_type: str) -> bool:
    """Whether a Content-Type is that of a form."""
    return content_type.partition(";")[0].strip().lower() == _FORM


def read_request(authorization: Sequence[bytes], body: bytes) -> TokenRequest:
    """Read the Authorization header fields and the form.

    Raises `InvalidRequest`, `InvalidClient` where the client does not authenticate in a way there is, and
    `UnsupportedGrantType`.
    """
    form = _read_form(body)
    grant_type = form.get("grant_type")
    if grant_type is None:
        raise InvalidRequest("grant_type is missing: client_credentials is served")
    if grant_type != "client_credentials":
        raise UnsupportedGrantType("the one grant_type served is client_credentials")
    return TokenRequest(credentials=_credentials(authorization, form), scope=form.get("scope"))


def check_scope(scope: str | None) -> None:
    """Raise `InvalidScope` for anything but `SCOPES`; none at all means the same (RFC 6749 §3.3)."""
    if scope is not None and not set(scope.split(" ")) <= set(SCOPES):
        raise InvalidScope(f"the scope there is is {SCOPES[0]}: ask for it, or leave the parameter out")


def _read_form(body: bytes) -> Mapping[str, str]:
    """The parameters; those without a value count as left out (RFC 6749 §3.2)."""
    try:
        pairs = parse_qsl(
            body.decode("utf-8"),
            keep_blank_values=True,
            encoding="utf-8",
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as exc:
        raise InvalidRequest("the body is not a form of UTF-8 text, or has too many parameters") from exc
    form: dict[str, str] = {}
    for name, value in pairs:
        if name in form:
            raise InvalidRequest("a parameter comes more than once")
        if "\0" in value:
            raise InvalidRequest("a parameter holds a character that it may not hold")
        form[name] = value
    return {name: value for name, value in form.items() if value}


def _credentials(
    authorization: Sequence[bytes], form: Mapping[str, str]
) -> SecretCredentials | AssertionCredentials:
    client_id, secret = form.get("client_id"), form.get("client_secret")
    kind, assertion = form.get("client_assertion_type"), form.get("client_assertion")
    ways = (bool(authorization), secret is not None, kind is not None or assertion is not None)
    if sum(ways) > 1 or len(authorization) > 1:
        raise InvalidRequest("the client authenticates in more than one way")
    if authorization:
        return _basic(authorization[0], client_id)
    if secret is not None:
        if client_id is None:
            raise InvalidRequest("client_id is missing")
        return SecretCredentials(client_id=client_id, secret=secret)
    if kind is None and assertion is None:
        raise InvalidClient("the client does not authenticate: HTTP Basic, client_secret or client_assertion")
    if assertion is None or kind is None:
        raise InvalidRequest("client_assertion and client_assertion_type belong together")
    if kind != JWT_BEARER:
        raise InvalidClient(f"the one client_assertion_type served is {JWT_BEARER}")
    return AssertionCredentials(assertion=assertion, client_id=client_id)


def _basic(field: bytes, client_id: str | None) -> SecretCredentials:
    """Both halves are form-encoded before they are joined (RFC 6749 §2.3.1)."""
    scheme, _, text = field.partition(b" ")
    if scheme.lower() != b"basic":
        raise InvalidClient("the one scheme served here is Basic")
    try:
        user, colon, password = base64.b64decode(text.strip(), validate=True).decode("utf-8").partition(":")
        found = SecretCredentials(
            client_id=unquote_plus(user, errors="strict"), secret=unquote_plus(password, errors="strict")
        )
    except (binascii.Error, ValueError) as exc:
        raise InvalidClient("the Authorization header cannot be read") from exc
    if not colon:
        raise InvalidClient("the Authorization header cannot be read")
    if client_id is not None and client_id != found.client_id:
        raise InvalidRequest("client_id is not the one of the Authorization header")
    return found
