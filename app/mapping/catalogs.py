"""Resources that a mapping lists: the roles and entitlements that users may have, as Okta discovers them.

Read-only, and the same for every tenant of the mapping. Nothing of them is on the platform.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from app.mapping.model import EntitlementEntry, MappingFile, RoleEntry
from app.scim.errors import InvalidValue
from app.scim.etag import version_of
from app.scim.schema import Resource, ResourceModel, entitlement_model, role_model
from app.scim.values import printable


class Catalog(msgspec.Struct, frozen=True, kw_only=True):
    """One resource type with all of its resources."""

    model: ResourceModel
    attribute: str
    """The attribute of users whose values are ids of these: `roles` or `entitlements`."""
    entries: tuple[RoleEntry, ...]
    closed: bool
    """Whether users may have no other value."""

    def resources(self, base_url: str) -> list[Resource]:
        """All of them in the file's order, with `meta.version`; `base_url` without trailing slash."""
        return [self._resource(entry, base_url) for entry in self.entries]

    def check(self, after: Resource, before: Resource) -> None:
        """Raise `InvalidValue` for a value that neither a closed list nor `before` has."""
        if not self.closed:
            return
        known = {entry.id for entry in self.entries} | _values(before.get(self.attribute))
        unknown = sorted(_values(after.get(self.attribute)) - known)
        if unknown:
            raise InvalidValue(
                f"{self.attribute}: {printable(unknown[0])} is none of those under {self.model.endpoint}: "
                "assign one of them, or have it listed in the mapping"
            )

    def _resource(self, entry: RoleEntry, base_url: str) -> Resource:
        shown: Resource = {"schemas": [self.model.core.id]}
        shown.update((name, value) for name, value in msgspec.to_builtins(entry).items() if value is not None)
        shown["meta"] = {
            "resourceType": self.model.name,
            "location": f"{base_url}{self.model.endpoint}/{entry.id}",
        }
        shown["meta"]["version"] = version_of(shown)
        return shown


def catalogs_of(file: MappingFile) -> tuple[Catalog, ...]:
    """The catalogs that a mapping declares; a list without entries is none."""
    declared: tuple[tuple[ResourceModel, str, tuple[RoleEntry | EntitlementEntry, ...]], ...] = (
        (role_model(), "roles", file.roles),
        (entitlement_model(), "entitlements", file.entitlements),
    )
    return tuple(
        Catalog(model=model, attribute=name, entries=entries, closed=name in file.closed)
        for model, name, entries in declared
        if entries
    )


def _values(elements: Sequence[Resource] | None) -> set[str]:
    return {str(element["value"]) for element in elements or () if "value" in element}
