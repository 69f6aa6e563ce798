"""What differs between two states of a resource."""

from __future__ import annotations

from collections import Counter
from typing import Any

from app.scim.schema import Attribute, AttributeRef, Resource, ResourceModel
from app.scim.values import canonical


def changed_attributes(before: Resource, after: Resource, model: ResourceModel) -> tuple[str, ...]:
    """Canonical names of the attributes that differ, those of extensions with their URN, in schema order.

    Multi-valued attributes have no order (RFC 7643 §2.4): they are compared as multisets. `schemas` and
    readOnly attributes and sub-attributes are not compared: no client can change them.
    """
    extensions = [
        (extension.id, before.get(extension.id) or {}, after.get(extension.id) or {}, extension.attributes)
        for extension in model.extensions
    ]
    places: list[tuple[str | None, Resource, Resource, tuple[Attribute, ...]]]
    places = [(None, before, after, model.attributes), *extensions]
    return tuple(
        AttributeRef(urn=urn, attribute=attribute).text
        for urn, old, new, attributes in places
        for attribute in attributes
        if attribute.mutability != "readOnly"
        and attribute.name != "schemas"
        and _comparable(old.get(attribute.name), attribute) != _comparable(new.get(attribute.name), attribute)
    )


def _comparable(value: Any, attribute: Attribute) -> Counter[bytes]:
    """An attribute's values as a multiset; unassigned is the empty one (RFC 7643 §2.5)."""
    if value is None:
        return Counter()
    values = value if isinstance(value, list) else [value]
    return Counter(canonical(_writable(item, attribute)) for item in values)


def _writable(value: Any, attribute: Attribute) -> Any:
    if not isinstance(value, dict):
        return value
    fixed = {sub.name for sub in attribute.sub_attributes if sub.mutability == "readOnly"}
    return {name: part for name, part in value.items() if name not in fixed and part is not None}
