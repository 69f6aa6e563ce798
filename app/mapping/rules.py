"""The rules of a mapping, compiled: each reads one SCIM attribute from a platform user and writes it back.

Four kinds: a field, a field behind a multi-valued attribute, a text made of fields, a custom attribute. A
rule writes only what the client changed: a platform value that SCIM cannot express survives every echo.
"""

from __future__ import annotations

import copy
import re
from typing import Any, Protocol

from app.mapping.draft import Draft, set_at, value_at
from app.mapping.kept import Kept
from app.mapping.model import UserRule
from app.mapping.transforms import Transform
from app.scim.dialect import Dialect, Tolerance
from app.scim.errors import InvalidValue, ScimError
from app.scim.schema import AttributeRef, Resource
from app.scim.values import read_value
from app.wire.users import CustomAttributes, PlatformUser, UserListItem

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_ADDRESS = re.compile(r"[^@\s]+@[^@\s]+")


class Rule(Protocol):
    """One attribute's way in both directions."""

    ref: AttributeRef

    def read(
        self, user: PlatformUser, custom: CustomAttributes, kept: Kept, domain: str, into: Resource
    ) -> None:
        """Put the attribute into a resource under construction, where the user has it."""
        ...

    def write(self, draft: Draft) -> None:
        """Put what the client changed into the draft."""
        ...


class FieldRule:
    """A single-valued attribute that is a field of the platform."""

    def __init__(self, rule: UserRule, ref: AttributeRef) -> None:
        self.ref = ref
        self.field = rule.field or ""
        self._fallback = rule.fallback
        self.fields = (self.field,) if rule.fallback is None else (self.field, rule.fallback)
        """The platform fields that are read, in their order."""
        self.transform = rule.transform
        self.reads = rule.direction != "write"
        self.records = rule.clear == "record"
        """Whether a value in the field may be recorded as unassigned, and is not shown then."""
        self._writes = rule.direction != "read"

    def read(
        self,
        user: PlatformUser | UserListItem,
        custom: CustomAttributes,
        kept: Kept,
        domain: str,
        into: Resource,
    ) -> None:
        """The field, or its fallback where it is null; nothing where it was recorded as unassigned."""
        if not self.reads:
            return
        value = getattr(user, self.field)
        if value in (None, "") and self._fallback is not None:
            value = getattr(user, self._fallback)
        if value is None or value == "" or (self.records and kept.unassigned.get(self.field) == value):
            return
        if self.transform:
            value = undo(self.transform, value)
            if value is None:
                return
        elif self.ref.leaf.type == "dateTime":
            value = instant(value)
        set_at(into, self.ref, value)

    def write(self, draft: Draft) -> None:
        """The new value; a removed one as null, or as a record where the platform keeps a default."""
        if not self._writes or not draft.changed(self.ref):
            self._hold_fallback(draft)
            return
        value = value_at(draft.after, self.ref)
        draft.kept.unassigned.pop(self.field, None)
        if value is not None:
            draft.fields[self.field] = apply(self.transform, value, self.ref)
        elif self.records:
            draft.kept.unassigned[self.field] = draft.field(self.field)
        else:
            draft.fields[self.field] = None

    def _hold_fallback(self, draft: Draft) -> None:
        """Where the value is read from a fallback that this write changes, give it a field of its own."""
        fallback = self._fallback
        if self._writes and fallback in draft.fields and draft.field(self.field) in (None, ""):
            value = value_at(draft.after, self.ref)
            if value is not None and not draft.creating:
                draft.fields[self.field] = apply(self.transform, value, self.ref)


