"""A write under way: what the resource was, what it shall be, and the platform values found so far."""

from __future__ import annotations

import copy
from typing import Any

from app.mapping.kept import Kept, kept_of, with_record
from app.scim.schema import AttributeRef, Resource
from app.wire.users import PlatformUser


class Draft:
    """Edited by the rules in turn; the resources and the present user stay as they are."""

    def __init__(
        self,
        *,
        after: Resource,
        before: Resource,
        current: PlatformUser | None,
        domain: str,
        sent: frozenset[str] = frozenset(),
    ) -> None:
        self.after = after
        self.before = before
        self.current = current
        self.domain = domain
        self.sent = sent
        """Top-level attributes that the client sent, though they may be as before."""
        self.moved: frozenset[str] = frozenset()
        """Attributes that are written though nobody changed them: not yet where their rules want them."""
        self.fields: dict[str, Any] = {}
        """Platform fields to write; None clears."""
        self.custom: dict[str, Any] = copy.deepcopy((current.custom_attributes if current else None) or {})
        self.kept: Kept = kept_of(self.custom)
        self._record = kept_of(self.custom).to_json()

    @property
    def creating(self) -> bool:
        """Whether there is no user yet."""
        return self.current is None

    def changed(self, ref: AttributeRef) -> bool:
        """Whether the client changed this attribute; always true of a value in a creation."""
        if ref.text in self.moved:
            return True
        new, old = value_at(self.after, ref), value_at(self.before, ref)
        return new is not None if self.creating else new != old

    def field(self, name: str) -> Any:
        """A field's value after this write, as far as it is known."""
        return self.fields[name] if name in self.fields else getattr(self.current, name, None)

    def custom_attributes(self) -> dict[str, Any]:
        """The whole object to be on the platform after this write.

        A record that says the same stays as it is found, damaged or not: that alone is no reason to write.
        """
        return self.custom if self.kept.to_json() == self._record else with_record(self.custom, self.kept)


def value_at(resource: Resource, ref: AttributeRef) -> Any:
    """The attribute's value in a resource, None where it is unassigned."""
    scope = resource if ref.urn is None else resource.get(ref.urn)
    if not isinstance(scope, dict):
        return None
    value = scope.get(ref.attribute.name)
    if ref.sub is None or value is None:
        return value
    return value.get(ref.sub.name) if isinstance(value, dict) else None


def set_at(resource: Resource, ref: AttributeRef, value: Any) -> None:
    """Put a value into a resource under construction, making the objects on the way."""
    scope = resource if ref.urn is None else resource.setdefault(ref.urn, {})
    if ref.sub is None:
        scope[ref.attribute.name] = value
    else:
        scope.setdefault(ref.attribute.name, {})[ref.sub.name] = value
