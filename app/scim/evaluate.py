"""Filters against a schema and against resources: `bind`, then `predicate`; and sorting (RFC 7644 §3.4.2).

`bind` makes every name canonical and every value the attribute's type, or refuses: a filter is answered
exactly or not at all. `predicate` turns a bound filter into a function of one resource. What it decides:

- Strings compare without case (`str.casefold`) unless the attribute is `caseExact`; references and binaries
  compare exactly, numbers by value, dateTimes as instants (UTC where there is no offset; every
  digit of a fraction counts). What no database keeps in a text (NUL, lone surrogates) compares as U+FFFD.
- A comparison with a multi-valued attribute holds when it holds for any value. `ne` is "not `eq`" for a
  single value, so an unassigned attribute differs; with several values it holds when some value differs or
  there is none. Every other comparison with an unassigned attribute is false.
- `pr`: assigned and not empty. "", [] and {} are not present, nor is a complex value of nothing else.
- `attr eq null` is `not (attr pr)` and `attr ne null` is `attr pr`; other operators refuse null.
- An element without `primary` compares as `primary` false. Other missing booleans are unassigned.
- A complex attribute compares by its `value` (Entra: `manager eq "id"`, `members eq "id"`).
- `returned: never` attributes cannot be filtered or sorted by, not even by `pr`: the answer would tell what
  they hold.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from app.scim.errors import InvalidFilter, InvalidValue
from app.scim.expression import (
    And,
    AttrName,
    Compare,
    CompareOp,
    CompareValue,
    Filter,
    Not,
    Or,
    Present,
    ValuePath,
)
from app.scim.filter import all_of, any_of, print_name
from app.scim.schema import Attribute, AttributeRef, Resource, ResourceModel

Test: TypeAlias = Callable[[Any], bool]


def bind(f: Filter, model: ResourceModel, *, boolean_words: bool = True, anywhere: bool = True) -> Filter:
    """The same filter in canonical names and typed values; raises InvalidFilter.

    Extension attributes carry their URN, core attributes none; dateTimes are rewritten in UTC; no value is
    null. `urn:…:Extension pr` becomes `or` over its attributes. With `boolean_words` the strings "True" and
    "false" count as booleans (Entra: `roles[primary eq "True"]`); with `anywhere` an extension's attribute
    may stand without its URN (Entra: `manager eq "id"`).
    """

    def resolve(path: AttrName) -> AttributeRef:
        ref = model.resolve(path.name, path.sub, urn=path.urn, anywhere=anywhere)
        if ref is None:
            raise InvalidFilter(f"{print_name(path)} is not an attribute of {model.name}")
        return ref

    def leaf(term: Compare | Present | ValuePath) -> Filter:
        if isinstance(term, ValuePath):
            ref = resolve(term.path)
            if not ref.attribute.multi_valued:
                raise InvalidFilter(f"{ref.text} has one value only; write {ref.text}.subAttribute")
            inner = bind_element(term.filter, ref.attribute, boolean_words=boolean_words)
            return ValuePath(path=_canonical(ref), filter=inner)
        if isinstance(term, Present) and (whole := _extension_present(term.path, model)) is not None:
            return whole
        return _bind_term(term, resolve(term.path), _canonical, boolean_words)

    return _rebuild(f, leaf)


def bind_element(f: Filter, attribute: Attribute, *, boolean_words: bool = True) -> Filter:
    """`bind` for what stands in brackets after a multi-valued attribute: names are its sub-attributes.

    The values of a simple attribute are compared as `value`. Raises InvalidFilter.
    """

    def resolve(path: AttrName) -> AttributeRef:
        sub = None if path.urn or path.sub else _element_attribute(attribute, path.name)
        if sub is None:
            raise InvalidFilter(f"{print_name(path)} is not a sub-attribute of {attribute.name}")
        return AttributeRef(attribute=attribute, sub=sub)

    def leaf(term: Compare | Present | ValuePath) -> Filter:
        if isinstance(term, ValuePath):
            raise InvalidFilter(f"brackets within those of {attribute.name}: sub-attributes have none")
        return _bind_term(term, resolve(term.path), lambda ref: AttrName(name=ref.leaf.name), boolean_words)

    return _rebuild(f, leaf)


def _rebuild(f: Filter, leaf: Callable[[Compare | Present | ValuePath], Filter]) -> Filter:
    match f:
        case And(terms=terms):
            return all_of(_rebuild(term, leaf) for term in terms)
        case Or(terms=terms):
            return any_of(_rebuild(term, leaf) for term in terms)
        case Not(term=term):
            return Not(term=_rebuild(term, leaf))
        case _:
            return leaf(f)


def _canonical(ref: AttributeRef) -> AttrName:
    return AttrName(urn=ref.urn, name=ref.attribute.name, sub=ref.sub.name if ref.sub else None)


def _element_attribute(attribute: Attribute, name: str) -> Attribute | None:
    """The sub-attribute, or for a simple attribute its value under the name `value`."""
    if attribute.type == "complex":
        return attribute.sub(name)
    if name.lower() != "value":
        return None
    return Attribute(
        name="value", type=attribute.type, case_exact=attribute.case_exact, returned=attribute.returned
    )


def _extension_present(path: AttrName, model: ResourceModel) -> Filter | None:
    """`urn:…:2.0:User pr`: the text alone does not tell a bare URN from a qualified name."""
    extension = None if path.urn is None else model.extension(print_name(path))
    if extension is None:
        return None
    readable = [a for a in extension.attributes if a.returned != "never"]
    if not readable:
        raise InvalidFilter(f"{extension.id} has no attribute to filter by")
    return any_of(Present(path=AttrName(urn=extension.id, name=a.name)) for a in readable)


def _bind_term(
    term: Compare | Present, ref: AttributeRef, name: Callable[[AttributeRef], AttrName], words: bool
) -> Filter:
    if "never" in (ref.attribute.returned, ref.leaf.returned):
        raise InvalidFilter(f"{ref.text} is never returned, so it cannot be filtered by")
    if isinstance(term, Present):
        return Present(path=name(ref))
    if term.value is None:
        if term.op not in ("eq", "ne"):
            raise InvalidFilter(f"{ref.text} {term.op} null: only eq and ne compare with null")
        present = Present(path=name(ref))
        return present if term.op == "ne" else Not(term=present)
    if ref.leaf.type == "complex":
        value = ref.attribute.sub("value")
        if value is None:
            names = ", ".join(sub.name for sub in ref.attribute.sub_attributes)
            raise InvalidFilter(f"{ref.text} cannot be compared as a whole; name one of {names}")
        ref = AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=value)
        if value.returned == "never":
            raise InvalidFilter(f"{ref.text} is never returned, so it cannot be filtered by")
    _check_operator(ref, term.op)
    return Compare(path=name(ref), op=term.op, value=_coerce(ref, term.value, words))


_ORDERING: Final = frozenset({"gt", "ge", "lt", "le"})
_TEXTUAL: Final = frozenset({"co", "sw", "ew"})


def _check_operator(ref: AttributeRef, op: CompareOp) -> None:
    kind = ref.leaf.type
    refused = (op in _ORDERING and kind in ("boolean", "binary")) or (
        op in _TEXTUAL and kind in ("boolean", "integer", "decimal", "dateTime")
    )
    if refused:
        raise InvalidFilter(f"{op} is not for {ref.text}, which is of type {kind}")


def _coerce(ref: AttributeRef, value: CompareValue, words: bool) -> CompareValue:
    kind = ref.leaf.type
    match kind:
        case "boolean":
            if isinstance(value, bool):
                return value
            if words and isinstance(value, str) and value.lower() in ("true", "false"):
                return value.lower() == "true"
            wanted = "true or false, without quotes"
        case "integer" | "decimal":
            if isinstance(value, int | float) and not isinstance(value, bool):
                return value
            wanted = "a number, without quotes"
        case "dateTime":
            if isinstance(value, str) and (instant := parse_instant(value)) is not None:
                return format_instant(instant)
            wanted = 'a date and time such as "2011-05-13T04:42:34Z"'
        case _:
            if isinstance(value, str):
                return value
            wanted = "a string in double quotes"
    raise InvalidFilter(f"{ref.text} is of type {kind}: compare it with {wanted}")


Instant: TypeAlias = tuple[datetime, str]
"""The whole second in UTC, and the fraction's digits without trailing zeros; orders as time does."""

