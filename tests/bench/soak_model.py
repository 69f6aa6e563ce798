"""What the soak's clients know: every acknowledged write, and what those without an answer may have done.

A set of several values holds all that may be there: a write that was never acknowledged adds its value, one
that was acknowledged leaves only its own.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Person:
    """A user."""

    names: set[str]
    titles: set[str]
    active: set[bool]
    id: str = ""
    """Empty while it is not known."""
    there: set[bool] = field(default_factory=lambda: {True})
    busy: bool = False
    """Whether an operation is under way: there is one at a time, so that their order is known."""

    def differs(self, resource: Mapping[str, Any]) -> list[str]:
        """What of a user that was read is not as it was acknowledged."""
        found = {
            "userName": (resource.get("userName"), self.names),
            "title": (resource.get("title"), self.titles),
            "active": (resource.get("active"), self.active),
        }
        return [
            f"{name} is {value!r}, acknowledged was {' or '.join(map(repr, may))}"
            for name, (value, may) in found.items()
            if value not in may
        ]


@dataclass(eq=False)
class Team:
    """A group."""

    name: str
    id: str = ""
    members: dict[str, set[bool]] = field(default_factory=dict)
    """By user id whether it is one; who is not here is none."""
    busy: bool = False

    def differs(self, resource: Mapping[str, Any]) -> list[str]:
        """What of a group that was read is not as it was acknowledged."""
        found = (
            []
            if resource.get("displayName") == self.name
            else [f"it is called {resource.get('displayName')!r}"]
        )
        present = {member["value"] for member in resource.get("members", ())}
        for user_id in present | self.members.keys():
            if (user_id in present) not in self.members.get(user_id, {False}):
                found.append(f"{user_id} is {'' if user_id in present else 'not '}a member")
        return found


class Model:
    """All users and groups of a run."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self.people: list[Person] = []
        """Those who are there for certain."""
        self.doubtful: list[Person] = []
        """Those whose creation or deletion was never acknowledged; they are left alone."""
        self.gone: set[str] = set()
        """Ids of those whose deletion was acknowledged."""
        self.teams: list[Team] = []

    def idle_person(self) -> Person | None:
        """Somebody with whom nothing is under way, None where there is hardly anybody."""
        return self._idle(self.people)

    def idle_team(self) -> Team | None:
        """A group with which nothing is under way."""
        return self._idle(self.teams)

    def _idle(self, among: list[Any]) -> Any:
        for _ in range(20):
            if among and not (found := self._chance.choice(among)).busy:
                return found
        return None

    def deleted(self, person: Person, *, certain: bool) -> None:
        """A deletion was acknowledged, or may have been done."""
        self.people.remove(person)
        for team in self.teams:
            if person.id in team.members:
                team.members[person.id] = {False} if certain else team.members[person.id] | {False}
        if certain:
            self.gone.add(person.id)
        else:
            person.there = {True, False}
            self.doubtful.append(person)

    def compare(self, users: Mapping[str, Any], teams: Mapping[str, Any]) -> list[str]:
        """What is lost or should not be there; users and groups as they are now, by id."""
        wrong = []
        for person in self.people:
            found = users.get(person.id)
            said = ["it is not there"] if found is None else person.differs(found)
            wrong += [f"user {person.id}: {text}" for text in said]
        for person in self.doubtful:
            same = users.get(person.id) or next(
                (u for u in users.values() if u["userName"] in person.names), None
            )
            wrong += [f"user {same['id']}: {text}" for text in (person.differs(same) if same else ())]
        wrong += [
            f"user {user_id}: it was deleted and is there" for user_id in sorted(self.gone & users.keys())
        ]
        known = {person.id for person in (*self.people, *self.doubtful)}
        names = {name for person in self.doubtful for name in person.names}
        for user_id in users.keys() - known - self.gone:
            if users[user_id]["userName"] not in names:
                wrong.append(f"user {user_id}: nobody has made {users[user_id]['userName']}")
        for team in self.teams:
            found = teams.get(team.id)
            said = ["it is not there"] if found is None else team.differs(found)
            wrong += [f"group {team.id}: {text}" for text in said]
        wrong += [
            f"group {team_id}: nobody has made it" for team_id in teams.keys() - {t.id for t in self.teams}
        ]
        return wrong
