"""The kinds of write: what is there before, what the client sends, and what it means by it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec
from bridge_rig import CORE, ENT, PATCH_OP
from fault_lanes import PLAIN, Request, World

from app.store.connections import Policies

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
ADA, NEW, EVE = "ada@example.com", "new@example.com", "eve@example.com"
TEAM = "Team"
PASSWORD = "correct horse battery staple"
OWN_ATTRIBUTES = {"costCentreCode": "K-7"}
"""What somebody else keeps on the platform's user."""

State = dict[str, Any]
Start = Callable[[World], Awaitable[None]]


@dataclass(frozen=True)
class Kind:
    """One kind of write."""

    name: str
    start: Start
    write: Callable[[World], Request]
    done: Callable[[State], bool]
    """Whether the write was done as meant: asked of the undisturbed run, which all others are compared to."""
    groups: Literal["platform", "local"] = "platform"
    lookups: tuple[str, ...] = ()
    """Filters whose answers must be right afterwards."""
    finds: str = "userName"
    """The attribute by which clients know such a resource."""
    keeps: bool = False
    """Whether the platform keeps users that SCIM deletes."""

    @property
    def policies(self) -> Policies:
        """Of the connection. One user may go, however often that is tried."""
        plain = msgspec.structs.replace(PLAIN, groups=self.groups, guard_limit=1, guard_share=0.0)
        return msgspec.structs.replace(plain, deprovision="disable") if self.keeps else plain

    @property
    def hashes(self) -> bool:
        """Whether the platform has to hash a password, which takes it a core and long."""
        return self.name in ("create-password", "create-whole", "patch-whole", "revive-whole")


# --- users --------------------------------------------------------------------------------------------------

_NEW: dict[str, Any] = {
    "schemas": [CORE, ENT],
    "userName": NEW,
    "name": {"givenName": "New", "familyName": "Comer"},
    "title": "Dr",
    ENT: {"department": "Engines"},
}
_ADA: dict[str, Any] = {
    "schemas": [CORE, ENT],
    "userName": ADA,
    "name": {"givenName": "Ada", "familyName": "Lovelace"},
    "displayName": "Ada",
    "title": "Countess",
    "externalId": "ada-1",
    "emails": [{"value": ADA, "type": "work", "primary": True}],
    "roles": [{"value": "admin"}],
    ENT: {"department": "Analysis"},
}


def _ada(*, status: str | None = None, active: bool = True) -> Start:
    """Ada, in this status and disabled after it; beside her one whom the bridge has never seen."""

    async def start(world: World) -> None:
        await world.platform("POST", "/users", {"email": EVE, "username": EVE, "send_welcome_email": False})
        await world.made("POST", "/Users", _ADA)
        path = f"/users/{world.ids[ADA]}"
        custom = (await world.platform("GET", path))["custom_attributes"]
        await world.platform("PATCH", path, {"custom_attributes": {**custom, **OWN_ATTRIBUTES}})
        if status is not None:
            await world.platform("PUT", f"{path}/status", {"status": status})
        if not active:
            await world.made(*_patch_ada({"active": False})(world))

    return start


async def _eve(world: World) -> None:
    await world.platform("POST", "/users", {"email": EVE, "username": EVE, "send_welcome_email": False})


def _post(**more: Any) -> Callable[[World], Request]:
    return lambda _: Request("POST", "/Users", {**_NEW, **more})


def _put_ada(**more: Any) -> Callable[[World], Request]:
    return lambda world: Request("PUT", f"/Users/{world.ids[ADA]}", {**_ADA, **more})


def _patch_ada(value: dict[str, Any]) -> Callable[[World], Request]:
    body = {"schemas": [PATCH_OP], "Operations": [{"op": "replace", "value": value}]}
    return lambda world: Request("PATCH", f"/Users/{world.ids[ADA]}", body)


def _delete_ada(world: World) -> Request:
    return Request("DELETE", f"/Users/{world.ids[ADA]}")


def _deleted(**how: Any) -> Start:
    """Ada, deleted and kept by the platform."""

    async def start(world: World) -> None:
        await _ada(**how)(world)
        await world.made(*_delete_ada(world))

    return start


def _post_ada(**more: Any) -> Callable[[World], Request]:
    return lambda _: Request("POST", "/Users", {**_ADA, **more})


def _kept(state: State) -> bool:
    """Whether Ada is disabled at the platform, marked, and nothing to SCIM clients."""
    user = state["users"][ADA]
    hidden = ADA not in state["scim"].get("users", {}) and not any(state["scim"][text] for text in _FOUND)
    return hidden and user["status"] == "DISABLED" and user["custom_attributes"]["scim"]["deleted"]


