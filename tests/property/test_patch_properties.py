"""Whatever is sent, PATCH and resource bodies end in a clean resource or a SCIM error of the client's."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.scim.changes import changed_attributes
from app.scim.dialect import LENIENT, STRICT, Dialect
from app.scim.errors import ScimError
from app.scim.etag import version_of
from app.scim.messages import PATCH_OP, error_body
from app.scim.patch import Operation, apply_patch, read_patch
from app.scim.schema import ENTERPRISE_USER as ENT
from app.scim.schema import PLATFORM_USER, USER, Resource, user_model
from app.scim.validate import read_resource

USERS = user_model()
DIALECTS = pytest.mark.parametrize("dialect", [LENIENT, STRICT], ids=["lenient", "strict"])

NAMES = [
    *(attribute.name for attribute in USERS.attributes),
    *("USERNAME", "name.givenName", "emails.value", "manager", "department", "unheard.of", ""),
    *(ENT, f"{ENT}:manager", f"{ENT}:manager.value", ENT.upper(), PLATFORM_USER, f"{PLATFORM_USER}:status"),
    *('emails[type eq "work"].value', "roles[primary eq true]", f"{USER}:title", "urn:example:x"),
]
SUBS = ["value", "Value", "type", "primary", "display", "$ref", "givenName", "displayName", "status", "x"]
PATHS = [
    *NAMES,
    *(
        'emails[type eq "work"]',
        'emails[value ew "x" or primary eq true].primary',
        'roles[primary eq "True"].value',
    ),
    *(
        'addresses[type eq "home"].locality',
        "phoneNumbers[not (type pr)]",
        "emails[",
        'emails[type eq "a"',
        "name[x",
    ),
    *(
        'members[value eq "1"]',
        'ims[type eq "a" and value eq "b" and primary eq true].display',
        "groups[value pr]",
    ),
]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.sampled_from(
        ["", "True", "false", "work", "home", "a@x", "A@x", "ACTIVE", "AQID", '{"value":"r"}', "\0"]
    )
    | st.text(max_size=5)
)
parts = st.dictionaries(st.sampled_from(SUBS), scalars, max_size=4)
values = scalars | parts | st.lists(scalars | parts, max_size=3)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
bodies = st.dictionaries(
    st.sampled_from(NAMES) | st.text(max_size=5),
    values | anything | st.dictionaries(st.sampled_from(NAMES), values, max_size=3),
    max_size=6,
).map(lambda body: {"userName": "a", "emails": [{"value": "a@x"}], **body})

types = st.sampled_from(["work", "home", "other"])
addresses = st.sampled_from(["a@x", "b@x", "B@x", "c@x"])
emails = st.fixed_dictionaries({"value": addresses}, optional={"type": types, "display": st.just("d")})


elements = st.fixed_dictionaries(
    {"value": addresses | st.just("r")},
    optional={
        "type": types,
        "primary": st.sampled_from([True, False, "True", None]),
        "display": st.just("d"),
    },
)
fitting: dict[str, st.SearchStrategy[Any]] = {
    "title": st.text("ab", max_size=3) | st.integers() | st.none(),
    "active": st.booleans() | st.sampled_from(["True", "false"]),
    "Name": st.dictionaries(
        st.sampled_from(["givenName", "familyName", "FORMATTED"]), st.text("ab"), max_size=2
    ),
    "emails": st.lists(elements, min_size=1, max_size=3),
    "roles": st.lists(elements, max_size=3) | elements | st.just("r"),
    "addresses": st.lists(
        st.fixed_dictionaries({"locality": st.just("L")}, optional={"type": types}), max_size=2
    ),
    ENT: st.fixed_dictionaries(
        {}, optional={"manager": st.sampled_from(["m", "n", ""]), "costCenter": st.just("C")}
    ),
    f"{ENT}:department": st.sampled_from(["D", "E", ""]),
    "manager": st.sampled_from(["m", "", None]) | st.just([{"value": "n", "$ref": None}]),
}
"""Attributes with values that some client sends for them."""
fitting_paths: dict[str, st.SearchStrategy[Any]] = {
    **fitting,
    "name.givenName": st.text("ab", max_size=2),
    'emails[type eq "work"].value': addresses,
    'emails[type eq "home"]': elements,
    "roles[primary eq true].value": st.sampled_from(["r", "q", ""]),
    "emails.primary": st.just(True),
    'addresses[type eq "work"].country': st.just("NO"),
}
"""The same for paths of PATCH."""


def fitting_operation(path: str) -> st.SearchStrategy[dict[str, Any]]:
    kinds = st.sampled_from(["add", "replace", "remove"])
    return st.fixed_dictionaries({"op": kinds, "path": st.just(path), "value": fitting_paths[path]})


any_operations = st.one_of(
    st.sampled_from(list(fitting_paths)).flatmap(fitting_operation),
    st.sampled_from(list(fitting_paths)).flatmap(fitting_operation),
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace", "remove", "Add", "move"])},
        optional={"path": st.sampled_from(PATHS) | scalars, "value": values | bodies, "x": scalars},
    ),
)
fitting_bodies = st.fixed_dictionaries(
    {"userName": st.just("a"), "emails": fitting["emails"]},
    optional={name: value for name, value in fitting.items() if name != "emails"},
)


@st.composite
def users(draw: st.DrawFn) -> Resource:
    """A canonical user with some of everything; at most one primary e-mail."""
    found = {(e["value"], e.get("type")): e for e in draw(st.lists(emails, min_size=1, max_size=4))}
    several = [dict(e) for e in found.values()]
    if draw(st.booleans()):
        several[0]["primary"] = True
    user: Resource = {
        "schemas": [USER, ENT],
        "id": "u1",
        "userName": "ann",
        "emails": several,
        "groups": [{"value": "g1"}],
        ENT: {"department": "D", "manager": {"value": "m", "displayName": "M"}},
    }
    if draw(st.booleans()):
        user["name"] = {"givenName": "Ann", "familyName": "Archer"}
    if draw(st.booleans()):
        user["roles"] = [{"value": "r", "primary": True}, {"value": "s"}]
    return user


def message(*operations: Any) -> dict[str, Any]:
    return {"schemas": [PATCH_OP], "Operations": list(operations)}


def primaries(resource: Resource) -> list[int]:
    lists = [v for v in resource.values() if isinstance(v, list)]
    return [sum(isinstance(e, dict) and e.get("primary") is True for e in found) for found in lists]


def check_error(error: ScimError) -> None:
    assert 400 <= error.status < 500
    str(error_body(error)).encode("utf-8")


def check_clean(value: object) -> None:
    """No nulls, nothing empty, nothing that JSON or UTF-8 cannot hold."""
    match value:
        case dict():
            assert value
            for item in value.values():
                check_clean(item)
        case list():
            assert value
            for item in value:
                check_clean(item)
        case str():
            value.encode("utf-8")
            assert "\0" not in value
        case float():
            assert math.isfinite(value)
        case _:
            assert value is not None


@DIALECTS
@given(body=bodies | anything)
def test_any_body_is_a_clean_resource_or_a_client_error(dialect: Dialect, body: Any) -> None:
    before = copy.deepcopy(body)
    try:
        resource = read_resource(body, USERS, dialect)
    except ScimError as error:
        check_error(error)
    else:
        check_clean(resource)
        assert max(primaries(resource)) <= 1
        assert resource["schemas"][0] == USER
        version_of(resource)
    assert body == before


@DIALECTS
@given(body=fitting_bodies | bodies)
def test_reading_a_body_twice_changes_nothing(dialect: Dialect, body: Any) -> None:
    try:
        once = read_resource({**body, "schemas": [USER, ENT, PLATFORM_USER]}, USERS, dialect)
    except ScimError:
        return
    twice = read_resource(once, USERS, dialect)
    assert twice == once
    assert changed_attributes(once, twice, USERS) == ()


@DIALECTS
@given(user=users(), operations=st.lists(any_operations, max_size=4))
def test_any_patch_is_a_resource_or_a_client_error(dialect: Dialect, user: Resource, operations: Any) -> None:
    body = message(*operations)
    before = copy.deepcopy((user, body))
    try:
        after = apply_patch(user, read_patch(body, dialect), USERS, dialect)
    except ScimError as error:
        check_error(error)
    else:
        check_clean(after)
        assert max(primaries(after)) <= 1
        assert (after["id"], after["groups"]) == ("u1", [{"value": "g1"}])
        assert "userName" in after and "emails" in after
        assert after["schemas"] == [USER, *(urn for urn in (ENT, PLATFORM_USER) if urn in after)]
    assert (user, body) == before, "an argument was changed"


@DIALECTS
@given(body=anything | anything.map(lambda found: message(found)))
def test_any_patch_message_is_read_or_refused(dialect: Dialect, body: Any) -> None:
    try:
        operations = read_patch(body, dialect)
    except ScimError as error:
        check_error(error)
    else:
        assert all(isinstance(operation, Operation) for operation in operations)


def apply(user: Resource, *operations: dict[str, Any]) -> Resource:
    return apply_patch(user, read_patch(message(*operations), LENIENT), USERS, LENIENT)


adds = st.one_of(
    st.fixed_dictionaries(
        {
            "op": st.just("add"),
            "path": st.just("emails"),
            "value": st.lists(emails, max_size=3).flatmap(
                lambda found: st.sampled_from(
                    [found, [{**e, "primary": i == 0} for i, e in enumerate(found)]]
                )
            ),
        }
    ),
    st.fixed_dictionaries(
        {
            "op": st.just("add"),
            "path": types.map(lambda kind: f'emails[type eq "{kind}"].value'),
            "value": addresses,
        }
    ),
    st.fixed_dictionaries(
        {"op": st.just("add"), "path": st.just("name"), "value": st.just({"middleName": "M"})}
    ),
    st.fixed_dictionaries(
        {"op": st.just("add"), "path": st.just("manager"), "value": st.sampled_from(["m", "n", ""])}
    ),
)


@given(user=users(), add=adds)
def test_adding_twice_is_adding_once(user: Resource, add: dict[str, Any]) -> None:
    once = apply(user, add)
    assert apply(user, add, add) == once
    assert apply(once, add) == once


@given(user=users(), kind=types)
def test_removing_what_was_added_restores(user: Resource, kind: str) -> None:
    new = {"value": "new@x", "type": kind}
    grown = apply(user, {"op": "add", "path": "emails", "value": [new]})
    assert len(grown["emails"]) == len(user["emails"]) + 1
    by_filter = apply(grown, {"op": "remove", "path": 'emails[value eq "new@x"]'})
    by_value = apply(grown, {"op": "remove", "path": "emails", "value": [new]})
    assert by_filter == by_value == user


@given(user=users(), operations=st.lists(adds, max_size=4))
def test_operations_apply_one_after_the_other(user: Resource, operations: list[dict[str, Any]]) -> None:
    step_by_step = user
    for operation in operations:
        step_by_step = apply(step_by_step, operation)
    assert apply(user, *operations) == step_by_step
