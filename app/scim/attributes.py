"""Which attributes an answer holds: `attributes`, `excludedAttributes` and `returned` (RFC 7644 §3.9).

`returned: always` stays whatever is asked, `never` never leaves, `request` leaves only when it is named
itself. Each combination is compiled once into a tree of decisions that one pass over the resource follows.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, TypeAlias

import msgspec

from app.scim.errors import InvalidValue
from app.scim.path import ExtensionRef, parse_attribute_path
from app.scim.schema import Attribute, AttributeRef, Resource, ResourceModel


class _Choice(msgspec.Struct, frozen=True):
    """What stays of an object: by key yes, no, or a choice within; other keys as `otherwise` says."""

    keys: dict[str, bool | _Choice]
    otherwise: bool


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asked to see of a resource; made by `parse_projection`, immutable, shared."""

    only: frozenset[str] | None
    """The names at the top of the resource (attributes, extension URNs) that `attributes` asks for.

    None for `excludedAttributes`. What is always returned is not counted, unless asked for.
    """
    _choice: _Choice

    def wants(self, name: str) -> bool:
        """Whether any of this attribute is in the answer, so whether it must be known at all.

        `name` in canonical spelling: `groups`, `name.givenName`, an extension's URN, `urn:…:User:manager`.
        """
        choice: bool | _Choice = self._choice
        for key in _keys(name, self._choice.keys):
            if isinstance(choice, bool):
                return choice
            choice = choice.keys.get(key, choice.otherwise)
        return choice if isinstance(choice, bool) else choice.otherwise or any(choice.keys.values())


_CACHED_LENGTH: Final = 1024


def parse_projection(
    attributes: str | list[str] | None,
    excluded: str | list[str] | None,
    model: ResourceModel,
    *,
    anywhere: bool = True,
) -> Projection | None:
    """Read `attributes` and `excludedAttributes`: comma-separated text or lists; None when neither is given.

    Names that the model does not know are ignored; `attributes` with no other leaves what is always
    returned. Raises InvalidValue when both are given, which RFC 7644 §3.9 excludes.
    """
    wanted, unwanted = _text(attributes), _text(excluded)
    if not wanted and not unwanted:
        return None
    if wanted and unwanted:
        raise InvalidValue("attributes and excludedAttributes exclude each other; send one of them")
    build = _build_cached if len(wanted) + len(unwanted) <= _CACHED_LENGTH else _build
    return build(wanted or unwanted, bool(wanted), model, anywhere)


def apply(projection: Projection | None, resource: Resource, model: ResourceModel) -> Resource:
    """The part of the resource that is answered; None gives the attributes returned by default.

    A new dict; values that are kept whole are shared with `resource`. `schemas` stays complete, as the list
    of what the resource is rather than of what is shown.
    """
    choice = _default_choice(model) if projection is None else projection._choice
    return _chosen(resource, choice)


def _chosen(source: dict[str, Any], choice: _Choice) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    keys, otherwise = choice.keys, choice.otherwise
    for key, value in source.items():
        decision = keys.get(key, otherwise)
        if decision is True:
            kept[key] = value
        elif decision is not False and (part := _part(value, decision)) is not None:
            kept[key] = part
    return kept


def _part(value: Any, choice: _Choice) -> Any:
    """The chosen part of a complex value or of each of several; None when nothing is left."""
    if isinstance(value, dict):
        return _chosen(value, choice) or None
    if isinstance(value, list):
        parts = [_part(element, choice) for element in value]
        return [part for part in parts if part is not None] or None
    return value


def _text(names: str | list[str] | None) -> str:
    text = ",".join(names) if isinstance(names, list) else names or ""
    return "" if not text.strip(", \t") else text


def _keys(name: str, top: Iterable[str]) -> list[str]:
    """`urn:…:User:manager.value` as the keys that lead to it."""
    urn = next((key for key in top if ":" in key and (name == key or name.startswith(key + ":"))), None)
    if urn is None:
        return name.split(".")
    rest = name[len(urn) + 1 :]
    return [urn, *rest.split(".")] if rest else [urn]


Paths: TypeAlias = frozenset[tuple[str, ...]]
"""What is named within an attribute, as keys that lead to it; `()` is the attribute itself."""


def _build(text: str, include: bool, model: ResourceModel, anywhere: bool) -> Projection:
    refs = (parse_attribute_path(name, model, anywhere=anywhere) for name in text.split(","))
    paths = frozenset(_path(ref) for ref in refs if ref is not None)
    root = _root(model)
    decision = _included(root, paths) if include else _excluded(root, paths)
    choice = decision if isinstance(decision, _Choice) else _Choice({}, decision)
    return Projection(only=frozenset(path[0] for path in paths) if include else None, _choice=choice)


_build_cached = lru_cache(maxsize=1024)(_build)


@lru_cache(maxsize=64)
def _default_choice(model: ResourceModel) -> _Choice:
    decision = _excluded(_root(model), frozenset())
    return decision if isinstance(decision, _Choice) else _Choice({}, decision)


def _root(model: ResourceModel) -> Attribute:
    """The resource as one complex attribute, in which each extension is one as well, named by its URN."""
    extensions = (
        Attribute(name=schema.id, type="complex", sub_attributes=schema.attributes)
        for schema in model.extensions
    )
    return Attribute(name="", type="complex", sub_attributes=(*model.attributes, *extensions))


def _path(ref: AttributeRef | ExtensionRef) -> tuple[str, ...]:
    if isinstance(ref, ExtensionRef):
        return (ref.urn,)
    keys = (ref.urn, ref.attribute.name, ref.sub.name if ref.sub else None)
    return tuple(key for key in keys if key is not None)


def _within(paths: Paths, name: str) -> Paths:
    return frozenset(path[1:] for path in paths if path and path[0] == name)


def _included(attribute: Attribute, paths: Paths) -> bool | _Choice:
    """What stays of an attribute when `attributes` names `paths` of it."""
    if attribute.returned == "never":
        return False
    if not paths and not _is_container(attribute):
        return attribute.returned == "always" and _excluded(attribute, paths)
    whole = () in paths
    decisions: dict[str, bool | _Choice] = {}
    for sub in attribute.sub_attributes:
        named = _within(paths, sub.name)
        decisions[sub.name] = _excluded(sub, named) if whole and not named else _included(sub, named)
    return _simplified(decisions, otherwise=whole)


def _excluded(attribute: Attribute, paths: Paths) -> bool | _Choice:
    """What stays of an attribute when `excludedAttributes` names `paths` of it; by default, nothing."""
    if attribute.returned in ("never", "request"):
        return False
    gone = () in paths and attribute.returned != "always"
    if gone and not _is_container(attribute):
        return False
    decisions = {
        sub.name: _excluded(sub, frozenset({()}) if gone else _within(paths, sub.name))
        for sub in attribute.sub_attributes
    }
    return _simplified(decisions, otherwise=not gone)


def _is_container(attribute: Attribute) -> bool:
    """Whether it is the resource or an extension: no attribute, but a place for some that always stay."""
    return attribute.name == "" or ":" in attribute.name


def _simplified(decisions: dict[str, bool | _Choice], *, otherwise: bool) -> bool | _Choice:
    if all(decision is otherwise for decision in decisions.values()):
        return otherwise
    return _Choice(decisions, otherwise)
