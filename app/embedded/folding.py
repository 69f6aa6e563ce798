"""Comparison without case: the keys of uniqueness and order, and the text that `search` looks through."""

from __future__ import annotations

import unicodedata

_SEPARATOR = "\x1f"


def fold(text: str) -> str:
    """The form in which two texts that differ only in case, or in how an accent is encoded, are equal."""
    return unicodedata.normalize("NFC", unicodedata.normalize("NFC", text).casefold())


def fold_optional(text: str | None) -> str | None:
    """`fold`, where an absent or empty text has no key."""
    return fold(text) if text else None


def search_text(*values: str | None) -> str:
    """What `search` looks through: the folded values, kept apart so that no match spans two of them."""
    return _SEPARATOR.join(search_term(value) for value in values if value)


def search_term(text: str) -> str:
    """A searched text as it stands in `search_text`."""
    return fold(text).replace(_SEPARATOR, " ")
