"""What a PUT makes of attributes that its client could not send right (RFC 7644 §3.5.1)."""

from __future__ import annotations

from typing import Any

from app.scim.elements import check_immutable
from app.scim.schema import Attribute, AttributeRef, Resource, ResourceModel

_UNSEEN = frozenset({"never", "request"})


def completed(before: Resource, wanted: Resource, model: ResourceModel) -> Resource:
    """The body of a PUT with what it lacks of extensions: immutable values, and those that GET does not show.

    Without that, a PUT of what GET gave would clear them. Raises `Mutability` where an immutable value is
    to become another.
    """
    after = dict(wanted)
    for extension in model.extensions:
        old, new = before.get(extension.id, {}), wanted.get(extension.id, {})
        kept = _completed(old, new, extension.attributes, extension.id)
        if kept:
            after[extension.id] = kept
    return after


def _completed(
    old: dict[str, Any], new: dict[str, Any], attributes: tuple[Attribute, ...], urn: str | None
) -> dict[str, Any]:
    result = dict(new)
    for attribute in attributes:
        present, sent = old.get(attribute.name), new.get(attribute.name)
        if present is None or attribute.mutability == "readOnly":
            continue
        if sent is None:
            if attribute.mutability == "immutable" or attribute.returned in _UNSEEN:
                result[attribute.name] = present
                continue
            sent = {} if isinstance(present, dict) else None
        check_immutable(attribute, present, sent, path=AttributeRef(urn=urn, attribute=attribute).text)
        if isinstance(present, dict) and isinstance(sent, dict):
            parts = _completed(present, sent, attribute.sub_attributes, None)
            if parts:
                result[attribute.name] = parts
    return result
