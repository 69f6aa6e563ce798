"""Texts of any length and content as keys of bounded size, and work in batches.

PostgreSQL indexes no row beyond 2704 bytes and takes no text with NUL; no driver takes lone surrogates.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

MAX_KEY_LENGTH = 400
"""Characters; longer texts are stored as a digest."""

_DIGEST_PREFIX = "sha256:"

_Item = TypeVar("_Item")


def bounded_key(text: str) -> str:
    """Answer the form in which a text is stored as a key: itself, or its digest.

    Texts that are too long, or hold what a database takes no text with (NUL, lone surrogates), or look like a
    digest, become one; so no two texts share a key.
    """
    raw = text.encode("utf-8", "surrogatepass")
    if len(text) <= MAX_KEY_LENGTH and not text.startswith(_DIGEST_PREFIX) and _is_plain(text, raw):
        return text
    return _DIGEST_PREFIX + hashlib.sha256(raw).hexdigest()


def is_storable(text: str) -> bool:
    """Say whether both databases take the text as it is."""
    return _is_plain(text, text.encode("utf-8", "surrogatepass"))


def batches(items: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    """Cut into lists of at most `size`; nothing comes of nothing."""
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def _is_plain(text: str, raw: bytes) -> bool:
    # Bytes that do not decode strictly came from lone surrogates.
    return "\0" not in text and (text.isascii() or raw.decode("utf-8", "ignore") == text)
