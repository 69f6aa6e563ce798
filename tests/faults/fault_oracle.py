"""What is there, seen at the platform and over SCIM, and what it may be after a fault."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from fault_kinds import PASSWORD, Kind, State
from fault_lanes import World

_ASKED = 30
"""Times that a read is asked for while the bridge is not ready to answer it."""
_LEFT_OUT = frozenset(
    {
        # Times, and what tells one tenant and one id from another.
        *("created_at", "updated_at", "last_login_at", "password_changed_at", "sessions_revoked_at"),
        *("id", "tenant_id", "meta", "$ref", "passwordChangedAt", "lastLoginAt"),
        # The bridge's own book-keeping: the journal's mark on what it has made.
        "journal",
    }
)

_SHOWN = 3


async def look(world: World, kind: Kind, *, over_scim: bool = True, at: int = 0) -> State:
    """Users and groups by name, in a form that is the same in every tenant; duplicates are numbered."""
    rows = await world.platform("GET", "/users?per_page=100")
    users = [
        (await world.rig.platform.get(f"/api/v1/admin/users/{row['id']}")).raise_for_status().json()["data"]
        for row in rows
    ]
    groups = await world.platform("GET", "/groups?per_page=100")
    names = {i: name for name, i in world.ids.items()}
    names |= {u["id"]: u["username"] or u["email"] for u in users}
    names |= {g["id"]: names.get(g["id"], g["name"]) for g in groups}
    hashes = _hashes(world)
    for user in users:
        # In a thread: the proxy is served by this loop.
        user["password"] = await asyncio.to_thread(_password, hashes.get(user["id"]))
    for group in groups:
        members = await world.platform("GET", f"/groups/{group['id']}/members?per_page=100")
        group["members"] = [m["user_id"] for m in members]
    state: State = {
        "groups": _numbered((g["name"], _plain(g, names)) for g in groups),
        "users": _numbered((u["username"] or u["email"], _plain(u, names)) for u in users),
    }
    if over_scim or kind.groups == "local":
        state["scim"] = await _over_scim(world, kind, names, users=over_scim, at=at)
    return state


async def _over_scim(world: World, kind: Kind, names: dict[str, str], *, users: bool, at: int) -> State:
    async def listed(path: str) -> list[dict[str, Any]]:
        answer = await _read(world, path, at)
        assert answer["totalResults"] == len(answer.get("Resources", [])), answer
        return answer.get("Resources", [])  # type: ignore[no-any-return]

    groups = await listed("/Groups")
    for group in groups:
        group["members"] = [m["value"] for m in group.get("members", ())]
    names = names | {g["id"]: names.get(g["id"], g["displayName"]) for g in groups}
    state: State = {"groups": _numbered((g["displayName"], _plain(g, names)) for g in groups)}
    if users:
        if kind.finds == "userName":
            state["users"] = _numbered((u["userName"], _plain(u, names)) for u in await listed("/Users"))
        for lookup in kind.lookups:
            path = "/Users" if kind.finds == "userName" else "/Groups"
            found = await _read(world, f"{path}?filter={lookup}", at)
            state[lookup] = sorted(r[kind.finds] for r in found.get("Resources", ()))
    return state


async def _read(world: World, path: str, at: int) -> Any:
    """An answer, asked for again while the bridge says 503: a first sweep takes long on a busy machine."""
    for _ in range(_ASKED):
        answer = await world.scim("GET", path, at=at)
        if answer.status_code != 503:
            break
        await asyncio.sleep(float(answer.headers["Retry-After"]))
    return answer.raise_for_status().json()


def _plain(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        # When does not matter, whether does.
        value = {**value, "deleted": True} if value.get("deleted") else value
        return {
            k: plain for k, v in value.items() if k not in _LEFT_OUT and (plain := _plain(v, names)) != {}
        }
    if isinstance(value, list):
        return sorted((_plain(v, names) for v in value), key=json.dumps)
    return names.get(value, value) if isinstance(value, str) else value


def _numbered(found: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    state: dict[str, Any] = {}
    for name, value in found:
        copies = sum(known.partition(" #")[0] == name for known in state)
        state[f"{name} #{copies + 1}" if copies else name] = value
    return state


def _hashes(world: World) -> dict[str, str]:
    """Hashes by user: the platform's API tells nothing of passwords."""
    with closing(sqlite3.connect(world.rig.platform_database)) as db:
        statement = "SELECT id, password_hash FROM users WHERE tenant_id = ? AND password_hash IS NOT NULL"
        return dict(db.execute(statement, (world.tenant_id,)))


