"""Policies of a connection as a form: what each means, and reading them back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec

from app.console.errors import Unusable
from app.console.forms import Form
from app.store.connections import Policies
from app.store.deprovisionings import GUARD_LIMIT, GUARDED_SIZE

MEANINGS: Mapping[str, str] = {
    "password": "Whether a password that the client sends is dropped (ignore) or becomes the user's (set).",
    "send_welcome_email": "The platform greets a created user by mail.",
    "activate_locked": "active: true unlocks a locked user.",
    "activate_pending_email": "active: true activates a user whose address is not verified yet.",
    "activate_pending_approval": "active: true approves a user who waits for approval.",
    "terminate_sessions": "Disabling a user ends the sessions that are open.",
    "groups": "Where groups live: at the platform, or in the bridge's own database (local).",
    "group_patch": "A PATCH of a group answers 204 (no-content), or 200 with the group (resource).",
    "search": "Searches use the bridge's index (indexed), or only the platform's own lists (live).",
    "explain": "The client may ask how a search would be answered.",
    "dry_run": "The client may ask what a write would do, without having it done.",
    "requests_per_second": "Rate limit in place of the setting's; 0: none. Empty: the setting's.",
    "request_burst": "Requests at once in place of the setting's. Empty: the setting's.",
    "deprovision": "What a DELETE of a user does: delete it, disable and hide it, or be refused.",
    "guard_limit": "Users that may be deactivated or deleted within the window; 0: no guard. "
    f"Empty: {GUARD_LIMIT}, and only where the tenant has {GUARDED_SIZE} users or more.",
    "guard_share": "Share of the tenant's users that may be in any case; 0: the number alone counts.",
    "guard_window_s": "The window in which they are counted, in seconds.",
    "protected_users": "Users that are only read: id:…, userName:pattern, custom:key=value; one a line.",
    "protected_groups": "Groups that are only read: id:…, displayName:pattern; one a line.",
    "audit_values": "The audit trail masks personal data (none), or keeps them (personal). Secrets never.",
    "group_scope": "Groups that may be changed: own, id:…, displayName:pattern; one a line. Empty: all.",
}
UNSET: Mapping[str, str] = {
    "requests_per_second": "not set: the setting's",
    "request_burst": "not set: the setting's",
    "guard_limit": f"not set: {GUARD_LIMIT} from {GUARDED_SIZE} users on",
}
"""What holds where a policy is empty."""
_LEAST = {"request_burst": 1}


class PolicyField(msgspec.Struct, frozen=True, kw_only=True):
    """One policy: how it is asked for."""

    name: str
    label: str
    meaning: str
    kind: Literal["switch", "choice", "number", "lines", "fixed"]
    """`fixed`: of a form that no field here can hold; it is shown and stays as it is."""
    options: tuple[str, ...] = ()
    whole: bool = False
    """A number without fraction."""
    may_be_empty: bool = False
    """A number that need not be given."""
    unset: str = ""
    """What holds then."""


def _field(name: str, hint: Any) -> PolicyField:
    options: tuple[str, ...] = ()
    kind: Literal["switch", "choice", "number", "lines", "fixed"] = "fixed"
    kinds = set(get_args(hint)) if get_origin(hint) in (Union, UnionType) else {hint}
    if hint is bool:
        kind = "switch"
    elif get_origin(hint) is Literal:
        kind, options = "choice", get_args(hint)
    elif kinds - {type(None)} in ({int}, {float}):
        kind = "number"
    elif get_origin(hint) is tuple:
        kind = "lines"
    return PolicyField(
        name=name,
        label=name.replace("_", " ").capitalize(),
        meaning=MEANINGS.get(name, ""),
        kind=kind,
        options=options,
        whole=int in kinds,
        may_be_empty=type(None) in kinds,
        unset=UNSET.get(name, ""),
    )


_HINTS = get_type_hints(Policies)
FIELDS: Sequence[PolicyField] = [_field(name, _HINTS[name]) for name in Policies.__struct_fields__]


def read_policies(form: Form, present: Policies) -> Policies:
    """The policies that a form says; raises `Unusable`."""
    values: dict[str, Any] = {}
    for field in FIELDS:
        match field.kind:
            case "switch":
                values[field.name] = form.checked(field.name)
            case "choice":
                values[field.name] = _choice(field, form.text(field.name))
            case "number":
                values[field.name] = _number(field, form.text(field.name))
            case "lines":
                values[field.name] = _lines(form.text(field.name))
            case "fixed":
                values[field.name] = getattr(present, field.name)
    try:
        return msgspec.convert(values, Policies)
    except msgspec.ValidationError as exc:
        raise Unusable(f"The policies cannot be used: {exc}.") from exc


def encoded(policies: Policies) -> str:
    """As a hidden field."""
    return msgspec.json.encode(policies).decode()


def decoded(text: str) -> Policies:
    """From a hidden field; raises `Unusable`."""
    try:
        policies = msgspec.json.decode(text, type=Policies)
    except msgspec.DecodeError as exc:
        raise Unusable("The policies cannot be read.") from exc
    for field in FIELDS:
        value = getattr(policies, field.name)
        if field.kind == "number" and value is not None:
            _bounded(field, value)
    return policies


def _choice(field: PolicyField, text: str) -> str:
    if text not in field.options:
        raise Unusable(f"{field.label}: one of {', '.join(field.options)}.")
    return text


def _number(field: PolicyField, text: str) -> float | int | None:
    if not text and field.may_be_empty:
        return None
    try:
        value = int(text) if field.whole else float(text)
    except ValueError as exc:
        raise Unusable(f"{field.label}: a {'whole ' if field.whole else ''}number is needed.") from exc
    return _bounded(field, value)


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in text.splitlines() if line.strip())


def _bounded(field: PolicyField, value: float | int) -> float | int:
    least = _LEAST.get(field.name, 0)
    if not math.isfinite(value) or not least <= value <= 1_000_000:
        raise Unusable(f"{field.label}: from {least} to 1000000.")
    return value
