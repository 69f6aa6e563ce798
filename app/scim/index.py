"""What the index keeps of a resource: a comparable text for each of its values.

The keys agree with `evaluate`: two values compare, are ordered and contain each other as their keys do. So a
bound filter, turned into terms by `index_terms`, holds of the entries exactly where its `predicate` holds of
the resource. How values become entries:

- A value is an entry under its attribute's name, such as `userName`, `name.familyName`, `emails.value`. The
  values of one element share its number; of several elements the one that sorting goes by (the primary, else
  the first) is number 0.
- Each element of a complex attribute has an entry under the attribute itself (`emails`), with the key "t",
  or "" where it is empty.
- A value that compares with nothing (of the wrong type, a dateTime that cannot be read) has none. Where it
  is present all the same (`pr`), `OTHER` is added to the name and the key is "t". So it is too for
  `emails.primary` where it says false: the key "f" is also that of an element that says nothing.
- A single complex value has no entry of its own, unless nothing else would show that it is present.

Not here: `id` and `meta.created`, which the index keeps as columns; `groups`, `meta.location` and
`meta.version`, which depend on more than the user; and what is never returned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, Final

import msgspec

from app.scim.evaluate import comparison_key, format_instant, is_present, values_of
from app.scim.expression import And, AttrName, Filter, Not, Or
from app.scim.schema import Attribute, AttributeRef, Resource, ResourceModel

OTHER: Final = " (other)"
"""Ends the name of entries for values that are present and compare with nothing."""

COLUMNS: Final = frozenset({"id", "meta.created"})
_NOT_INDEXED: Final = frozenset({"groups", "meta.location", "meta.version"})


class Entry(msgspec.Struct, frozen=True):
    """One value of one user."""

    attribute: str
    """`userName`, `emails.value`, `urn:…:User:department`; see above."""
    element: int
    """The number of the element of a multi-valued attribute; 0 for a single value."""
    key: str
    """See `value_key`."""


class _Leaf(msgspec.Struct, frozen=True):
    name: str
    other: str
    key: Callable[[Any], str | None]
    defaults: bool
    """`primary` of an element: false where it is missing."""
    column: bool


class _Plan(msgspec.Struct, frozen=True):
    name: str
    multi_valued: bool
    leaf: _Leaf | None
    """Of a simple attribute."""
    subs: dict[str, _Leaf]


def index_entries(resource: Resource, model: ResourceModel) -> tuple[Entry, ...]:
    """The entries of a resource of any content, each once; `resource` has canonical names."""
    found: list[Entry] = []
    core, extensions = _plans(model)
    for name, value in resource.items():
        if (plan := core.get(name)) is not None:
            found.extend(_entries(plan, value))
        elif (plans := extensions.get(name)) is not None and isinstance(value, dict):
            for inner, item in value.items():
                if (plan := plans.get(inner)) is not None:
                    found.extend(_entries(plan, item))
    return tuple(found)


def value_key(leaf: Attribute, value: Any) -> str | None:
    """The text by which a value of this attribute compares, None where it is of another type.

    Texts order by code point. Booleans are "f" and "t"; a dateTime is UTC without "Z", any digits of its
    fraction kept; for numbers see `number_key`.
    """
    return _encoder(leaf)(value)


def is_indexed(f: Filter, model: ResourceModel) -> bool:
    """Whether the index knows every attribute of a bound filter."""
    match f:
        case And(terms=terms) | Or(terms=terms):
            return all(is_indexed(term, model) for term in terms)
        case Not(term=term):
            return is_indexed(term, model)
        case _:
            ref = resolve(f.path, model)
            return ref is not None and is_kept(ref)


def sort_is_indexed(ref: AttributeRef) -> bool:
    """Whether the index knows the order by this attribute."""
    leaf = sort_leaf(ref)
    return leaf is not None and is_kept(leaf)


def sort_leaf(ref: AttributeRef) -> AttributeRef | None:
    """The attribute that `sort_key` orders by, None where there is no order."""
    if ref.leaf.type == "complex":
        value = ref.attribute.sub("value")
        return None if value is None else AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=value)
    return ref


def is_kept(ref: AttributeRef) -> bool:
    """Whether values of this attribute are entries, or columns."""
    if "never" in (ref.attribute.returned, ref.leaf.returned):
        return False
    return ref.urn is not None or not ({ref.attribute.name, ref.text} & _NOT_INDEXED)


def resolve(path: AttrName, model: ResourceModel) -> AttributeRef | None:
    """The attribute that a bound filter names."""
    return model.resolve(path.name, path.sub, urn=path.urn)


def number_key(value: int | float) -> str | None:
    """A text for each number that orders as numbers do, the same for equal ones; None for NaN.

    A digit for the sign, then of the absolute value the binary exponent and the significant bits, as hex
    digits without trailing zeros; for negative numbers each digit is inverted, and "~" ends the text, for the
    longer of two to come first. No digit is lost of an integer of any length or of a float.
    """
    if value != value:
        return None
    if value == 0:
        return "2"
    if value in (math.inf, -math.inf):
        return "4" if value > 0 else "0"
    if isinstance(value, float):
        fraction, exponent = math.frexp(abs(value))
        bits = int(fraction * (1 << 53))
    else:
        bits = abs(value)
        exponent = bits.bit_length()
    aligned = bits << (-bits.bit_length() % 4)
    digits = f"{exponent + 0x8000_0000:08x}{aligned:x}".rstrip("0")
    return f"3{digits}" if value > 0 else f"1{digits.translate(_INVERTED)}~"


_INVERTED: Final = str.maketrans("0123456789abcdef", "fedcba9876543210")
_BOOLEANS: Final = {True: "t", False: "f"}


def _encoder(leaf: Attribute) -> Callable[[Any], str | None]:
    key = comparison_key(leaf)
    match leaf.type:
        case "boolean":
            return lambda value: _BOOLEANS.get(key(value))
        case "integer" | "decimal":
            return lambda value: None if (number := key(value)) is None else number_key(number)
        case "dateTime":
            return lambda value: None if (found := key(value)) is None else format_instant(found)[:-1]
        case _:
            return key


@lru_cache(maxsize=64)
def _plans(model: ResourceModel) -> tuple[dict[str, _Plan], dict[str, dict[str, _Plan]]]:
    """The indexed attributes by name: those at the top, and by URN those of the extensions."""

    def of(attributes: tuple[Attribute, ...], urn: str | None) -> dict[str, _Plan]:
        refs = (AttributeRef(urn=urn, attribute=attribute) for attribute in attributes)
        return {ref.attribute.name: _plan(ref) for ref in refs if is_kept(ref)}

    return of(model.attributes, None), {e.id: of(e.attributes, e.id) for e in model.extensions}


def _plan(ref: AttributeRef) -> _Plan:
    attribute = ref.attribute
    subs: dict[str, _Leaf] = {}
    if attribute.type == "complex":
        inner = (AttributeRef(urn=ref.urn, attribute=attribute, sub=sub) for sub in attribute.sub_attributes)
        subs = {each.leaf.name: _leaf(each) for each in inner if is_kept(each)}
    return _Plan(
        name=ref.text,
        multi_valued=attribute.multi_valued,
        leaf=None if attribute.type == "complex" else _leaf(ref),
        subs=subs,
    )


def _leaf(ref: AttributeRef) -> _Leaf:
    name = ref.text
    return _Leaf(
        name=name,
        other=name + OTHER,
        key=_encoder(ref.leaf),
        defaults=defaults_to_false(ref),
        column=ref.urn is None and name in COLUMNS,
    )


def defaults_to_false(ref: AttributeRef) -> bool:
    """Whether a missing value compares as false: `primary` of an element."""
    sub = ref.sub
    return sub is not None and ref.attribute.multi_valued and (sub.name, sub.type) == ("primary", "boolean")


def _entries(plan: _Plan, value: Any) -> Iterator[Entry]:
    values = values_of(value)
    if plan.multi_valued:
        for number, element in enumerate(_sorted_by_first(values)):
            if plan.leaf is None:
                yield Entry(plan.name, number, "t" if is_present(element) else "")
                yield from _sub_entries(plan, element, number)
            elif (key := plan.leaf.key(element)) is not None:
                yield Entry(plan.name, number, key)
            else:
                yield Entry(plan.leaf.other, number, "t" if is_present(element) else "")
    elif plan.leaf is not None:
        yield from _leaf_entries(plan.leaf, value, 0)
    else:
        yield from _sub_entries(plan, value, 0)
        objects = [each for each in values if isinstance(each, dict)]
        shown = {name for name in plan.subs for each in objects if is_present(each.get(name))}
        if value is not None and not isinstance(value, dict):
            # Several where one belongs: they are present, and compare with nothing.
            yield from (Entry(plan.subs[name].other, 0, "t") for name in sorted(shown))
        if not shown and is_present(value):
            yield Entry(plan.name, 0, "t")


def _sub_entries(plan: _Plan, element: Any, number: int) -> Iterator[Entry]:
    if not isinstance(element, dict):
        return
    for name, leaf in plan.subs.items():
        value = element.get(name)
        if leaf.defaults:
            key = leaf.key(value or False)
            if key is not None:
                yield Entry(leaf.name, number, key)
            if key != "t" and is_present(value):
                yield Entry(leaf.other, number, "t")
        elif value is not None:
            yield from _leaf_entries(leaf, value, number)


def _leaf_entries(leaf: _Leaf, value: Any, number: int) -> Iterator[Entry]:
    key = leaf.key(value)
    if key is None:
        if is_present(value):
            yield Entry(leaf.other, number, "t")
    elif not leaf.column:
        yield Entry(leaf.name, number, key)


def _sorted_by_first(values: list[Any]) -> list[Any]:
    """The elements, the one that sorting goes by at the beginning."""
    for position, value in enumerate(values):
        if isinstance(value, dict) and value.get("primary") is True:
            return [value, *values[:position], *values[position + 1 :]] if position else values
    return values
