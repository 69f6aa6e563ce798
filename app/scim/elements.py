"""Lists and objects under PATCH: merge, add without duplicates, remove, one primary (RFC 7644 §3.5.2).

Every function returns new lists and objects; those passed in are shared with the resource and never changed.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from typing import Any

from app.scim.errors import InvalidValue, Mutability
from app.scim.schema import Attribute
from app.scim.values import canonical, hollow, missing_subs


def merge(
    current: dict[str, Any], parts: dict[str, Any], attribute: Attribute, *, path: str
) -> dict[str, Any]:
    """A complex value with some sub-attributes replaced, or removed where the part is None.

    Sub-attributes that describe the value, `$ref` and readOnly ones such as `displayName`, go with it when
    `value` changes: a new manager does not keep the old one's name. Raises Mutability for a changed
    immutable sub-attribute.
    """
    merged = dict(current)
    if "value" in parts and "value" in current and parts["value"] != current["value"]:
        for sub in attribute.sub_attributes:
            about_value = sub.type == "reference" and sub.name != "value"
            if about_value or sub.mutability == "readOnly":
                merged.pop(sub.name, None)
    for name, part in parts.items():
        changed = attribute.sub(name)
        if changed is not None:
            check_immutable(changed, current.get(name), part, path=f"{path}.{name}")
        if part is None:
            merged.pop(name, None)
        else:
            merged[name] = part
    return merged


def check_immutable(attribute: Attribute, current: Any, new: Any, *, path: str) -> None:
    """Mutability unless the attribute may change, is unassigned, or stays as it is (RFC 7643 §2.2)."""
    if attribute.mutability == "immutable" and current is not None and new != current:
        raise Mutability(f"{path} is immutable: it cannot be changed once it has a value.")


def add(current: list[Any], new: Iterable[Any], attribute: Attribute) -> tuple[list[Any], set[int]]:
    """Append elements that are not there yet; also the positions of those added as primary.

    An element is there when one has the same `value` and `type`, or for one added without a type just the
    same `value`; its further sub-attributes then take the new ones. Where `value` is immutable, an id, it
    alone counts. Without `value`, all but `primary` must be equal.
    """
    result = list(current)
    positions: dict[Hashable, list[int]] = {}
    for position, element in enumerate(result):
        positions.setdefault(_identity(element, attribute), []).append(position)
    claimed: set[int] = set()
    for element in new:
        same = positions.setdefault(_identity(element, attribute), [])
        found = _same_type(result, same, element, attribute)
        if found is None:
            same.append(len(result))
            result.append(element)
        elif isinstance(element, dict):
            result[found] = _merge_known(result[found], element, attribute)
        if isinstance(element, dict) and element.get("primary") is True:
            claimed.add(len(result) - 1 if found is None else found)
    return result, {position for position in claimed if result[position].get("primary") is True}


def without(current: list[Any], listed: Iterable[Any], attribute: Attribute) -> list[Any]:
    """The elements but those listed; an element without `value` lists all that agree with what it says."""
    by_value: dict[Hashable, list[Any]] = {}
    by_parts: list[dict[str, Any]] = []
    for element in listed:
        if isinstance(element, dict) and "value" not in element:
            by_parts.append(element)
        else:
            by_value.setdefault(_identity(element, attribute), []).append(element)

    def is_listed(element: Any) -> bool:
        same = by_value.get(_identity(element, attribute), [])
        if any(_compatible_type(element, other, attribute) for other in same):
            return True
        return isinstance(element, dict) and any(_agrees(element, part, attribute) for part in by_parts)

    return [element for element in current if not is_listed(element)]


def settle_primary(elements: list[Any], claimed: set[int], *, path: str) -> list[Any]:
    """Let the element that an operation made primary be the only one (RFC 7644 §3.5.2)."""
    if not claimed:
        return elements
    if len(claimed) > 1:
        raise InvalidValue(f"{path}: only one element may be primary (RFC 7643 §2.4).")
    return [
        {**element, "primary": False}
        if position not in claimed and isinstance(element, dict) and element.get("primary") is True
        else element
        for position, element in enumerate(elements)
    ]


def distinct(elements: Iterable[Any]) -> list[Any]:
    """The elements, equal ones once."""
    return list({canonical(element): element for element in elements}.values())


def says_something(element: Any, attribute: Attribute) -> bool:
    """Whether an element is worth keeping after a part of it was removed."""
    if not isinstance(element, dict):
        return element is not None
    return not hollow(element, attribute) and not missing_subs(element, attribute)


def folded(value: Any, attribute: Attribute | None) -> Any:
    """A value for comparison: without case where the schema says so (RFC 7643 §2.2)."""
    if isinstance(value, str) and not (attribute and attribute.case_exact):
        return value.casefold()
    return value


def _identity(element: Any, attribute: Attribute) -> Hashable:
    if not isinstance(element, dict):
        return "plain", canonical(folded(element, attribute))
    if "value" in element:
        return "value", canonical(folded(element["value"], attribute.sub("value")))
    return "whole", canonical({name: part for name, part in element.items() if name != "primary"})


def _same_type(elements: list[Any], positions: list[int], new: Any, attribute: Attribute) -> int | None:
    """Of the elements with the same `value`, the one that an added element is taken for."""
    value, kind = attribute.sub("value"), attribute.sub("type")
    if not isinstance(new, dict) or (value is not None and value.mutability == "immutable"):
        return next(iter(positions), None)
    wanted = folded(new.get("type"), kind)
    for position in positions:
        if folded(elements[position].get("type"), kind) == wanted:
            return position
    return next(iter(positions), None) if wanted is None else None


def _compatible_type(one: Any, other: Any, attribute: Attribute) -> bool:
    if not isinstance(one, dict) or not isinstance(other, dict) or "type" not in one or "type" not in other:
        return True
    sub = attribute.sub("type")
    return bool(folded(one["type"], sub) == folded(other["type"], sub))


def _agrees(element: dict[str, Any], wanted: dict[str, Any], attribute: Attribute) -> bool:
    return bool(wanted) and all(
        folded(element.get(name), attribute.sub(name)) == folded(part, attribute.sub(name))
        for name, part in wanted.items()
    )


def _merge_known(current: dict[str, Any], new: dict[str, Any], attribute: Attribute) -> dict[str, Any]:
    """Merge into an element that is there; what is immutable stays, for adding a member again succeeds."""
    fixed = {sub.name for sub in attribute.sub_attributes if sub.mutability == "immutable"}
    return {
        **current,
        **{name: part for name, part in new.items() if not (name in fixed and name in current)},
    }
