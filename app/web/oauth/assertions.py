"""Signed assertions of other issuers (RFC 7523 §3), read and verified; pure.

`jti` is not remembered (§3 leaves that open): what Microsoft Entra ID sends is a token that it uses until it
expires.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence

import jwt
import msgspec

from app.web.oauth.keys import SigningKey

LEEWAY_S = 60
"""Seconds that the issuer's clock may be off."""

MAX_LIFETIME_S = 86_400
"""Seconds that an assertion may be good for; managed identities get a day."""

_MAX_AUDIENCES = 10
_LATEST = 1e11
"""A moment past which no time of an assertion lies, in seconds since 1970."""


class BadAssertion(Exception):
    """The assertion does not authenticate anybody; the text is for the log and repeats nothing of it."""


class Claims(msgspec.Struct, frozen=True):
    """What an assertion says, believed by nobody until `verify`."""

    iss: str
    sub: str
    aud: str | list[str]
    exp: int | float
    nbf: int | float | None = None
    iat: int | float | None = None

    @property
    def audiences(self) -> Sequence[str]:
        """`aud` as a list."""
        return [self.aud] if isinstance(self.aud, str) else self.aud


class _Header(msgspec.Struct, frozen=True):
    alg: str
    kid: str | None = None


def peek(assertion: str) -> tuple[str | None, Claims]:
    """Key id and claims, for finding out whose keys to ask; not verified. Raises `BadAssertion`."""
    parts = assertion.split(".")
    if len(parts) != 3:
        raise BadAssertion("not a signed JWT")
    try:
        header = msgspec.json.decode(_decode(parts[0]), type=_Header)
        claims = msgspec.json.decode(_decode(parts[1]), type=Claims)
    except (ValueError, RecursionError) as exc:
        raise BadAssertion("not a JWT with iss, sub, aud and exp of the right types") from exc
    if len(claims.audiences) > _MAX_AUDIENCES:
        raise BadAssertion(f"more than {_MAX_AUDIENCES} audiences")
    return header.kid, claims


def verify(
    assertion: str, keys: Sequence[SigningKey], *, issuer: str, subject: str, audience: str, now: float
) -> None:
    """Raise `BadAssertion` unless one of the keys signed it, for these three, and `now` (Unix time) fits.

    All three are compared exactly; the audience may be one of several.
    """
    _check_signature(assertion, keys)
    _, claims = peek(assertion)
    if claims.iss != issuer:
        raise BadAssertion("another issuer")
    if claims.sub != subject:
        raise BadAssertion("no trust has this subject")
    if audience not in claims.audiences:
        raise BadAssertion("no trust has this audience")
    _check_times(claims, now)


def _check_signature(assertion: str, keys: Sequence[SigningKey]) -> None:
    signatures = jwt.PyJWS(options={"enforce_minimum_key_length": True})
    for each in keys:
        try:
            signatures.decode_complete(assertion, each.key, algorithms=list(each.algorithms))
        except (jwt.PyJWTError, ValueError, TypeError):
            continue
        return
    raise BadAssertion("no key of the issuer made the signature" if keys else "the issuer has no such key")


def _check_times(claims: Claims, now: float) -> None:
    times = [t for t in (claims.exp, claims.nbf, claims.iat) if t is not None]
    if any(not 0 <= t <= _LATEST for t in times):
        raise BadAssertion("a time that is none")
    if now >= claims.exp + LEEWAY_S:
        raise BadAssertion("expired")
    if any(t > now + LEEWAY_S for t in (claims.nbf, claims.iat) if t is not None):
        raise BadAssertion("not good yet")
    begins = now if claims.iat is None else claims.iat
    if claims.exp - begins > MAX_LIFETIME_S + LEEWAY_S:
        raise BadAssertion("good for longer than an assertion may be")


def _decode(part: str) -> bytes:
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)
