"""Who may call what: the bearer token, its scopes and the tenant it is bound to."""

from __future__ import annotations

from app.embedded.errors import Forbidden, NotFound, Unauthenticated
from app.embedded.platform import Platform
from app.embedded.tokens import BadToken, Principal, Tokens

READ = "admin:read"
WRITE = "admin:write"


def authenticate(tokens: Tokens, authorization: str | None) -> Principal:
    """Who the `Authorization` header speaks for. Raises Unauthenticated."""
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthenticated("Not authenticated")
    try:
        return tokens.verify(token.strip())
    except BadToken as error:
        raise Unauthenticated(str(error)) from error


def require_scope(principal: Principal, scope: str) -> None:
    """Raises Forbidden unless the token carries the scope."""
    if scope not in principal.scopes:
        raise Forbidden(f"Missing required scope: {scope}")


async def require_tenant(platform: Platform, principal: Principal, tenant_id: str) -> None:
    """Raises Forbidden for a tenant out of the token's reach, NotFound for one that does not exist."""
    if principal.tenant_id is not None:
        if principal.tenant_id != tenant_id:
            raise Forbidden("Access to this tenant is not allowed")
        return
    if not await platform.has_tenant(tenant_id):
        raise NotFound("Tenant not found")


def tenant_scope(principal: Principal, asked: str | None) -> str | None:
    """The one tenant a call of the administration concerns: that asked for, else the token's; None is all."""
    if asked and principal.tenant_id not in (None, asked):
        raise Forbidden("Access to this tenant is not allowed")
    return asked or principal.tenant_id
