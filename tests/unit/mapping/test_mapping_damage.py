"""custom_attributes that others wrote into: no error, no change by itself, no broken resource."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from mapping_samples import ENT, MAPPING, PLATFORM, change_to, edited, shown, user

from app.mapping.kept import kept_of
from app.scim.dialect import STRICT
from app.scim.validate import read_resource

ODD: list[Any] = [
    None,
    True,
    0,
    1.5,
    "",
    "text",
    [],
    [None],
    ["x"],
    {},
    {"x": None},
    [[1]],
    {"value": 5},
    [{}],
    10**400,
]
KEYS = [
    "scim",
    "scim_external_ids",
    "title",
    "addresses",
    "manager",
    "profile_url",
    "department",
    "employee_number",
]
PARTS = ["attributes", "held", "derived", "unassigned", "prior_status"]

DAMAGED: list[dict[str, Any]] = [
    *({key: value} for key in KEYS for value in ODD),
    *({"scim": {part: value}} for part in PARTS for value in ODD),
    *({"scim": {"held": {name: value}}} for name in ("emails", "name.formatted", "nobody") for value in ODD),
    *(
        {"scim": {"held": {"emails": {"with": "ada@example.com", "value": value}}}}
        for value in (
            *ODD,
            [{"value": "ada@example.com", "primary": "yes"}],
            [{"type": "work"}],
            [{"value": 5}],
        )
    ),
    *({"scim": {"held": {"name.formatted": {"with": ["Ada", None], "value": value}}}} for value in ODD),
    *({"scim": {"attributes": {name: value}}} for name in ("roles", "name", "photos", ENT) for value in ODD),
    *(
        {"scim": {"attributes": {name: value}}}
        for name, value in [
            ("userName", "mallory"),
            ("id", "usr_2"),
            ("meta", {"location": "x"}),
            ("active", False),
            ("groups", [{"value": "grp_1"}]),
            ("password", "secret"),
            ("schemas", ["urn:x"]),
            ("emails", [{"value": "mallory@example.com"}]),
            ("externalId", "stolen"),
            ("unheard.of", 1),
            ("urn:nobody:1.0", {"x": 1}),
            (ENT, {"department": "Forged", "unheard": 1}),
            ("name", {"givenName": "Mallory", "middleName": 7}),
        ]
    ),
    *({"scim_external_ids": {"default": value}} for value in ODD),
    *({"scim": {"unassigned": {"locale": value}}} for value in ODD),
    *({"scim": {"derived": {"emails": value}}} for value in ODD),
]


@pytest.mark.parametrize("custom", DAMAGED, ids=lambda c: repr(c)[:60])
def test_damage_is_read_over(custom: dict[str, Any]) -> None:
    current = user(first_name="Ada", custom_attributes=custom)
    read = shown(current)
    assert read["id"] == "usr_1"
    assert read["userName"] == "ada"
    assert read["active"] is True
    assert read["emails"][0]["value"] == "ada@example.com"
    assert "groups" not in read
    assert "password" not in read
    assert read["meta"]["location"].endswith("/usr_1")
    # What is shown is a resource by the letter of the schemas.
    again = read_resource(read, MAPPING.model, STRICT)
    readable = {k: v for k, v in read.items() if k not in ("id", "meta", "groups")}
    readable = {k: v for k, v in readable.items() if not k.startswith("urn:scim-bridge")}
    assert {k: again.get(k) for k in readable if k != "schemas"} == {
        k: v for k, v in readable.items() if k != "schemas"
    }


@pytest.mark.parametrize("custom", DAMAGED, ids=lambda c: repr(c)[:60])
def test_damage_is_no_reason_to_write(custom: dict[str, Any]) -> None:
    current = user(first_name="Ada", custom_attributes=custom)
    assert not change_to(current, shown(current))


@pytest.mark.parametrize("custom", DAMAGED, ids=lambda c: repr(c)[:60])
def test_damage_does_not_keep_a_client_from_writing(custom: dict[str, Any]) -> None:
    wanted: dict[str, Any] = {
        "title": "Countess",
        "externalId": "x-1",
        "roles": [{"value": "admin"}],
        "emails": [{"value": "b@example.com", "type": "home"}],
        "addresses": [{"locality": "London"}],
        ENT: {"department": "Analytics", "manager": {"value": "usr_9"}},
    }
    current = user(first_name="Ada", custom_attributes=custom)
    read = shown(edited(current, name__formatted="Lady", locale=None, **wanted))
    assert {k: read[k] for k in wanted} == wanted
    assert read["name"]["formatted"] == "Lady"
    assert "locale" not in read


def test_a_record_adds_to_fields_and_never_speaks_for_them() -> None:
    """What has a field is filtered, searched and listed by it: a second truth would not be found."""
    record = {
        "displayName": "Mallory",
        "name": {"givenName": "Mallory", "familyName": "M", "middleName": "King"},
        "emails": [{"value": "mallory@example.com"}],
        "phoneNumbers": [{"value": "1"}],
        PLATFORM: {"ouId": "ou_9", "lastLoginAt": "2026-01-01T00:00:00Z"},
    }
    read = shown(user(first_name="Ada", custom_attributes={"scim": {"attributes": record}}))
    assert read["name"] == {"givenName": "Ada", "formatted": "Ada", "middleName": "King"}
    assert read["emails"][0]["value"] == "ada@example.com"
    assert "displayName" not in read
    assert "phoneNumbers" not in read
    assert not read[PLATFORM].keys() & {"ouId", "lastLoginAt"}


@pytest.mark.parametrize("value", ODD)
def test_kept_of_anything(value: Any) -> None:
    assert kept_of({"scim": value}).to_json() is not None
    for part in PARTS:
        kept_of({"scim": {part: value}}).held_value("emails", "x")
    assert kept_of(None).to_json() == {}


def test_a_copy_is_edited() -> None:
    custom: dict[str, Any] = {"scim": {"held": {"emails": {"with": "a", "value": []}}}}
    record = kept_of(custom)
    record.held.clear()
    assert custom["scim"]["held"]


def test_arguments_are_not_mutated() -> None:
    custom = {
        "badge": {"a": [1]},
        "scim": {"attributes": {"roles": [{"value": "x"}]}},
        "addresses": [{"locality": "L"}],
    }
    current = user(custom_attributes=copy.deepcopy(custom))
    before = shown(current)
    kept = copy.deepcopy(before)
    edited(current, title="T", roles=None, addresses=[{"locality": "M"}], externalId="x", locale=None)
    assert current.custom_attributes == custom
    assert before == kept
