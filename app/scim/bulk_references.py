"""References to what a bulk request is still to create: `bulkId:x` in place of an id (RFC 7644 §3.7.2).

A string that is `bulkId:x`, or a URL that ends in `/Users/bulkId:x` or `/Groups/bulkId:x`, is a reference
wherever in `data` it stands; so is `"bulkId:x"` inside the value filter of a PATCH path.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any

import msgspec

PREFIX = "bulkId:"

_IN_URL = re.compile(r"(.*/(?:Users|Groups)/)bulkId:(.+)", re.DOTALL)
_LITERAL = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


def references_in(data: object) -> frozenset[str]:
    """The bulkIds that `data` names."""
    found: set[str] = set()

    def note(bulk_id: str) -> str:
        found.add(bulk_id)
        return ""

    _rewritten(data, note)
    return frozenset(found)


def resolved(data: object, ids: Mapping[str, str]) -> Any:
    """A copy of `data` with the ids in place of the references; those without an id stay as they are."""
    return _rewritten(data, lambda bulk_id: ids.get(bulk_id, PREFIX + bulk_id))


def without_references(data: object, bulk_ids: Set[str]) -> Any:
    """A copy of a resource without the values that refer to one of these.

    Of a complex value that holds such a reference, as `manager` does, nothing is left.
    """
    if not isinstance(data, dict):
        return data
    kept: dict[str, Any] = {}
    for key, item in data.items():
        is_extension = str(key).lower().startswith("urn:") and isinstance(item, dict)
        left = without_references(item, bulk_ids) if is_extension else _pruned(item, bulk_ids)
        if left is not msgspec.UNSET:
            kept[key] = left
    return kept


def strings_in(data: object) -> Iterator[str]:
    """Every string in `data`, those inside value filters of PATCH paths too; no keys."""
    level = [data]
    while level:
        item = level.pop()
        if isinstance(item, str):
            yield item
            if "[" in item:
                yield from (t for t in map(_unquoted, _LITERAL.findall(item)) if t is not None)
        elif isinstance(item, dict):
            level.extend(item.values())
        elif isinstance(item, list):
            level.extend(item)


def _pruned(value: object, bulk_ids: Set[str]) -> object:
    if isinstance(value, str):
        return msgspec.UNSET if references_in(value) & bulk_ids else value
    if isinstance(value, list):
        left = [_pruned(item, bulk_ids) for item in value]
        return [item for item in left if item is not msgspec.UNSET]
    if not isinstance(value, dict):
        return value
    parts = {key: _pruned(item, bulk_ids) for key, item in value.items()}
    return msgspec.UNSET if msgspec.UNSET in parts.values() else parts


def _rewritten(value: object, put: Callable[[str], str], key: str = "") -> object:
    match value:
        case str():
            return _in_text(value, put, key)
        case list():
            return [_rewritten(item, put, key) for item in value]
        case dict():
            return {_in_key(k, put): _rewritten(item, put, str(k).lower()) for k, item in value.items()}
    return value


def _in_text(text: str, put: Callable[[str], str], key: str) -> str:
    if PREFIX not in text:
        return text
    if text.startswith(PREFIX) and text != PREFIX:
        return put(text.removeprefix(PREFIX))
    if key == "path" and "[" in text:
        return _in_filter(text, put)
    url = _IN_URL.fullmatch(text)
    return text if url is None else url[1] + put(url[2])


def _in_key(key: str, put: Callable[[str], str]) -> str:
    """Microsoft Entra ID writes whole paths as keys."""
    return _in_filter(key, put) if "[" in key and PREFIX in key else key


def _in_filter(text: str, put: Callable[[str], str]) -> str:
    def literal(found: re.Match[str]) -> str:
        value = _unquoted(found[0])
        if value is None or not value.startswith(PREFIX) or value == PREFIX:
            return found[0]
        return msgspec.json.encode(put(value.removeprefix(PREFIX))).decode()

    return _LITERAL.sub(literal, text)


def _unquoted(literal: str) -> str | None:
    try:
        return msgspec.json.decode(literal, type=str)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
