"""One PATCH step on one attribute: add, replace or remove, the path resolved (RFC 7644 §3.5.2.1 and on)."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import msgspec

from app.scim.dialect import Dialect, Tolerance
from app.scim.elements import (
    add,
    check_immutable,
    distinct,
    merge,
    says_something,
    settle_primary,
    without,
)
from app.scim.errors import InvalidValue, NoTarget
from app.scim.evaluate import element_predicate
from app.scim.expression import And, Compare, Filter
from app.scim.schema import Attribute, AttributeRef
from app.scim.values import as_list, hollow, read_parts, read_value, shape, unassigned

Op: TypeAlias = Literal["add", "replace", "remove"]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One operation on one attribute, its target resolved."""

    op: Op
    ref: AttributeRef
    filter: Filter | None = None
    """Selects elements of a multi-valued attribute; bound to its sub-attributes."""
    value: object = msgspec.UNSET
    """As the client sent it; UNSET where it sent none."""
    text: str
    """The path, for errors."""


def amend(current: Any, step: Step, dialect: Dialect) -> Any:
    """The attribute's value after the step; None means unassigned, before and after."""
    attribute = step.ref.attribute
    new: Any
    if attribute.multi_valued:
        elements = current if isinstance(current, list) else []
        whole = step.filter is None and step.ref.sub is None
        new = _amend_list(elements, step, dialect) if whole else _amend_elements(elements, step, dialect)
        new = new or None
    elif attribute.type == "complex":
        new = _amend_object(current, step, dialect)
    else:
        new = _simple(step, dialect)
    check_immutable(attribute, current, new, path=step.text)
    return new


def _simple(step: Step, dialect: Dialect) -> Any:
    if step.op == "remove":  # a value beside it is of no meaning
        return None
    return read_value(step.value, step.ref.attribute, dialect, path=step.text)


def _amend_object(current: Any, step: Step, dialect: Dialect) -> dict[str, Any] | None:
    """A single-valued complex attribute, or one of its sub-attributes."""
    attribute = step.ref.attribute
    if step.op == "remove" and step.ref.sub is None:
        return None
    parts = _parts(step, dialect)
    if parts is None:
        return None
    # replace keeps the sub-attributes that it does not name, as add does (RFC 7644 §3.5.2.3).
    return merge(current or {}, parts, attribute, path=step.ref.text) or None


def _parts(step: Step, dialect: Dialect) -> dict[str, Any] | None:
    """What the step says about one complex value: sub-attributes, None for those it unassigns."""
    attribute, sub, value = step.ref.attribute, step.ref.sub, step.value
    if sub is not None:
        new = None if step.op == "remove" else read_value(value, sub, dialect, path=step.text)
        return {sub.name: new}
    unwrap = attribute.multi_valued and dialect.allows(Tolerance.MANAGER_FORMS)
    if unwrap and isinstance(value, list) and len(value) == 1:
        value = value[0]
    return read_parts(value, attribute, dialect, path=step.text)


def _amend_list(elements: list[Any], step: Step, dialect: Dialect) -> list[Any]:
    """A multi-valued attribute as a whole."""
    if step.op == "remove":
        return _removed(elements, step, dialect)
    new: list[Any] = read_value(step.value, step.ref.attribute, dialect, path=step.text) or []
    if step.op == "replace":
        return new
    return settle_primary(*add(elements, new, step.ref.attribute), path=step.text)


def _removed(elements: list[Any], step: Step, dialect: Dialect) -> list[Any]:
    attribute, value = step.ref.attribute, step.value
    if value is msgspec.UNSET or value is None or (value == "" and unassigned(value, dialect)):
        return []
    # Entra, JumpCloud and authentik list the members to remove. Reading that as "all" empties the group.
    if not dialect.allows(Tolerance.REMOVE_WITH_VALUE_ARRAY):
        raise InvalidValue(f"remove takes no value; select by filter, as in {attribute.name}[value eq …].")
    if attribute.type != "complex":
        return without(elements, read_value(value, attribute, dialect, path=step.text) or [], attribute)
    listed: list[Any] = []
    for index, item in enumerate(as_list(value, dialect, path=step.text)):
        # Not read_value: `[{"type": "work"}]` selects elements here, it need not be a whole one.
        parts = read_parts(item, attribute, dialect, path=f"{step.text}[{index}]") or {}
        listed.append(_given(parts))
    return without(elements, listed, attribute)


