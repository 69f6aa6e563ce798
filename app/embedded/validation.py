"""Bodies and queries into structs; what does not fit is named place by place (HTTPValidationError)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TypeVar
from urllib.parse import parse_qsl

import msgspec
from email_validator import EmailNotValidError, validate_email
from msgspec import NODEFAULT, Struct

from app.embedded.errors import Invalid, invalid
from app.embedded.schemas import ValidationError

S = TypeVar("S", bound=Struct)

_TOO_DEEP = "The body is nested too deeply"
_MAX_DEPTH = 100
_PATH = re.compile(r" - at `(?:key in )?\$(?P<path>[^`]*)`$")
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+)\]")
_KINDS = (
    (re.compile(r"^Object missing required field"), "missing"),
    (re.compile(r"^Invalid enum value"), "enum"),
    (re.compile(r">= \S+$"), "greater_than_equal"),
    (re.compile(r"<= \S+$"), "less_than_equal"),
    (re.compile(r"of length >="), "too_short"),
    (re.compile(r"of length <="), "too_long"),
    (re.compile(r"^Expected `(?:str|str \| null)`"), "string_type"),
    (re.compile(r"^Expected `int`"), "int_parsing"),
    (re.compile(r"^Expected `(?:bool|bool \| null)`"), "bool_parsing"),
    (re.compile(r"^Expected `(?:object|object \| null)`"), "dict_type"),
    (re.compile(r"^Expected `array`"), "list_type"),
)


def parse_body(raw: bytes, model: type[S]) -> S:
    """A JSON body as the struct. Raises Invalid; keys that the struct does not know are ignored."""
    try:
        value: S = _decoder(model).decode(raw)
    except RecursionError as error:
        raise invalid(["body"], _TOO_DEEP, "json_invalid") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise _body_errors(raw, model, error) from error
    if errors := _content_errors(value):
        raise Invalid(*errors)
    return value


def parse_query(raw: bytes, model: type[S]) -> S:
    """A query string as the struct; the last of a repeated parameter counts. Raises Invalid."""
    pairs = dict(parse_qsl(raw.decode("latin-1"), keep_blank_values=True, errors="replace"))
    try:
        return msgspec.convert(pairs, model, strict=False)
    except msgspec.ValidationError as error:
        raise Invalid(*_each_field(pairs, model, "query", strict=False)) from error


@lru_cache(maxsize=64)
def _decoder(model: type[S]) -> msgspec.json.Decoder[S]:
    return msgspec.json.Decoder(model)


def _body_errors(raw: bytes, model: type[Struct], error: Exception) -> Invalid:
    if not raw.strip():
        return invalid(["body"], "Field required", "missing")
    try:
        value = msgspec.json.decode(raw)
    except msgspec.ValidationError as refusal:  # a number beyond what JSON implementations share
        return invalid(["body"], _message(str(refusal)), "json_invalid")
    except (msgspec.DecodeError, UnicodeDecodeError) as malformed:
        return invalid(["body"], f"JSON decode error: {malformed}", "json_invalid")
    except RecursionError:
        return invalid(["body"], _TOO_DEEP, "json_invalid")
    if not isinstance(value, dict):
        return invalid(["body"], "Input should be a valid object", "dict_type")
    errors = _each_field(value, model, "body", strict=True)
    return Invalid(*errors) if errors else invalid(["body"], _message(str(error)))


def _each_field(
    values: Mapping[str, object], model: type[Struct], source: str, *, strict: bool
) -> list[ValidationError]:
    """Every field that does not fit, one error each."""
    errors = []
    for field in msgspec.structs.fields(model):
        if field.encode_name not in values:
            if field.default is NODEFAULT and field.default_factory is NODEFAULT:
                loc: list[str | int] = [source, field.encode_name]
                errors.append(ValidationError(loc=loc, msg="Field required", type="missing"))
            continue
        value = values[field.encode_name]
        try:
            msgspec.convert(value, field.type, strict=strict)
        except msgspec.ValidationError as error:
            errors.append(_located(str(error), [source, field.encode_name]))
            continue
        if field.encode_name == "email" and isinstance(value, str):
            errors.extend(_address_error(value))
    return errors


def _located(text: str, loc: list[str | int]) -> ValidationError:
    """The error of one field, its place narrowed down by the path that the message ends with."""
    if match := _PATH.search(text):
        for key, index in _STEP.findall(match["path"]):
            loc.append(key or int(index))
    message = _message(text)
    kind = next((name for pattern, name in _KINDS if pattern.search(message)), "value_error")
    return ValidationError(loc=loc, msg=message, type=kind)


def _message(text: str) -> str:
    return _PATH.sub("", text)


def _content_errors(value: Struct) -> list[ValidationError]:
    """What the types alone cannot say."""
    email, attributes = getattr(value, "email", None), getattr(value, "custom_attributes", None)
    errors = _address_error(email) if isinstance(email, str) else []
    if isinstance(attributes, dict) and _is_deeper_than(attributes, _MAX_DEPTH):
        errors.append(ValidationError(loc=["body", "custom_attributes"], msg=_TOO_DEEP, type="value_error"))
    return errors


def _is_deeper_than(value: object, depth: int) -> bool:
    """Whether objects and arrays are nested deeper; asks level by level, so that depth costs no stack."""
    level = [value]
    while level:
        if depth < 0:
            return True
        inner: list[object] = []
        for item in level:
            children = item.values() if isinstance(item, dict) else item if isinstance(item, list) else ()
            inner.extend(child for child in children if isinstance(child, dict | list))
        level, depth = inner, depth - 1
    return False


def _address_error(email: str) -> list[ValidationError]:
    """Empty when the address is well-formed; of the reserved domains only `.test` is good."""
    try:
        parts = validate_email(
            email, check_deliverability=False, test_environment=True, globally_deliverable=False
        )
        reason = "" if "." in parts.domain else "The part after the @-sign should contain a period."
    except EmailNotValidError as error:
        reason = str(error)
    if not reason:
        return []
    message = f"value is not a valid email address: {reason}"
    return [ValidationError(loc=["body", "email"], msg=message, type="value_error")]
