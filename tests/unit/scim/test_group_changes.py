"""Every form of operation on members, and the steps and the delta that it becomes."""

from __future__ import annotations

from typing import Any

import pytest

from app.scim.dialect import LENIENT, STRICT, Dialect
from app.scim.errors import (
    InvalidFilter,
    InvalidPath,
    InvalidSyntax,
    InvalidValue,
    Mutability,
    NoTarget,
    ScimError,
)
from app.scim.group_changes import (
    Add,
    Delta,
    MemberRef,
    Only,
    Remove,
    RemoveWhere,
    Step,
    add_up,
    members_of,
    split_patch,
)
from app.scim.messages import PATCH_OP
from app.scim.patch import Operation, apply_patch, read_patch
from app.scim.schema import GROUP, group_model

MODEL = group_model()


def split(dialect: Dialect, *operations: dict[str, Any]) -> tuple[tuple[Step, ...], tuple[Operation, ...]]:
    body = {"schemas": [PATCH_OP], "Operations": list(operations)}
    return split_patch(read_patch(body, dialect), MODEL, dialect)


def text_of(step: Step) -> str:
    match step:
        case Add():
            return "add " + _members(step.members)
        case Only():
            return "only " + _members(step.members)
        case Remove():
            return "remove " + " ".join(step.ids)
        case RemoveWhere():
            return "remove where"


def _members(members: tuple[MemberRef, ...]) -> str:
    return " ".join(m.value + (f":{m.type}" if m.type else "") for m in members)


def steps(dialect: Dialect, *operations: dict[str, Any]) -> list[str]:
    found, others = split(dialect, *operations)
    assert others == ()
    return [text_of(s).strip() for s in found]


A, B = {"value": "a"}, {"value": "b"}
M = "members"

BOTH: list[tuple[str, dict[str, Any], list[str]]] = [
    ("one", {"op": "add", "path": M, "value": [A]}, ["add a"]),
    ("two", {"op": "add", "path": M, "value": [A, B]}, ["add a b"]),
    ("one twice", {"op": "add", "path": M, "value": [A, A, B]}, ["add a b"]),
    ("one twice, told apart", {"op": "add", "path": M, "value": [A, {**A, "type": "User"}]}, ["add a:User"]),
    ("$ref null", {"op": "add", "path": M, "value": [{"$ref": None, "value": "a"}]}, ["add a"]),
    ("display", {"op": "add", "path": M, "value": [{"value": "a", "display": "Ann"}]}, ["add a"]),
    ("type", {"op": "add", "path": M, "value": [{"value": "a", "type": "Group"}]}, ["add a:Group"]),
    ("type in capitals", {"op": "add", "path": M, "value": [{"value": "a", "type": "USER"}]}, ["add a:User"]),
    ("another type", {"op": "add", "path": M, "value": [{"value": "a", "type": "device"}]}, ["add a"]),
    ("other case", {"op": "add", "path": "MEMBERS", "value": [A]}, ["add a"]),
    ("by URN", {"op": "add", "path": f"{GROUP}:members", "value": [A]}, ["add a"]),
    ("nobody", {"op": "add", "path": M, "value": []}, ["add"]),
    ("null", {"op": "add", "path": M, "value": None}, ["add"]),
    ("no path", {"op": "add", "value": {"members": [A]}}, ["add a"]),
    ("no path, by URN", {"op": "add", "value": {f"{GROUP}:members": [A]}}, ["add a"]),
    ("the list", {"op": "replace", "path": M, "value": [A, B]}, ["only a b"]),
    ("the empty list", {"op": "replace", "path": M, "value": []}, ["only"]),
    ("the list, null", {"op": "replace", "path": M, "value": None}, ["only"]),
    ("the list, no path", {"op": "replace", "value": {"members": [A]}}, ["only a"]),
    ("the empty list, no path", {"op": "replace", "value": {"members": []}}, ["only"]),
    ("all", {"op": "remove", "path": M}, ["only"]),
    ("all, null beside it", {"op": "remove", "path": M, "value": None}, ["only"]),
    ("by type", {"op": "remove", "path": 'members[type eq "Group"]'}, ["remove where"]),
    ("by part", {"op": "remove", "path": 'members[value sw "a"]'}, ["remove where"]),
    ("by and", {"op": "remove", "path": 'members[value eq "a" and type eq "User"]'}, ["remove where"]),
    ("by mixed or", {"op": "remove", "path": 'members[value eq "a" or type eq "User"]'}, ["remove where"]),
    ("by what it is not", {"op": "remove", "path": 'members[value ne "a"]'}, ["remove where"]),
    ("by display", {"op": "remove", "path": 'members[display eq "Ann"]'}, ["remove where"]),
]

