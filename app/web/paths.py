"""Paths as clients spell them: without the version, with another one, in another case, with hidden slashes.

Slashes that are doubled or at the end are Litestar's to pass over (Entra's collection has `/Users/?filter=`).
"""

from __future__ import annotations

import re
from typing import Final

from litestar.types import Scope

from app.scim.errors import InvalidVers, NotFound, ScimError

BASE_PATH: Final = "/scim/v2"

_BASE = re.compile(r"/+scim(?:/+(?P<version>v[0-9][^/]*))?(?P<rest>/.*)?", re.DOTALL)
_ENDPOINTS = ("Users", "Groups", "Schemas", "ResourceTypes", "ServiceProviderConfig", "Bulk", "Me")
_SPELLINGS = {spelled: name for name in _ENDPOINTS for spelled in (name.lower(), name.lower().rstrip("s"))}


def versioned_path(path: str) -> str:
    """The path under the version that is served, where it names none (RFC 7644 §3.13)."""
    found = _BASE.fullmatch(path)
    if found is None or found["version"] is not None:
        return path
    return BASE_PATH + (found["rest"] or "")


def nowhere(path: str) -> ScimError:
    """Why nothing is served at a path, with what the client may have meant.

    Names are told apart by case, as RFC 3986 §6.2.2.1 has it: no client is known that needs otherwise.
    """
    found = _BASE.fullmatch(path)
    if found is None:
        return NotFound(f"there is no such endpoint: SCIM is served under {BASE_PATH}")
    if found["version"] not in (None, "v2"):
        return InvalidVers(f"this version of SCIM is not served: the base URL ends in {BASE_PATH}")
    name = (found["rest"] or "").strip("/").partition("/")[0]
    meant = _SPELLINGS.get(name.lower().rstrip("s"))
    if meant is not None and meant != name:
        return NotFound(f"there is no such endpoint: it is spelled {BASE_PATH}/{meant}")
    return NotFound(f"there is no such endpoint: SCIM is served under {BASE_PATH}")


def hides_slash(scope: Scope) -> bool:
    """Whether the path holds an escaped slash, which routing would take for a real one."""
    raw_path: bytes = scope.get("raw_path") or b""
    return b"%2f" in raw_path.lower()
