"""Any sequence of group operations against a plain model of sets, for both places that keep groups."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TypeVar

import httpx
import pytest
from group_rig import BACKENDS, GROUP, PATCH_OP, USER, Backend, GroupRig, Side, hosted_group_rig
from hypothesis import HealthCheck, assume, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

T = TypeVar("T")

ORDINARY = settings(
    max_examples=12,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
)
LONG = settings(ORDINARY, max_examples=400, stateful_step_count=80, derandomize=False)

NAMES = st.sampled_from(["sales", "Sales", "R&D", 'a "b"', "straße", "STRASSE", "x y", "ops"])
FORMS = st.sampled_from(["object", "bare", "entra", "okta"])
UNKNOWN = ["usr_nobody", "grp_nobody", "../x", "7"]


class Model:
    """What a group should be."""

    def __init__(self, name: str, external_id: str | None) -> None:
        self.name = name
        self.external_id = external_id
        self.members: set[str] = set()


class Groups(RuleBasedStateMachine):
    """Users, groups and what clients do to them."""

    users = Bundle("users")
    groups = Bundle("groups")

    def __init__(self, rig: GroupRig, runner: asyncio.Runner, backend: Backend) -> None:
        super().__init__()
        self._runner = runner
        self.side: Side = self._run(rig.side(backend))
        self.model: dict[str, Model] = {}
        self.alive: set[str] = set()
        self.touched: set[str] = set()

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def _send(self, method: str, path: str, body: Any = None, **options: Any) -> httpx.Response:
        answer = self._run(self.side.scim.request(method, path, json=body, **options))
        assert answer.status_code < 500, answer.text
        return answer

    @initialize(target=users)
    def some_users(self) -> Any:
        made = self._run(self.side.users(4))
        self.alive.update(made)
        return multiple(*made)

    # --- what is expected -----------------------------------------------------------------------------------

    def _taken(self, name: str, but: str | None = None) -> bool:
        return any(i != but and g.name.casefold() == name.casefold() for i, g in self.model.items())

    def _reaches(self, start: str, goal: str) -> bool:
        return start == goal or any(
            self._reaches(m, goal) for m in self.model[start].members if m in self.model
        )

    def _known(self, ids: list[str]) -> list[str]:
        kinds = self.alive | (self.model.keys() if self.side.backend == "local" else set())
        return [i for i in ids if i in kinds]

    def _cycle(self, group_id: str, ids: list[str]) -> bool:
        return any(i in self.model and self._reaches(i, group_id) for i in self._known(ids))

    def _joined(self, group_id: str, ids: list[str]) -> bool:
        """Whether a change that names these as members is accepted."""
        return (not ids or bool(self._known(ids))) and not self._cycle(group_id, ids)

    def _named(self, ids: list[str], form: str) -> list[Any]:
        match form:
            case "bare":
                return list(ids)
            case "entra":
                return [{"$ref": None, "value": i} for i in ids]
            case "okta":
                return [{"value": i, "display": "somebody"} for i in ids]
        return [{"value": i} for i in ids]

    def _patch(self, group_id: str, *operations: dict[str, Any], accepted: bool = True) -> None:
        self.touched.add(group_id)
        body = {"schemas": [PATCH_OP], "Operations": list(operations)}
        answer = self._send("PATCH", f"/Groups/{group_id}", body)
        wanted = 404 if group_id not in self.model else 204 if accepted else 400
        assert answer.status_code == wanted, (operations, answer.text)

    # --- groups ---------------------------------------------------------------------------------------------

    @rule(
        target=groups,
        name=NAMES,
        ids=st.lists(users | groups | st.sampled_from(UNKNOWN), max_size=4),
        external_id=st.sampled_from([None, "e1", "E1"]),
        form=FORMS,
    )
    def create(self, name: str, ids: list[str], external_id: str | None, form: str) -> Any:
        body = {"schemas": [GROUP], "displayName": name, "members": self._named(ids, form)}
        if external_id is not None:
            body["externalId"] = external_id
        answer = self._send("POST", "/Groups", body)
        if self._taken(name) and answer.status_code == 409:
            return multiple()
        if ids and not self._known(ids):
            assert answer.status_code == (409 if self._taken(name) else 400), answer.text
            return multiple()
        assert not self._taken(name), "a second group of this name"
        assert answer.status_code == 201, answer.text
        group_id = answer.json()["id"]
        self.model[group_id] = Model(name, external_id)
        self.model[group_id].members = set(self._known(ids))
        self.touched.add(group_id)
        return group_id

    @rule(group=groups, ids=st.lists(users | groups | st.sampled_from(UNKNOWN), max_size=4), form=FORMS)
    def add(self, group: str, ids: list[str], form: str) -> None:
        accepted = group in self.model and self._joined(group, ids)
        assume(ids)
        self._patch(
            group, {"op": "Add", "path": "members", "value": self._named(ids, form)}, accepted=accepted
        )
        if accepted:
            self.model[group].members.update(self._known(ids))

    @rule(group=groups, ids=st.lists(users | groups | st.sampled_from(UNKNOWN), min_size=1, max_size=4))
    def remove_by_array(self, group: str, ids: list[str]) -> None:
        self._patch(group, {"op": "Remove", "path": "members", "value": self._named(ids, "entra")})
        if group in self.model:
            self.model[group].members.difference_update(ids)

    @rule(group=groups, ids=st.lists(users | groups, min_size=1, max_size=3))
    def remove_by_filter(self, group: str, ids: list[str]) -> None:
        self._patch(group, *({"op": "remove", "path": f'members[value eq "{i}"]'} for i in ids))
        if group in self.model:
            self.model[group].members.difference_update(ids)

    @rule(group=groups, kind=st.sampled_from(["User", "Group"]))
    def remove_by_type(self, group: str, kind: str) -> None:
        self._patch(group, {"op": "remove", "path": f'members[type eq "{kind}"]'})
        if group in self.model:
            nested = {m for m in self.model[group].members if m in self.model}
            self.model[group].members -= nested if kind == "Group" else self.model[group].members - nested

    @rule(group=groups)
    def remove_all(self, group: str) -> None:
        self._patch(group, {"op": "remove", "path": "members"})
        if group in self.model:
            self.model[group].members.clear()

    @rule(
        group=groups,
        ids=st.lists(users | groups | st.sampled_from(UNKNOWN), max_size=4),
        form=FORMS,
        pathless=st.booleans(),
    )
    def replace(self, group: str, ids: list[str], form: str, pathless: bool) -> None:
        accepted = group in self.model and self._joined(group, ids)
        value = self._named(ids, form)
        operation = (
            {"op": "replace", "value": {"members": value}}
            if pathless
            else {"op": "replace", "path": "members", "value": value}
        )
        self._patch(group, operation, accepted=accepted)
        if accepted:
            self.model[group].members = set(self._known(ids))

    @rule(group=groups, out=users, into=users)
    def swap(self, group: str, out: str, into: str) -> None:
        accepted = into in self.alive
        self._patch(
            group,
            {"op": "remove", "path": f'members[value eq "{out}"]'},
            {"op": "add", "path": "members", "value": [{"value": into}]},
            accepted=accepted,
        )
        if accepted and group in self.model:
            self.model[group].members.discard(out)
            self.model[group].members.add(into)

    @rule(group=groups, name=NAMES, by_path=st.booleans())
    def rename(self, group: str, name: str, by_path: bool) -> None:
        self.touched.add(group)
        operation = (
            {"op": "replace", "path": "displayName", "value": name}
            if by_path
            else {"op": "replace", "value": {"id": group, "displayName": name}}
        )
        body = {"schemas": [PATCH_OP], "Operations": [operation]}
        status = self._send("PATCH", f"/Groups/{group}", body).status_code
        if group not in self.model:
            assert status == 404
        elif self._taken(name, but=group):
            assert status == 409
        else:
            assert status == 204
            self.model[group].name = name

    @rule(
        group=groups,
        name=NAMES,
        ids=st.none() | st.lists(users | groups | st.sampled_from(UNKNOWN), max_size=4),
    )
    def put(self, group: str, name: str, ids: list[str] | None) -> None:
        self.touched.add(group)
        body: dict[str, Any] = {"schemas": [GROUP], "displayName": name}
        if ids is not None:
            body["members"] = self._named(ids, "okta")
        answer = self._send("PUT", f"/Groups/{group}", body)
        if group not in self.model:
            assert answer.status_code == 404
            return
        possible = ids is None or self._joined(group, ids)
        if self._taken(name, but=group) or not possible:
            assert answer.status_code in ({409} if possible else {400, 409}), answer.text
            return
        assert answer.status_code == 200, answer.text
        self.model[group].name, self.model[group].external_id = name, None
        if ids is not None:
            self.model[group].members = set(self._known(ids))

    @rule(group=consumes(groups))
    def delete(self, group: str) -> None:
        answer = self._send("DELETE", f"/Groups/{group}")
        assert answer.status_code == (204 if group in self.model else 404)
        self.model.pop(group, None)
        for other_id, other in self.model.items():
            if group in other.members:
                other.members.discard(group)
                self.touched.add(other_id)

    @rule(group=groups)
    def delete_and_go_on_using(self, group: str) -> None:
        """The id stays among those that are used: everything about it is 404 from then on."""
        assume(group in self.model and len(self.model) > 2)
        assert self._send("DELETE", f"/Groups/{group}").status_code == 204
        del self.model[group]
        for other in self.model.values():
            other.members.discard(group)
        assert self._send("GET", f"/Groups/{group}").status_code == 404

    # --- users ----------------------------------------------------------------------------------------------

    @rule(target=users, number=st.integers(0, 10**9))
    def create_user(self, number: int) -> Any:
        assume(len(self.alive) < 8)
        body = {"schemas": [USER], "userName": f"u{number}@example.com"}
        answer = self._send("POST", "/Users", body)
        if answer.status_code == 409:
            return multiple()
        self.alive.add(answer.json()["id"])
        return answer.json()["id"]

    @rule(user=users, active=st.booleans())
    def set_active(self, user: str, active: bool) -> None:
        body = {
            "schemas": [PATCH_OP],
            "Operations": [{"op": "replace", "path": "active", "value": active}],
        }
        answer = self._send("PATCH", f"/Users/{user}", body)
        assert answer.status_code == (200 if user in self.alive else 404)

    @rule(user=users)
    def delete_user(self, user: str) -> None:
        assume(user in self.alive and len(self.alive) > 2)
        assert self._send("DELETE", f"/Users/{user}").status_code == 204
        self.alive.discard(user)
        for group_id, group in self.model.items():
            if user in group.members:
                group.members.discard(user)
                self.touched.add(group_id)

    @rule(user=users)
    def groups_of_a_user(self, user: str) -> None:
        answer = self._send("GET", f"/Users/{user}")
        if user not in self.alive:
            assert answer.status_code == 404
            return
        shown = {g["value"]: g["type"] for g in answer.json().get("groups", ())}
        direct = {i for i, g in self.model.items() if user in g.members}
        everything = {i for i in self.model if any(self._reaches(i, d) for d in direct)}
        assert shown == {i: "direct" if i in direct else "indirect" for i in everything}

    # --- reading --------------------------------------------------------------------------------------------

    def _found(self, text: str, **params: Any) -> set[str]:
        answer = self._send("GET", "/Groups", params={"filter": text, "attributes": "id", **params})
        assert answer.status_code == 200, answer.text
        found = [g["id"] for g in answer.json()["Resources"]]
        assert len(found) == len(set(found)) == answer.json()["totalResults"]
        return set(found)

    @rule(name=NAMES, member=users | groups, external_id=st.sampled_from(["e1", "E1", "no"]))
    def filters(self, name: str, member: str, external_id: str) -> None:
        quoted = name.replace('"', '\\"')
        same = {i for i, g in self.model.items() if g.name.casefold() == name.casefold()}
        linked = {i for i, g in self.model.items() if g.external_id == external_id}
        inside = {i for i, g in self.model.items() if member in g.members}
        empty = {i for i, g in self.model.items() if not g.members}
        for text, expected in {
            f'displayName eq "{quoted}"': same,
            f'externalId eq "{external_id}"': linked,
            f'members.value eq "{member}"': inside,
            f'members[value eq "{member}"]': inside,
            f'members eq "{member}"': inside,
            f'displayName eq "{quoted}" and members eq "{member}"': same & inside,
            f'displayName eq "{quoted}" or externalId eq "{external_id}"': same | linked,
            f'displayName eq "{quoted}" or members pr': same | (self.model.keys() - empty),
            f'not (members.value eq "{member}")': self.model.keys() - inside,
            "members pr": self.model.keys() - empty,
            f'not (displayName eq "{quoted}") and members pr': self.model.keys() - same - empty,
            f'id eq "{member}"': {member} & self.model.keys(),
        }.items():
            assert self._found(text) == expected, text

    @rule(size=st.integers(1, 3), descending=st.booleans())
    def pages(self, size: int, descending: bool) -> None:
        seen: list[str] = []
        order = {"sortBy": "displayName", "sortOrder": "descending"} if descending else {}
        while True:
            params = {"startIndex": len(seen) + 1, "count": size, "attributes": "id", **order}
            page = self._send("GET", "/Groups", params=params).json()
            assert page["totalResults"] == len(self.model)
            if not page["Resources"]:
                break
            seen += [g["id"] for g in page["Resources"]]
        assert len(seen) == len(set(seen))
        assert set(seen) == self.model.keys()

    @invariant()
    def what_was_touched_is_as_it_should_be(self) -> None:
        touched, self.touched = self.touched, set()
        for group_id in touched & self.model.keys():
            self._compare(group_id)

    def _compare(self, group_id: str) -> None:
        group = self.model[group_id]
        shown = self._send("GET", f"/Groups/{group_id}").json()
        listed = [m["value"] for m in shown.get("members", ())]
        assert len(listed) == len(set(listed))
        assert set(listed) == group.members
        assert (shown["displayName"], shown.get("externalId")) == (group.name, group.external_id)
        for member in shown.get("members", ()):
            assert member["type"] == ("Group" if member["value"] in self.model else "User")

    def teardown(self) -> None:
        for group_id in self.model:
            self._compare(group_id)


@pytest.fixture(scope="module")
def machine(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Callable[[Backend], Callable[[], Groups]]]:
    with hosted_group_rig(tmp_path_factory.mktemp("rig")) as (rig, runner):
        yield lambda backend: lambda: Groups(rig, runner, backend)


@pytest.mark.parametrize("backend", BACKENDS)
def test_groups_are_sets(machine: Callable[[Backend], Callable[[], Groups]], backend: Backend) -> None:
    run_state_machine_as_test(machine(backend), settings=ORDINARY)


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
def test_groups_are_sets_at_length(
    machine: Callable[[Backend], Callable[[], Groups]], backend: Backend
) -> None:
    run_state_machine_as_test(machine(backend), settings=LONG)