BY_ID: list[tuple[str, dict[str, Any], list[str]]] = [
    ("by filter", {"op": "remove", "path": 'members[value eq "a"]'}, ["remove a"]),
    ("by filter in capitals", {"op": "remove", "path": 'MEMBERS[VALUE EQ "a"]'}, ["remove a"]),
    ("by filter, URN", {"op": "remove", "path": f'{GROUP}:members[value eq "a"]'}, ["remove a"]),
    ("by or", {"op": "remove", "path": 'members[value eq "a" or value eq "b"]'}, ["remove a b"]),
    (
        "by or, twice the same",
        {"op": "remove", "path": 'members[value eq "a" or value eq "a"]'},
        ["remove a"],
    ),
    ("by filter, its value", {"op": "remove", "path": 'members[value eq "a"].value'}, ["remove a"]),
]
"""Without `unmatched-remove-succeeds` somebody has to look whether such a filter selects anybody."""

LENIENT_ONLY: list[tuple[str, dict[str, Any], list[str], type[ScimError]]] = [
    ("Add", {"op": "Add", "path": M, "value": [A]}, ["add a"], InvalidSyntax),
    ("by array", {"op": "remove", "path": M, "value": [A, B]}, ["remove a b"], InvalidValue),
    ("by array of strings", {"op": "Remove", "path": M, "value": ["a"]}, ["remove a"], InvalidSyntax),
    ("by one value", {"op": "remove", "path": M, "value": A}, ["remove a"], InvalidValue),
    ("by an empty array", {"op": "remove", "path": M, "value": []}, ["remove"], InvalidValue),
    ("strings", {"op": "add", "path": M, "value": ["a", "b"]}, ["add a b"], InvalidValue),
    ("one string", {"op": "add", "path": M, "value": "a"}, ["add a"], InvalidValue),
    ("one object", {"op": "add", "path": M, "value": A}, ["add a"], InvalidValue),
    ("a number", {"op": "add", "path": M, "value": [{"value": 5}]}, ["add 5"], InvalidValue),
    ("a stray key", {"op": "add", "path": M, "value": [A], "name": "x"}, ["add a"], InvalidSyntax),
    ("a stray sub", {"op": "add", "path": M, "value": [{**A, "foo": 1}]}, ["add a"], InvalidSyntax),
    ("empty text", {"op": "replace", "path": M, "value": ""}, ["only"], InvalidValue),
]

REFUSED: list[tuple[str, dict[str, Any], type[ScimError]]] = [
    ("no value", {"op": "add", "path": M}, InvalidValue),
    ("no path", {"op": "remove"}, NoTarget),
    (
        "a member without value",
        {"op": "add", "path": M, "value": [{"type": "User", "$ref": "x"}]},
        InvalidValue,
    ),
    ("a member that is a list", {"op": "add", "path": M, "value": [["a"]]}, InvalidValue),
    ("a filtered replacement", {"op": "replace", "path": 'members[value eq "a"]', "value": [B]}, Mutability),
    ("a filtered addition", {"op": "add", "path": 'members[value eq "a"]', "value": [B]}, Mutability),
    ("another part", {"op": "replace", "path": 'members[value eq "a"].display', "value": "x"}, Mutability),
    ("a part of all", {"op": "remove", "path": "members.type"}, Mutability),
    ("an unknown part", {"op": "remove", "path": "members.foo"}, InvalidPath),
    ("a broken filter", {"op": "remove", "path": 'members[value eq "a"'}, InvalidPath),
    ("a filter of a foreign part", {"op": "remove", "path": 'members[foo eq "a"]'}, ScimError),
    ("more behind the name", {"op": "remove", "path": "members nonsense"}, InvalidPath),
]


@pytest.mark.parametrize("dialect", [LENIENT, STRICT], ids=["lenient", "strict"])
@pytest.mark.parametrize(("operation", "expected"), [c[1:] for c in BOTH], ids=[c[0] for c in BOTH])
def test_forms_of_both_dialects(dialect: Dialect, operation: dict[str, Any], expected: list[str]) -> None:
    assert steps(dialect, operation) == expected


@pytest.mark.parametrize(("operation", "expected"), [c[1:] for c in BY_ID], ids=[c[0] for c in BY_ID])
def test_members_by_their_ids(operation: dict[str, Any], expected: list[str]) -> None:
    assert steps(LENIENT, operation) == expected
    assert steps(STRICT, operation) == ["remove where"]
    assert steps(Dialect.of("strict", on=["unmatched-remove-succeeds"]), operation) == expected


def test_a_path_as_a_key_needs_its_tolerance() -> None:
    operation = {"op": "add", "value": {"members.value": [A]}}
    assert steps(LENIENT, operation) == ["add a"]
    found, (left,) = split(STRICT, operation)
    assert found == ()
    # As any key that no schema knows.
    with pytest.raises(InvalidSyntax):
        apply_patch({"displayName": "x"}, [left], MODEL, STRICT)