_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})"
    r"(?:([Tt ][0-9]{2}:[0-9]{2}(?::[0-9]{2})?)(?:[.,]([0-9]+))?([Zz]|[+-][0-9]{2}:?[0-9]{2})?)?"
)


def parse_instant(text: str) -> Instant | None:
    """The instant of an xsd:dateTime or its ISO 8601 relatives (no seconds, the date alone), or None."""
    found = _DATE_TIME.fullmatch(text)
    if found is None:
        return None
    day, clock, fraction, offset = found.groups("")
    try:
        when = datetime.fromisoformat(f"{day}{clock}{offset or 'Z' if clock else 'T00Z'}".upper())
        return when.astimezone(UTC), fraction.rstrip("0")
    except (ValueError, OverflowError):
        return None


def format_instant(instant: Instant) -> str:
    """Its canonical text: UTC, seconds always, fraction only where there is one."""
    when, fraction = instant
    return f"{when.replace(tzinfo=None).isoformat()}{'.' if fraction else ''}{fraction}Z"


def predicate(f: Filter, model: ResourceModel) -> Callable[[Resource], bool]:
    """The function that tells whether a resource matches; `f` is bound to `model`.

    Never raises on any resource, whatever its values: one of the wrong type is like none. Not cached by
    tree: `true` and `1` are equal keys.
    """

    def leaf(term: Compare | Present | ValuePath) -> Test:
        path = term.path
        ref = model.resolve(path.name, path.sub, urn=path.urn)
        if ref is None:
            raise InvalidFilter(f"{print_name(path)} is not an attribute of {model.name}")
        read = _reader(ref)
        if isinstance(term, ValuePath):
            matches = element_predicate(term.filter, ref.attribute)
            return lambda resource: any(map(matches, values_of(read(resource))))
        value = _inner_value(ref.attribute, ref.sub, primary_default=isinstance(term, Compare))
        if isinstance(term, Present):
            if ref.sub is None:
                return lambda resource: is_present(read(resource))
            return lambda resource: any(is_present(value(v)) for v in values_of(read(resource)))
        test = _comparison(ref.leaf, term.op, term.value)
        if not ref.attribute.multi_valued:
            return (lambda r: test(read(r))) if ref.sub is None else (lambda r: test(value(read(r))))
        if term.op == "ne":
            return lambda r: not (found := values_of(read(r))) or any(test(value(v)) for v in found)
        return lambda r: any(test(value(v)) for v in values_of(read(r)))

    return _compile(f, leaf)


