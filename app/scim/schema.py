"""Schemas as data (RFC 7643 §7) and the lookup of attributes by name.

The schema files beside this module are the published `/Schemas` documents; a `ResourceModel` joins one core
schema with its extensions and answers every question of the form "what is this attribute?".
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Any, Literal, TypeAlias

import msgspec

Resource: TypeAlias = dict[str, Any]
"""A SCIM resource as JSON: canonical attribute names, extensions nested under their URN, no nulls."""

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ENTERPRISE_USER = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PLATFORM_USER = "urn:scim-bridge:schemas:2.0:PlatformUser"
OKTA_ROLE = "urn:okta:scim:schemas:core:1.0:Role"
OKTA_ENTITLEMENT = "urn:okta:scim:schemas:core:1.0:Entitlement"
SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:Schema"
RESOURCE_TYPE = "urn:ietf:params:scim:schemas:core:2.0:ResourceType"
SERVICE_PROVIDER_CONFIG = "urn:ietf:params:scim:schemas:core:2.0:ServiceProviderConfig"

AttributeType: TypeAlias = Literal[
    "string", "boolean", "decimal", "integer", "dateTime", "binary", "reference", "complex"
]


class Attribute(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """The characteristics of one attribute (RFC 7643 §2.2 and §7)."""

    name: str
    type: AttributeType = "string"
    multi_valued: bool = False
    description: str = ""
    required: bool = False
    canonical_values: tuple[str, ...] = ()
    case_exact: bool = False
    mutability: Literal["readOnly", "readWrite", "immutable", "writeOnly"] = "readWrite"
    returned: Literal["always", "never", "default", "request"] = "default"
    uniqueness: Literal["none", "server", "global"] = "none"
    reference_types: tuple[str, ...] = ()
    sub_attributes: tuple[Attribute, ...] = ()

    def sub(self, name: str) -> Attribute | None:
        """The sub-attribute of this name, compared without case (RFC 7643 §2.1)."""
        folded = name.lower()
        for attribute in self.sub_attributes:
            if attribute.name.lower() == folded:
                return attribute
        return None


class Schema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One schema: a URN and its attributes (RFC 7643 §7)."""

    id: str
    name: str
    description: str = ""
    attributes: tuple[Attribute, ...]

    def attribute(self, name: str) -> Attribute | None:
        """The attribute of this name, compared without case."""
        folded = name.lower()
        for attribute in self.attributes:
            if attribute.name.lower() == folded:
                return attribute
        return None


class AttributeRef(msgspec.Struct, frozen=True, kw_only=True):
    """A resolved attribute: where it lives in a resource and what it is."""

    urn: str | None = None
    """The extension's URN, or None for an attribute at the top of the resource."""
    attribute: Attribute
    sub: Attribute | None = None
    """The sub-attribute, for `name.givenName` and the like."""

    @property
    def leaf(self) -> Attribute:
        """The attribute that holds the value: the sub-attribute where there is one."""
        return self.sub or self.attribute

    @property
    def text(self) -> str:
        """The canonical spelling, as in `name.givenName` or `urn:…:User:manager.value`."""
        name = self.attribute.name if self.sub is None else f"{self.attribute.name}.{self.sub.name}"
        return name if self.urn is None else f"{self.urn}:{name}"


_META = Attribute(
    name="meta",
    type="complex",
    mutability="readOnly",
    description="What the server knows about the resource itself.",
    sub_attributes=(
        Attribute(name="resourceType", case_exact=True, mutability="readOnly", description="Its type."),
        Attribute(name="created", type="dateTime", mutability="readOnly", description="When it was made."),
        Attribute(
            name="lastModified", type="dateTime", mutability="readOnly", description="When it last changed."
        ),
        Attribute(
            name="location",
            type="reference",
            reference_types=("uri",),
            case_exact=True,
            mutability="readOnly",
            description="Its URI.",
        ),
        Attribute(
            name="version",
            case_exact=True,
            mutability="readOnly",
            description="Its version, as in the ETag header.",
        ),
    ),
)

COMMON: tuple[Attribute, ...] = (
    Attribute(
        name="schemas",
        type="reference",
        reference_types=("uri",),
        multi_valued=True,
        case_exact=True,
        returned="always",
        description="The URNs of the schemas that the resource uses.",
    ),
    Attribute(
        name="id",
        case_exact=True,
        mutability="readOnly",
        returned="always",
        uniqueness="server",
        description="The server's identifier of the resource.",
    ),
    Attribute(
        name="externalId",
        case_exact=True,
        description="The provisioning client's identifier of the resource.",
    ),
    _META,
)
"""Attributes of every resource (RFC 7643 §3.1); they belong to no schema and are not listed in one."""


