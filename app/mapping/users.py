"""Users, both ways: a platform user as a SCIM resource, and a SCIM resource as platform values."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from typing import Any

import msgspec

from app.mapping.catalogs import catalogs_of
from app.mapping.deleted import DELETED
from app.mapping.draft import Draft
from app.mapping.groups import user_groups
from app.mapping.kept import EMPTY, KEY, kept_of, marked, with_record
from app.mapping.model import MappingFile
from app.mapping.rows import Rows
from app.mapping.rules import (
    CustomRule,
    FieldRule,
    Rule,
    TemplateRule,
    instant,
)
from app.mapping.status import reads_active
from app.mapping.unmapped import Unmapped
from app.scim.attributes import Projection
from app.scim.errors import InvalidValue
from app.scim.schema import Resource, ResourceModel
from app.wire.users import CustomAttributes, PlatformUser, UserCreate, UserListItem

RESOURCE_FORM = 2
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
        self.catalogs = catalogs_of(file)
        """Resources that the file lists: roles and entitlements."""
        self._rules = rules
        self._by_name = {r.ref.text: r for r in rules}
        # What depends on other rules' results comes last.
        self._write_order = sorted(rules, key=_write_rank)
        self._unmapped = Unmapped(model, rules)
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
            self._unmapped.merge(kept.attributes, resource)
        if kept.deleted is not None:
            resource[DELETED] = kept.deleted
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
        for catalog in self.catalogs:
            catalog.check(after, before or {})
        draft = Draft(after=after, before=before or {}, current=current, domain=domain, sent=sent)
        left_behind = self._unmapped.left_behind(draft.kept.attributes)
        change = self._change(draft)
        if left_behind and (change or any(draft.changed(ref) for ref in left_behind)):
            # Values from an earlier mapping move to where their rules have them by now.
            moving = Draft(after=after, before=before or {}, current=current, domain=domain, sent=sent)
            moving.moved = frozenset(ref.text for ref in left_behind)
            # One that its rule cannot take stays where it is: the client did not write it.
            with suppress(InvalidValue):
                change = self._change(moving)
        return change

    def with_prior_status(self, change: UserChange, current: PlatformUser, prior: str | None) -> UserChange:
        """The change with the recorded status set, or cleared by None."""
        return _recorded(change, current, "prior_status", prior)

    def with_deleted(self, change: UserChange, current: PlatformUser, at: str | None) -> UserChange:
        """The change with the user recorded as deleted, or by None as one that there is."""
        return _recorded(change, current, "deleted", at)

    def _change(self, draft: Draft) -> UserChange:
        for rule in self._write_order:
            rule.write(draft)
        rest = self._unmapped.of(draft.after)
        if draft.creating or draft.moved or rest != self._unmapped.of(draft.before):
            draft.kept.attributes = rest
        current = draft.current
        custom = draft.custom_attributes()
        if current is None:
            return UserChange(fields=draft.fields, custom_attributes=custom or None)
        fields = {k: v for k, v in draft.fields.items() if v != getattr(current, k)}
        same = custom == (current.custom_attributes or {})
        return UserChange(fields=fields, custom_attributes=None if same else custom)


def _fingerprint(file: MappingFile) -> str:
    """Of what decides how users look; the name and what the platform can do are left out."""
    # A key that came later and says nothing of looks: with it, every index would be built anew.
    rules = [{k: v for k, v in msgspec.to_builtins(rule).items() if k != "sensitivity"} for rule in file.user]
    told = [RESOURCE_FORM, file.format, file.status.inactive, rules, file.schemas]
    return hashlib.sha256(msgspec.json.encode(told, order="sorted")).hexdigest()[:16]


def changed_keys(present: CustomAttributes, wanted: CustomAttributes) -> CustomAttributes:
    """The keys that have to be sent for an object to become another, None for those that go."""
    return {k: wanted.get(k) for k in {*wanted, *present} if wanted.get(k) != present.get(k)}


def _recorded(change: UserChange, current: PlatformUser, name: str, value: str | None) -> UserChange:
    custom = change.custom_attributes
    whole = custom if custom is not None else current.custom_attributes or {}
    kept = kept_of(whole)
    if getattr(kept, name) == value:
        return change
    setattr(kept, name, value)
    return msgspec.structs.replace(change, custom_attributes=with_record(whole, kept))


def _write_rank(rule: Rule) -> int:
    if isinstance(rule, TemplateRule):
        return 2
    return 1 if isinstance(rule, FieldRule) and len(rule.fields) > 1 else 0
