"""Changes of a group as deltas (RFC 7644 §3.5): never a rewritten list, so that no member can get lost.

A PATCH is split in two: what concerns `members` becomes steps, which need no knowledge of who is a member;
the rest is applied to the small remainder of the resource.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

import msgspec

from app.scim.dialect import Dialect, Tolerance
from app.scim.errors import InvalidValue, Mutability, NoTarget
from app.scim.evaluate import element_predicate
from app.scim.expression import Compare, Filter, Or
from app.scim.patch import Operation
from app.scim.path import parse_patch_path
from app.scim.schema import Attribute, Resource, ResourceModel
from app.scim.values import read_value

_MEMBERS = "members"


class MemberRef(msgspec.Struct, frozen=True, kw_only=True):
    """A member as a client names it."""

    value: str
    """The member's id."""
    type: str | None = None
    """`User`, `Group`, or None where the client does not say."""


class Add(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """These shall be members; those who are already stay so."""

    members: tuple[MemberRef, ...]


class Remove(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """These shall not be members; those who are not stay so."""

    ids: tuple[str, ...]


class Only(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """These and no others shall be members."""

    members: tuple[MemberRef, ...]


class RemoveWhere(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The members that a filter selects shall go; the one step that needs the list."""

    filter: Filter
    """Bound to the sub-attributes of `members`."""


Step: TypeAlias = Add | Remove | Only | RemoveWhere


class Delta(msgspec.Struct, frozen=True, kw_only=True):
    """Steps added up."""

    add: tuple[MemberRef, ...] = ()
    remove: tuple[str, ...] = ()
    only: tuple[MemberRef, ...] | None = None
    """The whole membership to be; `add` and `remove` are empty then."""

    def __bool__(self) -> bool:
        return bool(self.add or self.remove or self.only is not None)


def add_up(steps: Iterable[Add | Remove | Only]) -> Delta:
    """The one delta that does what the steps do in their order."""
    added: dict[str, MemberRef] = {}
    removed: dict[str, None] = {}
    whole = False
    for step in steps:
        match step:
            case Add():
                for member in step.members:
                    added[member.value] = member
                    removed.pop(member.value, None)
            case Remove():
                for member_id in step.ids:
                    added.pop(member_id, None)
                    removed[member_id] = None
            case Only():
                whole = True
                added = {m.value: m for m in step.members}
                removed = {}
    if whole:
        return Delta(only=tuple(added.values()))
    return Delta(add=tuple(added.values()), remove=tuple(removed))


def needs_members(steps: Iterable[Step]) -> bool:
    """Whether only the present members tell what the steps do."""
    return any(isinstance(s, RemoveWhere) for s in steps)


def resolved(
    steps: Iterable[Step], members: Iterable[Resource], model: ResourceModel, dialect: Dialect
) -> list[Add | Remove | Only]:
    """The steps with every filter on members replaced by the ids that it selects at its turn.

    `NoTarget` where one selects nobody and the dialect does not let that pass (RFC 7644 §3.5.2.2).
    """
    present: dict[str, Resource] = {m["value"]: m for m in members}
    found: list[Add | Remove | Only] = []
    for step in steps:
        match step:
            case RemoveWhere():
                selects = element_predicate(step.filter, _attribute(model))
                step = Remove(ids=tuple(i for i, m in present.items() if selects(m)))
                if not step.ids and not dialect.allows(Tolerance.UNMATCHED_REMOVE_SUCCEEDS):
                    raise NoTarget("the filter on members selects nobody to remove")
                present = {i: m for i, m in present.items() if i not in step.ids}
            case Add():
                present = {m.value: {"value": m.value} for m in step.members} | present
            case Only():
                present = {m.value: present.get(m.value, {"value": m.value}) for m in step.members}
            case Remove():
                present = {i: m for i, m in present.items() if i not in step.ids}
        found.append(step)
    return found


def split_patch(
    operations: Iterable[Operation], model: ResourceModel, dialect: Dialect
) -> tuple[tuple[Step, ...], tuple[Operation, ...]]:
    """The steps on `members`, and the operations on everything else, each in their order.

    Raises the 400s of RFC 7644 §3.12 for member operations that cannot be read.
    """
    steps: list[Step] = []
    others: list[Operation] = []
    for operation in operations:
        if operation.path is None:
            found, rest = _from_object(operation, model, dialect)
            steps.extend(found)
            others.extend(rest)
        elif _names_members(operation.path, model):
            steps.append(_from_path(operation, model, dialect))
        else:
            others.append(operation)
    return tuple(steps), tuple(others)


def members_of(value: object, model: ResourceModel, dialect: Dialect) -> tuple[MemberRef, ...]:
    """The members that a value names, each once; in every form that the dialect allows.

    UNSET, null and [] name nobody. A list with elements of which none is a member was meant otherwise:
    `InvalidValue`, so that it never empties a group.
    """
    if value is msgspec.UNSET:
        return ()
    elements = read_value(value, _attribute(model), dialect, path=_MEMBERS) or []
    if value and not elements:
        raise InvalidValue("members: none of the elements names a member by its value")
    found: dict[str, MemberRef] = {}
    for element in elements:
        member_id = element.get("value")
        if not isinstance(member_id, str):
            raise InvalidValue("members: every member needs a value, the member's id")
        found[member_id] = MemberRef(value=member_id, type=_type(element.get("type")))
    return tuple(found.values())


def _type(text: Any) -> str | None:
    """`User` and `Group` in any case; anything else says nothing."""
    return {"user": "User", "group": "Group"}.get(str(text).lower())


def _attribute(model: ResourceModel) -> Attribute:
    attribute = model.attribute(_MEMBERS)
    if attribute is None:
        raise LookupError(_MEMBERS)
    return attribute


def _names_members(path: str, model: ResourceModel) -> bool:
    _, rest = model.split_urn(path) or ("", path)
    return rest.lower().startswith(_MEMBERS) and rest[len(_MEMBERS) : len(_MEMBERS) + 1] in (
        "",
        "[",
        ".",
        " ",
    )


def _from_object(
    operation: Operation, model: ResourceModel, dialect: Dialect
) -> tuple[list[Step], list[Operation]]:
    """A path-less operation: `members` in its object becomes a step, the rest stays an operation."""
    value = operation.value
    if not isinstance(value, dict):
        return [], [operation]
    flat = dialect.allows(Tolerance.FLAT_KEYS)
    own = [key for key in value if _names_members(key, model) and (flat or key.lower().endswith(_MEMBERS))]
    rest = {key: v for key, v in value.items() if key not in own}
    steps = [
        _from_path(Operation(op=operation.op, path=key, value=value[key]), model, dialect) for key in own
    ]
    return steps, [msgspec.structs.replace(operation, value=rest)] if rest or not own else []


def _from_path(operation: Operation, model: ResourceModel, dialect: Dialect) -> Step:
    path = parse_patch_path(
        operation.path or "", model, boolean_words=dialect.allows(Tolerance.BOOLEAN_WORDS)
    )
    if path.ref is not None and path.ref.sub is not None and path.ref.sub.name != "value":
        raise Mutability(f"{operation.path}: the parts of a member are immutable (RFC 7643 §4.2)")
    if operation.op == "remove":
        return _removal(operation, path.filter, model, dialect)
    if path.filter is not None:
        raise Mutability(f"{operation.path}: members are added and removed, not changed in place")
    named = members_of(operation.value, model, dialect)
    return Add(members=named) if operation.op == "add" else Only(members=named)


def _removal(operation: Operation, selected: Filter | None, model: ResourceModel, dialect: Dialect) -> Step:
    if selected is not None:
        # Only a read tells whether a filter selects nobody, which without the tolerance is an error.
        ids = _selected_ids(selected) if dialect.allows(Tolerance.UNMATCHED_REMOVE_SUCCEEDS) else None
        return RemoveWhere(filter=selected) if ids is None else Remove(ids=ids)
    if operation.value is msgspec.UNSET or operation.value is None:
        return Only(members=())
    if not dialect.allows(Tolerance.REMOVE_WITH_VALUE_ARRAY):
        raise InvalidValue('remove takes no value: name members by a filter, members[value eq "id"]')
    named = read_value(operation.value, _attribute(model), dialect, path=_MEMBERS) or []
    return Remove(ids=tuple(e["value"] for e in named if isinstance(e.get("value"), str)))


def _selected_ids(selected: Filter) -> tuple[str, ...] | None:
    """The ids that `value eq "a" or value eq "b"` names; None for any other filter."""
    ids: list[str] = []
    for term in selected.terms if isinstance(selected, Or) else (selected,):
        if not (isinstance(term, Compare) and term.op == "eq" and term.path.name == "value"):
            return None
        if not isinstance(term.value, str):
            return None
        ids.append(term.value)
    return tuple(dict.fromkeys(ids))
