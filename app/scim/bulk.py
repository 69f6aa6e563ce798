"""The bulk request (RFC 7644 §3.7): its message, and what is wrong with each operation by itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import msgspec

from app.scim.bulk_references import PREFIX, references_in
from app.scim.dialect import Dialect, Tolerance
from app.scim.errors import InvalidSyntax, InvalidValue, NotFound, PayloadTooLarge, ScimError
from app.scim.keys import message_members
from app.scim.messages import BULK_REQUEST, PATCH_OP
from app.scim.patch import check_count
from app.scim.values import clean_text, printable, shape

ENDPOINTS = ("Users", "Groups")
METHODS = ("POST", "PUT", "PATCH", "DELETE")

_MEMBERS = ("method", "bulkId", "version", "path", "data")


class BulkOperation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation. Where `error` is set it is not to be carried out, and of the rest only what could be
    read is there."""

    index: int
    """Its place in the request, from 0."""
    method: str | None = None
    """As it was sent."""
    bulk_id: str | None = None
    version: str | None = None
    """What a single request has in `If-Match`."""
    endpoint: str = ""
    """`Users` or `Groups`."""
    target: str | None = None
    """The resource's id; None for POST, and where the path names it by a bulkId."""
    target_reference: str | None = None
    """The bulkId in the path."""
    data: Any = None
    references: frozenset[str] = frozenset()
    """The bulkIds that path and data name."""
    error: ScimError | None = None

    @property
    def creates(self) -> bool:
        """Whether it makes a new resource."""
        return self.method == "POST"


class BulkRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A bulk request whose form is right."""

    fail_on_errors: int | None
    """After so many errors nothing more is carried out; None: everything is."""
    operations: tuple[BulkOperation, ...]


def read_bulk(
    body: object, dialect: Dialect, *, max_operations: int, max_patch_operations: int
) -> BulkRequest:
    """Check a decoded bulk request and take its operations.

    Raises InvalidSyntax for a malformed message, PayloadTooLarge for more than `max_operations` (RFC 7644
    §3.7.4). What is wrong with one operation alone is that operation's `error`.
    """
    message = message_members(body, ("schemas", "failOnErrors", "Operations"), dialect, "The body")
    schemas = message.get("schemas")
    named = isinstance(schemas, list) and any(
        isinstance(urn, str) and urn.lower() == BULK_REQUEST.lower() for urn in schemas
    )
    if not named and not dialect.allows(Tolerance.MISSING_SCHEMAS):
        raise InvalidSyntax(f"schemas must contain {BULK_REQUEST}.")
    operations = message.get("Operations")
    if not isinstance(operations, list):
        raise InvalidSyntax("Operations must be an array of operations.")
    if not operations and not dialect.allows(Tolerance.EMPTY_OPERATIONS):
        raise InvalidSyntax("Operations must hold at least one operation.")
    if len(operations) > max_operations:
        raise PayloadTooLarge(
            f"{len(operations)} operations exceed maxOperations ({max_operations}): send several requests"
        )
    limit = _fail_on_errors(message.get("failOnErrors"))
    read = [_read_members(item, index, dialect) for index, item in enumerate(operations)]
    given = Counter(each["bulkId"] for each in read if _is_text(each.get("bulkId")))
    known = _Known(
        times=given,
        made=frozenset(m["bulkId"] for m in read if m.get("method") == "POST" and _is_text(m.get("bulkId"))),
        max_patch_operations=max_patch_operations,
    )
    return BulkRequest(
        fail_on_errors=limit,
        operations=tuple(_operation(members, index, known) for index, members in enumerate(read)),
    )


class _Known(msgspec.Struct, frozen=True):
    """What an operation is held against."""

    times: Mapping[str, int]
    """How often each bulkId is given."""
    made: frozenset[str]
    """Those that stand for a resource to be created."""
    max_patch_operations: int


def _fail_on_errors(value: object) -> int | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidSyntax(f"failOnErrors must be a whole number, not {shape(value)}.")
    if value < 1:
        raise InvalidSyntax("failOnErrors must be at least 1; leave it out to have everything carried out.")
    return value


def _read_members(item: object, index: int, dialect: Dialect) -> dict[str, Any]:
    """The members that are given; under `error` what makes them unreadable."""
    try:
        members = message_members(item, _MEMBERS, dialect, f"Operations[{index}]")
    except InvalidSyntax as error:
        return {"error": error}
    return {name: value for name, value in members.items() if value is not None}


def _operation(members: dict[str, Any], index: int, known: _Known) -> BulkOperation:
    method, bulk_id = members.get("method"), members.get("bulkId")
    shown = BulkOperation(
        index=index,
        method=method if _is_text(method) else None,
        bulk_id=bulk_id if _is_text(bulk_id) else None,
    )
    try:
        if "error" in members:
            raise members["error"]
        return _checked(shown, members, known)
    except ScimError as error:
        return msgspec.structs.replace(shown, error=error)


def _checked(shown: BulkOperation, members: dict[str, Any], known: _Known) -> BulkOperation:
    method, version, data = shown.method, members.get("version"), members.get("data")
    if method not in METHODS:
        raise InvalidSyntax("method must be POST, PUT, PATCH or DELETE.")
    if shown.bulk_id is None and (method == "POST" or "bulkId" in members):
        raise InvalidSyntax("bulkId must be a string that is not empty; POST needs one.")
    if shown.bulk_id is not None and known.times[shown.bulk_id] > 1:
        raise InvalidValue(
            f"bulkId {printable(shown.bulk_id)} is given {known.times[shown.bulk_id]} times in this request."
        )
    if version is not None and not isinstance(version, str):
        raise InvalidSyntax(f"version must be a string, not {shape(version)}.")
    endpoint, target, reference = _place(method, members.get("path"), known)
    if method == "DELETE":
        if data is not None:
            raise InvalidSyntax("DELETE takes no data.")
    elif method == "PATCH" and isinstance(data, list):
        # The form of the example in RFC 7644 §3.7.3.
        data = {"schemas": [PATCH_OP], "Operations": data}
    elif not isinstance(data, dict):
        problem = "is missing" if data is None else f"is {shape(data)}"
        raise InvalidSyntax(f"{method} needs data, the JSON object of a single {method}: it {problem}.")
    if method == "PATCH":
        check_count(data, known.max_patch_operations)
    references = references_in(data) | ({reference} if reference is not None else set())
    if unknown := sorted(references - known.made):
        raise InvalidValue(f"{PREFIX}{printable(unknown[0])} is the bulkId of no POST in this request.")
    return msgspec.structs.replace(
        shown,
        version=version,
        endpoint=endpoint,
        target=target,
        target_reference=reference,
        data=data,
        references=references,
    )


def _place(method: str, path: object, known: _Known) -> tuple[str, str | None, str | None]:
    """Endpoint, id and bulkId of a path."""
    if not isinstance(path, str):
        raise InvalidSyntax(f"path must be a string such as /Users, not {shape(path)}.")
    endpoint, _, rest = clean_text(path, "path").removeprefix("/").partition("/")
    named = rest.startswith(PREFIX)
    if not named and ("?" in path or "#" in path):
        raise InvalidValue("path names a resource or an endpoint alone: it takes no query and no fragment.")
    if endpoint not in ENDPOINTS:
        raise NotFound(f"path {printable(path)}: a bulk request reaches /Users and /Groups.")
    if method == "POST":
        if rest:
            raise InvalidValue("path of a POST must be /Users or /Groups; searches are no part of bulk.")
        return endpoint, None, None
    if not rest:
        raise InvalidValue(f"path of a {method} must name one resource, such as /{endpoint}/<id>.")
    if not named:
        return endpoint, unquote(rest.removesuffix("/")), None
    bulk_id = rest.removeprefix(PREFIX)
    return endpoint, None, bulk_id if bulk_id in known.made else unquote(bulk_id)


def _is_text(value: object) -> bool:
    """Whether it is a string that can be given back, and not an empty one."""
    if not isinstance(value, str) or not value:
        return False
    try:
        clean_text(value, "bulkId")
    except InvalidValue:
        return False
    return True
