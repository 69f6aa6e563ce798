"""Unfinished writes as an operator sees them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from command_line import Run, one_line

from app.bridge.group_steps import AddMembers, GroupPlan, RemoveMembers, Rename
from app.bridge.steps import CreateUser, ResetPassword, SetFields, SetStatus, UserPlan
from app.store.store import Store

PERSON = "Ada Lovelace"


@pytest.fixture
def entry(run: Run, tmp_path: Path) -> str:
    """A write to a user of which one step is done."""
    plan = UserPlan(
        steps=(
            SetFields(
                fields={"display_name": PERSON, "first_name": None},
                were={"display_name": None, "first_name": PERSON},
                custom={"title": PERSON},
                custom_were={"title": None},
            ),
            SetStatus(to="DISABLED", was="LOCKED"),
            ResetPassword(),
        )
    )
    return asyncio.run(_made(tmp_path, "user-update", plan.to_json(), resource_id="usr_1", done=1))


async def _made(tmp_path: Path, kind: str, plan: str, *, resource_id: str | None, done: int = 0) -> str:
    store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/data/bridge.db")
    entry_id = store.journal.new_id()
    await store.journal.begin(
        entry_id,
        tenant_id="tnt_1",
        connection_id="con_1",
        domain="default",
        kind=kind,
        keys=["tnt_1 user usr_1"],
        plan=plan,
        resource_id=resource_id,
        owner="own_1",
        lease_s=600,
    )
    await store.journal.advance(entry_id, "own_1", lease_s=600, done=done)
    await store.journal.leave(
        entry_id, "own_1", due_in_s=600, state="stuck", error="Denied: no", refused=True
    )
    await store.close()
    return entry_id


def test_nothing_is_unfinished(run: Run) -> None:
    assert "every write is finished" in run("journal", "list").stdout


def test_an_entry_is_listed_and_shown_without_what_it_says_of_people(run: Run, entry: str) -> None:
    listed = run("journal", "list").stdout
    assert all(text in listed for text in (entry, "user-update", "stuck", "usr_1", "Denied: no"))
    shown = run("journal", "show", entry).stdout
    lines = [line for line in shown.splitlines() if "set " in line]
    assert len(lines) == 3
    assert all(text in lines[0] for text in ("display_name", "first_name", "custom_attributes.title", "done"))
    assert all(text in lines[1] for text in ("LOCKED", "DISABLED", "in doubt"))
    assert all(text in lines[2] for text in ("password", "not done"))
    assert PERSON not in listed + shown


@pytest.mark.parametrize(
    ("kind", "plan", "resource_id", "told"),
    [
        (
            "user-create",
            UserPlan(create=CreateUser(email="ada@example.com", wants={})),
            None,
            ["create the user", "in doubt"],
        ),
        (
            "group-update",
            GroupPlan(
                steps=(
                    Rename(to=PERSON, was=PERSON),
                    AddMembers(ids=("usr_1", "usr_2"), new=None),
                    RemoveMembers(ids=("usr_3",)),
                )
            ),
            "grp_1",
            ["change the name", "usr_1, usr_2", "usr_3"],
        ),
        ("group-create", GroupPlan(create=PERSON), "grp_1", ["create the group", "done"]),
        ("user-delete", UserPlan(), "usr_1", ["delete the user"]),
    ],
)
def test_every_kind_is_shown(
    run: Run, tmp_path: Path, kind: str, plan: UserPlan | GroupPlan, resource_id: str | None, told: list[str]
) -> None:
    run("connection", "list")
    entry = asyncio.run(_made(tmp_path, kind, plan.to_json(), resource_id=resource_id))
    shown = run("journal", "show", entry).stdout
    assert all(text in shown for text in told), shown
    assert PERSON not in shown
    assert "ada@example.com" not in shown


def test_what_is_stuck_is_tried_again(run: Run, entry: str) -> None:
    assert run("journal", "retry", entry).returncode == 0
    listed = run("journal", "list").stdout
    assert "open" in listed
    assert "stuck" not in listed


def test_what_is_abandoned_is_said_and_gone(run: Run, entry: str) -> None:
    told = run("journal", "abandon", entry, "--yes")
    assert told.returncode == 0
    assert all(text in told.stdout for text in ("usr_1", "done", "in doubt", "not done"))
    assert "every write is finished" in run("journal", "list").stdout


@pytest.mark.parametrize("command", ["show", "retry", "abandon"])
def test_an_entry_that_is_not_there_is_one_line(run: Run, command: str) -> None:
    one_line(run("journal", command, "jrn_nobody"), "jrn_nobody")
