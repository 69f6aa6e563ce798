"""The operations of the soak: what a client does with one user or group, and what the model makes of it."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any
from urllib.parse import quote

from soak_client import Client, Said
from soak_model import Model, Person, Team

_USER = "urn:ietf:params:scim:schemas:core:2.0:User"
_GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
_PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

MIX: dict[str, int] = {
    "read": 24,
    "filter": 20,
    "list": 4,
    "read group": 6,
    "create": 8,
    "patch": 12,
    "rename": 6,
    "activate": 6,
    "add": 6,
    "remove": 4,
    "delete": 4,
}
"""How often each operation comes. Users are created or deleted as it takes to keep their number."""


class Load:
    """Carries out operations one at a time for each user and group."""

    def __init__(self, client: Client, model: Model, chance: random.Random, users: int) -> None:
        self._client = client
        self._model = model
        self._chance = chance
        self._users = users
        self._numbers = count(1)
        self.wrong: list[str] = []
        """Answers that contradict what was acknowledged before."""
        self._with_person: dict[str, Callable[[Person], Awaitable[None]]] = {
            "read": self._read,
            "filter": self._filter,
            "patch": self._patch,
            "rename": self._rename,
            "activate": self._activate,
            "delete": self._delete,
        }

    def over(self, client: Client) -> None:
        """From now on by another client, whose figures begin anew."""
        self._client = client

    async def one(self) -> None:
        """One operation, as chance will have it."""
        kind = self._chance.choices(list(MIX), list(MIX.values()))[0]
        if kind in ("create", "delete"):
            kind = "create" if self._chance.random() * 2 * self._users > len(self._model.people) else "delete"
        if kind == "create":
            await self.create()
        elif kind == "list":
            await self._list()
        elif kind in self._with_person:
            person = self._model.idle_person()
            if person is not None:
                await self._held((person,), self._with_person[kind](person))
        else:
            team, person = self._model.idle_team(), self._model.idle_person()
            if team is not None and person is not None:
                taken = (team,) if kind == "read group" else (team, person)
                does = {"read group": self._read_team, "add": self._add, "remove": self._remove}[kind]
                await self._held(taken, does(team, person))

    async def create(self) -> None:
        """A new user; one whose first creation was done without an answer is found and made right."""
        number = next(self._numbers)
        name = f"soak{number}@example.com"
        person = Person(names={name}, titles={f"T{number}"}, active={True}, busy=True)
        body = {"schemas": [_USER], "userName": name, "title": f"T{number}", "active": True}
        said = await self._client.ask("create", "POST", "/Users", body)
        if said.status == 409 and said.again:
            found = await self._client.ask("filter", "GET", _by_name(name))
            if found.acknowledged and found.body["Resources"]:
                person.id = found.body["Resources"][0]["id"]
                said = await self._client.ask("replace", "PUT", f"/Users/{person.id}", body)
            else:
                said = said._replace(status=0 if found.doubtful else 409)
        person.busy = False
        if said.acknowledged:
            person.id = said.body["id"]
            self._model.people.append(person)
        else:
            self._refused("create", name, said)
            person.there = {True, False}
            self._model.doubtful.append(person)

    async def create_team(self, name: str) -> None:
        """A new group, looked for in the same way."""
        said = await self._client.ask(
            "create group", "POST", "/Groups", {"schemas": [_GROUP], "displayName": name}
        )
        team_id = said.body["id"] if said.acknowledged else ""
        if said.status == 409 and said.again:
            query = quote(f'displayName eq "{name}"')
            found = await self._client.ask(
                "filter groups", "GET", f"/Groups?filter={query}&excludedAttributes=members"
            )
            team_id = found.body["Resources"][0]["id"]
        if not team_id:
            raise RuntimeError(f"no group could be made: {said}")
        self._model.teams.append(Team(name=name, id=team_id))

    async def _held(self, taken: tuple[Person | Team, ...], does: Awaitable[None]) -> None:
        for each in taken:
            each.busy = True
        try:
            await does
        finally:
            for each in taken:
                each.busy = False

    # --- reads ----------------------------------------------------------------------------------------------

    async def _read(self, person: Person) -> None:
        said = await self._client.ask("read", "GET", f"/Users/{person.id}")
        if said.acknowledged:
            self.wrong += [f"read of {person.id}: {text}" for text in person.differs(said.body)]
        else:
            self._refused("read", person.id, said)

    async def _filter(self, person: Person) -> None:
        name = self._chance.choice(sorted(person.names))
        said = await self._client.ask("filter", "GET", _by_name(name))
        if not said.acknowledged:
            self._refused("filter", person.id, said)
        elif len(person.names) == 1 and [u["id"] for u in said.body["Resources"]] != [person.id]:
            self.wrong.append(f"filter for {name}: {person.id} was not found")

    async def _list(self) -> None:
        said = await self._client.ask(
            "list", "GET", f"/Users?count=10&startIndex={self._chance.randint(1, self._users)}"
        )
        if not said.acknowledged:
            self._refused("list", "users", said)

    async def _read_team(self, team: Team, _person: Person) -> None:
        # A member that is being deleted or added meanwhile is looked at when all is quiet.
        said = await self._client.ask("read group", "GET", f"/Groups/{team.id}?excludedAttributes=members")
        if not said.acknowledged:
            self._refused("read group", team.id, said)

    # --- writes ---------------------------------------------------------------------------------------------

    async def _patch(self, person: Person) -> None:
        title = f"T{next(self._numbers)}"
        said = await self._change("patch", person, {"op": "replace", "path": "title", "value": title})
        person.titles = {title} if said.acknowledged else person.titles | {title}

    async def _rename(self, person: Person) -> None:
        name = f"renamed{next(self._numbers)}@example.com"
        said = await self._change("rename", person, {"op": "replace", "value": {"userName": name}})
        person.names = {name} if said.acknowledged else person.names | {name}

    async def _activate(self, person: Person) -> None:
        active = not all(person.active)
        said = await self._change("activate", person, {"op": "replace", "path": "active", "value": active})
        person.active = {active} if said.acknowledged else person.active | {active}

    async def _change(self, kind: str, person: Person, operation: dict[str, Any]) -> Said:
        said = await self._client.ask(kind, "PATCH", f"/Users/{person.id}", _patch(operation))
        if not said.acknowledged:
            self._refused(kind, person.id, said)
        return said

    async def _delete(self, person: Person) -> None:
        said = await self._client.ask("delete", "DELETE", f"/Users/{person.id}")
        certain = said.acknowledged or (said.status == 404 and said.again)
        if not certain:
            self._refused("delete", person.id, said)
        self._model.deleted(person, certain=certain)

    async def _add(self, team: Team, person: Person) -> None:
        operation = {"op": "add", "path": "members", "value": [{"value": person.id}]}
        await self._change_members("add", team, person, operation, now=True)

    async def _remove(self, team: Team, person: Person) -> None:
        operation = {"op": "remove", "path": f'members[value eq "{person.id}"]'}
        await self._change_members("remove", team, person, operation, now=False)

    async def _change_members(
        self, kind: str, team: Team, person: Person, operation: dict[str, Any], *, now: bool
    ) -> None:
        said = await self._client.ask(kind, "PATCH", f"/Groups/{team.id}", _patch(operation))
        if said.acknowledged:
            team.members[person.id] = {now}
        else:
            self._refused(kind, team.id, said)
            team.members[person.id] = team.members.get(person.id, {False}) | {now}

    def _refused(self, kind: str, what: str, said: Said) -> None:
        if not said.doubtful:
            self.wrong.append(f"{kind} of {what}: {said.status} {said.body}")


def _by_name(name: str) -> str:
    query = quote(f'userName eq "{name}"')
    return f"/Users?filter={query}"


def _patch(operation: dict[str, Any]) -> dict[str, Any]:
    return {"schemas": [_PATCH], "Operations": [operation]}
