"""The soak itself: it runs, every figure is there, what is lost is found; how large they are is not asked."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
from soak_model import Model, Person, Team

RUN = Path(__file__).with_name("soak.py")


def test_a_short_soak_gives_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--minutes", "0.1", "--rate", "25", "--users", "15", "--patience", "1", "--faults", "0.1"]
    done = subprocess.run(
        [sys.executable, str(RUN), *options, "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = msgspec.json.decode(figures.read_bytes())
    assert report["planned"] == 150
    assert 0 < report["done"] <= report["planned"]
    assert report["requests"] >= report["done"] / 2
    assert report["calls"] > report["planned"] / 2
    assert sum(report["faults"].values()) > 0
    assert report["rss_mb"]
    assert report["users"] > 0
    assert report["teams"] == 12
    assert report["lost"] == report["wrong"] == []
    for kind in ("read", "filter", "patch"):
        latency = report["kinds"][kind]
        assert 0 < latency["p50_ms"] <= latency["p95_ms"] <= latency["p99_ms"]
        assert kind in done.stdout
    assert "not as acknowledged" in done.stdout


def user(**attributes: Any) -> dict[str, Any]:
    return {"id": "usr_1", "userName": "a@x.org", "title": "T1", "active": True, **attributes}


def model(*, doubtful: bool = False, deleted: bool = False) -> Model:
    """One user, one group that it is in."""
    made = Model(random.Random(1))  # noqa: S311 - chance that can be repeated
    person = Person(names={"a@x.org"}, titles={"T1"}, active={True}, id="usr_1")
    made.people.append(person)
    made.teams.append(Team(name="Team", id="grp_1", members={"usr_1": {True}}))
    if doubtful or deleted:
        made.deleted(person, certain=deleted)
    return made


TEAM = {"id": "grp_1", "displayName": "Team", "members": [{"value": "usr_1"}]}


def test_what_is_as_acknowledged_is_well() -> None:
    assert model().compare({"usr_1": user()}, {"grp_1": TEAM}) == []


@pytest.mark.parametrize("found", [{}, user(), user(title="T1", active=True)])
def test_an_unacknowledged_deletion_may_be_either(found: dict[str, Any]) -> None:
    users = {"usr_1": found} if found else {}
    teams = {"grp_1": TEAM if found else {**TEAM, "members": []}}
    assert model(doubtful=True).compare(users, teams) == []


def test_an_unacknowledged_change_may_be_either() -> None:
    made = model()
    made.people[0].titles.add("T2")
    for title in ("T1", "T2"):
        assert made.compare({"usr_1": user(title=title)}, {"grp_1": TEAM}) == []
    assert len(made.compare({"usr_1": user(title="T3")}, {"grp_1": TEAM})) == 1


@pytest.mark.parametrize(
    ("users", "teams"),
    [
        ({}, {"grp_1": TEAM}),
        ({"usr_1": user(title=None)}, {"grp_1": TEAM}),
        ({"usr_1": user(userName="b@x.org")}, {"grp_1": TEAM}),
        ({"usr_1": user(active=False)}, {"grp_1": TEAM}),
        ({"usr_1": user(), "usr_2": user(id="usr_2", userName="c@x.org")}, {"grp_1": TEAM}),
        ({"usr_1": user()}, {}),
        ({"usr_1": user()}, {"grp_1": {**TEAM, "members": []}}),
        ({"usr_1": user()}, {"grp_1": {**TEAM, "members": [{"value": "usr_1"}, {"value": "usr_2"}]}}),
        ({"usr_1": user()}, {"grp_1": {**TEAM, "displayName": "Other"}}),
        ({"usr_1": user()}, {"grp_1": TEAM, "grp_2": {**TEAM, "id": "grp_2"}}),
    ],
)
def test_what_is_lost_is_found(users: dict[str, Any], teams: dict[str, Any]) -> None:
    assert len(model().compare(users, teams)) == 1


def test_who_was_deleted_and_is_there_is_found() -> None:
    wrong = model(deleted=True).compare({"usr_1": user()}, {"grp_1": TEAM})
    assert wrong == ["user usr_1: it was deleted and is there", "group grp_1: usr_1 is a member"]
