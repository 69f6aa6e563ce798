"""Resource versions as weak entity tags (RFC 7644 §3.14, RFC 9110 §8.8.3)."""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Any

from app.scim.schema import Resource
from app.scim.values import canonical

_ENTITY_TAG = re.compile(r'(?:W/)?("[^"]*")')


def version_of(resource: Resource) -> str:
    """`W/"…"` over the resource: the same on every replica, whatever the order of keys.

    `meta.version` is left out, and so are `meta.location` and the `$ref` of groups: they name the host by
    which this request came. Weak, since bodies of one version differ with `attributes` and the order of keys.
    """
    return f'W/"{blake2b(canonical(_unversioned(resource)), digest_size=10).hexdigest()}"'


def matches(header: str, version: str) -> bool:
    """Whether an `If-Match` or `If-None-Match` header names this version: `*`, or a list compared weakly.

    For a resource that exists; `*` matches any version of it. What is not an entity tag matches nothing.
    """
    if header.strip() == "*":
        return True
    own = _ENTITY_TAG.fullmatch(version)
    return own is not None and own[1] in _ENTITY_TAG.findall(header)


def _unversioned(resource: Resource) -> dict[str, Any]:
    meta = {k: v for k, v in resource.get("meta", {}).items() if k not in ("version", "location")}
    rest = {name: value for name, value in resource.items() if name != "meta"}
    if groups := rest.get("groups"):
        rest["groups"] = [{k: v for k, v in group.items() if k != "$ref"} for group in groups]
    return {**rest, "meta": meta} if meta else rest
