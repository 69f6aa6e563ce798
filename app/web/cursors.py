"""Cursors (RFC 9865 §2): places in lists, sealed so that only this server can read and make them.

A cursor holds all it needs; nothing is kept for one. It is encrypted, because it may hold a user's name and
stands in URLs, and it opens only for the connection, the endpoint and the query that it was made for.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterable

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV

from app.bridge.query import Across, Query
from app.scim.errors import ExpiredCursor, InvalidCursor
from app.scim.filter import print_filter
from app.store.server_keys import ServerKeys
from app.store.sources import Clock, utc_now

# Unreserved characters of RFC 3986 §2.3, to which RFC 9865 §2 limits cursors: base64url without padding.
_FORM = re.compile(r"[A-Za-z0-9_-]+")
_KEY_NAME = "cursors"


class _Sealed(msgspec.Struct, frozen=True, array_like=True):
    expires_at: int
    """Unix time in seconds."""
    place: Across


class Cursors:
    """Makes and opens cursors, with a key that all replicas share."""

    def __init__(self, keys: ServerKeys, *, timeout_s: int, clock: Clock = utc_now) -> None:
        self._keys = keys
        self._timeout_s = timeout_s
        self._clock = clock

    async def seal(self, place: Across, scope: bytes) -> str:
        """The cursor for a place; `scope` comes from `scope_of`. It lasts for `timeout_s`."""
        sealed = _Sealed(int(self._clock().timestamp()) + self._timeout_s, place)
        raw = AESSIV(await self._keys.get(_KEY_NAME)).encrypt(msgspec.json.encode(sealed), [scope])
        return urlsafe_b64encode(raw).rstrip(b"=").decode()

    async def open(self, cursor: str, scope: bytes) -> Across:
        """The place behind a cursor of this scope; raises `InvalidCursor` and `ExpiredCursor`."""
        raw = _decoded(cursor)
        try:
            plain = AESSIV(await self._keys.get(_KEY_NAME)).decrypt(raw, [scope])
            sealed = msgspec.json.decode(plain, type=_Sealed)
        except (InvalidTag, msgspec.DecodeError) as exc:
            raise _invalid() from exc
        if self._clock().timestamp() >= sealed.expires_at:
            raise ExpiredCursor(
                f"the cursor has expired: ask for the next page within {self._timeout_s} seconds, or start "
                "again with an empty cursor"
            )
        return sealed.place


def scope_of(connection_id: str, endpoint: str, queries: Iterable[Query]) -> bytes:
    """What a cursor is good for: one connection, one endpoint, one filter and order, as they were bound.

    Attributes and `count` may differ between pages. RFC 9865 §2.1 would have a server refuse another
    `count`; here it does no harm.
    """
    parts = [
        (
            None if query.filter is None else print_filter(query.filter),
            None if query.sort is None else (query.sort.text, query.descending),
        )
        for query in queries
    ]
    return msgspec.json.encode((connection_id, endpoint, parts))


def _decoded(cursor: str) -> bytes:
    if _FORM.fullmatch(cursor) is None or len(cursor) % 4 == 1:
        raise _invalid()
    raw = urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
    if urlsafe_b64encode(raw).rstrip(b"=").decode() != cursor:
        # Bits that mean nothing were set: not a cursor that was made here.
        raise _invalid()
    return raw


def _invalid() -> InvalidCursor:
    return InvalidCursor(
        "the cursor was not given out for this query: send the nextCursor of the answer before with the same "
        "filter, sortBy and sortOrder, or start again with an empty cursor"
    )