def _has(name: str, **fields: Any) -> Callable[[State], bool]:
    """Whether this user has these fields at the platform; `attributes_…` are custom ones."""

    def check(state: State) -> bool:
        user = state["users"].get(name, {})
        return bool(user) and all(user[k] == v for k, v in fields.items())

    return check


_FIELDS = {"displayName": "Augusta", "title": "Lady", "name": {"givenName": "Augusta", "familyName": "King"}}
_FOUND = (f'userName eq "{ADA}"', 'externalId eq "ada-1"')
_FOUND_NEW = (f'userName eq "{NEW}"', 'externalId eq "new-1"')
_AUGUSTA = {"display_name": "Augusta", "first_name": "Augusta", "last_name": "King"}
_MOVED = "augusta@example.com"

USER_KINDS = (
    Kind("create", _eve, _post(), _has(NEW, status="ACTIVE"), lookups=_FOUND_NEW),
    Kind("create-inactive", _eve, _post(active=False), _has(NEW, status="DISABLED"), lookups=_FOUND_NEW),
    Kind(
        "create-password",
        _eve,
        _post(password=PASSWORD),
        _has(NEW, status="ACTIVE", password="set"),
        lookups=_FOUND_NEW,
    ),
    Kind("create-external", _eve, _post(externalId="new-1"), _has(NEW, status="ACTIVE"), lookups=_FOUND_NEW),
    Kind(
        "create-whole",
        _eve,
        _post(externalId="new-1", password=PASSWORD, active=False),
        _has(NEW, status="DISABLED", password="set"),
        lookups=_FOUND_NEW,
    ),
    Kind("put", _ada(), _put_ada(**_FIELDS), _has(ADA, **_AUGUSTA, status="ACTIVE"), lookups=_FOUND),
    Kind(
        "put-inactive",
        _ada(),
        _put_ada(**_FIELDS, active=False),
        _has(ADA, **_AUGUSTA, status="DISABLED"),
        lookups=_FOUND,
    ),
    Kind("deactivate", _ada(), _patch_ada({"active": False}), _has(ADA, status="DISABLED"), lookups=_FOUND),
    Kind(
        "deactivate-locked",
        _ada(status="LOCKED"),
        _patch_ada({"active": False}),
        lambda s: s["users"][ADA]["custom_attributes"]["scim"]["prior_status"] == "LOCKED",
        lookups=_FOUND,
    ),
    Kind("activate", _ada(active=False), _patch_ada({"active": True}), _has(ADA, status="ACTIVE")),
    Kind(
        "activate-locked",
        _ada(status="LOCKED", active=False),
        _patch_ada({"active": True}),
        _has(ADA, status="LOCKED"),
    ),
    Kind(
        "patch-whole",
        _ada(),
        _patch_ada({**_FIELDS, "active": False, "password": PASSWORD}),
        _has(ADA, **_AUGUSTA, status="DISABLED", password="set"),
        lookups=_FOUND,
    ),
    Kind(
        "rename",
        _ada(),
        _patch_ada({"userName": _MOVED}),
        _has(_MOVED, email=ADA),
        lookups=(*_FOUND, f'userName eq "{_MOVED}"'),
    ),
    Kind(
        "change-email",
        _ada(),
        _patch_ada({"emails": [{"value": _MOVED, "type": "work", "primary": True}]}),
        _has(ADA, email=_MOVED),
        lookups=(*_FOUND, f'emails.value eq "{_MOVED}"', f'emails.value eq "{ADA}"'),
    ),
    Kind("delete", _ada(), _delete_ada, lambda s: list(s["users"]) == [EVE], lookups=_FOUND),
    Kind("delete-disable", _ada(), _delete_ada, _kept, lookups=_FOUND, keeps=True),
    Kind("delete-disable-locked", _ada(status="LOCKED"), _delete_ada, _kept, lookups=_FOUND, keeps=True),
    Kind("delete-disable-inactive", _ada(active=False), _delete_ada, _kept, lookups=_FOUND, keeps=True),
    Kind(
        "revive",
        _deleted(),
        _post_ada(**_FIELDS),
        _has(ADA, **_AUGUSTA, status="ACTIVE"),
        lookups=_FOUND,
        keeps=True,
    ),
    Kind(
        "revive-locked",
        _deleted(status="LOCKED"),
        _post_ada(),
        _has(ADA, status="LOCKED"),
        lookups=_FOUND,
        keeps=True,
    ),
    Kind(
        "revive-inactive",
        _deleted(),
        _post_ada(active=False),
        _has(ADA, status="DISABLED"),
        lookups=_FOUND,
        keeps=True,
    ),
    Kind(
        "revive-whole",
        _deleted(),
        _post_ada(**_FIELDS, password=PASSWORD),
        _has(ADA, **_AUGUSTA, status="ACTIVE", password="set"),
        lookups=_FOUND,
        keeps=True,
    ),
)


