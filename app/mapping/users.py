"""Users, both ways: a platform user as a SCIM resource, and a SCIM resource as platform values."""

from __future__ import annotations

import copy
import hashlib
from typing import Any

import msgspec

from app.mapping.draft import Draft
from app.mapping.groups import user_groups
from app.mapping.kept import EMPTY, KEY, kept_of, marked, with_record
from app.mapping.model import MappingFile
from app.mapping.rows import Rows
from app.mapping.rules import (
    CustomRule,
    ElementRule,
    FieldRule,
    Rule,
    TemplateRule,
    instant,
    readable,
)
from app.mapping.status import reads_active
from app.scim.attributes import Projection
from app.scim.schema import PLATFORM_USER, AttributeRef, Resource, ResourceModel
from app.wire.users import CustomAttributes, PlatformUser, UserCreate, UserListItem

RESOURCE_FORM = 1
"""The version of what `to_scim` makes of a user: raised with every change that shows a user differently."""


class UserChange(msgspec.Struct, frozen=True, kw_only=True):
    """What a write changes on the platform, apart from status and password."""

    fields: dict[str, Any]
    """Fields with a value that the user does not have yet; None clears."""
    custom_attributes: CustomAttributes | None
    """The whole object to be, or None when it stays as it is."""

    def __bool__(self) -> bool:
        return bool(self.fields) or self.custom_attributes is not None

    def as_create(
        self, *, password: str | None, send_welcome_email: bool, journal: str | None = None
    ) -> UserCreate:
        """The body of a creation; `journal` is the id of its entry there, by which its user is known."""
        values = {k: v for k, v in self.fields.items() if v is not None}
        custom = self.custom_attributes if journal is None else marked(self.custom_attributes, journal)
        if custom:
            values["custom_attributes"] = custom
        if password is not None:
            values["password"] = password
        return UserCreate(**values, send_welcome_email=send_welcome_email)


