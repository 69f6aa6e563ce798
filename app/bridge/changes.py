"""What a write makes of a user, as resources: the one before, and the one to be."""

from __future__ import annotations

from collections.abc import Sequence

from app.bridge.context import Context
from app.mapping.deleted import DELETED
from app.scim.patch import Operation, apply_patch
from app.scim.replace import completed
from app.scim.schema import PLATFORM_USER, Resource

_KEPT_BY_PUT = ("emails", "locale", "timezone")
"""What a PUT without them leaves alone (RFC 7644 §3.5.1 lets the server decide)."""

_NOT_WRITTEN = frozenset({"active"})
"""What a resource to be does not hold unless it is written."""
_NEVER_WRITTEN = frozenset({"schemas", "id", "meta", "groups", DELETED})


def replaced(context: Context, before: Resource, wanted: Resource) -> Resource:
    """The user after a PUT of `wanted`; `active` and the status are there only if the client wrote them.

    Raises `Mutability` where an immutable value is to become another.
    """
    after = {name: before[name] for name in _KEPT_BY_PUT if name in before}
    after |= completed(before, wanted, context.mapping.model)
    after[PLATFORM_USER] = _without_status(before) | wanted.get(PLATFORM_USER, {})
    return after


def revived(before: Resource, wanted: Resource) -> Resource:
    """A user that SCIM had deleted, after a POST of `wanted`: as created, but for what a PUT cannot undo."""
    after = {name: before[name] for name in ("locale", "timezone") if name in before} | wanted
    after[PLATFORM_USER] = _without_status(before) | wanted.get(PLATFORM_USER, {})
    # What is created is active unless the client says otherwise.
    return after if "status" in after[PLATFORM_USER] else {"active": True, **after}


def patched(context: Context, before: Resource, operations: Sequence[Operation]) -> Resource:
    """The user after a PATCH; raises `ScimError` where an operation cannot be applied."""
    # `active` and the status are taken out first: what stands there afterwards, the client wrote.
    start = {k: v for k, v in before.items() if k != "active"}
    start[PLATFORM_USER] = _without_status(before)
    return apply_patch(start, operations, context.mapping.model, context.dialect)


def _without_status(resource: Resource) -> Resource:
    return {k: v for k, v in resource.get(PLATFORM_USER, {}).items() if k != "status"}


def changed_names(before: Resource, after: Resource) -> list[str]:
    """Names of the attributes that a write changes, those of extensions with their URN.

    `after` is what `replaced` or `patched` makes: `active` and the status are there only if the client wrote
    them.
    """
    before = {name: before[name] for name in before if name in after or name not in _NOT_WRITTEN}
    if "status" not in after.get(PLATFORM_USER, {}):
        before[PLATFORM_USER] = _without_status(before)
    found: list[str] = []
    for name in sorted(before.keys() | after.keys()):
        old, new = before.get(name), after.get(name)
        if old == new or name in _NEVER_WRITTEN:
            continue
        if ":" in name:
            old, new = old or {}, new or {}
            found += [f"{name}:{k}" for k in sorted(old.keys() | new.keys()) if old.get(k) != new.get(k)]
        else:
            found.append(name)
    return found
