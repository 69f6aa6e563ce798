"""Which operation of a bulk request waits for which."""

from __future__ import annotations

from typing import Any

import pytest

from app.scim.bulk import read_bulk
from app.scim.bulk_order import Unit, order
from app.scim.dialect import LENIENT


def units(*operations: dict[str, Any], nested_groups: bool = False) -> tuple[Unit, ...]:
    body = {"Operations": list(operations)}
    request = read_bulk(body, LENIENT, max_operations=5000, max_patch_operations=10)
    return order(request.operations, nested_groups=nested_groups)


def sequence(*operations: dict[str, Any]) -> list[int]:
    return [index for unit in units(*operations) for index in unit.operations]


def waits(*operations: dict[str, Any]) -> dict[int, set[int]]:
    """By index of an operation, the indexes of those that it waits for itself."""
    found = units(*operations)
    return {u.operations[0]: {found[p].operations[0] for p in u.after} for u in found}


def user(bulk_id: str, **data: Any) -> dict[str, Any]:
    return {"method": "POST", "path": "/Users", "bulkId": bulk_id, "data": {"userName": bulk_id, **data}}


def group(bulk_id: str, *members: str) -> dict[str, Any]:
    data = {"displayName": bulk_id, "members": [{"value": f"bulkId:{m}"} for m in members]}
    return {"method": "POST", "path": "/Groups", "bulkId": bulk_id, "data": data}


def managed(bulk_id: str, by: str) -> dict[str, Any]:
    return user(bulk_id, manager={"value": f"bulkId:{by}"})


def patch(path: str, /, **operation: Any) -> dict[str, Any]:
    return {"method": "PATCH", "path": path, "data": {"Operations": [{"op": "replace", **operation}]}}


def delete(path: str) -> dict[str, Any]:
    return {"method": "DELETE", "path": path}


def test_independent_operations_wait_for_nothing() -> None:
    assert waits(user("a"), user("b"), group("c"), delete("/Users/1"), patch("/Users/2", path="title")) == {
        0: set(),
        1: set(),
        2: set(),
        3: set(),
        4: set(),
    }


def test_forward_references_turn_the_order() -> None:
    assert sequence(group("g", "a", "b"), user("x"), user("a"), managed("b", "a")) == [1, 2, 3, 0]
    assert waits(group("g", "a", "b"), user("x"), user("a"), managed("b", "a")) == {
        0: {2, 3},
        1: set(),
        2: set(),
        3: {2},
    }


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (patch("/Users/1", path="title", value="x"), delete("/Users/1")),
        (delete("/Users/1"), patch("/Users/1/", path="title", value="x")),
        (user("a", userName="Ann"), user("b", userName="aNN")),
        (user("a", userName="Ann"), patch("/Users/1", path="userName", value="ann")),
        (user("a", userName="Ann"), patch("/Users/1", value={"USERNAME": "ann"})),
        (
            user("a", emails=[{"value": "x@y.z"}]),
            patch("/Users/1", path='emails[type eq "work"].value', value="X@y.z"),
        ),
        (user("a", emails=["x@y.z"]), user("b", userName="x@Y.z")),
        (group("G"), {**group("h"), "data": {"displayName": "g"}}),
        (delete("/Users/u1"), patch("/Groups/1", path="members", value=[{"value": "u1"}])),
        (patch("/Groups/1", path='members[value eq "u1"]'), delete("/Users/u1")),
    ],
)
def test_what_could_meet_keeps_its_order(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert waits(first, second) == {0: set(), 1: {0}}


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (patch("/Users/1", path="title", value="x"), patch("/Users/2", path="title", value="x")),
        (group("same"), user("u", userName="same")),
        (patch("/Groups/1", path="members", value=["u1"]), patch("/Groups/2", path="members", value=["u1"])),
        (user("a"), delete("/Nowhere/1")),
    ],
)
def test_what_cannot_meet_runs_side_by_side(first: dict[str, Any], second: dict[str, Any]) -> None:
    assert waits(first, second) == {0: set(), 1: set()}


def test_same_name_and_reference_against_each_other() -> None:
    """The reference wins; no circle comes of it."""
    assert waits(managed("a", "b"), user("b", userName="a")) == {1: set(), 0: {1}}


def test_references_ahead_do_not_turn_the_order_of_what_concerns_one_resource() -> None:
    add = patch("/Groups/1", path="members", value=[{"value": "bulkId:a"}])
    assert sequence(add, patch("/Groups/1", path="members", value=[]), user("a")) == [2, 0, 1]
    manager = patch("/Users/u1", path="manager", value="bulkId:a")
    assert sequence(manager, delete("/Users/u1"), user("a")) == [2, 0, 1]


def test_what_is_deleted_and_waits_for_what_names_it() -> None:
    """The reference wins here too: the group has to be there before the user's manager is."""
    manager = patch("/Users/u1", path="manager", value="bulkId:g")
    team = group("g")
    team["data"]["members"] = ["u1"]
    assert sequence(manager, delete("/Users/u1"), team) == [2, 0, 1]


def test_operations_on_what_is_created_keep_their_order() -> None:
    found = waits(
        delete("/Users/bulkId:a"),
        patch("/Users/bulkId:a", path="title", value="x"),
        user("a"),
        group("g", "a"),
    )
    assert found == {2: set(), 0: {2}, 1: {2, 0}, 3: {2, 1}}


def test_users_in_a_circle_are_one_unit() -> None:
    found = units(managed("a", "c"), user("x"), managed("b", "a"), managed("c", "b"))
    assert [(u.operations, u.circular, u.resolvable) for u in found] == [
        ((0, 2, 3), True, True),
        ((1,), False, True),
    ]


def test_who_refers_to_itself_is_a_circle() -> None:
    assert [(u.circular, u.resolvable) for u in units(managed("a", "a"))] == [(True, True)]
    assert [(u.circular, u.resolvable) for u in units(group("g", "g"))] == [(True, False)]


def test_groups_in_a_circle_are_resolved_where_they_can_be_nested() -> None:
    """RFC 7644 §3.7.1's own example."""
    found = units(group("a", "b"), group("b", "a"), group("c", "c"), nested_groups=True)
    assert [(u.operations, u.circular, u.resolvable) for u in found] == [
        ((0, 1), True, True),
        ((2,), True, False),
    ]


def test_groups_in_a_circle_cannot_be_resolved_where_they_cannot() -> None:
    found = units(group("a", "b"), group("b", "a"), user("x"))
    assert [(u.operations, u.circular, u.resolvable) for u in found] == [
        ((0, 1), True, False),
        ((2,), False, True),
    ]


def test_a_user_opens_a_circle_with_groups() -> None:
    found = units(group("g", "h"), group("h", "a"), managed("a", "g"))
    assert [(u.operations, u.circular, u.resolvable) for u in found] == [((2, 1, 0), True, True)]


def test_a_long_chain_needs_no_recursion() -> None:
    chain = [managed(str(n), str(n + 1)) for n in range(3000)] + [user("3000")]
    assert sequence(*chain) == list(range(3000, -1, -1))


def test_a_large_circle_needs_no_recursion() -> None:
    circle = [managed(str(n), str((n + 1) % 3000)) for n in range(3000)]
    assert [u.operations for u in units(*circle)] == [tuple(range(3000))]
