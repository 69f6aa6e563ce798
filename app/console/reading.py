"""JSON that an operator pasted."""

from __future__ import annotations

import msgspec

from app.scim.errors import InvalidSyntax


def read_json(text: str) -> object:
    """The value; raises `InvalidSyntax` with what is wrong."""
    if not text:
        raise InvalidSyntax("There is nothing to read: paste a JSON object.")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as exc:
        raise InvalidSyntax(f"This is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise InvalidSyntax("The document is nested too deeply.") from exc
