"""What identity providers send, replayed over a socket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from exchanges import ABSENT, DATA, differences, load, replay
from requirements import BUGS, REQUIREMENTS, covered_by_steps, holders

if TYPE_CHECKING:
    from conftest import Served
    from groups_served import GroupSide

EXCHANGES = sorted((DATA / "exchanges").glob("*.json"))
OF_GROUPS = sorted((DATA / "exchanges" / "groups").glob("*.json"))


@pytest.mark.parametrize("path", EXCHANGES, ids=[p.stem for p in EXCHANGES])
def test_the_client_gets_what_it_needs(path: Path, served: Served) -> None:
    with served.platform() as platform:
        replay(load(path), served.base_url, served.token, platform)


@pytest.mark.parametrize("path", OF_GROUPS, ids=[p.stem for p in OF_GROUPS])
def test_the_client_gets_what_it_needs_of_groups(path: Path, group_side: GroupSide, served: Served) -> None:
    with served.platform() as platform:
        replay(load(path), served.base_url, group_side.token, platform)


def test_every_requirement_is_held_by_a_step_or_a_test() -> None:
    assert covered_by_steps() - REQUIREMENTS.keys() == set(), "a step covers what is not in the list"
    assert [name for name in REQUIREMENTS if not holders(name)] == [], "nothing covers these"
    assert {name for names in BUGS.values() for name in names} - REQUIREMENTS.keys() == set()


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ({"a": 1}, {}),
        ({"a": 1}, {"a": "1"}),
        ({"a": True}, {"a": 1}),
        ({"a": False}, {"a": "False"}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": {"$absent": True}}, {"a": None}),
        ({"a": {"$any": True}}, {"a": ""}),
        ({"a": {"$any": True}}, {}),
        ({"a": {"$type": "int"}}, {"a": True}),
        ({"a": {"$contains": {"b": 1}}}, {"a": [{"b": 2}]}),
        ({"a": {"$lacks": {"b": 1}}}, {"a": [{"b": 1, "c": 2}]}),
        ({"a": {"$unordered": [1, 2]}}, {"a": [1, 3]}),
        ({"a": {"$unordered": [1]}}, {"a": [1, 2]}),
        ({"a": {"$not": "x"}}, {"a": "x"}),
        ({"a": {"$length": 1}}, {"a": []}),
        ({"a": {"$min": 2}}, {"a": 1}),
    ],
)
def test_the_comparison_can_fail(expected: object, found: object) -> None:
    assert [*differences(expected, found)]


def test_the_comparison_lets_further_members_pass() -> None:
    assert [*differences({"a": {"$unordered": [1, 2]}}, {"a": [2, 1]})] == []
    expected = {"a": {"$any": True}, "b": {"$absent": True}, "c": {"$contains": {"d": "x"}}}
    assert [*differences(expected, {"a": False, "c": [{"d": "y"}, {"d": "x", "e": 1}], "f": 2})] == []
    assert [*differences({"$absent": True}, ABSENT)] == []
