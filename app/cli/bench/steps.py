"""What a client sends next, given the answers so far, and what it finds wrong on the way.

A function here is the work on one user or group: it yields requests and is sent their answers. What an answer
should hold and does not is noted in `Findings`; a refused request ends the work where it cannot go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

import msgspec

from app.cli.bench.forms import Forms, delete, gone, place, read
from app.cli.bench.messages import Answer, Refused, Request, Steps
from app.cli.bench.population import Change, Group, User, read_user
from app.scim.schema import Resource

Entity: TypeAlias = User | Group

_LISTED = 100


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """Something that is not as it was written."""

    name: str
    """userName or displayName."""
    seen_in: str
    """The kind of request whose answer shows it."""
    attribute: str
    written: str
    found: str


class Findings:
    """What is wrong, and which ids are those of the run's own resources."""

    def __init__(self) -> None:
        self.differences: list[Difference] = []
        """The first hundred."""
        self.differences_in_all = 0
        self.own: dict[str, Entity] = {}
        """What the run has made and not yet deleted, by path. Nothing else may be written to."""

    def note(self, entity: Entity, seen_in: str, attribute: str, written: object, found: object) -> None:
        """One difference."""
        self.differences_in_all += 1
        if len(self.differences) < _LISTED:
            self.differences.append(
                Difference(
                    name=entity.name,
                    seen_in=seen_in,
                    attribute=attribute,
                    written=_told(written),
                    found=_told(found),
                )
            )

    def adopt(self, entity: Entity, resource: Resource, seen_in: str) -> bool:
        """Take the id of a resource that bears the entity's name, and of no other."""
        if not _bears_name(entity, resource):
            self.note(entity, seen_in, _name_of(entity), entity.name, resource.get(_name_of(entity)))
            return False
        id = resource.get("id")
        if not isinstance(id, str) or id in ("", ".", ".."):
            self.note(entity, seen_in, "id", "an id", id)
            return False
        entity.id = id
        other = self.own.setdefault(place(entity), entity)
        if other is not entity:
            entity.id = None
            self.note(entity, seen_in, "id", "an id of its own", f"that of {other.name}")
            return False
        return True

    def guard(self, request: Request) -> None:
        """Refuse a write to anything that the run has not made: that would be an error of this program."""
        if request.method in ("PUT", "PATCH", "DELETE") and request.path not in self.own:
            raise RuntimeError(f"{request.method} {request.path} is not of this run")


def sync_user(forms: Forms, findings: Findings, user: User, change: Change | None = None) -> Steps:
    """Match a user, create it where it is missing, else change it if there is a change; read back."""
    made = user.id is not None
    yield from _match(forms, findings, user)
    if user.id is None:
        yield from _create(forms, findings, user)
    elif change is not None and made:
        yield from _change(forms, findings, user, change)
    elif made and not user.in_doubt:
        return
    if user.id is not None:
        answer = yield read("read back", user)
        check_user(findings, user, answer.body, "read back")


def sync_group(forms: Forms, findings: Findings, group: Group, *, changing: bool = True) -> Steps:
    """Match a group, create it where it is missing, push its members if they change; read back."""
    made = group.id is not None
    yield from _match(forms, findings, group)
    if group.id is None:
        yield from _create(forms, findings, group)
    if group.id is None or (made and not changing and group.known is not None):
        return
    if group.known is None:
        answer = yield read("read group", group)
        group.known = set(_members(answer.body))
    wanted = {user.id: user for user in group.wanted if user.id is not None}
    leaving = sorted(group.known - set(wanted))
    joining = [user for id, user in wanted.items() if id not in group.known]
    for request in [*forms.push(group), *forms.members(group, leaving, joining)]:
        known, group.known = group.known, None
        answer = yield request
        group.known = known
    group.known = set(wanted)
    answer = yield read("read back", group)
    _check_group(findings, group, answer.body)


def remove(forms: Forms, findings: Findings, entity: Entity) -> Steps:
    """Delete what was made; what may have been made without an answer is looked for by its name first."""
    if entity.id is None:
        answer = yield forms.match(entity)
        found = [r for r in _resources(answer) if _bears_name(entity, r)]
        if not found:
            entity.tried = False
            return
        if not findings.adopt(entity, found[0], f"match {_type_of(entity)}"):
            return
    yield delete(entity)
    yield gone(entity)
    findings.own.pop(place(entity), None)
    entity.id, entity.tried = None, False


def check_user(findings: Findings, user: User, resource: Resource, seen_in: str) -> None:
    """Compare a user with what is known of it; what was in doubt is known afterwards."""
    if resource.get("id") != user.id:
        findings.note(user, seen_in, "id", user.id, resource.get("id"))
    for attribute, found in read_user(resource).items():
        if attribute not in user.known:
            if isinstance(found, str | bool):
                user.known[attribute] = found
        elif found != user.known[attribute]:
            findings.note(user, seen_in, attribute, user.known[attribute], found)