class ElementRule:
    """A multi-valued attribute of which the platform has room for one value.

    The field takes the primary value, else the one of the rule's type, else the first. Whatever else was
    sent is held beside it.
    """

    def __init__(self, rule: UserRule, ref: AttributeRef, source: AttributeRef | None) -> None:
        self.ref = ref
        self.field = rule.field or ""
        self.fields = (self.field,)
        self._element = rule.element or {}
        self._source = source
        self.transform = rule.transform

    def read(
        self, user: PlatformUser, custom: CustomAttributes, kept: Kept, domain: str, into: Resource
    ) -> None:
        """The held values while they belong to the field's value, else one element of the rule's form."""
        value = getattr(user, self.field)
        if value is None or value == "":
            return
        held = kept.held_value(self.ref.text, value) if kept.held else None
        elements = None if held is None else readable(held, self.ref)
        if elements and self._says(elements, value):
            set_at(into, self.ref, elements)
        else:
            set_at(into, self.ref, [{"value": undo(self.transform, value), **self._element}])

    def write(self, draft: Draft) -> None:
        """The chosen value into the field, the rest into the record."""
        name = self.ref.text
        if not draft.changed(self.ref) and not draft.creating:
            if self._follows(draft):
                if self.ref.attribute.name in draft.sent:
                    draft.kept.derived.pop(name)
                else:
                    self._derive(draft)
            return
        elements = value_at(draft.after, self.ref) or []
        if not elements:
            self._clear(draft)
            return
        value = apply(self.transform, self._choose(elements)["value"], self.ref)
        draft.fields[self.field] = value
        draft.kept.derived.pop(name, None)
        draft.kept.held.pop(name, None)
        if elements != [{"value": undo(self.transform, value), **self._element}]:
            draft.kept.held[name] = {"with": value, "value": copy.deepcopy(elements)}

    def _says(self, elements: list[dict[str, Any]], value: Any) -> bool:
        """Whether elements of the record are whole and stand for the field's value: others write there."""
        if not all(isinstance(e.get("value"), str) for e in elements):
            return False
        try:
            return bool(apply(self.transform, self._choose(elements)["value"], self.ref) == value)
        except InvalidValue:
            return False

    def _choose(self, elements: list[dict[str, Any]]) -> dict[str, Any]:
        usable = [e for e in elements if isinstance(e.get("value"), str)]
        if not usable:
            raise InvalidValue(f"{self.ref.text}: none of the values has a value")
        kind = self._element.get("type")
        primary = (e for e in usable if e.get("primary") is True)
        typed = (e for e in usable if kind is not None and e.get("type") == kind)
        return next(primary, None) or next(typed, None) or usable[0]

    def _follows(self, draft: Draft) -> bool:
        """Whether the field was derived, still is, and its source now has another address."""
        return (
            self._source is not None
            and draft.changed(self._source)
            and draft.kept.derived.get(self.ref.text, draft) == draft.field(self.field)
            and _ADDRESS.fullmatch(str(value_at(draft.after, self._source))) is not None
        )

    def _derive(self, draft: Draft) -> None:
        if self._source is None:
            raise InvalidValue(f"{self.ref.text} is required")
        value = apply(self.transform, value_at(draft.after, self._source), self.ref)
        draft.fields[self.field] = value
        draft.kept.derived[self.ref.text] = value
        draft.kept.held.pop(self.ref.text, None)

    def _clear(self, draft: Draft) -> None:
        name = self.ref.text
        if not self.ref.attribute.required:
            draft.fields[self.field] = None
            draft.kept.held.pop(name, None)
        elif self._source and _ADDRESS.fullmatch(str(value_at(draft.after, self._source))):
            self._derive(draft)
        else:
            also = f", and {self._source.text} is not an address to take its place" if self._source else ""
            raise InvalidValue(f"{name} is required: send at least one with a value{also}")


class TemplateRule:
    """A text that reads as a template over fields unless the client sent another."""

    def __init__(self, rule: UserRule, ref: AttributeRef) -> None:
        self.ref = ref
        # Text and field names in turn, beginning and ending with text.
        self._parts = _PLACEHOLDER.split(rule.template or "")
        self._fields = tuple(self._parts[1::2])

    def read(
        self, user: PlatformUser, custom: CustomAttributes, kept: Kept, domain: str, into: Resource
    ) -> None:
        """The client's own text while the fields are those it was sent with, else the template."""
        values = [getattr(user, f) for f in self._fields]
        text = kept.held_value(self.ref.text, values) if kept.held else None
        text = text if isinstance(text, str) else self._text(values)
        if text:
            set_at(into, self.ref, text)

    def write(self, draft: Draft) -> None:
        """Held only where it differs from the template, and no longer than the client wants it.

        A text that the client left alone while it changed a field was the template's and stays so: Okta sends
        back the `formatted` that it read together with a new `givenName`.
        """
        name = self.ref.text
        new = value_at(draft.after, self.ref)
        values = [draft.field(f) for f in self._fields]
        if not draft.creating and not draft.changed(self.ref) and not draft.fields.keys() & set(self._fields):
            return
        current = draft.current
        was_template = (
            current is None
            or draft.kept.held_value(name, [getattr(current, f) for f in self._fields]) is None
        )
        draft.kept.held.pop(name, None)
        unchanged = not draft.creating and not draft.changed(self.ref)
        if new is None or new == self._text(values) or (unchanged and was_template):
            return
        draft.kept.held[name] = {"with": values, "value": new}

    def _text(self, values: list[str | None]) -> str:
        parts = list(self._parts)
        parts[1::2] = [value or "" for value in values]
        return " ".join("".join(parts).split())