class ResourceModel:
    """One resource type with its core schema and extensions; attribute lookup without case.

    Immutable after construction, safe to share. URNs compare without case as well: clients send them in any.
    """

    def __init__(
        self,
        *,
        name: str,
        endpoint: str,
        core: Schema,
        extensions: Iterable[Schema] = (),
        description: str = "",
    ) -> None:
        self.name = name
        """`User`, `Group`, …; also the resource type's id."""
        self.endpoint = endpoint
        """Relative to the base URL, such as `/Users`."""
        self.description = description
        self.core = core
        self.extensions = tuple(extensions)
        self._core = {a.name.lower(): a for a in (*COMMON, *core.attributes)}
        self._extensions = {e.id.lower(): e for e in self.extensions}
        # The longest first: one URN may be the beginning of another.
        self._urns = sorted((s.id for s in (core, *self.extensions)), key=len, reverse=True)
        self._extension_attributes = {
            e.id: {a.name.lower(): a for a in e.attributes} for e in self.extensions
        }

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """The attributes at the top of a resource: the common ones, then those of the core schema."""
        return tuple(self._core.values())

    def extension(self, urn: str) -> Schema | None:
        """The extension schema of this URN, compared without case."""
        return self._extensions.get(urn.lower())

    def attribute(self, name: str, urn: str | None = None) -> Attribute | None:
        """A top-level attribute, or with `urn` (canonical spelling) an extension's; without case."""
        if urn is None:
            return self._core.get(name.lower())
        return self._extension_attributes.get(urn, {}).get(name.lower())

    def resolve(
        self, name: str, sub: str | None = None, *, urn: str | None = None, anywhere: bool = False
    ) -> AttributeRef | None:
        """Find an attribute as written by a client, or None.

        `urn` may be the core schema's or an extension's. With `anywhere`, an unqualified name that the core
        does not know is looked for in the extensions too (Entra sends `manager` that way).
        """
        if urn is None or urn.lower() == self.core.id.lower():
            found = self._find(None, name, sub)
            if found is None and urn is None and anywhere:
                candidates = (self._find(e.id, name, sub) for e in self.extensions)
                found = next((c for c in candidates if c is not None), None)
            return found
        extension = self._extensions.get(urn.lower())
        return None if extension is None else self._find(extension.id, name, sub)

    def split_urn(self, text: str) -> tuple[str, str] | None:
        """Split `urn:…:User:name.first` into (canonical schema URN, `name.first`), or None.

        The rest is empty when `text` is the URN itself. URNs hold dots and colons of their own (`2.0`), so
        only the known ones can be told from attribute names.
        """
        folded = text.lower()
        for urn in self._urns:
            if folded == urn.lower():
                return urn, ""
            if folded.startswith(urn.lower() + ":"):
                return urn, text[len(urn) + 1 :]
        return None

    def _find(self, urn: str | None, name: str, sub: str | None) -> AttributeRef | None:
        attribute = self.attribute(name, urn)
        if attribute is None:
            return None
        if sub is None:
            return AttributeRef(urn=urn, attribute=attribute)
        found = attribute.sub(sub)
        return None if found is None else AttributeRef(urn=urn, attribute=attribute, sub=found)


@cache
def load_schema(file: str) -> Schema:
    """One of the schemas that ship with the bridge, by file name without `.json`."""
    data = files("app.scim").joinpath("schemas", f"{file}.json").read_bytes()
    return msgspec.json.decode(data, type=Schema)


def user_model(extensions: Iterable[Schema] = ()) -> ResourceModel:
    """The User resource type: core, enterprise and platform extensions, then the mapping's own."""
    return ResourceModel(
        name="User",
        endpoint="/Users",
        core=load_schema("user"),
        extensions=(load_schema("enterprise_user"), load_schema("platform_user"), *extensions),
        description="A user account.",
    )


def group_model() -> ResourceModel:
    """The Group resource type (RFC 7643 §4.2)."""
    return ResourceModel(
        name="Group", endpoint="/Groups", core=load_schema("group"), description="A group of users."
    )


@cache
def role_model() -> ResourceModel:
    """Okta's Role resource type, of what `User.roles` may hold."""
    return ResourceModel(
        name="Role", endpoint="/Roles", core=load_schema("okta_role"), description="A role that users have."
    )


@cache
def entitlement_model() -> ResourceModel:
    """Okta's Entitlement resource type, of what `User.entitlements` may hold."""
    return ResourceModel(
        name="Entitlement",
        endpoint="/Entitlements",
        core=load_schema("okta_entitlement"),
        description="An entitlement that users have.",
    )
