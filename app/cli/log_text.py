"""Texts of the log without what does not belong there: secrets, and what could name a person."""

from __future__ import annotations

import re
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any, TypeAlias

import msgspec

_MASK = "***"
_HIDDEN = (
    # Tokens, in a header or where a library shows one.
    (re.compile(r"\b(Bearer|Basic)\s+[^\s'\",]+", re.IGNORECASE), r"\1 ***"),
    (re.compile(r"\bsc[abs]_[A-Za-z0-9_-]{8,}"), _MASK),
    # The query of a URL or path: filters, and the addresses that deletions are confirmed with.
    (re.compile(r"(?<=[\w/}])\?[\w.$~%-]+=[^\s'\"<>]*"), "?***"),
    (re.compile(r"[\w.+'-]+(?:@|%40)[\w-]+(?:\.[\w-]+)+"), _MASK),
)
_TELLING = (ValueError, LookupError, msgspec.MsgspecError)
"""What is raised over a value, with the value in its text."""

_ExcInfo: TypeAlias = tuple[type[BaseException], BaseException, TracebackType | None]


def harmless(text: str) -> str:
    """The text with tokens, queries and e-mail addresses masked."""
    for pattern, mask in _HIDDEN:
        text = pattern.sub(mask, text)
    return text


def hide(_logger: Any, _method: str, event: Any) -> Any:
    """Processor of structlog: all texts of a line made `harmless`."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = harmless(value)
    return event


def told(exc_info: _ExcInfo) -> str:
    """A traceback: places and types, and texts unless they would hold the value that was tripped over."""
    return "\n\nand then:\n\n".join(
        f"Traceback (most recent call last):\n{''.join(traceback.format_tb(each.__traceback__))}{_head(each)}"
        for each in reversed(list(_chain(exc_info[1])))
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and what led to it."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def _head(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__ == "builtins":
        return kind.__name__ if isinstance(error, _TELLING) else f"{kind.__name__}: {error}"
    name = f"{kind.__module__}.{kind.__qualname__}"
    return name if isinstance(error, msgspec.MsgspecError) else f"{name}: {error}"