class CustomRule:
    """An attribute under a key of custom_attributes, in its SCIM form; dots in the key go into objects."""

    def __init__(self, rule: UserRule, ref: AttributeRef) -> None:
        self.ref = ref
        self.path = tuple((rule.custom or "").split("."))
        self._transform = rule.transform
        self._reads = rule.direction != "write"
        self.writes = rule.direction != "read"

    def read(
        self, user: PlatformUser, custom: CustomAttributes, kept: Kept, domain: str, into: Resource
    ) -> None:
        """The value under the key, where it can be one of this attribute's type."""
        if not self._reads or self.path[0] not in custom:
            return
        value: Any = custom
        for key in self.path:
            value = value.get(domain if key == "{domain}" else key) if isinstance(value, dict) else None
        if value is not None and self._transform:
            value = undo(self._transform, value)
        if value is not None:
            value = readable(value, self.ref)
        if value is not None:
            set_at(into, self.ref, value)

    def write(self, draft: Draft) -> None:
        """The new value under the key; the key goes when the value does, and empty objects with it."""
        if not self.writes or not draft.changed(self.ref):
            return
        value = value_at(draft.after, self.ref)
        keys = [draft.domain if key == "{domain}" else key for key in self.path]
        if value is not None:
            scope = draft.custom
            for key in keys[:-1]:
                inner = scope.get(key)
                scope[key] = inner = inner if isinstance(inner, dict) else {}
                scope = inner
            scope[keys[-1]] = apply(self._transform, copy.deepcopy(value), self.ref)
        else:
            _remove(draft.custom, keys)


def _remove(scope: dict[str, Any], keys: list[str]) -> None:
    if len(keys) > 1 and isinstance(scope.get(keys[0]), dict):
        _remove(scope[keys[0]], keys[1:])
        if not scope[keys[0]]:
            del scope[keys[0]]
    elif len(keys) == 1:
        scope.pop(keys[0], None)


def apply(transforms: tuple[Transform, ...], value: Any, ref: AttributeRef) -> Any:
    """The value as the platform takes it; `InvalidValue` names the attribute where it cannot be."""
    for transform in transforms:
        try:
            value = transform.to_platform(value)
        except ValueError as exc:
            raise InvalidValue(f"{ref.text}: {exc}") from exc
    return value


def undo(transforms: tuple[Transform, ...], value: Any) -> Any:
    """The value as SCIM shows it, None where it cannot be read."""
    for transform in reversed(transforms):
        value = None if value is None else transform.to_scim(value)
    return value


def instant(text: str) -> str:
    """A platform timestamp as SCIM `dateTime` (RFC 7643 §2.3.5): in UTC where it names no offset."""
    return text if text.endswith("Z") or "+" in text[10:] or "-" in text[10:] else text + "Z"


_AS_FOUND = Dialect.of(off=[Tolerance.JSON_IN_STRING])
"""Values of any form, but a text stays one: what a strict client wrote is read back unchanged."""


def readable(value: Any, ref: AttributeRef) -> Any:
    """A value found on the platform in the attribute's type, None where it cannot be: others write there."""
    leaf = ref.leaf
    if leaf.type == "string" and not leaf.multi_valued and isinstance(value, str):
        return value or None
    try:
        return read_value(value, ref.leaf, _AS_FOUND, path=ref.text)
    except ScimError:
        return None
