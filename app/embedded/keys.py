"""The key that signs access tokens: made at first run, kept in the database, published (RFC 7517)."""

from __future__ import annotations

import asyncio
import base64
import hashlib

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from msgspec import Struct
from sqlalchemy import insert, select

from app.embedded.database import Database, DatabaseError
from app.embedded.identifiers import utc_now
from app.embedded.tables import signing_keys

_KEY_BITS = 2048


class Jwk(Struct, kw_only=True):
    """One public RSA key (RFC 7517 §4, RFC 7518 §6.3)."""

    kty: str = "RSA"
    use: str = "sig"
    alg: str = "RS256"
    kid: str
    n: str
    e: str


class JwkSet(Struct, kw_only=True):
    """The keys that verify this platform's tokens."""

    keys: list[Jwk]


class SigningKey(Struct, frozen=True, kw_only=True):
    """One key pair and its name."""

    kid: str
    private: RSAPrivateKey

    @property
    def public(self) -> RSAPublicKey:
        """The half that verifies."""
        return self.private.public_key()

    def jwk(self) -> Jwk:
        """The public half as published."""
        numbers = self.public.public_numbers()
        return Jwk(kid=self.kid, n=_base64url(numbers.n), e=_base64url(numbers.e))


async def load_signing_keys(database: Database) -> list[SigningKey]:
    """The signing keys, newest first; makes one when there is none."""
    stored = await _stored(database)
    if stored:
        return stored
    fresh = await asyncio.to_thread(generate_private_key, 65537, _KEY_BITS)
    pem = fresh.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    async with database.write() as connection:
        # Another process may have been first: its key then is the one.
        if (await connection.execute(select(signing_keys.c.kid))).first() is None:
            values = {"kid": _key_id(fresh), "private_pem": pem.decode(), "created_at": utc_now()}
            await connection.execute(insert(signing_keys).values(values))
    return await _stored(database)


async def _stored(database: Database) -> list[SigningKey]:
    statement = select(signing_keys.c.kid, signing_keys.c.private_pem).order_by(
        signing_keys.c.created_at.desc()
    )
    async with database.read() as connection:
        rows = (await connection.execute(statement)).all()
    return [SigningKey(kid=kid, private=_private_key(pem)) for kid, pem in rows]


def _private_key(pem: str) -> RSAPrivateKey:
    key = serialization.load_pem_private_key(pem.encode(), password=None)
    if not isinstance(key, RSAPrivateKey):
        raise DatabaseError("a signing key in the database is not an RSA key")
    return key


def _key_id(key: RSAPrivateKey) -> str:
    """A name that follows from the key itself."""
    public = key.public_key().public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return hashlib.sha256(public).hexdigest()[:16]


def _base64url(number: int) -> str:
    raw = number.to_bytes((number.bit_length() + 7) // 8, "big")
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