def _match(forms: Forms, findings: Findings, entity: Entity) -> Steps:
    """Look by name: nothing may be found before it is made, and exactly it afterwards."""
    answer = yield forms.match(entity)
    kind, found = f"match {_type_of(entity)}", _resources(answer)
    if entity.id is None and not entity.tried:
        expected = 0
    elif entity.id is None and len(found) == 1:
        # An answer to POST was lost, or was an error: the server has made it all the same.
        if findings.adopt(entity, found[0], kind):
            _doubt(entity)
        return
    elif entity.id is None:
        expected = 0
    else:
        expected = 1
    total = answer.body.get("totalResults")
    if total != expected or len(found) != expected:
        findings.note(entity, kind, "totalResults", expected, f"{total}, {len(found)} of them here")
        return
    for resource in found:
        if resource.get("id") != entity.id:
            findings.note(entity, kind, "id", entity.id, resource.get("id"))
        elif not _bears_name(entity, resource):
            findings.note(entity, kind, _name_of(entity), entity.name, resource.get(_name_of(entity)))
        elif isinstance(entity, User):
            active = entity.known.get("active", resource.get("active"))
            if resource.get("active") != active:
                findings.note(entity, kind, "active", active, resource.get("active"))


def _create(forms: Forms, findings: Findings, entity: Entity) -> Steps:
    entity.tried = True
    try:
        answer = yield forms.create(entity)
    except Refused as exc:
        entity.tried = not _certainly_nothing(exc) or exc.status == 409  # of an earlier try, perhaps
        raise
    kind = f"create {_type_of(entity)}"
    if not findings.adopt(entity, answer.body, kind):
        return
    if isinstance(entity, User):
        check_user(findings, entity, answer.body, kind)
    else:
        entity.known = set()


def _change(forms: Forms, findings: Findings, user: User, change: Change) -> Steps:
    shown: Resource = {}
    if forms.reads_first(change):
        answer = yield read("read user", user)
        shown = answer.body
        check_user(findings, user, shown, "read user")
    before = dict(user.known)
    for attribute in change.values:
        user.known.pop(attribute, None)
    try:
        answer = yield forms.change(user, change, shown)
    except Refused as exc:
        if _certainly_nothing(exc):
            user.known = before
        raise
    user.known.update(change.values)
    if answer.body:
        check_user(findings, user, answer.body, change.kind)


def _check_group(findings: Findings, group: Group, resource: Resource) -> None:
    if resource.get("id") != group.id:
        findings.note(group, "read back", "id", group.id, resource.get("id"))
    if resource.get("displayName") != group.name:
        findings.note(group, "read back", "displayName", group.name, resource.get("displayName"))
    members, known = _members(resource), group.known or set()
    if len(members) != len(set(members)):
        findings.note(group, "read back", "members", "each once", f"{len(members) - len(set(members))} twice")
    missing, further = known - set(members), set(members) - known
    if missing or further:
        found = f"{len(members)}: {len(missing)} missing, {len(further)} not wanted"
        findings.note(group, "read back", "members", len(known), found)
        group.known = set(members)


def _certainly_nothing(refusal: Refused) -> bool:
    """Whether the write was not done; after a 5xx, or without an answer, nobody knows."""
    return refusal.status is not None and 400 <= refusal.status < 500


def _doubt(entity: Entity) -> None:
    """Forget what a server may or may not have stored; the next read tells."""
    if isinstance(entity, User):
        entity.known = {"userName": entity.name}
    else:
        entity.known = None


def _resources(answer: Answer) -> list[Resource]:
    found = answer.body.get("Resources")
    return [r for r in found if isinstance(r, dict)] if isinstance(found, list) else []


def _members(resource: Resource) -> list[str]:
    members = resource.get("members")
    found = [m.get("value") for m in members if isinstance(m, dict)] if isinstance(members, list) else []
    return [value for value in found if isinstance(value, str)]


def _bears_name(entity: Entity, resource: Mapping[str, object]) -> bool:
    """RFC 7643 §4.1.1, §8.7.1: userName and displayName are compared without case."""
    found = resource.get(_name_of(entity))
    return isinstance(found, str) and found.casefold() == entity.name.casefold()


def _name_of(entity: Entity) -> str:
    return "userName" if isinstance(entity, User) else "displayName"


def _type_of(entity: Entity) -> str:
    return "user" if isinstance(entity, User) else "group"


def _told(value: object) -> str:
    if value is None:
        return "nothing"
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)[:200]
