"""Trying a mapping out: a user from either side, what it is at the other, and what comes back; no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from app.bridge.changes import replaced
from app.bridge.context import Context
from app.bridge.differences import Difference, differences
from app.bridge.steps import FieldStep, ResetPassword, SetFields, SetStatus
from app.bridge.writing import plan_write, status_change, status_wanted
from app.scim.errors import InvalidValue
from app.scim.schema import Resource
from app.scim.validate import read_resource
from app.wire.users import WRITABLE_FIELDS, PlatformUser

_ID = "tried"
_CREATED_AT = "2000-01-01T00:00:00Z"
_SUPPLIED_ELSEWHERE = frozenset({"emails"})


class TriedCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call to the platform that a write would make."""

    what: str
    body: Any


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a user."""

    result: Any
    """The user as the other side has it: a platform user, or a SCIM resource."""
    calls: tuple[TriedCall, ...]
    """From SCIM: what creating the user takes. From the platform: what a PUT of what was read takes."""
    back: Any
    """The result taken back again: how SCIM reads it, or what a new user made of it would have."""
    differences: tuple[Difference, ...]
    """What was given, and is lost or another in `back`."""
    added: tuple[Difference, ...]
    """What only `back` has."""


def from_scim(context: Context, body: object) -> Tried:
    """A SCIM user as it would be created; raises `ScimError`. A password is never repeated."""
    mapping = context.mapping
    wanted = read_resource(body, mapping.model, context.dialect, supplied_elsewhere=_SUPPLIED_ELSEWHERE)
    change = mapping.to_platform(wanted, before=None, current=None, domain=context.domain)
    status_change(context, wanted, present=mapping.status.enable_to)
    create = change.as_create(
        password="(not shown)" if context.sets_passwords and "password" in wanted else None,
        send_welcome_email=context.send_welcome_email,
    )
    body_sent = msgspec.to_builtins(create)
    held = {name: value for name, value in body_sent.items() if name in WRITABLE_FIELDS}
    user = PlatformUser(
        id=_ID,
        status=mapping.status.enable_to,
        created_at=_CREATED_AT,
        custom_attributes=body_sent.get("custom_attributes"),
        **held,
    )
    steps = plan_write(context, user, status_wanted(wanted), before=None).steps
    calls = [TriedCall(what="POST the user", body=body_sent)]
    for step in steps:
        calls.append(_call(context, user, step))
        user = _after(user, step)
    back = _without_server_values(mapping.to_scim(user, domain=context.domain, base_url=""))
    given = {name: value for name, value in wanted.items() if name not in ("password", "schemas")}
    return _tried(_told(user), calls, back, given)


def from_platform(context: Context, document: object) -> Tried:
    """A platform user as SCIM shows it; raises `ScimError`. It may be in an answer's envelope, `data`."""
    mapping = context.mapping
    if isinstance(document, dict) and isinstance(document.get("data"), dict):
        document = document["data"]
    try:
        user = msgspec.convert(document, type=PlatformUser)
    except msgspec.ValidationError as exc:
        raise InvalidValue(f"This is not a user of the platform: {exc}") from exc
    resource = mapping.to_scim(user, domain=context.domain, base_url=context.base_url)
    sent = read_resource(resource, mapping.model, context.dialect, supplied_elsewhere=_SUPPLIED_ELSEWHERE)
    echo = plan_write(
        context, user, replaced(context, resource, sent), before=resource, sent=frozenset(sent)
    ).steps
    change = mapping.to_platform(sent, before=None, current=None, domain=context.domain)
    back = {name: value for name, value in change.fields.items() if value is not None}
    if change.custom_attributes:
        back["custom_attributes"] = change.custom_attributes
    told = _told(user)
    given = {n: v for n, v in told.items() if n in WRITABLE_FIELDS or n == "custom_attributes"}
    return _tried(resource, [_call(context, user, step) for step in echo], back, given)


def _tried(result: Any, calls: Sequence[TriedCall], back: Any, given: Any) -> Tried:
    found = tuple(differences(given, back))
    return Tried(
        result=result,
        calls=tuple(calls),
        back=back,
        differences=tuple(d for d in found if d.before is not None),
        added=tuple(d for d in found if d.before is None),
    )


def _told(user: PlatformUser) -> dict[str, Any]:
    """A user without what is null, empty, or made up here."""
    told: dict[str, Any] = msgspec.to_builtins(user)
    return {
        name: value
        for name, value in told.items()
        if value not in (None, (), [], {}) and not (user.id == _ID and name in ("id", "created_at"))
    }


def _without_server_values(resource: Resource) -> Resource:
    return {name: value for name, value in resource.items() if name not in ("schemas", "id", "meta")}


def _call(context: Context, user: PlatformUser, step: FieldStep) -> TriedCall:
    match step:
        case SetFields():
            merges = context.mapping.platform.merges_custom_attributes
            return TriedCall(what="PATCH the user", body=msgspec.to_builtins(step.body(user, merges=merges)))
        case SetStatus():
            return TriedCall(what="PUT the status", body=msgspec.to_builtins(step.body()))
        case ResetPassword():
            return TriedCall(what="POST password/reset", body=None)


def _after(user: PlatformUser, step: FieldStep) -> PlatformUser:
    match step:
        case SetFields():
            sent = msgspec.to_builtins(step.body(user, merges=False))
            return msgspec.structs.replace(user, **sent)
        case SetStatus():
            return msgspec.structs.replace(user, status=step.to)
        case ResetPassword():
            return user
