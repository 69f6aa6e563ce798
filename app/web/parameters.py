"""Where the parameters of a query come from: the query string, or the body of a SearchRequest."""

from __future__ import annotations

from typing import Any, Protocol
from urllib.parse import parse_qsl

from litestar import Request

from app.bridge.context import Context
from app.scim.dialect import Tolerance
from app.scim.errors import InvalidSyntax, InvalidValue
from app.scim.keys import each_once, refuse_unknown
from app.scim.messages import SEARCH_REQUEST
from app.scim.values import shape
from app.web.auth import context_of

_MAX_PARAMETERS = 100
_LARGEST = 2**31 - 1
_SEARCH_MEMBERS = {
    name.lower(): name
    for name in (
        *("schemas", "attributes", "excludedAttributes", "filter", "sortBy", "sortOrder"),
        *("startIndex", "count", "cursor"),
    )
}


class Source(Protocol):
    """Where the parameters of a query come from; names in any case."""

    def one(self, name: str) -> str | None:
        """A text, None where it is absent; raises `InvalidValue`."""
        ...

    def all(self, name: str) -> list[str]:
        """The texts of a parameter that may have several; raises `InvalidValue`."""
        ...

    def integer(self, name: str, default: int) -> int:
        """A whole number of at most 31 bits; raises `InvalidValue`."""
        ...


class Parameters:
    """Query parameters by name, in any case. Unknown ones are not looked at; `+` is a space, `%2B` a plus."""

    def __init__(self, request: Request[Any, Any, Any]) -> None:
        self._dialect = context_of(request).dialect
        text = request.scope["query_string"].decode("ascii", "replace")
        self._pairs: list[tuple[str, str]] = []
        if not text:
            return
        try:
            pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_PARAMETERS)
        except (UnicodeDecodeError, ValueError) as exc:
            raise InvalidValue("the query string is not UTF-8, or has too many parameters") from exc
        self._pairs = [(name.lower(), value) for name, value in pairs]

    def one(self, name: str) -> str | None:
        """The value of a parameter, None where it is absent; `InvalidValue` where it comes twice."""
        found = [value for key, value in self._pairs if key == name.lower()]
        if len(found) > 1:
            raise InvalidValue(f"{name} is given {len(found)} times")
        return found[0] if found else None

    def all(self, name: str) -> list[str]:
        """All values of a parameter that may be repeated."""
        return [value for key, value in self._pairs if key == name.lower()]

    def integer(self, name: str, default: int) -> int:
        """A whole number; `InvalidValue` where it is none. With the tolerance, empty is absent."""
        text = self.one(name)
        if text is None:
            return default
        if self._dialect.allows(Tolerance.PARAMETER_FORMS):
            text = text.strip()
            if not text:
                return default
        digits = text.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            raise InvalidValue(f"{name} must be a whole number, not {text[:40]!r}")
        sign = -1 if text.startswith("-") else 1
        return sign * (int(digits) if len(digits) < 10 else _LARGEST)


class SearchRequest:
    """The members of a SearchRequest (RFC 7644 §3.4.3); null counts as absent."""

    def __init__(self, body: object, context: Context) -> None:
        """Take a decoded body; raises `InvalidSyntax`."""
        if not isinstance(body, dict):
            raise InvalidSyntax(f"the body must be a JSON object, not {shape(body)}")
        self._members = {name.lower(): value for name, value in each_once(body)}
        for name in body:
            proper = _SEARCH_MEMBERS.get(name.lower())
            if proper is None:
                refuse_unknown(name, context.dialect)
            elif name != proper and not context.dialect.allows(Tolerance.MESSAGE_KEY_CASE):
                # Refused and not left out: nobody must take a filter that was not read for applied.
                raise InvalidSyntax(f"{proper} must be spelled so")
        self._lone = context.dialect.allows(Tolerance.SINGLE_FOR_MULTI)
        schemas = self._members.get("schemas")
        named = isinstance(schemas, list) and any(
            isinstance(urn, str) and urn.lower() == SEARCH_REQUEST.lower() for urn in schemas
        )
        if not named and not context.dialect.allows(Tolerance.MISSING_SCHEMAS):
            raise InvalidSyntax(f"schemas must contain {SEARCH_REQUEST}")

    def one(self, name: str) -> str | None:
        """A string."""
        value = self._members.get(name.lower())
        if value is not None and not isinstance(value, str):
            raise InvalidValue(f"{name} must be a string, not {shape(value)}")
        return value

    def all(self, name: str) -> list[str]:
        """An array of strings; with the tolerance also a lone one."""
        value = self._members.get(name.lower())
        if value is None:
            return []
        if isinstance(value, str) and self._lone:
            return [value]
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise InvalidValue(f"{name} must be an array of strings")
        return value

    def integer(self, name: str, default: int) -> int:
        """A JSON number without fraction."""
        value = self._members.get(name.lower())
        if value is None:
            return default
        if not isinstance(value, int) or isinstance(value, bool):
            raise InvalidValue(f"{name} must be a whole number, not {shape(value)}")
        return max(-_LARGEST, min(_LARGEST, value))
