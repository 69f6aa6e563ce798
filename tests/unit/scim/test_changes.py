"""Which attributes differ between two states of a user."""

from __future__ import annotations

import pytest

from app.scim.changes import changed_attributes
from app.scim.schema import ENTERPRISE_USER as ENT
from app.scim.schema import USER, Resource, user_model

USERS = user_model()
WORK = {"type": "work", "value": "w@x", "primary": True}
HOME = {"type": "home", "value": "h@x"}
PLAIN: Resource = {
    "schemas": [USER, ENT],
    "id": "u1",
    "meta": {"resourceType": "User"},
    "userName": "ann",
    "name": {"givenName": "Ann", "familyName": "Archer"},
    "active": True,
    "emails": [WORK, HOME],
    "groups": [{"value": "g1"}],
    ENT: {"department": "Dev", "manager": {"value": "b1", "$ref": "../Users/b1", "displayName": "Boss"}},
}

CHANGES: list[tuple[str, Resource, tuple[str, ...]]] = [
    ("nothing", {}, ()),
    ("one attribute", {"active": False}, ("active",)),
    ("one gone", {"name": None}, ("name",)),
    ("order of elements", {"emails": [HOME, WORK]}, ()),
    ("order of sub-attributes", {"name": {"familyName": "Archer", "givenName": "Ann"}}, ()),
    ("an element twice", {"emails": [WORK, HOME, HOME]}, ("emails",)),
    ("upper and lower case", {"userName": "Ann"}, ("userName",)),
    ("readOnly attributes", {"id": "x", "groups": [], "meta": None, "schemas": []}, ()),
    (
        "readOnly sub-attributes",
        {ENT: {"department": "Dev", "manager": {"value": "b1", "$ref": "../Users/b1"}}},
        (),
    ),
    (
        "extension attributes",
        {ENT: {"division": "D"}},
        (f"{ENT}:division", f"{ENT}:department", f"{ENT}:manager"),
    ),
    ("empty is unassigned", {"roles": [], "title": None}, ()),
]


@pytest.mark.parametrize(("change", "expected"), [c[1:] for c in CHANGES], ids=[c[0] for c in CHANGES])
def test_changed_attributes(change: Resource, expected: tuple[str, ...]) -> None:
    assert set(changed_attributes(PLAIN, {**PLAIN, **change}, USERS)) == set(expected)
    assert set(changed_attributes({**PLAIN, **change}, PLAIN, USERS)) == set(expected)


def test_names_come_in_schema_order() -> None:
    changed = {**PLAIN, ENT: {}, "emails": [], "userName": "eve", "externalId": "e"}
    assert changed_attributes(PLAIN, changed, USERS) == (
        "externalId",
        "userName",
        "emails",
        f"{ENT}:department",
        f"{ENT}:manager",
    )
