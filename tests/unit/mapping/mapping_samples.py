"""Platform users as a platform would have them, and one that applies changes."""

from __future__ import annotations

from typing import Any

import msgspec

from app.bridge.steps import SetFields
from app.mapping.load import load_mapping, parse_mapping
from app.mapping.users import UserChange, UserMapping
from app.scim.dialect import LENIENT
from app.scim.schema import ENTERPRISE_USER, PLATFORM_USER, USER, Resource
from app.scim.validate import read_resource
from app.wire.users import PlatformUser

ENT, PLATFORM = ENTERPRISE_USER, PLATFORM_USER
BASE = "https://scim.test/scim/v2"
MAPPING = load_mapping("default")


def user(**fields: Any) -> PlatformUser:
    """A user as it stands at the platform."""
    start: dict[str, Any] = {
        "id": "usr_1",
        "email": "ada@example.com",
        "username": "ada",
        "status": "ACTIVE",
        "locale": "en",
        "timezone": "UTC",
        "created_at": "2026-01-01T00:00:00.000000Z",
    }
    return msgspec.convert({**start, **fields}, PlatformUser)


def shown(u: PlatformUser, *, domain: str = "default", mapping: UserMapping = MAPPING) -> Resource:
    return mapping.to_scim(u, domain=domain, base_url=BASE)


def body(**attributes: Any) -> Resource:
    """What the bridge makes of a client's body."""
    sent = {"schemas": [USER], "userName": "ada", **attributes}
    sent = {k: v for k, v in sent.items() if v is not None}
    return read_resource(sent, MAPPING.model, LENIENT, supplied_elsewhere=frozenset({"emails"}))


def created(
    resource: Resource, *, domain: str = "default", mapping: UserMapping = MAPPING, **fields: Any
) -> PlatformUser:
    """The user that the platform makes of a creation."""
    change = mapping.to_platform(resource, before=None, current=None, domain=domain)
    sent = msgspec.to_builtins(change.as_create(password=None, send_welcome_email=False))
    del sent["send_welcome_email"]
    sent.setdefault("username", None)
    return user(**{**sent, **fields})


def changed(
    current: PlatformUser, after: Resource, *, domain: str = "default", mapping: UserMapping = MAPPING
) -> PlatformUser:
    """The user after an update to `after`, as a platform applies it that replaces custom_attributes whole."""
    return apply(current, change_to(current, after, domain=domain, mapping=mapping), mapping)


def change_to(
    current: PlatformUser, after: Resource, *, domain: str = "default", mapping: UserMapping = MAPPING
) -> UserChange:
    before = shown(current, domain=domain, mapping=mapping)
    return mapping.to_platform(after, before=before, current=current, domain=domain)


def apply(current: PlatformUser, change: UserChange, mapping: UserMapping = MAPPING) -> PlatformUser:
    merges = mapping.platform.merges_custom_attributes
    update = msgspec.to_builtins(SetFields.of(change, current).body(current, merges=merges))
    if "locale" in update:
        update["locale"] = update["locale"] or "en"
    if "timezone" in update:
        update["timezone"] = update["timezone"] or "UTC"
    if mapping.platform.merges_custom_attributes and update.get("custom_attributes") is not None:
        merged = {**(current.custom_attributes or {}), **update["custom_attributes"]}
        update["custom_attributes"] = {k: v for k, v in merged.items() if v is not None}
    return msgspec.structs.replace(current, **update)


def edited(current: PlatformUser, *, domain: str = "default", **attributes: Any) -> PlatformUser:
    """The user after a client changed attributes; None removes one. `name__givenName`: a sub-attribute."""
    after = dict(shown(current, domain=domain))
    for key, value in attributes.items():
        attribute, _, sub = key.partition("__")
        if sub:
            inner = {**after.get(attribute, {}), sub: value}
            after[attribute] = {k: v for k, v in inner.items() if v is not None}
        elif value is None:
            after.pop(attribute, None)
        else:
            after[attribute] = value
    return changed(current, after, domain=domain)


def with_rule(*rules: str, head: str = "") -> UserMapping:
    """A small mapping: userName, emails and these rules."""
    text = f"""
        format = 1
        name = "test"
        {head}
        [[user]]
        scim = "userName"
        field = "username"
        fallback = "email"
        [[user]]
        scim = "emails"
        field = "email"
        element = {{ type = "work", primary = true }}
        derive_from = "userName"
        """
    return parse_mapping(text + "".join(f"[[user]]\n{rule}\n" for rule in rules), "test.toml")
