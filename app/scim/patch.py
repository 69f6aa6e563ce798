"""PATCH (RFC 7644 §3.5.2): read the message, resolve the targets, apply all operations or none."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from app.scim.amend import Op, Step, amend, describe
from app.scim.dialect import Dialect, Tolerance
from app.scim.elements import says_something
from app.scim.errors import InvalidPath, InvalidSyntax, InvalidValue, Mutability, NoTarget, PayloadTooLarge
from app.scim.keys import each_once, locate, message_members, refuse_unknown
from app.scim.messages import PATCH_OP
from app.scim.path import PatchPath, parse_patch_path
from app.scim.schema import AttributeRef, Resource, ResourceModel, Schema
from app.scim.validate import missing_attributes, schemas_of
from app.scim.values import clean_text, missing_subs, printable, shape, unassigned

_OPS: Mapping[str, Op] = {"add": "add", "replace": "replace", "remove": "remove"}


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """One operation of a PATCH message, its form checked, its path not yet read."""

    op: Op
    path: str | None = None
    value: object = msgspec.UNSET
    """As sent; UNSET where the operation has none, None for null."""


def read_patch(body: object, dialect: Dialect, *, max_operations: int = 1000) -> tuple[Operation, ...]:
    """Check a decoded PATCH body and take its operations.

    Raises InvalidSyntax for a malformed message, InvalidValue for a missing value, NoTarget for remove
    without a path, PayloadTooLarge for more than `max_operations`.
    """
    message = message_members(body, ("schemas", "Operations"), dialect, "The body")
    schemas = message.get("schemas")
    named = isinstance(schemas, list) and any(
        isinstance(urn, str) and urn.lower() == PATCH_OP.lower() for urn in schemas
    )
    if not named and not dialect.allows(Tolerance.MISSING_SCHEMAS):
        raise InvalidSyntax(f"schemas must contain {PATCH_OP}.")
    operations = message.get("Operations")
    if not isinstance(operations, list):
        raise InvalidSyntax("Operations must be an array of operations.")
    if not operations and not dialect.allows(Tolerance.EMPTY_OPERATIONS):
        raise InvalidSyntax("Operations must hold at least one operation.")
    if len(operations) > max_operations:
        raise PayloadTooLarge(
            f"{len(operations)} operations in one PATCH; at most {max_operations} are taken. Send several."
        )
    return tuple(_operation(item, f"Operations[{index}]", dialect) for index, item in enumerate(operations))


def check_count(body: object, most: int) -> None:
    """PayloadTooLarge where a decoded PATCH body has more than so many operations."""
    if not isinstance(body, dict):
        return
    for key, value in body.items():
        if key.lower() == "operations" and isinstance(value, list) and len(value) > most:
            raise PayloadTooLarge(
                f"the PATCH has {len(value)} operations, at most {most} are taken: send them in several "
                "requests"
            )


def apply_patch(
    resource: Resource,
    operations: Iterable[Operation],
    model: ResourceModel,
    dialect: Dialect,
    *,
    supplied_elsewhere: frozenset[str] = frozenset(),
) -> Resource:
    """The resource after all operations, in their order; on an error nothing has happened.

    The result shares unchanged values with `resource`: change neither. A required attribute that the
    resource had and the operations end without is a Mutability error, unless in `supplied_elsewhere`; one
    that it never had is not held against the client. Raises the 400s of RFC 7644 §3.12.
    """
    draft = _Draft(resource, model)
    for operation in operations:
        for step in _steps(operation, draft, model, dialect):
            draft.put(step.ref, amend(draft.get(step.ref), step, dialect))
    draft.tidy(dialect)
    lost = set(missing_attributes(draft.resource, model)) - set(missing_attributes(resource, model))
    if lost := lost - supplied_elsewhere:
        raise Mutability(f"{' and '.join(sorted(lost))} is required and cannot be removed.")
    return draft.resource


def _operation(item: object, where: str, dialect: Dialect) -> Operation:
    members = message_members(item, ("op", "path", "value"), dialect, where)
    name = members.get("op")
    if isinstance(name, str) and dialect.allows(Tolerance.OP_CASE):
        name = name.lower()
    op = _OPS.get(name) if isinstance(name, str) else None
    if op is None:
        raise InvalidSyntax(f"{where}: op must be add, remove or replace.")
    path = members.get("path")
    if path is not None and not isinstance(path, str):
        raise InvalidSyntax(f"{where}: path must be a string, not {shape(path)}.")
    path = None if unassigned(path, dialect) else path
    if path is not None:
        _check_text(path, where)
    if op == "remove" and path is None:
        raise NoTarget(f"{where}: remove needs a path that says what to remove.")
    if op != "remove" and "value" not in members:
        raise InvalidValue(f"{where}: {op} needs a value.")
    return Operation(op=op, path=path, value=members.get("value", msgspec.UNSET))


def _check_text(path: str, where: str) -> None:
    try:
        clean_text(path, f"{where}: path")
    except InvalidValue as error:
        raise InvalidPath(error.detail) from error


class _Draft:
    """The resource while operations are applied; copies on writing, so the argument stays as it is."""

    def __init__(self, resource: Resource, model: ResourceModel) -> None:
        self.resource = dict(resource)
        self._model = model
        self._touched: dict[tuple[str | None, str], AttributeRef] = {}

    def get(self, ref: AttributeRef) -> Any:
        container = self.resource if ref.urn is None else self.resource.get(ref.urn, {})
        return container.get(ref.attribute.name)

    def put(self, ref: AttributeRef, value: Any) -> None:
        name = ref.attribute.name
        self._touched[ref.urn, name] = ref
        container = self.resource if ref.urn is None else dict(self.resource.get(ref.urn, {}))
        if value is None:
            container.pop(name, None)
        else:
            container[name] = value
        if ref.urn is None:
            return
        if container:
            self.resource[ref.urn] = container
        else:
            self.resource.pop(ref.urn, None)

    def tidy(self, dialect: Dialect) -> None:
        """Bring what the operations touched, and `schemas`, into the form of a whole resource."""
        for ref in self._touched.values():
            value, attribute = self.get(ref), ref.attribute
            if isinstance(value, dict) and (missing := missing_subs(value, attribute)):
                raise InvalidValue(f"{ref.text}.{missing[0]} is required.")
            if not isinstance(value, list) or attribute.type != "complex":
                continue
            whole = [element for element in value if not missing_subs(element, attribute)]
            if dialect.allows(Tolerance.HOLLOW_ELEMENTS):
                whole = [element for element in whole if says_something(element, attribute)]
            elif len(whole) < len(value):
                raise InvalidValue(f"{ref.text}: an element lacks a required sub-attribute.")
            if len(whole) < len(value):
                self.put(ref, whole or None)
        self.resource["schemas"] = schemas_of(self.resource, self._model)


def _steps(operation: Operation, draft: _Draft, model: ResourceModel, dialect: Dialect) -> Iterator[Step]:
    """One operation as steps on single attributes."""
    op, value = operation.op, operation.value
    if operation.path is None:
        if not isinstance(value, dict):
            raise InvalidValue(
                f"{op} without a path needs an object of attributes as its value, not {describe(value)}."
            )
        yield from _spread(op, value, draft, model, dialect)
        return
    path = parse_patch_path(
        operation.path,
        model,
        anywhere=dialect.allows(Tolerance.UNQUALIFIED_EXTENSION_ATTRIBUTES),
        boolean_words=dialect.allows(Tolerance.BOOLEAN_WORDS),
    )
    if path.ref is None:
        yield from _on_extension(op, path, value, model, dialect)
    elif path.ref.attribute.name == "schemas":
        if op == "remove":
            raise Mutability("schemas is required and cannot be removed.")
        # It always lists what is present; authentik and others send it along.
    else:
        for item in (path.ref.attribute, path.ref.leaf):
            if item.mutability == "readOnly":
                raise Mutability(f"{path.ref.text} is readOnly: the server sets it.")
        yield Step(op=op, ref=path.ref, filter=path.filter, value=value, text=path.text)


def _on_extension(
    op: Op, path: PatchPath, value: object, model: ResourceModel, dialect: Dialect
) -> Iterator[Step]:
    """A path that is an extension's URN: all of its attributes, or those in the value."""
    extension = model.extension(path.extension or "")
    if extension is None:
        raise InvalidPath(f"{printable(path.text)} names no extension of this resource.")
    if op == "remove":
        yield from _unassign(extension)
    else:
        yield from _spread_extension(op, extension, value, model, dialect)