# --- groups -------------------------------------------------------------------------------------------------

_MEMBERS = tuple(f"member{n}@example.com" for n in range(7))
"""More than two batches of `MEMBERS_PER_CALL`."""


def _values(world: World, names: tuple[str, ...]) -> list[dict[str, str]]:
    return [{"value": world.ids[name]} for name in names]


def _people(*, team: tuple[str, ...] | None) -> Start:
    """Seven users, and where `team` is given a group of these."""

    async def start(world: World) -> None:
        for name in _MEMBERS:
            body = {"email": name, "username": name, "send_welcome_email": False}
            world.ids[name] = (await world.platform("POST", "/users", body))["id"]
        if team is not None:
            body = {"schemas": [GROUP], "displayName": TEAM, "externalId": "team-1"}
            await world.made("POST", "/Groups", {**body, "members": _values(world, team)})

    return start


def _post_group(*names: str) -> Callable[[World], Request]:
    body = {"schemas": [GROUP], "displayName": TEAM, "externalId": "team-1"}
    return lambda world: Request(
        "POST", "/Groups", body | ({"members": _values(world, names)} if names else {})
    )


def _put_group(name: str, *names: str) -> Callable[[World], Request]:
    body = {"schemas": [GROUP], "displayName": name, "externalId": "team-2"}
    return lambda world: Request(
        "PUT", f"/Groups/{world.ids[TEAM]}", {**body, "members": _values(world, names)}
    )


def _patch_group(
    *, add: tuple[str, ...] = (), remove: tuple[str, ...] = (), name: str | None = None
) -> Callable[[World], Request]:
    def write(world: World) -> Request:
        operations: list[dict[str, Any]] = []
        if name is not None:
            operations.append({"op": "replace", "path": "displayName", "value": name})
        for op, names in (("add", add), ("remove", remove)):
            if names:
                operations.append({"op": op, "path": "members", "value": _values(world, names)})
        body = {"schemas": [PATCH_OP], "Operations": operations}
        return Request("PATCH", f"/Groups/{world.ids[TEAM]}", body)

    return write


def _delete_group(world: World) -> Request:
    return Request("DELETE", f"/Groups/{world.ids[TEAM]}")


def _team(*names: str, called: str = TEAM) -> Callable[[State], bool]:
    """Whether there is one group, of this name and these members, as SCIM clients see it."""
    return lambda s: {g: v["members"] for g, v in s["scim"]["groups"].items()} == {called: sorted(names)}


async def _ada_in_team(world: World) -> None:
    await _ada()(world)
    body = {"schemas": [GROUP], "displayName": TEAM, "members": _values(world, (ADA,))}
    await world.made("POST", "/Groups", body)


def _group_kinds(groups: Literal["platform", "local"]) -> tuple[Kind, ...]:
    at, few, many = f"{groups}-group", _MEMBERS[:4], _MEMBERS[2:]
    found = (f'displayName eq "{TEAM}"', 'displayName eq "Crew"')
    rows: tuple[tuple[str, Start, Callable[[World], Request], Callable[[State], bool]], ...] = (
        ("create", _people(team=None), _post_group(), _team()),
        ("create-members", _people(team=None), _post_group(*_MEMBERS), _team(*_MEMBERS)),
        ("put", _people(team=few), _put_group("Crew", *many), _team(*many, called="Crew")),
        ("add", _people(team=()), _patch_group(add=_MEMBERS), _team(*_MEMBERS)),
        ("remove", _people(team=_MEMBERS), _patch_group(remove=few), _team(*_MEMBERS[4:])),
        (
            "change",
            _people(team=few),
            _patch_group(add=_MEMBERS[4:], remove=_MEMBERS[:2], name="Crew"),
            _team(*many, called="Crew"),
        ),
        ("delete", _people(team=few), _delete_group, lambda s: not s["scim"]["groups"]),
        ("delete-member", _ada_in_team, _delete_ada, _team()),
    )
    kinds = [
        Kind(f"{at}-{name}", start, write, done, groups=groups, lookups=found, finds="displayName")
        for name, start, write, done in rows
    ]
    kinds.append(
        Kind(
            f"{at}-disable-member",
            _ada_in_team,
            _delete_ada,
            lambda s: _team()(s) and s["users"][ADA]["custom_attributes"]["scim"]["deleted"],
            groups=groups,
            lookups=found,
            finds="displayName",
            keeps=True,
        )
    )
    return tuple(kinds)


_ONE_TRANSACTION = ("local-group-create", "local-group-remove", "local-group-delete")
"""Without a call to the platform there is no boundary between calls."""

KINDS: dict[str, Kind] = {
    kind.name: kind
    for kind in (*USER_KINDS, *_group_kinds("platform"), *_group_kinds("local"))
    if kind.name not in _ONE_TRANSACTION
}