def _password(encoded: str | None) -> str | None:
    if encoded is None:
        return None
    try:
        PasswordHasher().verify(encoded, PASSWORD)
    except VerifyMismatchError:
        return "another"
    return "set"


# --- verdicts -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Undisturbed:
    """A run without fault: what every other one is compared to."""

    calls: tuple[str, ...]
    before: State
    wanted: State


@dataclass(frozen=True, kw_only=True)
class Run:
    """What happened in one case."""

    method: str
    first: tuple[int | None, str]
    """The client's first answer: status and text; None where the connection broke."""
    pending: int
    """Unfinished writes after recovery was waited for."""
    middle: State | None = None
    """Before the retry, where there was one."""
    retry: tuple[int | None, str] | None = None
    last: State


def is_final(status: int | None) -> bool:
    """Whether a client takes the answer for the last word: it repeats what broke, 429 and 5xx."""
    return status is not None and status != 429 and status < 500


def violations(dry: Undisturbed, run: Run) -> list[str]:
    """In what the run broke the promise; empty where it kept it."""
    found = []
    status = run.first[0]
    if run.pending:
        found.append(f"{run.pending} unfinished")
    if is_final(status):
        assert status is not None
        wanted, meaning = (dry.wanted, "wanted") if status < 300 else (dry.before, "before")
        return found + _compared(f"after {status} not as {meaning}", wanted, run.last)
    assert run.middle is not None
    assert run.retry is not None
    # What is not stored cannot be finished without the client: a password is left to its retry.
    middle = _without_passwords(run.middle)
    choices = [
        _compared("half-done", _without_passwords(_like(middle, s)), middle) for s in (dry.before, dry.wanted)
    ]
    if all(choices):
        found += min(choices, key=lambda broken: len(broken[0]))
    again = run.retry[0]
    made_already = run.method == "POST" and again == 409
    gone_already = run.method == "DELETE" and again == 404
    if not (again is not None and again < 300) and not made_already and not gone_already:
        found.append(f"the retry is answered {again}")
    return found + _compared("after the retry not as wanted", dry.wanted, run.last)


def _compared(title: str, expected: State, found: State) -> list[str]:
    places = list(_differences(expected, found, ""))
    more = f" and {len(places) - _SHOWN} more" if len(places) > _SHOWN else ""
    return [f"{title}: {'; '.join(places[:_SHOWN])}{more}"] if places else []


def _differences(expected: Any, found: Any, place: str) -> Iterable[str]:
    if isinstance(expected, dict) and isinstance(found, dict):
        for key in {**expected, **found}:
            inner = f"{place}/{key}" if place else key
            if key not in found:
                yield f"{inner} is missing"
            elif key not in expected:
                yield f"{inner} should not be there"
            else:
                yield from _differences(expected[key], found[key], inner)
    elif expected != found:
        yield f"{place} is {json.dumps(found)[:60]}, not {json.dumps(expected)[:60]}"


def _like(seen: State, whole: State) -> State:
    """The whole, reduced to what was looked at."""
    return {k: _like(seen[k], v) if k == "scim" else v for k, v in whole.items() if k in seen}


def _without_passwords(state: State) -> State:
    users = {name: {k: v for k, v in u.items() if k != "password"} for name, u in state["users"].items()}
    return {**state, "users": users}
