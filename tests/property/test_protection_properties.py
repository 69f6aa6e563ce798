"""No sequence of SCIM writes changes a protected user's record at the platform, or a protected group."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar

import pytest
from bridge_rig import ENT, PATCH_OP, PLATFORM, Rig, hosted, made_once, open_rig, person
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.store.connections import Policies

__all__ = ["made_once"]

T = TypeVar("T")

unhurried = settings(
    deadline=None,
    max_examples=100,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)

POLICIES = Policies(
    password="set",
    activate_locked=True,
    guard_limit=0,
    protected_users=("userName:admin*", "custom:team=security"),
    protected_groups=("displayName:admins",),
)


class World:
    """Three users, two of them protected, and two groups, one of them protected."""

    def __init__(self, runner: asyncio.Runner, rig: Rig) -> None:
        self._runner = runner
        self.rig = rig
        self.admin = self.run(rig.create_at_platform("root@example.com", username="Admin"))["id"]
        self.guard = self.run(
            rig.create_at_platform("sec@example.com", custom_attributes={"team": "security"})
        )["id"]
        self.ada = self.run(rig.make())["id"]
        self.admins, self.staff = (
            self.at_platform("POST", "groups", name=name)["id"] for name in ("Admins", "Staff")
        )
        self.at_platform("POST", f"groups/{self.admins}/members", user_ids=[self.admin])
        self.at_platform("POST", f"groups/{self.staff}/members", user_ids=[self.guard, self.ada])

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self._runner.run(work)

    def at_platform(self, method: str, path: str, **body: Any) -> Any:
        url = f"/api/v1/tenants/{self.rig.tenant_id}/{path}"
        answer = self.run(self.rig.platform.request(method, url, json=body or None))
        assert answer.status_code < 300, answer.text
        return answer.json().get("data") if answer.content else None

    def protected(self) -> tuple[Any, ...]:
        """Everything that must stay: records with memberships, and the group."""
        users = []
        for user_id in (self.admin, self.guard):
            user = self.run(self.rig.at_platform(user_id))
            assert user is not None
            # The name of another group that it is in is not the user's.
            user["groups"] = sorted(g["group_id"] for g in user["groups"])
            users.append(user)
        members = self.at_platform("GET", f"groups/{self.admins}/members")
        return (*users, self.at_platform("GET", f"groups/{self.admins}"), members)


@pytest.fixture(scope="module")
def running(made_once: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[asyncio.Runner, Rig]]:
    with asyncio.Runner() as runner:
        rigs = hosted(open_rig(made_once, tmp_path_factory.mktemp("rig")))
        yield runner, runner.run(anext(rigs))
        with pytest.raises(StopAsyncIteration):
            runner.run(anext(rigs))


names = st.sampled_from(["admin", "ADMIN", "administrator", "ada", "Admins", "staff"])
targets = st.sampled_from(["admin", "guard", "ada"])
values = st.fixed_dictionaries(
    {},
    optional={
        "userName": names,
        "emails": st.sampled_from([[{"value": "root@example.com"}], [{"value": "evil@example.com"}]]),
        "active": st.booleans(),
        "password": st.just("another-Secret-12"),
        "externalId": names,
        "displayName": names,
        "locale": st.just("de-DE"),
        ENT: st.just({"department": "x"}),
        PLATFORM: st.sampled_from([{"status": "LOCKED"}, {"status": "DISABLED"}]),
    },
)
user_writes = st.one_of(
    st.tuples(st.just("POST"), st.none(), values),
    st.tuples(st.sampled_from(["PUT", "PATCH"]), targets, values),
    st.tuples(st.just("DELETE"), targets, st.just({})),
)
members = st.lists(targets, max_size=3, unique=True)
group_writes = st.tuples(
    st.sampled_from(["add", "remove", "replace", "filter", "PUT", "POST", "DELETE", "rename"]),
    st.sampled_from(["admins", "staff"]),
    members,
    names,
)


@unhurried
@given(st.lists(st.one_of(user_writes, group_writes), min_size=3, max_size=8))
def test_what_is_protected_stays_as_it_is(
    running: tuple[asyncio.Runner, Rig], writes: list[tuple[Any, ...]]
) -> None:
    runner, shared = running
    world = World(runner, runner.run(shared.alone(policies=POLICIES)))
    before = world.protected()
    for write in writes:
        method, path, body = user_request(world, *write) if len(write) == 3 else group_request(world, *write)
        answer = world.run(world.rig.scim(method, path, body))
        assert answer.status_code < 500, answer.text
    assert world.protected() == before


def user_request(
    world: World, method: str, target: str | None, attributes: dict[str, Any]
) -> tuple[str, str, Any]:
    path = "/Users" if target is None else f"/Users/{getattr(world, target)}"
    if method == "PATCH":
        body: Any = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "value": attributes}]}
        return method, path, body
    own = {"admin": "Admin", "guard": "sec@example.com"}.get(target or "", "ada@example.com")
    return method, path, None if method == "DELETE" else person(**{"userName": own, **attributes})


def group_request(world: World, what: str, target: str, named: list[str], name: str) -> tuple[str, str, Any]:
    refs = [{"value": getattr(world, each)} for each in named]
    path = f"/Groups/{getattr(world, target)}"
    if what in ("PUT", "POST"):
        return what, "/Groups" if what == "POST" else path, {"displayName": name, "members": refs}
    if what == "DELETE":
        return what, path, None
    operation: dict[str, Any] = {"op": what, "path": "members", "value": refs}
    if what == "filter":
        operation = {"op": "remove", "path": 'members[value sw "u"]'}
    if what == "rename":
        operation = {"op": "replace", "path": "displayName", "value": name}
    return "PATCH", path, {"schemas": [PATCH_OP], "Operations": [operation]}