@pytest.mark.parametrize(
    ("operation", "expected", "error"), [c[1:] for c in LENIENT_ONLY], ids=[c[0] for c in LENIENT_ONLY]
)
def test_forms_of_the_lenient_dialect(
    operation: dict[str, Any], expected: list[str], error: type[ScimError]
) -> None:
    assert steps(LENIENT, operation) == expected
    with pytest.raises(error):
        split(STRICT, operation)


def test_an_empty_path_is_none() -> None:
    assert steps(LENIENT, {"op": "add", "path": "", "value": {"members": [A]}}) == ["add a"]


@pytest.mark.parametrize("dialect", [LENIENT, STRICT], ids=["lenient", "strict"])
@pytest.mark.parametrize(("operation", "error"), [c[1:] for c in REFUSED], ids=[c[0] for c in REFUSED])
def test_forms_that_are_refused(dialect: Dialect, operation: dict[str, Any], error: type[ScimError]) -> None:
    with pytest.raises((error, InvalidFilter)):
        split(dialect, operation)


@pytest.mark.parametrize("value", [[{"display": "Ann"}], [{}], [None], [""], [[]]])
def test_a_list_that_names_nobody_is_not_the_empty_list(value: list[Any]) -> None:
    """`[]` empties a group; a list with elements of which none is a member was meant otherwise."""
    with pytest.raises(InvalidValue):
        split(LENIENT, {"op": "replace", "path": M, "value": value})


def test_the_rest_of_a_path_less_value_stays_an_operation() -> None:
    found, others = split(
        LENIENT, {"op": "replace", "value": {"displayName": "x", "Members": [A], "id": "g"}}
    )
    assert [text_of(s) for s in found] == ["only a"]
    assert [(o.op, o.path, o.value) for o in others] == [("replace", None, {"displayName": "x", "id": "g"})]


def test_operations_on_the_rest_keep_their_order() -> None:
    found, others = split(
        LENIENT,
        {"op": "replace", "path": "displayName", "value": "x"},
        {"op": "add", "path": M, "value": [A]},
        {"op": "replace", "path": "externalId", "value": "y"},
        {"op": "remove", "path": 'members[value eq "b"]'},
    )
    assert [text_of(s) for s in found] == ["add a", "remove b"]
    assert [o.path for o in others] == ["displayName", "externalId"]


@pytest.mark.parametrize("path", ["membership", "members2", "membersx", "displayName", "x:members"])
def test_what_only_looks_like_members_is_left_to_others(path: str) -> None:
    found, others = split(LENIENT, {"op": "add", "path": path, "value": "x"})
    assert found == ()
    assert [o.path for o in others] == [path]


def refs(*ids: str) -> tuple[MemberRef, ...]:
    return tuple(MemberRef(value=i) for i in ids)


ADD_AB, REMOVE_A, ONLY_BC = Add(members=refs("a", "b")), Remove(ids=("a",)), Only(members=refs("b", "c"))


@pytest.mark.parametrize(
    ("sequence", "delta"),
    [
        ([], Delta()),
        ([ADD_AB], Delta(add=refs("a", "b"))),
        ([REMOVE_A], Delta(remove=("a",))),
        ([ADD_AB, REMOVE_A], Delta(add=refs("b"), remove=("a",))),
        ([REMOVE_A, ADD_AB], Delta(add=refs("a", "b"))),
        ([REMOVE_A, ADD_AB, REMOVE_A], Delta(add=refs("b"), remove=("a",))),
        ([ONLY_BC], Delta(only=refs("b", "c"))),
        ([ONLY_BC, ADD_AB], Delta(only=refs("b", "c", "a"))),
        ([ADD_AB, ONLY_BC], Delta(only=refs("b", "c"))),
        ([ONLY_BC, Remove(ids=("b", "z"))], Delta(only=refs("c"))),
        ([Only(members=()), ADD_AB], Delta(only=refs("a", "b"))),
        ([ADD_AB, Only(members=())], Delta(only=())),
        ([Add(members=()), Remove(ids=())], Delta()),
    ],
)
def test_steps_add_up(sequence: list[Add | Remove | Only], delta: Delta) -> None:
    assert add_up(sequence) == delta


def test_only_a_delta_that_says_something_counts() -> None:
    assert not Delta()
    assert Delta(only=())
    assert Delta(add=refs("a"))
    assert Delta(remove=("a",))


def test_members_of_a_resource() -> None:
    value = [{"value": "a", "type": "group"}, {"value": "b", "$ref": None}, {"value": "a"}]
    assert [m.value for m in members_of(value, MODEL, LENIENT)] == ["a", "b"]
    assert members_of(None, MODEL, LENIENT) == ()
    assert members_of([], MODEL, STRICT) == ()