class UserMapping:
    """A mapping file compiled for users. Immutable, shared by all connections that name it."""

    def __init__(self, file: MappingFile, model: ResourceModel, rules: tuple[Rule, ...]) -> None:
        self.file = file
        self.model = model
        self.platform = file.platform
        self.status = file.status
        self._rules = rules
        self._by_name = {r.ref.text: r for r in rules}
        # What depends on other rules' results comes last.
        self._write_order = sorted(rules, key=_write_rank)
        self._covered = {
            (r.ref.urn, r.ref.attribute.name, r.ref.sub.name if r.ref.sub else None) for r in rules
        }
        self._whole = {(urn, name) for urn, name, sub in self._covered if sub is None}
        self._in_fields = {
            (r.ref.urn, r.ref.attribute.name, r.ref.sub.name if r.ref.sub else None)
            for r in rules
            if isinstance(r, FieldRule | ElementRule)
        }
        self._rows = Rows(model, rules, file.status, file.platform)
        self.owned_keys = frozenset(
            {KEY, *(r.path[0] for r in rules if isinstance(r, CustomRule))},
        )
        """Top-level keys of custom_attributes that belong to the mapping; all others are carried over."""
        self.fingerprint = _fingerprint(file)
        """Changes with everything that decides how a user looks as a resource: 16 hex characters."""

    def rule_for(self, name: str) -> Rule | None:
        """The rule of an attribute in canonical spelling, such as `userName` or `name.givenName`."""
        return self._by_name.get(name)

    def attribute_of(self, field: str) -> str | None:
        """The SCIM attribute that is written to a platform field."""
        return next((r.ref.text for r in self._rules if getattr(r, "field", None) == field), None)

    def attribute_of_custom(self, path: tuple[str, ...]) -> str | None:
        """The SCIM attribute that is written under a path in custom_attributes."""
        return next((r.ref.text for r in self._rules if isinstance(r, CustomRule) and r.path == path), None)

    def to_scim(self, user: PlatformUser, *, domain: str, base_url: str) -> Resource:
        """The user as a resource, without `meta.version`.

        `base_url` is the SCIM base without trailing slash, `domain` the provisioning domain whose externalId
        is shown.
        """
        custom = user.custom_attributes or {}
        kept = kept_of(custom) if KEY in custom else EMPTY
        schemas = [self.model.core.id]
        resource: Resource = {"schemas": schemas, "id": user.id}
        for rule in self._rules:
            rule.read(user, custom, kept, domain, resource)
        resource["active"] = reads_active(user.status, self.status)
        if user.groups:
            resource["groups"] = user_groups(
                ((g.group_id, g.name, g.membership_type == "DIRECT") for g in user.groups), base_url
            )
        if kept.attributes:
            self._merge_kept(kept.attributes, resource)
        schemas.extend(e.id for e in self.model.extensions if e.id in resource)
        created = instant(user.created_at)
        resource["meta"] = {
            "resourceType": "User",
            "created": created,
            "lastModified": instant(user.updated_at) if user.updated_at else created,
            "location": f"{base_url}/Users/{user.id}",
        }
        return resource

    def answers_from_row(self, projection: Projection) -> bool:
        """Whether rows of the platform's list tell all that a client asks for by `attributes`."""
        return self._rows.answer(projection)

    def row_to_scim(self, row: UserListItem, *, base_url: str) -> Resource:
        """What a row tells of the resource; enough for projections that `answers_from_row` accepts."""
        return self._rows.to_scim(row, base_url)

    def to_platform(
        self,
        after: Resource,
        *,
        before: Resource | None,
        current: PlatformUser | None,
        domain: str,
        sent: frozenset[str] = frozenset(),
    ) -> UserChange:
        """What has to change on the platform so that the user reads as `after`.

        `before` is `to_scim(current)`; both are None for a creation. `sent` names top-level attributes that
        the client sent even where they are as before. Raises `InvalidValue` where a value cannot be written.
        `active`, `status` and `password` are not part of it.
        """
        draft = Draft(after=after, before=before or {}, current=current, domain=domain, sent=sent)
        for rule in self._write_order:
            rule.write(draft)
        self._keep_unmapped(draft)
        return self._change(draft)

    def with_prior_status(self, change: UserChange, current: PlatformUser, prior: str | None) -> UserChange:
        """The change with the recorded status set, or cleared by None."""
        custom = change.custom_attributes
        whole = custom if custom is not None else current.custom_attributes or {}
        kept = kept_of(whole)
        if kept.prior_status == prior:
            return change
        kept.prior_status = prior
        return msgspec.structs.replace(change, custom_attributes=with_record(whole, kept))

    def _change(self, draft: Draft) -> UserChange:
        current = draft.current
        custom = draft.custom_attributes()
        if current is None:
            return UserChange(fields=draft.fields, custom_attributes=custom or None)
        fields = {k: v for k, v in draft.fields.items() if v != getattr(current, k)}
        same = custom == (current.custom_attributes or {})
        return UserChange(fields=fields, custom_attributes=None if same else custom)

    def _unmapped(self, resource: Resource) -> dict[str, Any]:
        """The part of a resource that no rule covers, extensions under their URN."""
        found: dict[str, Any] = {}
        for attribute in self.model.core.attributes:
            if attribute.name in resource and attribute.name not in _NOT_KEPT:
                rest = self._rest(None, attribute.name, resource[attribute.name])
                if rest is not None:
                    found[attribute.name] = rest
        for extension in self.model.extensions:
            if extension.id == PLATFORM_USER or extension.id not in resource:
                continue
            values = resource[extension.id]
            rests = {name: self._rest(extension.id, name, value) for name, value in values.items()}
            kept = {name: rest for name, rest in rests.items() if rest is not None}
            if kept:
                found[extension.id] = kept
        return found

    def _rest(self, urn: str | None, name: str, value: Any) -> Any:
        if (urn, name) in self._whole:
            return None
        if not isinstance(value, dict):
            return copy.deepcopy(value)
        rest = {k: copy.deepcopy(v) for k, v in value.items() if (urn, name, k) not in self._covered}
        return rest or None

    def _keep_unmapped(self, draft: Draft) -> None:
        after = self._unmapped(draft.after)
        if draft.creating or after != self._unmapped(draft.before):
            draft.kept.attributes = after

    def _merge_kept(self, attributes: dict[str, Any], resource: Resource) -> None:
        for key, value in attributes.items():
            extension = self.model.extension(key)
            if extension is None:
                self._merge_one(None, key, value, resource)
            elif isinstance(value, dict):
                for name, inner in value.items():
                    self._merge_one(extension.id, name, inner, resource)

    def _merge_one(self, urn: str | None, name: str, value: Any, resource: Resource) -> None:
        attribute = self.model.attribute(name, urn)
        if attribute is None or attribute.name in _NOT_KEPT:
            return
        if (urn, attribute.name, None) in self._in_fields:
            # A field of the platform is the truth, also where it is null: lists and searches go by it.
            return
        value = readable(value, AttributeRef(urn=urn, attribute=attribute))
        if isinstance(value, dict):
            value = {k: v for k, v in value.items() if (urn, attribute.name, k) not in self._in_fields}
        if value is None or value == {}:
            return
        scope = resource if urn is None else resource.setdefault(urn, {})
        mapped = scope.get(attribute.name)
        if isinstance(mapped, dict) and isinstance(value, dict):
            scope[attribute.name] = {**mapped, **value}
        elif mapped is None:
            scope[attribute.name] = value


_NOT_KEPT = frozenset({"schemas", "id", "meta", "groups", "active", "password"})


def _fingerprint(file: MappingFile) -> str:
    """Of what decides how users look; the name and what the platform can do are left out."""
    told = [RESOURCE_FORM, file.format, file.status.inactive, file.user, file.schemas]
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]


def changed_keys(present: CustomAttributes, wanted: CustomAttributes) -> CustomAttributes:
    """The keys that have to be sent for an object to become another, None for those that go."""
    return {k: wanted.get(k) for k in {*wanted, *present} if wanted.get(k) != present.get(k)}


def _write_rank(rule: Rule) -> int:
    if isinstance(rule, TemplateRule):
        return 2
    return 1 if isinstance(rule, FieldRule) and len(rule.fields) > 1 else 0
