"""Access tokens: RS256 JWTs, signed here and verified here, each verified once and then remembered."""

from __future__ import annotations

import secrets
import time
from collections import OrderedDict
from collections.abc import Sequence

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from msgspec import Struct

from app.embedded.keys import JwkSet, SigningKey


class BadToken(Exception):
    """An access token that is not good; says why in words fit for the caller."""


class Principal(Struct, frozen=True, kw_only=True):
    """Who calls: an app, bound to one tenant or to none, and what it may do."""

    client_id: str
    tenant_id: str | None
    scopes: frozenset[str]


class Tokens:
    """Issues and verifies the platform's access tokens."""

    def __init__(
        self, keys: Sequence[SigningKey], *, issuer: str, audience: str, ttl_s: int, cache_size: int
    ) -> None:
        self._signing = keys[0]
        self._public: dict[str, RSAPublicKey] = {key.kid: key.public for key in keys}
        self._issuer = issuer
        self._audience = audience
        self._ttl_s = ttl_s
        self._cache_size = cache_size
        self._verified: OrderedDict[str, tuple[Principal, float]] = OrderedDict()
        self.jwks = JwkSet(keys=[key.jwk() for key in keys])

    @property
    def ttl_s(self) -> int:
        """Seconds a token is valid unless asked otherwise."""
        return self._ttl_s

    def issue(
        self, client_id: str, tenant_id: str | None, scopes: Sequence[str], *, ttl_s: int | None = None
    ) -> str:
        """A signed token for the app; a `ttl_s` below zero makes one that has already expired."""
        now = int(time.time())
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": client_id,
            "scope": " ".join(scopes),
            "tenant_id": tenant_id,
            "iat": now,
            "exp": now + (self._ttl_s if ttl_s is None else ttl_s),
            "jti": secrets.token_hex(16),
        }
        return jwt.encode(
            claims, self._signing.private, algorithm="RS256", headers={"kid": self._signing.kid}
        )

    def verify(self, token: str) -> Principal:
        """Who the token speaks for. Raises BadToken."""
        known = self._verified.get(token)
        if known is not None and time.time() < known[1]:
            return known[0]
        principal, expires_at = self._verify_signature(token)
        self._verified[token] = principal, expires_at
        while len(self._verified) > self._cache_size:
            self._verified.popitem(last=False)
        return principal

    def _verify_signature(self, token: str) -> tuple[Principal, float]:
        try:
            key = self._public.get(str(jwt.get_unverified_header(token).get("kid")))
            if key is None:
                raise BadToken("Unknown signing key")
            claims = jwt.decode(
                token,
                key,
                algorithms=["RS256"],
                audience=self._audience,
                issuer=self._issuer,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise BadToken("Token has expired") from error
        except jwt.PyJWTError as error:
            raise BadToken("Invalid token") from error
        tenant_id, scope = claims.get("tenant_id"), claims.get("scope", "")
        if not isinstance(scope, str) or not (tenant_id is None or isinstance(tenant_id, str)):
            raise BadToken("Invalid token")
        principal = Principal(client_id=claims["sub"], tenant_id=tenant_id, scopes=frozenset(scope.split()))
        return principal, float(claims["exp"])
