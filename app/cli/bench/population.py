"""The users and groups that a run makes, what is known of them, and who changes in which cycle.

Names carry the run's prefix; nothing that lacks it is ever changed or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeAlias

import msgspec

from app.scim.schema import Resource

Value: TypeAlias = str | bool

WORK_EMAIL = 'emails[type eq "work"].value'
ATTRIBUTES = (
    "userName",
    "externalId",
    "displayName",
    "name.givenName",
    "name.familyName",
    WORK_EMAIL,
    "active",
)
"""What is written of a user and compared."""

_GIVEN = ("Ada", "Grace", "Alan", "Edsger", "Barbara", "Donald", "Frances", "Tony", "Radia", "Niklaus")
_CHANGED_SHARE = 10
"""One in ten users and groups changes in a cycle."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How much is played."""

    prefix: str
    """What every name begins with, its random part included."""
    users: int
    groups: int = 0
    members: int = 0
    """Of each group."""
    cycles: int = 0


class User(msgspec.Struct, kw_only=True):
    """A user of the run."""

    number: int
    name: str
    """userName."""
    known: dict[str, Value]
    """What it holds as far as is known, by attribute; one whose write failed is missing until it is read."""
    id: str | None = None
    tried: bool = False
    """Whether a POST was sent, so that the user may exist although no id is known."""

    @property
    def in_doubt(self) -> bool:
        """Whether a write has failed in a way that leaves open what the user holds now."""
        return len(self.known) < len(ATTRIBUTES)

    @property
    def path(self) -> str:
        """`/Users`, where the resources of this type are."""
        return "/Users"


class Group(msgspec.Struct, kw_only=True):
    """A group of the run."""

    number: int
    name: str
    """displayName."""
    external_id: str
    wanted: list[User]
    """Who is to be a member, in the order of joining."""
    known: set[str] | None = None
    """The members' ids as far as is known; None where a write failed, until it is read."""
    id: str | None = None
    tried: bool = False

    @property
    def path(self) -> str:
        """`/Groups`, where the resources of this type are."""
        return "/Groups"


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What happens to one user in a cycle."""

    kind: str
    values: Mapping[str, Value]
    """New values by attribute, spelled as in `User.known`."""


def population(plan: Plan) -> tuple[list[User], list[Group]]:
    """Everybody that a run makes; members are spread over the groups in turn."""
    users = [_user(plan.prefix, number) for number in range(plan.users)]
    groups = [
        Group(
            number=number,
            name=f"{plan.prefix}-group-{number:05d}",
            external_id=f"{plan.prefix}-g{number:05d}",
            wanted=[users[(number * plan.members + i) % plan.users] for i in range(plan.members)],
        )
        for number in range(plan.groups)
    ]
    return users, groups


def changes_of(users: Sequence[User], cycle: int) -> dict[int, Change]:
    """Who changes in a cycle (counted from 1), by number.

    A tenth of the users, but three at least where there are as many: in turn one is renamed, one gets another
    e-mail address, one leaves. Who was inactive before comes back.
    """
    found = {
        user.number: Change(kind="reactivate", values={"active": True})
        for user in users
        if user.known.get("active") is False
    }
    share = max(min(3, len(users)), len(users) // _CHANGED_SHARE)
    for turn in range(share):
        user = users[((cycle - 1) * share + turn) % len(users)]
        found.setdefault(user.number, _change(user, cycle, turn % 3))
    return found


def rotate(groups: Sequence[Group], users: Sequence[User], cycle: int) -> list[Group]:
    """The groups whose members change in a cycle, with their new `wanted`.

    A tenth of the groups, but one at least; of each, the tenth that joined first leaves and as many join.
    """
    share = max(min(1, len(groups)), len(groups) // _CHANGED_SHARE)
    changing = [groups[((cycle - 1) * share + turn) % len(groups)] for turn in range(share)]
    for group in changing:
        size = len(group.wanted)
        leaving = -(-size // _CHANGED_SHARE)
        inside = {user.number for user in group.wanted}
        begin = group.wanted[-1].number + 1 if group.wanted else 0
        ring = (users[(begin + i) % len(users)] for i in range(len(users)))
        joining = [user for user in ring if user.number not in inside][:leaving]
        group.wanted = [*group.wanted[leaving:], *joining]
    return changing


def read_user(resource: Resource) -> dict[str, Value | None]:
    """A resource's values, by attribute as in `User.known`; None where there is none."""
    name = resource.get("name")
    name = name if isinstance(name, dict) else {}
    emails = resource.get("emails")
    work = [e for e in emails if isinstance(e, dict)] if isinstance(emails, list) else []
    work = [e for e in work if e.get("type") == "work"]
    found = (
        resource.get("userName"),
        resource.get("externalId"),
        resource.get("displayName"),
        name.get("givenName"),
        name.get("familyName"),
        work[0].get("value") if work else None,
        resource.get("active"),
    )
    return dict(zip(ATTRIBUTES, found, strict=True))


def _user(prefix: str, number: int) -> User:
    name = f"{prefix}-{number:06d}@example.com"
    given, family = _GIVEN[number % len(_GIVEN)], f"Sample{number}"
    return User(
        number=number,
        name=name,
        known=dict(
            zip(
                ATTRIBUTES,
                (name, f"{prefix}-u{number:06d}", f"{given} {family}", given, family, name, True),
                strict=True,
            )
        ),
    )


def _change(user: User, cycle: int, turn: int) -> Change:
    given, family = _GIVEN[user.number % len(_GIVEN)], f"Sample{user.number}-{cycle}"
    if turn == 0:
        return Change(kind="rename", values={"name.familyName": family, "displayName": f"{given} {family}"})
    if turn == 1:
        return Change(kind="change e-mail", values={WORK_EMAIL: f"c{cycle}.{user.name}"})
    return Change(kind="deactivate", values={"active": False})
