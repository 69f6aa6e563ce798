"""Tokens by client credentials (RFC 6749 §4.4) and the keys that verify them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import parse_qsl, unquote_plus

import msgspec
from litestar import MediaType, Response
from litestar.handlers import HTTPRouteHandler
from msgspec import Struct

from app.embedded.apps import RegisteredApp, find_app
from app.embedded.errors import AnyRequest
from app.embedded.platform import Platform

PLATFORM_TOKEN_PATH = "/api/v1/platform/oauth/token"  # noqa: S105  # a path
TENANT_TOKEN_PATH = "/api/v1/auth/tenants/{slug}/oauth/token"  # noqa: S105  # a path
JWKS_PATH = "/api/v1/platform/.well-known/jwks.json"

_NO_STORE = {"Cache-Control": "no-store", "Pragma": "no-cache"}


class TokenResponse(Struct, kw_only=True):
    """A successful answer (RFC 6749 §5.1)."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105  # a word of the protocol
    expires_in: int
    scope: str


class OAuthErrorResponse(Struct, kw_only=True):
    """A refusal (RFC 6749 §5.2)."""

    error: str
    error_description: str


class _Refusal(Exception):
    def __init__(self, error: str, description: str, *, basic: bool = False) -> None:
        super().__init__(description)
        self.body = OAuthErrorResponse(error=error, error_description=description)
        self.status = 401 if error == "invalid_client" else 400
        self.headers = {**_NO_STORE, "WWW-Authenticate": 'Basic realm="platform"'} if basic else _NO_STORE


def oauth_handlers(platform: Platform) -> list[HTTPRouteHandler]:
    """The two token endpoints and the key set."""

    async def platform_token(request: AnyRequest) -> Response[bytes]:
        return await _answer(platform, request, None)

    async def tenant_token(request: AnyRequest) -> Response[bytes]:
        return await _answer(platform, request, request.path_params["slug"])

    async def jwks() -> Response[bytes]:
        return _json(platform.tokens.jwks, 200, {"Cache-Control": "public, max-age=300"})

    tenant_path = TENANT_TOKEN_PATH.replace("}", ":str}")
    return [
        HTTPRouteHandler(PLATFORM_TOKEN_PATH, http_method="POST", status_code=200)(platform_token),
        HTTPRouteHandler(tenant_path, http_method="POST", status_code=200)(tenant_token),
        HTTPRouteHandler(JWKS_PATH, http_method="GET", status_code=200)(jwks),
    ]


async def _answer(platform: Platform, request: AnyRequest, slug: str | None) -> Response[bytes]:
    try:
        form = _form(request.headers.get("content-type", ""), await request.body())
        client_id, client_secret, basic = _client(request.headers.get("authorization"), form)
        app = await _authenticated(platform, client_id, client_secret, slug, basic=basic)
        scopes = _granted(app, form)
    except _Refusal as refusal:
        return _json(refusal.body, refusal.status, refusal.headers)
    token = platform.tokens.issue(app.client_id, app.tenant_id, scopes)
    answer = TokenResponse(access_token=token, expires_in=platform.tokens.ttl_s, scope=" ".join(scopes))
    return _json(answer, 200, _NO_STORE)


def _form(content_type: str, body: bytes) -> dict[str, str]:
    """The parameters of the request. Raises _Refusal when one is repeated (RFC 6749 §3.2)."""
    if content_type.partition(";")[0].strip().lower() != "application/x-www-form-urlencoded":
        raise _Refusal("invalid_request", "The body must be application/x-www-form-urlencoded")
    pairs = parse_qsl(body.decode("latin-1"), keep_blank_values=True, errors="replace")
    form = dict(pairs)
    if len(form) != len(pairs):
        raise _Refusal("invalid_request", "A parameter is repeated")
    return form


def _client(authorization: str | None, form: Mapping[str, str]) -> tuple[str, str, bool]:
    """Client id, secret, and whether they came by HTTP Basic (RFC 6749 §2.3.1)."""
    if authorization is None:
        client_id, client_secret = form.get("client_id"), form.get("client_secret")
        if not client_id or not client_secret:
            raise _Refusal("invalid_client", "Client authentication is missing", basic=True)
        return client_id, client_secret, False
    if "client_secret" in form:
        raise _Refusal("invalid_request", "Use one way of client authentication only")
    scheme, _, encoded = authorization.partition(" ")
    try:
        decoded = (
            base64.b64decode(encoded.strip(), validate=True).decode() if scheme.lower() == "basic" else ""
        )
    except (binascii.Error, UnicodeDecodeError):
        decoded = ""
    client_id, colon, client_secret = decoded.partition(":")
    if not colon:
        raise _Refusal("invalid_client", "The Authorization header is not HTTP Basic", basic=True)
    return unquote_plus(client_id), unquote_plus(client_secret), True


async def _authenticated(
    platform: Platform, client_id: str, client_secret: str, slug: str | None, *, basic: bool
) -> RegisteredApp:
    """The app, provided that the secret is its own and that it belongs to this endpoint."""
    async with platform.database.read() as connection:
        app = await find_app(connection, client_id)
    if app is None or not app.has_secret(client_secret) or app.tenant_slug != slug:
        raise _Refusal("invalid_client", "Unknown client or wrong secret", basic=basic)
    return app


def _granted(app: RegisteredApp, form: Mapping[str, str]) -> tuple[str, ...]:
    """The scopes asked for, or all that the app has when none are named."""
    grant_type = form.get("grant_type")
    if not grant_type:
        raise _Refusal("invalid_request", "grant_type is missing")
    if grant_type != "client_credentials":
        raise _Refusal("unsupported_grant_type", "Only client_credentials is supported")
    asked = tuple(dict.fromkeys(form.get("scope", "").split()))
    if not set(asked) <= set(app.scopes):
        raise _Refusal("invalid_scope", "The app does not have the requested scope")
    return asked or app.scopes


def _json(payload: Struct, status: int, headers: Mapping[str, str]) -> Response[bytes]:
    return Response(
        msgspec.json.encode(payload), status_code=status, headers=dict(headers), media_type=MediaType.JSON
    )
