"""The body of a POST or PUT → a clean canonical resource (RFC 7643 §2 and §3, RFC 7644 §3.3 and §3.5.1)."""

from __future__ import annotations

from typing import Any, TypeAlias

from app.scim.dialect import Dialect, Tolerance
from app.scim.errors import InvalidSyntax, InvalidValue
from app.scim.keys import each_once, locate, refuse_unknown
from app.scim.schema import Attribute, AttributeRef, Resource, ResourceModel
from app.scim.values import read_value, shape, unassigned

__all__ = ["missing_attributes", "read_resource", "read_value", "schemas_of"]

_Place: TypeAlias = tuple[str | None, str]
"""An attribute's place: the extension's URN or None, and its name."""


def read_resource(
    body: object,
    model: ResourceModel,
    dialect: Dialect,
    *,
    supplied_elsewhere: frozenset[str] = frozenset(),
) -> Resource:
    """Check a decoded JSON body and bring it into canonical form.

    Names are canonical, extensions nested under their URN, unassigned and readOnly attributes left out,
    `schemas` the core URN and those of the extensions present. `supplied_elsewhere` names required
    attributes that need not be in the body. Raises InvalidSyntax or InvalidValue.
    """
    if not isinstance(body, dict):
        raise InvalidSyntax(f"The body must be a JSON object, not {shape(body)}.")
    gathered = _Gathered(model, dialect)
    listed: object = None
    for key, value in each_once(body):
        if key.lower() == "schemas":
            listed = value
        elif (extension := model.extension(key)) is not None:
            gathered.extension(extension.id, value)
        else:
            gathered.key(key, value)
    resource = gathered.read()
    _check_schemas(listed, resource["schemas"], model, dialect)
    missing = [name for name in missing_attributes(resource, model) if name not in supplied_elsewhere]
    if missing:
        raise InvalidValue(f"{' and '.join(missing)} must be given: required by the schema.")
    return resource


def missing_attributes(resource: Resource, model: ResourceModel) -> list[str]:
    """Canonical names of the required attributes that a resource lacks.

    Those of an extension count only when the resource has the extension. An empty string does not fill
    a required attribute.
    """
    found = [
        (AttributeRef(urn=urn, attribute=attribute), container.get(attribute.name))
        for urn, container, attributes in _containers(resource, model)
        for attribute in attributes
        if attribute.required and attribute.mutability != "readOnly"
    ]
    return [ref.text for ref, value in found if value is None or value == ""]


def schemas_of(resource: Resource, model: ResourceModel) -> list[str]:
    """What `schemas` must list: the core URN, then the extensions present, in the model's order."""
    return [model.core.id, *(e.id for e in model.extensions if resource.get(e.id))]


def _containers(
    resource: Resource, model: ResourceModel
) -> list[tuple[str | None, dict[str, Any], tuple[Attribute, ...]]]:
    extensions = [(e.id, resource[e.id], e.attributes) for e in model.extensions if e.id in resource]
    return [(None, resource, model.attributes), *extensions]


def _check_schemas(listed: object, present: list[str], model: ResourceModel, dialect: Dialect) -> None:
    """Hold `schemas` against the URNs in use (RFC 7643 §3), as far as the dialect asks for it."""
    well_formed = isinstance(listed, list) and all(isinstance(urn, str) for urn in listed)
    if listed is not None and not well_formed and not dialect.allows(Tolerance.MISSING_SCHEMAS):
        raise InvalidSyntax("schemas must be an array of URNs.")
    urns = {urn.lower() for urn in listed if isinstance(urn, str)} if isinstance(listed, list) else set()
    if model.core.id.lower() not in urns and not dialect.allows(Tolerance.MISSING_SCHEMAS):
        raise InvalidValue(f"schemas must contain {model.core.id}.")
    known = {model.core.id.lower(), *(e.id.lower() for e in model.extensions)}
    if urns - known and not dialect.allows(Tolerance.UNKNOWN_SCHEMAS):
        raise InvalidValue("schemas lists a URN that is not served here; /Schemas lists those that are.")
    if isinstance(listed, list) and len(urns) < len(listed) and not dialect.allows(Tolerance.UNKNOWN_SCHEMAS):
        raise InvalidValue("schemas must list each URN once (RFC 7643 §3).")
    unlisted = [urn for urn in present[1:] if urn.lower() not in urns]
    if unlisted and not dialect.allows(Tolerance.UNLISTED_EXTENSIONS):
        raise InvalidValue(f"schemas must contain {unlisted[0]}, whose attributes are in the body.")


class _Gathered:
    """Values as sent, sorted to the attributes that they belong to, before any is read."""

    def __init__(self, model: ResourceModel, dialect: Dialect) -> None:
        self._model = model
        self._dialect = dialect
        self._whole: dict[_Place, object] = {}
        self._parts: dict[_Place, dict[str, object]] = {}
        """Sub-attributes that came under flat keys."""

    def key(self, key: str, value: object, urn: str | None = None) -> None:
        ref = locate(key, self._model, self._dialect, urn)
        if ref is None:
            refuse_unknown(key, self._dialect, urn or "")
            return
        place = (ref.urn, ref.attribute.name)
        parts = self._parts.get(place, {})
        if place in self._whole if ref.sub is None else ref.sub.name in parts:
            raise InvalidSyntax(f"{ref.text} is given twice.")
        if ref.sub is None:
            self._whole[place] = value
        else:
            self._parts[place] = {**parts, ref.sub.name: value}

    def extension(self, urn: str, value: object) -> None:
        if unassigned(value, self._dialect):
            return
        if not isinstance(value, dict):
            raise InvalidValue(f"{urn} must be an object, not {shape(value)}.")
        for key, item in each_once(value, urn):
            self.key(key, item, urn)

    def read(self) -> Resource:
        resource: Resource = {"schemas": []}
        self._read_into(resource, None, self._model.attributes)
        for extension in self._model.extensions:
            found: dict[str, Any] = {}
            self._read_into(found, extension.id, extension.attributes)
            if found:
                resource[extension.id] = found
        resource["schemas"] = schemas_of(resource, self._model)
        return resource

    def _read_into(
        self, container: dict[str, Any], urn: str | None, attributes: tuple[Attribute, ...]
    ) -> None:
        for attribute in attributes:
            place = (urn, attribute.name)
            if attribute.mutability == "readOnly" or (place not in self._whole and place not in self._parts):
                continue
            path = AttributeRef(urn=urn, attribute=attribute).text
            value = self._combined(place, attribute, path)
            read = read_value(value, attribute, self._dialect, path=path)
            if read is not None:
                container[attribute.name] = read

    def _combined(self, place: _Place, attribute: Attribute, path: str) -> object:
        """The attribute's own value together with the sub-attributes given under flat keys."""
        whole, parts = self._whole.get(place), self._parts.get(place)
        if parts is None:
            return whole
        if unassigned(whole, self._dialect):
            return [parts] if attribute.multi_valued else parts
        if not isinstance(whole, dict):
            raise InvalidSyntax(f"{path} is given as a whole and in parts.")
        if clash := {key.lower() for key in whole} & {key.lower() for key in parts}:
            raise InvalidSyntax(f"{path}.{min(clash)} is given twice.")
        return {**whole, **parts}
