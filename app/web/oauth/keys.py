"""Public keys of issuers, from their JWK Sets (RFC 7517); pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.exceptions import InvalidKeyError

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC = {"P-256": ("ES256",), "P-384": ("ES384",), "P-521": ("ES512",)}
_RSA_BITS = range(2048, 8193)
_MAX_KEYS = 100


class BadKeySet(Exception):
    """What was fetched is no JWK Set."""


class SigningKey(msgspec.Struct, frozen=True, kw_only=True):
    """A public key and what may be checked with it."""

    kid: str | None
    algorithms: tuple[str, ...]
    """From what the key is, never from what an assertion says: no HMAC under a public key, no `none`."""
    key: Any
    """An RSA or elliptic curve public key of `cryptography`."""


class _Jwk(msgspec.Struct, frozen=True):
    """The public members only: a private one that somebody published is not used."""

    kty: str
    kid: str | None = None
    use: str | None = None
    alg: str | None = None
    n: str | None = None
    e: str | None = None
    crv: str | None = None
    x: str | None = None
    y: str | None = None


class _KeySet(msgspec.Struct, frozen=True):
    keys: list[msgspec.Raw]


def read_key_set(text: bytes) -> Sequence[SigningKey]:
    """The keys that can check signatures; others of the set are passed over. Raises `BadKeySet`."""
    try:
        given = msgspec.json.decode(text, type=_KeySet).keys
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
        raise BadKeySet("not a JWK Set") from exc
    if len(given) > _MAX_KEYS:
        raise BadKeySet(f"more than {_MAX_KEYS} keys")
    return [key for each in given if (key := _read(each)) is not None]


def _read(raw: msgspec.Raw) -> SigningKey | None:
    try:
        jwk = msgspec.json.decode(raw, type=_Jwk)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    if jwk.use not in (None, "sig"):
        return None
    possible = _RSA if jwk.kty == "RSA" else _EC.get(jwk.crv or "", ()) if jwk.kty == "EC" else ()
    algorithms = tuple(a for a in possible if jwk.alg in (None, a))
    key = _public_key(jwk) if algorithms else None
    return None if key is None else SigningKey(kid=jwk.kid, algorithms=algorithms, key=key)


def _public_key(jwk: _Jwk) -> RSAPublicKey | EllipticCurvePublicKey | None:
    public = {k: v for k, v in msgspec.structs.asdict(jwk).items() if v is not None}
    try:
        key = (RSAAlgorithm if jwk.kty == "RSA" else ECAlgorithm).from_jwk(public)
    except (InvalidKeyError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey):
        return key if key.key_size in _RSA_BITS else None
    return key if isinstance(key, EllipticCurvePublicKey) else None