def element_predicate(f: Filter, attribute: Attribute) -> Callable[[Any], bool]:
    """The function that tells whether one value of `attribute` matches; `f` comes from `bind_element`.

    A value is a dict of sub-attributes, or the scalar itself where the attribute is not complex.
    """

    def leaf(term: Compare | Present | ValuePath) -> Test:
        sub = None if isinstance(term, ValuePath) else _element_attribute(attribute, term.path.name)
        if sub is None or isinstance(term, ValuePath):
            raise InvalidFilter(f"{print_name(term.path)} is not a sub-attribute of {attribute.name}")
        inner = sub if attribute.type == "complex" else None
        value = _inner_value(attribute, inner, primary_default=isinstance(term, Compare))
        if isinstance(term, Present):
            return lambda element: is_present(value(element))
        test = _comparison(sub, term.op, term.value)
        return lambda element: test(value(element))

    return _compile(f, leaf)


def _compile(f: Filter, leaf: Callable[[Compare | Present | ValuePath], Test]) -> Test:
    match f:
        case And(terms=terms):
            every = tuple(_compile(term, leaf) for term in terms)
            return lambda value: all(test(value) for test in every)
        case Or(terms=terms):
            some = tuple(_compile(term, leaf) for term in terms)
            return lambda value: any(test(value) for test in some)
        case Not(term=term):
            inner = _compile(term, leaf)
            return lambda value: not inner(value)
        case _:
            return leaf(f)


_OPERATORS: Final[Mapping[str, Callable[[Any, Any], bool]]] = {
    "eq": operator.eq,
    "co": lambda have, wanted: wanted in have,
    "sw": str.startswith,
    "ew": str.endswith,
    "gt": operator.gt,
    "ge": operator.ge,
    "lt": operator.lt,
    "le": operator.le,
}


