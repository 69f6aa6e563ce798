"""What a row of the platform's list tells of a user: a page that asks for no more needs no further call."""

from __future__ import annotations

from collections.abc import Iterator

from app.mapping.kept import EMPTY
from app.mapping.model import Capabilities, StatusRules
from app.mapping.rules import FieldRule, Rule
from app.mapping.status import reads_active
from app.scim.attributes import Projection
from app.scim.schema import Attribute, Resource, ResourceModel
from app.wire.users import UserListItem


class Rows:
    """The attributes that rows answer exactly, of one mapping.

    Those are `id`, `active`, and attributes read from listed fields alone. What custom_attributes may hold
    more of (elements, texts of templates, removals on record) is not among them: rows do not have those.
    """

    def __init__(
        self, model: ResourceModel, rules: tuple[Rule, ...], status: StatusRules, platform: Capabilities
    ) -> None:
        listed = frozenset(platform.list_fields)
        self._model = model
        self._status = status
        self._rules = tuple(
            r
            for r in rules
            if isinstance(r, FieldRule) and r.reads and not r.records and listed.issuperset(r.fields)
        )
        self._shows_active = "status" in listed
        self._known = {"id", "meta.resourceType", "meta.location", *(r.ref.text for r in self._rules)}
        if self._shows_active:
            self._known.add("active")
        self._leaves = {a.name: tuple(_leaves(a.name, a)) for a in model.attributes}
        for extension in model.extensions:
            parts = (leaf for a in extension.attributes for leaf in _leaves(f"{extension.id}:{a.name}", a))
            self._leaves[extension.id] = tuple(parts)
        self._always = frozenset(_always(model)) - {"schemas"}

    def answer(self, projection: Projection) -> bool:
        """Whether rows tell all that `attributes` asks for; never where a client excludes attributes."""
        if projection.only is None or not self._always <= self._known:
            return False
        asked = (leaf for name in projection.only for leaf in self._leaves.get(name, (name,)))
        return all(leaf in self._known or not projection.wants(leaf) for leaf in asked)

    def to_scim(self, row: UserListItem, base_url: str) -> Resource:
        """The part of the resource that the row tells; `schemas` names the schemas of that part."""
        schemas = [self._model.core.id]
        resource: Resource = {"schemas": schemas, "id": row.id}
        for rule in self._rules:
            rule.read(row, {}, EMPTY, "", resource)
        if self._shows_active:
            resource["active"] = reads_active(row.status, self._status)
        schemas.extend(e.id for e in self._model.extensions if e.id in resource)
        resource["meta"] = {"resourceType": "User", "location": f"{base_url}/Users/{row.id}"}
        return resource


def _leaves(name: str, attribute: Attribute) -> Iterator[str]:
    """The attribute, or each of its sub-attributes."""
    if not attribute.sub_attributes:
        yield name
    for sub in attribute.sub_attributes:
        yield f"{name}.{sub.name}"


def _always(model: ResourceModel) -> Iterator[str]:
    """What is in every answer, whatever is asked (`returned: always`)."""
    yield from (a.name for a in model.attributes if a.returned == "always")
    for extension in model.extensions:
        yield from (f"{extension.id}:{a.name}" for a in extension.attributes if a.returned == "always")
