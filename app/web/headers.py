"""Single header fields straight from the ASGI scope: there are few, and an index of them costs more."""

from __future__ import annotations

from litestar.types import Scope


def header(scope: Scope, name: bytes) -> bytes:
    """The first field of this name (lower case), empty where there is none."""
    for key, value in scope["headers"]:
        if key == name:
            return value
    return b""


def joined(scope: Scope, name: bytes) -> bytes:
    """All fields of this name (lower case) as one list, empty where there is none."""
    found = [value for key, value in scope["headers"] if key == name]
    return found[0] if len(found) == 1 else b", ".join(found)
