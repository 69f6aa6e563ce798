"""What no rule of the mapping covers: kept as SCIM JSON in the record on the platform, and read back from it.

The record may also hold what a rule covers by now, written under an earlier mapping. It is shown while the
rule's own place has nothing, and moves there with the next write.
"""

from __future__ import annotations

import copy
from typing import Any

from app.mapping.rules import CustomRule, ElementRule, FieldRule, Rule, TemplateRule, readable
from app.scim.schema import PLATFORM_USER, AttributeRef, Resource, ResourceModel

_NOT_KEPT = frozenset({"schemas", "id", "meta", "groups", "active", "password"})


class Unmapped:
    """Knows which attributes have no rule. Immutable."""

    def __init__(self, model: ResourceModel, rules: tuple[Rule, ...]) -> None:
        self._model = model
        self._covered = {_place(r.ref) for r in rules}
        self._in_fields = {_place(r.ref) for r in rules if isinstance(r, FieldRule | ElementRule)}
        self._in_custom = {_place(r.ref) for r in rules if isinstance(r, CustomRule)}
        self._movable = tuple(
            r.ref for r in rules if isinstance(r, TemplateRule) or (isinstance(r, CustomRule) and r.writes)
        )

    def of(self, resource: Resource) -> dict[str, Any]:
        """The part of a resource that no rule covers, extensions under their URN."""
        found: dict[str, Any] = {}
        for attribute in self._model.core.attributes:
            if attribute.name in resource and attribute.name not in _NOT_KEPT:
                rest = self._rest(None, attribute.name, resource[attribute.name])
                if rest is not None:
                    found[attribute.name] = rest
        for extension in self._model.extensions:
            values = resource.get(extension.id)
            if extension.id == PLATFORM_USER or not isinstance(values, dict):
                continue
            rests = {name: self._rest(extension.id, name, value) for name, value in values.items()}
            kept = {name: rest for name, rest in rests.items() if rest is not None}
            if kept:
                found[extension.id] = kept
        return found

    def left_behind(self, kept: dict[str, Any]) -> tuple[AttributeRef, ...]:
        """The attributes in a record that have a rule by now and that the rule can take over."""
        return tuple(ref for ref in self._movable if _holds(kept, ref))

    def merge(self, kept: dict[str, Any], resource: Resource) -> None:
        """Put what a record holds into a resource under construction."""
        for key, value in kept.items():
            extension = self._model.extension(key)
            if extension is None:
                self._merge_one(None, key, value, resource)
            elif isinstance(value, dict):
                for name, inner in value.items():
                    self._merge_one(extension.id, name, inner, resource)

    def _rest(self, urn: str | None, name: str, value: Any) -> Any:
        if (urn, name, None) in self._covered:
            return None
        if not isinstance(value, dict):
            return copy.deepcopy(value)
        rest = {k: copy.deepcopy(v) for k, v in value.items() if (urn, name, k) not in self._covered}
        return rest or None

    def _merge_one(self, urn: str | None, name: str, value: Any, resource: Resource) -> None:
        attribute = self._model.attribute(name, urn)
        if attribute is None or attribute.name in _NOT_KEPT:
            return
        name = attribute.name
        if (urn, name, None) in self._in_fields:
            # A field of the platform is the truth, also where it is null: lists and searches go by it.
            return
        value = readable(value, AttributeRef(urn=urn, attribute=attribute))
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if (urn, name, k) not in self._in_fields}
        if value is None or value == {}:
            return
        scope = resource if urn is None else resource.setdefault(urn, {})
        mapped = scope.get(name)
        if isinstance(mapped, dict) and isinstance(value, dict):
            own = {k: v for k, v in mapped.items() if (urn, name, k) in self._in_custom}
            scope[name] = mapped if (urn, name, None) in self._in_custom else {**mapped, **value, **own}
        elif mapped is None:
            scope[name] = value


def _place(ref: AttributeRef) -> tuple[str | None, str, str | None]:
    return ref.urn, ref.attribute.name, ref.sub.name if ref.sub else None


def _holds(kept: dict[str, Any], ref: AttributeRef) -> bool:
    scope = kept if ref.urn is None else kept.get(ref.urn)
    value = scope.get(ref.attribute.name) if isinstance(scope, dict) else None
    if ref.sub is None or value is None:
        return value is not None
    return isinstance(value, dict) and ref.sub.name in value
