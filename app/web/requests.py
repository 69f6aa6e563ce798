"""Reading requests: JSON bodies, and the parameters of RFC 7644 §3.4.2, §3.4.3 and §3.9, of RFC 9865 §2."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from litestar import Request

from app.bridge.context import Context
from app.bridge.query import Query
from app.bridge.telling import tell_body, tell_search
from app.config import Settings
from app.scim.across import check_known, narrow
from app.scim.attributes import Projection, parse_projection
from app.scim.dialect import Dialect, Tolerance
from app.scim.errors import (
    InvalidCount,
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    UnsupportedMediaType,
)
from app.scim.evaluate import bind
from app.scim.expression import Filter
from app.scim.filter import parse_filter
from app.scim.path import ExtensionRef, parse_attribute_path
from app.scim.schema import AttributeRef, ResourceModel
from app.web.auth import context_of
from app.web.headers import header
from app.web.limits.bodies import check_body, read_body
from app.web.negotiation import JSON, SCIM_JSON
from app.web.parameters import Source

_READ = frozenset({SCIM_JSON, JSON})
_UTF_8 = frozenset({"utf-8", "utf8", "us-ascii"})


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Which part of a list is asked for."""

    start_index: int
    """1-based."""
    count: int
    cursor: str | None
    """Empty for the first page of a list paged by cursor; None where the list is paged by index."""


async def read_json(request: Request[Any, Any, Any]) -> object:
    """The decoded body; raises `UnsupportedMediaType`, `InvalidSyntax` and what its bounds raise."""
    _check_media_type(header(request.scope, b"content-type").decode("latin-1"), context_of(request).dialect)
    settings: Settings = request.app.state.services.settings
    text = await read_body(request, settings.request_timeout_s)
    try:
        document = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidSyntax(f"the body is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise InvalidSyntax("the body is nested too deeply") from exc
    check_body(text, document, request.method, settings)
    tell_body(document)
    return document


def _check_media_type(content_type: str, dialect: Dialect) -> None:
    essence, _, parameters = content_type.partition(";")
    media_type = essence.strip().lower()
    if not media_type and not dialect.allows(Tolerance.MISSING_CONTENT_TYPE):
        raise UnsupportedMediaType("Content-Type is missing: send application/scim+json or application/json")
    if media_type and media_type not in _READ:
        raise UnsupportedMediaType(
            f"the body is {media_type[:100]!r}; send application/scim+json or application/json"
        )
    if dialect.allows(Tolerance.OTHER_CHARSET):
        return
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        charset = value.strip().strip('"').lower()
        if name.strip().lower() == "charset" and charset not in _UTF_8:
            raise UnsupportedMediaType(f"the body is JSON in {charset[:40]!r}; send it in UTF-8")


def read_projection(source: Source, context: Context, model: ResourceModel) -> Projection | None:
    """`attributes` and `excludedAttributes` (RFC 7644 §3.9)."""
    _, anywhere = _binding(context)
    return parse_projection(
        source.all("attributes"), source.all("excludedAttributes"), model, anywhere=anywhere
    )


def read_query(source: Source, context: Context, model: ResourceModel) -> Query:
    """Filter, order and projection of a list, not its window; every part that cannot be read is refused."""
    parsed = _read_filter(source, context)
    words, anywhere = _binding(context)
    bound = None if parsed is None else bind(parsed, model, boolean_words=words, anywhere=anywhere)
    return _query(source, context, model, bound)


def read_root_queries(
    source: Source, context: Context, models: Sequence[ResourceModel]
) -> dict[ResourceModel, Query]:
    """The same for each resource type of which something may match (RFC 7644 §3.4.2.1)."""
    parsed = _read_filter(source, context)
    words, anywhere = _binding(context)
    searched: dict[ResourceModel, Filter | None] = dict.fromkeys(models)
    if parsed is not None:
        check_known(parsed, models, anywhere=anywhere)
        narrowed = {m: narrow(parsed, m, boolean_words=words, anywhere=anywhere) for m in models}
        searched = {m: None if f is True else f for m, f in narrowed.items() if f is not False}
    if (source.one("sortBy") or "").strip() and len(searched) > 1:
        raise InvalidValue(
            "sortBy cannot order users among groups: search one endpoint such as /Users, or add "
            'meta.resourceType eq "User" to the filter'
        )
    return {m: _query(source, context, m, f) for m, f in searched.items()}


def read_window(source: Source, settings: Settings) -> Window:
    """`startIndex`, `count` and `cursor`.

    With a cursor, `startIndex` is not looked at: RFC 9865 §2.4 has a client ask for a way of paging by one or
    the other, and says nothing of both. A large `count` is capped either way (§4, `maxPageSize`).
    """
    cursor = source.one("cursor")
    return Window(
        start_index=max(1, source.integer("startIndex", 1)) if cursor is None else 1,
        count=min(settings.max_page_size, max(0, _count(source, settings.page_size, cursor is not None))),
        cursor=cursor,
    )


def _count(source: Source, default: int, by_cursor: bool) -> int:
    try:
        return source.integer("count", default)
    except InvalidValue as exc:
        if by_cursor:
            raise InvalidCount(exc.detail) from exc
        raise


def _read_filter(source: Source, context: Context) -> Filter | None:
    text = source.one("filter")
    tell_search(text)
    if text is not None and not text.strip():
        raise InvalidFilter("the filter is empty: leave the parameter out to list everything")
    if text is None:
        return None
    return parse_filter(text, compared_paths=context.dialect.allows(Tolerance.VALUE_PATH_COMPARED))


def _query(source: Source, context: Context, model: ResourceModel, bound: Filter | None) -> Query:
    sort_by, order = source.one("sortBy"), source.one("sortOrder")
    if context.dialect.allows(Tolerance.PARAMETER_FORMS):
        sort_by = (sort_by or "").strip() or None
        order = (order or "").strip().lower() or None
    order = "ascending" if order is None else order
    if order not in ("ascending", "descending"):
        raise InvalidValue("sortOrder must be ascending or descending")
    _, anywhere = _binding(context)
    return Query(
        filter=bound,
        sort=_sort(sort_by, model, anywhere),
        descending=order == "descending",
        projection=read_projection(source, context, model),
    )


def _binding(context: Context) -> tuple[bool, bool]:
    """How names and values of a filter are bound: with boolean words, with attributes of extensions bare."""
    allows = context.dialect.allows
    return allows(Tolerance.BOOLEAN_WORDS), allows(Tolerance.UNQUALIFIED_EXTENSION_ATTRIBUTES)


def _sort(name: str | None, model: ResourceModel, anywhere: bool) -> AttributeRef | None:
    if name is None:
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
