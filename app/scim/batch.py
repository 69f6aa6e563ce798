"""Requests in a file: a bulk request (RFC 7644 §3.7), an array of its operations, or one in each line."""

from __future__ import annotations

from typing import Any

import msgspec

from app.scim.bulk import BulkRequest, read_bulk
from app.scim.dialect import Dialect
from app.scim.errors import InvalidSyntax
from app.scim.messages import BULK_REQUEST

_BASE_PATH = "/scim/v2/"


def read_batch(
    text: bytes, dialect: Dialect, *, max_operations: int, max_patch_operations: int
) -> BulkRequest:
    """The operations of a file, as a bulk request has them; limits and errors are those of `read_bulk`.

    Unlike there, a POST needs no bulkId, and a path may begin with that of the base URL.
    """
    document = _document(text)
    message: Any
    if isinstance(document, dict) and not any(str(k).lower() == "method" for k in document):
        message = document
    else:
        operations = document if isinstance(document, list) else [document]
        message = {
            "schemas": [BULK_REQUEST],
            "Operations": [_completed(each, number) for number, each in enumerate(operations, 1)],
        }
    return read_bulk(
        message, dialect, max_operations=max_operations, max_patch_operations=max_patch_operations
    )


def _document(text: bytes) -> Any:
    if not text.strip():
        raise InvalidSyntax("There is no request: give one, or one in each line.")
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError) as whole:
        lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
        if len(lines) < 2 or not _is_json(lines[0][1]):
            raise InvalidSyntax(f"This is not JSON: {whole}") from whole
    except RecursionError as exc:
        raise InvalidSyntax("The document is nested too deeply.") from exc
    return [_line(number, line) for number, line in lines]


def _is_json(line: bytes) -> bool:
    try:
        _line(1, line)
    except InvalidSyntax:
        return False
    return True


def _line(number: int, line: bytes) -> Any:
    try:
        return msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as exc:
        raise InvalidSyntax(f"Line {number} is not JSON: {exc}") from exc
    except RecursionError as exc:
        raise InvalidSyntax(f"Line {number} is nested too deeply.") from exc


def _completed(operation: Any, number: int) -> Any:
    """An operation with what only a bulk request asks for."""
    if not isinstance(operation, dict):
        return operation
    completed = dict(operation)
    if completed.get("method") == "POST" and completed.get("bulkId") is None:
        completed["bulkId"] = f"request {number}"
    path = completed.get("path")
    if isinstance(path, str) and path.startswith(_BASE_PATH):
        completed["path"] = path.removeprefix(_BASE_PATH[:-1])
    return completed
