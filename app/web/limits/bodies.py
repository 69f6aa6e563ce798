"""Bodies: read within a time, and bounded in depth, values and operations.

Their bytes are counted by Litestar while they are read (`request_max_body_size`), chunked ones too.
"""

from __future__ import annotations

import asyncio
from typing import Any

from litestar import Request
from litestar.exceptions import InternalServerException

from app.config import Settings
from app.scim.errors import BadRequest, InvalidSyntax, PayloadTooLarge, RequestTimeout
from app.scim.patch import check_count

MAX_DEPTH = 50
"""Levels of a body; a SCIM message has about seven."""


async def read_body(request: Request[Any, Any, Any], timeout_s: float) -> bytes:
    """The whole body.

    Raises `RequestTimeout` where it takes longer, `BadRequest` where the client ends the connection
    before, and Litestar's exception for one that is too large as soon as it is.
    """
    try:
        async with asyncio.timeout(timeout_s):
            return await request.body()
    except TimeoutError as exc:
        raise RequestTimeout(f"the body did not arrive within {timeout_s:g} s") from exc
    except InternalServerException as exc:
        raise BadRequest("the connection ended before the body was complete") from exc


def check_body(text: bytes, document: object, method: str, settings: Settings) -> None:
    """Raise `InvalidSyntax` for too many levels, `PayloadTooLarge` for too many values or operations.

    413 is what RFC 7644 §3.7.4 has for a bulk request of too many operations.
    """
    # Counting bytes costs next to nothing and shows of nearly all bodies that they are within the bounds.
    containers = text.count(b"{") + text.count(b"[")
    if containers > MAX_DEPTH or containers + text.count(b",") > settings.max_values:
        depth, values = measure(document)
        if depth > MAX_DEPTH:
            raise InvalidSyntax(f"the body is nested too deeply: at most {MAX_DEPTH} levels are taken")
        if values > settings.max_values:
            raise PayloadTooLarge(
                f"the body has {values} values, at most {settings.max_values} are taken: send it in parts"
            )
    if method == "PATCH":
        check_count(document, settings.max_operations)


def measure(document: object) -> tuple[int, int]:
    """How many levels of objects and arrays a JSON value has, and how many values in all of them."""
    depth = values = 0
    level: list[Any] = [document] if isinstance(document, dict | list) else []
    while level:
        depth += 1
        inner: list[Any] = []
        for container in level:
            members = container.values() if type(container) is dict else container
            values += len(members)
            inner += [member for member in members if type(member) is dict or type(member) is list]
        level = inner
    return depth, values
