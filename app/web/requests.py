"""Reading requests: JSON bodies, and the query parameters of RFC 7644 §3.4.2 and §3.9."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

import msgspec
from litestar import Request

from app.bridge.context import Context
from app.bridge.search import Query
from app.config import Settings
from app.scim.attributes import Projection, parse_projection
from app.scim.dialect import Tolerance
from app.scim.errors import InvalidFilter, InvalidPath, InvalidSyntax, InvalidValue, UnsupportedMediaType
from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.scim.path import ExtensionRef, parse_attribute_path
from app.scim.schema import AttributeRef, ResourceModel

_JSON = frozenset({"application/scim+json", "application/json", ""})
_MAX_PARAMETERS = 100
_LARGEST = 2**31 - 1


async def read_json(request: Request[Any, Any, Any]) -> object:
    """The decoded body; raises `UnsupportedMediaType` and `InvalidSyntax`."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type not in _JSON:
        raise UnsupportedMediaType(
            f"the body is {media_type[:100]!r}; send application/scim+json or application/json"
        )
    try:
        return msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidSyntax(f"the body is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise InvalidSyntax("the body is nested too deeply") from exc


class Parameters:
    """Query parameters by name, in any case. Unknown ones are not looked at; `+` is a space, `%2B` a plus."""

    def __init__(self, request: Request[Any, Any, Any]) -> None:
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
        """A whole number; `InvalidValue` where it is none. An empty value counts as absent."""
        text = (self.one(name) or "").strip()
        if not text:
            return default
        digits = text.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdigit()):
            raise InvalidValue(f"{name} must be a whole number, not {text[:40]!r}")
        sign = -1 if text.startswith("-") else 1
        return sign * (int(digits) if len(digits) < 10 else _LARGEST)


def read_projection(parameters: Parameters, context: Context, model: ResourceModel) -> Projection | None:
    """`attributes` and `excludedAttributes` (RFC 7644 §3.9)."""
    anywhere = context.dialect.allows(Tolerance.UNQUALIFIED_EXTENSION_ATTRIBUTES)
    return parse_projection(
        parameters.all("attributes"),
        parameters.all("excludedAttributes"),
        model,
        anywhere=anywhere,
    )


def read_query(parameters: Parameters, context: Context, settings: Settings, model: ResourceModel) -> Query:
    """Filter, order, window and projection of a list; every part that cannot be read is refused."""
    words = context.dialect.allows(Tolerance.BOOLEAN_WORDS)
    anywhere = context.dialect.allows(Tolerance.UNQUALIFIED_EXTENSION_ATTRIBUTES)
    text = parameters.one("filter")
    if text is not None and not text.strip():
        raise InvalidFilter("the filter is empty: leave the parameter out to list everything")
    order = (parameters.one("sortOrder") or "ascending").strip().lower()
    if order not in ("ascending", "descending"):
        raise InvalidValue("sortOrder must be ascending or descending")
    return Query(
        filter=None
        if text is None
        else bind(parse_filter(text), model, boolean_words=words, anywhere=anywhere),
        sort=_sort(parameters.one("sortBy"), model, anywhere),
        descending=order == "descending",
        start_index=max(1, parameters.integer("startIndex", 1)),
        count=min(settings.max_page_size, max(0, parameters.integer("count", settings.page_size))),
        projection=read_projection(parameters, context, model),
    )


def _sort(name: str | None, model: ResourceModel, anywhere: bool) -> AttributeRef | None:
    if not name:
        return None
    ref = parse_attribute_path(name, model, anywhere=anywhere)
    if ref is None or isinstance(ref, ExtensionRef):
        raise InvalidPath(f"sortBy names no attribute of {model.name}: {name[:100]!r}")
    if ref.leaf.returned == "never":
        raise InvalidPath(f"sortBy cannot be {ref.text}")
    if ref.leaf.type == "complex":
        value = ref.attribute.sub("value")
        if ref.sub is not None or value is None:
            raise InvalidPath(f"sortBy needs a sub-attribute of {ref.text}")
        return AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=value)
    return ref