def _unassign(extension: Schema) -> Iterator[Step]:
    for attribute in extension.attributes:
        if attribute.mutability != "readOnly":
            ref = AttributeRef(urn=extension.id, attribute=attribute)
            yield Step(op="remove", ref=ref, text=ref.text)


def _spread(
    op: Op, value: dict[str, Any], draft: _Draft, model: ResourceModel, dialect: Dialect
) -> Iterator[Step]:
    """A path-less value: one step for each attribute in it."""
    for key, item in each_once(value):
        name = key.lower()
        if name == "schemas":
            continue
        if name == "id":
            _check_own_id(item, draft.resource.get("id"), dialect)
        elif (extension := model.extension(key)) is not None:
            yield from _spread_extension(op, extension, item, model, dialect)
        elif "[" in key and dialect.allows(Tolerance.FLAT_KEYS):
            yield from _steps(Operation(op=op, path=key, value=item), draft, model, dialect)
        else:
            yield from _step_for_key(op, key, item, None, model, dialect)


def _spread_extension(
    op: Op, extension: Schema, value: object, model: ResourceModel, dialect: Dialect
) -> Iterator[Step]:
    if unassigned(value, dialect):
        # An empty object replaces nothing: replace keeps what it does not name.
        if op == "replace" and value != {}:
            yield from _unassign(extension)
        return
    if not isinstance(value, dict):
        raise InvalidValue(f"{extension.id} must be an object, not {shape(value)}.")
    for key, item in each_once(value, extension.id):
        yield from _step_for_key(op, key, item, extension.id, model, dialect)


def _step_for_key(
    op: Op, key: str, value: object, urn: str | None, model: ResourceModel, dialect: Dialect
) -> Iterator[Step]:
    ref = locate(key, model, dialect, urn)
    if ref is None:
        refuse_unknown(key, dialect, urn or "")
    elif "readOnly" not in (ref.attribute.mutability, ref.leaf.mutability):
        yield Step(op=op, ref=ref, value=value, text=ref.text)
    elif not dialect.allows(Tolerance.READ_ONLY_IN_VALUE):
        raise Mutability(f"{ref.text} is readOnly: the server sets it.")


def _check_own_id(given: object, own: object, dialect: Dialect) -> None:
    """Okta sends the group's own id with each rename; any other id is an attempt to change it."""
    if given is None or (given == own and dialect.allows(Tolerance.OWN_ID_IN_REPLACE)):
        return
    raise Mutability("id is readOnly: the server sets it, and it cannot be changed.")
