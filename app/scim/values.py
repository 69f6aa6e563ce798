"""One attribute's JSON value → its canonical form, by the attribute's schema (RFC 7643 §2.3).

Error details name the attribute's path and the shape of what was sent, never the value: it may be a password.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec

from app.scim.dialect import Dialect, Tolerance
from app.scim.errors import InvalidSyntax, InvalidValue
from app.scim.schema import Attribute

_DATE_TIME = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.[0-9]+)?(Z|[+-][0-9]{2}:[0-9]{2})?"
)
_SAYS_NOTHING = frozenset({"type", "primary"})
_PACKED_IN_JSON = frozenset({"roles"})
_LONGEST_NUMBER_BITS = 1024


def read_value(value: object, attribute: Attribute, dialect: Dialect, *, path: str) -> Any:
    """Check and convert one attribute's value; None when it means unassigned (RFC 7643 §2.5).

    Multi-valued results are non-empty lists without equal elements and with at most one primary. readOnly
    sub-attributes are left out. `path` names the value in errors; raises InvalidValue or InvalidSyntax.
    """
    if not attribute.multi_valued:
        return _read_single(value, attribute, dialect, path)
    elements: list[Any] = []
    seen: set[bytes] = set()
    for index, item in enumerate(as_list(value, dialect, path=path)):
        element = _read_single(item, attribute, dialect, f"{path}[{index}]")
        if element is None or (key := canonical(element)) in seen:
            continue
        seen.add(key)
        elements.append(element)
    if attribute.sub("primary") and sum(e.get("primary") is True for e in elements) > 1:
        raise InvalidValue(f"{path}: only one element may be primary (RFC 7643 §2.4).")
    return elements or None


def as_list(value: object, dialect: Dialect, *, path: str) -> list[Any]:
    """The elements of a multi-valued attribute as sent; empty when unassigned."""
    if unassigned(value, dialect):
        return []
    if isinstance(value, list):
        return value
    if dialect.allows(Tolerance.SINGLE_FOR_MULTI):
        return [value]
    raise InvalidValue(f"{path} must be an array, not {shape(value)}.")


def read_parts(value: object, attribute: Attribute, dialect: Dialect, *, path: str) -> dict[str, Any] | None:
    """One complex value as canonical sub-attributes, with None for those sent as unassigned.

    None instead of the dictionary when the whole value is unassigned. Required sub-attributes are not
    asked for: PATCH sends parts of a value.
    """
    if unassigned(value, dialect) and value != {}:
        return None
    parts: dict[str, Any] = {}
    for key, item in _as_object(value, attribute, dialect, path).items():
        sub = attribute.sub(key)
        if sub is None:
            if not dialect.allows(Tolerance.UNKNOWN_ATTRIBUTES_IGNORED):
                raise InvalidSyntax(f"{path} has no sub-attribute {printable(key)}.")
            continue
        if sub.mutability == "readOnly":
            continue
        if sub.name in parts:
            raise InvalidSyntax(f"{path}.{sub.name} is given twice.")
        parts[sub.name] = read_value(item, sub, dialect, path=f"{path}.{sub.name}")
    return parts


def unassigned(value: object, dialect: Dialect) -> bool:
    """Whether a value as sent means that the attribute has none (RFC 7643 §2.5)."""
    if isinstance(value, str):
        return value == "" and dialect.allows(Tolerance.EMPTY_IS_UNASSIGNED)
    return value is None or value == [] or value == {}


def missing_subs(value: dict[str, Any], attribute: Attribute) -> list[str]:
    """The required sub-attributes that a complex value lacks."""
    return [sub.name for sub in attribute.sub_attributes if sub.required and sub.name not in value]


def hollow(element: dict[str, Any], attribute: Attribute) -> bool:
    """Whether an element says nothing beyond its type, its being primary and, without a value, its label."""
    rest = element.keys() - _SAYS_NOTHING
    return not rest or (rest == {"display"} and bool(missing_subs(element, attribute)))


def canonical(value: object) -> bytes:
    """The same bytes for equal JSON values, whatever the order of their keys."""
    return msgspec.json.encode(value, order="deterministic")


def shape(value: object) -> str:
    """What kind of JSON value this is, in words; never the value itself."""
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case str():
            return "a string"
        case int() | float():
            return "a number"
        case list():
            return "an array"
    return "an object"


def printable(name: str) -> str:
    """A name sent by the client, made safe to repeat in an error detail."""
    text = name.encode("ascii", "backslashreplace").decode("ascii")
    return text if len(text) <= 100 else text[:100] + "…"


def clean_text(value: str, path: str) -> str:
    """The string, unless it holds what neither UTF-8 nor a database can: lone surrogates, NUL."""
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidValue(f"{path} holds half of a surrogate pair, which is not Unicode text.") from error
    if "\0" in value:
        raise InvalidValue(f"{path} holds a NUL character.")
    return value


def _read_single(value: object, attribute: Attribute, dialect: Dialect, path: str) -> Any:
    """One value: an element of a multi-valued attribute, or the value of a single-valued one."""
    if unassigned(value, dialect):
        return None
    if attribute.type != "complex":
        return _SCALARS[attribute.type](value, attribute, dialect, path)
    parts = read_parts(value, attribute, dialect, path=path)
    found = {name: part for name, part in (parts or {}).items() if part is not None}
    # Entra sends elements with nothing but a type and an empty value.
    if attribute.multi_valued and dialect.allows(Tolerance.HOLLOW_ELEMENTS) and hollow(found, attribute):
        return None
    if missing := missing_subs(found, attribute):
        raise InvalidValue(f"{path}.{missing[0]} is required.")
    return found or None


def _as_object(value: object, attribute: Attribute, dialect: Dialect, path: str) -> dict[str, Any]:
    """The object behind the forms in which clients write one complex value."""
    form = Tolerance.MEMBER_FORMS if attribute.multi_valued else Tolerance.MANAGER_FORMS
    if isinstance(value, list) and len(value) == 1 and not attribute.multi_valued and dialect.allows(form):
        value = value[0]
    if unassigned(value, dialect):
        return {}
    bare = isinstance(value, str | int | float) and not isinstance(value, bool)
    if bare and dialect.allows(form) and attribute.sub("value") is not None:
        value = {"value": value}
    if not isinstance(value, dict):
        raise InvalidValue(f"{path} must be an object, not {shape(value)}.")
    packed = attribute.name in _PACKED_IN_JSON and dialect.allows(Tolerance.JSON_IN_STRING)
    return _unpacked(value) if packed else value


def _unpacked(element: dict[str, Any]) -> dict[str, Any]:
    """A role with JSON in its `value`, as the element that the JSON stands for; any other as it is."""
    key = next((key for key in element if key.lower() == "value"), "value")
    text = element.get(key)
    if not isinstance(text, str) or not text.startswith("{"):
        return element
    try:
        inner = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return element
    content = inner.get("value")
    if not isinstance(content, str) or not content or content.startswith("{"):
        return element
    label = inner.get("displayName", inner.get("display"))
    named = {"display": label, "type": inner.get("type"), "primary": inner.get("primary")}
    kept = {name: item for name, item in element.items() if name != key}
    given = {name.lower() for name in kept}
    unpacked = {name: item for name, item in named.items() if item is not None and name not in given}
    return {"value": content, **unpacked, **kept}


def _read_string(value: object, attribute: Attribute, dialect: Dialect, path: str) -> str:
    lenient = dialect.allows(Tolerance.NUMBER_FOR_STRING)
    if lenient and isinstance(value, int | float) and not isinstance(value, bool):
        # Okta's custom attributes hold numbers where the schema says string.
        value = canonical(_number(value, path)).decode()
    if not isinstance(value, str):
        raise InvalidValue(f"{path} must be a string, not {shape(value)}.")
    clean_text(value, path)
    # Canonical values are suggestions (RFC 7643 §7). Those of a case-exact attribute are an enumeration.
    if attribute.case_exact and attribute.canonical_values and value not in attribute.canonical_values:
        raise InvalidValue(f"{path} must be one of {', '.join(attribute.canonical_values)}.")
    return value


def _read_reference(value: object, attribute: Attribute, dialect: Dialect, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"{path} must be a string with a URI, not {shape(value)}.")
    return clean_text(value, path)


def _read_boolean(value: object, attribute: Attribute, dialect: Dialect, path: str) -> bool:
    if isinstance(value, bool):
        return value
    # Entra writes "True" and "False", OneLogin's templates "true".
    if isinstance(value, str) and dialect.allows(Tolerance.BOOLEAN_WORDS):
        word = value.lower()
        if word in ("true", "false"):
            return word == "true"
        raise InvalidValue(f"{path} must be true or false.")
    raise InvalidValue(f"{path} must be true or false, not {shape(value)}.")


def _read_integer(value: object, attribute: Attribute, dialect: Dialect, path: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidValue(f"{path} must be a whole number, not {shape(value)}.")
    _number(value, path)
    return value


def _read_decimal(value: object, attribute: Attribute, dialect: Dialect, path: str) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue(f"{path} must be a number, not {shape(value)}.")
    return _number(value, path)


def _number(value: int | float, path: str) -> int | float:
    # Python refuses to print integers past some length, and JSON knows neither NaN nor infinity.
    too_long = isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER_BITS
    if too_long or (isinstance(value, float) and not math.isfinite(value)):
        raise InvalidValue(f"{path} is not a number that can be kept.")
    return value


def _read_date_time(value: object, attribute: Attribute, dialect: Dialect, path: str) -> str:
    found = _DATE_TIME.fullmatch(value) if isinstance(value, str) else None
    try:
        if found is None:
            raise ValueError
        datetime.fromisoformat(found[1] + (found[2] or ""))
    except ValueError as error:
        raise InvalidValue(f"{path} must be a date and time such as 2025-01-31T08:00:00Z.") from error
    return found[0]


def _read_binary(value: object, attribute: Attribute, dialect: Dialect, path: str) -> str:
    if not isinstance(value, str):
        raise InvalidValue(f"{path} must be a string with base64, not {shape(value)}.")
    try:
        base64.b64decode(value.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError as error:
        raise InvalidValue(f"{path} must be base64 (RFC 4648 §4), padding included.") from error
    return value


_SCALARS: dict[str, Callable[[object, Attribute, Dialect, str], Any]] = {
    "string": _read_string,
    "boolean": _read_boolean,
    "decimal": _read_decimal,
    "integer": _read_integer,
    "dateTime": _read_date_time,
    "binary": _read_binary,
    "reference": _read_reference,
}