def _amend_elements(elements: list[Any], step: Step, dialect: Dialect) -> list[Any]:
    """The elements that a filter selects, or all, or one of their sub-attributes."""
    attribute = step.ref.attribute
    if step.filter is None:
        matched = set(range(len(elements)))
    else:
        matches = element_predicate(step.filter, attribute)
        matched = {position for position, element in enumerate(elements) if matches(element)}
    if not matched:
        return _unmatched(elements, step, dialect)
    if step.op == "remove" and step.ref.sub is None:
        return [element for position, element in enumerate(elements) if position not in matched]
    if attribute.type != "complex":
        return _replaced(elements, matched, step, dialect)
    parts = _parts(step, dialect)
    whole = step.op == "replace" and step.ref.sub is None and isinstance(step.value, dict | list)
    if whole and parts is not None and not hollow(_given(parts), attribute):
        return _replaced(elements, matched, step, dialect)
    # A bare value or a mark such as {"primary": true} is no whole element: it changes the one selected.
    claimed: set[int] = set()
    result: list[Any] = []
    for position, element in enumerate(elements):
        new = _merged(element, parts, step) if position in matched else element
        if new is None:
            continue
        if position in matched and parts and parts.get("primary") is True:
            claimed.add(len(result))
        result.append(new)
    return distinct(settle_primary(result, claimed, path=step.text))


def _replaced(elements: list[Any], matched: set[int], step: Step, dialect: Dialect) -> list[Any]:
    """One whole value in place of the selected elements (RFC 7644 §3.5.2.3)."""
    value = step.value if isinstance(step.value, list) else [step.value]
    new = read_value(value, step.ref.attribute, dialect, path=step.text) or []
    if len(new) > 1:
        raise InvalidValue(f"{step.text}: one value replaces the selected elements, not several.")
    first = min(matched)
    rest = elements[:first], [e for i, e in enumerate(elements) if i > first and i not in matched]
    primary = {first} if new and isinstance(new[0], dict) and new[0].get("primary") is True else set()
    return distinct(settle_primary([*rest[0], *new, *rest[1]], primary, path=step.text))


def _merged(element: Any, parts: dict[str, Any] | None, step: Step) -> dict[str, Any] | None:
    """An element with parts of it changed; None when nothing worth keeping is left."""
    if parts is None:  # the whole element is unassigned
        return None if step.op == "replace" else element
    new = merge(element, parts, step.ref.attribute, path=step.ref.attribute.name)
    lost_a_part = any(part is None for part in parts.values())
    return None if lost_a_part and not says_something(new, step.ref.attribute) else new


def _unmatched(elements: list[Any], step: Step, dialect: Dialect) -> list[Any]:
    """No element is selected: nothing to remove, or the element to create."""
    attribute = step.ref.attribute
    if step.op == "remove":
        if step.filter is None or dialect.allows(Tolerance.UNMATCHED_REMOVE_SUCCEEDS):
            return elements
        raise NoTarget(f"{step.text} selects nothing to remove.")
    said = {} if step.filter is None else _constraints(step.filter, attribute)
    # Entra expects the element made, type included; RFC 7644 §3.5.2.3 says noTarget (erratum 8097).
    allowed = step.filter is None or dialect.allows(Tolerance.UNMATCHED_ADD_CREATES)
    if not allowed or said is None or attribute.type != "complex":
        raise NoTarget(f"{step.text} selects nothing, and the filter does not say what to create.")
    given = _given(_parts(step, dialect) or {})
    if not given:
        return elements
    return settle_primary(*add(elements, [{**said, **given}], attribute), path=step.text)


def _given(parts: dict[str, Any]) -> dict[str, Any]:
    """The parts that have a value."""
    return {name: part for name, part in parts.items() if part is not None}


def _constraints(found: Filter, attribute: Attribute) -> dict[str, Any] | None:
    """The sub-attributes that a filter of `eq` and `and` fixes; None for any other filter."""
    if isinstance(found, And):
        parts = [_constraints(term, attribute) for term in found.terms]
        known = [part for part in parts if part is not None]
        return None if len(known) < len(parts) else {k: v for part in known for k, v in part.items()}
    if not isinstance(found, Compare) or found.op != "eq" or found.value is None:
        return None
    sub = attribute.sub(found.path.name)
    if sub is None or sub.mutability == "readOnly":
        return None
    return {sub.name: found.value}


def describe(value: object) -> str:
    """The shape of an operation's value for an error detail."""
    return "nothing" if value is msgspec.UNSET else shape(value)