def _comparison(leaf: Attribute, op: CompareOp, value: CompareValue) -> Test:
    key = comparison_key(leaf)
    wanted = key(value)
    if wanted is None:
        raise InvalidFilter(f"{leaf.name} cannot be compared with {value!r}")
    if op == "ne":
        return lambda have: key(have) != wanted
    holds = _OPERATORS[op]

    def test(have: Any) -> bool:
        found = key(have)
        return found is not None and holds(found, wanted)

    return test


def comparison_key(leaf: Attribute) -> Callable[[Any], Any]:
    """What a value compares by; None for a value that is missing or of another type.

    A bool, int or float as it is, an `Instant`, or a string by `text_key`.
    """
    match leaf.type:
        case "boolean":
            return lambda v: v if isinstance(v, bool) else None
        case "integer" | "decimal":
            return lambda v: v if isinstance(v, int | float) and not isinstance(v, bool) else None
        case "dateTime":
            return lambda v: parse_instant(v) if isinstance(v, str) else None
        case kind if leaf.case_exact or kind in ("reference", "binary"):
            return lambda v: text_key(v, exact=True) if isinstance(v, str) else None
        case _:
            return lambda v: text_key(v, exact=False) if isinstance(v, str) else None


_NOT_KEPT = re.compile("[\0\ud800-\udfff]")


def text_key(text: str, *, exact: bool) -> str:
    """What a string compares by, in memory and in the index: storable, and folded unless `exact`."""
    key = text if exact else text.casefold()
    return key if key.isascii() and "\0" not in key else _NOT_KEPT.sub("\ufffd", key)


def _reader(ref: AttributeRef) -> Callable[[Resource], Any]:
    """Reads the attribute, not its sub-attribute, out of a resource."""
    name, urn = ref.attribute.name, ref.urn
    if urn is None:
        return operator.methodcaller("get", name)

    def read(resource: Resource) -> Any:
        extension = resource.get(urn)
        return extension.get(name) if isinstance(extension, dict) else None

    return read


def _inner_value(
    attribute: Attribute, sub: Attribute | None, *, primary_default: bool
) -> Callable[[Any], Any]:
    """Reads the sub-attribute out of one value; without `sub`, the value is itself."""
    if sub is None:
        return lambda value: value
    name = sub.name
    if primary_default and attribute.multi_valued and name == "primary" and sub.type == "boolean":
        return lambda value: (value.get(name) or False) if isinstance(value, dict) else None
    return lambda value: value.get(name) if isinstance(value, dict) else None


def values_of(value: Any) -> list[Any]:
    if isinstance(value, list):
        return value
    return [] if value is None else [value]


def is_present(value: Any) -> bool:
    if isinstance(value, dict):
        return any(is_present(v) for v in value.values())
    if isinstance(value, list):
        return any(is_present(v) for v in value)
    return value is not None and value != ""


def sort_key(ref: AttributeRef) -> Callable[[Resource], tuple[int, Any]]:
    """The key that orders resources by `sortBy`, ascending (RFC 7644 §3.4.2.3).

    By type and case rule; of several values the primary one counts, else the first. Resources without the
    attribute come last, hence first when the order is reversed. Raises InvalidValue for an attribute that
    has no order: a complex one without `value`, or one that is never returned.
    """
    if ref.leaf.type == "complex":
        value = ref.attribute.sub("value")
        if value is None:
            raise InvalidValue(f"sortBy: {ref.text} has no order of its own; name a sub-attribute")
        ref = AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=value)
    if "never" in (ref.attribute.returned, ref.leaf.returned):
        raise InvalidValue(f"sortBy: {ref.text} is never returned")
    read, key = _reader(ref), comparison_key(ref.leaf)
    inner = _inner_value(ref.attribute, ref.sub, primary_default=True)

    def key_of(resource: Resource) -> tuple[int, Any]:
        value = read(resource)
        if ref.attribute.multi_valued:
            values = values_of(value)
            primary = (v for v in values if isinstance(v, dict) and v.get("primary") is True)
            value = next(primary, values[0] if values else None)
        found = key(inner(value))
        return (1, 0) if found is None or found == "" else (0, found)

    return key_of


def sort_resources(resources: Iterable[Resource], ref: AttributeRef, descending: bool) -> list[Resource]:
    """The resources in order; equal ones keep the order they came in, in both directions."""
    return sorted(resources, key=sort_key(ref), reverse=descending)
