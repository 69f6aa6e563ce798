"""The mappings for single clients: what they share with the default one, and moving between them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from mapping_samples import ENT, body, changed, created, shown, with_rule

from app.mapping.load import load_mapping, parse_mapping, shipped_directories
from app.mapping.users import UserMapping

CLIENTS = ["entra", "okta"]
DEFAULT = load_mapping("default")
PERSON: dict[str, Any] = {
    "name": {"givenName": "Ada", "familyName": "Byron", "middleName": "A.", "honorificPrefix": "Lady"},
    "emails": [{"value": "ada@example.com", "type": "work", "primary": True}],
    "externalId": "00u1",
    "title": "Countess",
    "nickName": "Ad",
    "addresses": [{"type": "work", "locality": "London"}],
    "roles": [{"value": "admin"}],
    ENT: {"department": "Maths", "manager": {"value": "usr_2"}},
}


def source(name: str) -> str:
    (found,) = (f for d in shipped_directories() if (f := d / f"{name}.toml").is_file())
    return found.read_text("utf-8")


def places(mapping: UserMapping) -> dict[str, str | None]:
    """SCIM attribute → place on the platform; a part of a complex value for the whole."""
    found = {r.scim: r.field or r.custom or r.template for r in mapping.file.user}
    if f"{ENT}:manager.value" in found:
        assert found.pop(f"{ENT}:manager.value") == "manager.value"
        assert found.pop(f"{ENT}:manager.displayName") == "manager.displayName"
        found[f"{ENT}:manager"] = "manager"
    return found


@pytest.mark.parametrize("name", CLIENTS)
def test_what_the_default_has_is_at_the_same_place(name: str) -> None:
    mapping = load_mapping(name)
    assert places(DEFAULT).items() <= places(mapping).items()
    assert mapping.platform == DEFAULT.platform
    assert mapping.status == DEFAULT.status


@pytest.mark.parametrize("name", CLIENTS)
def test_what_is_commented_out_can_be_used(name: str) -> None:
    """A line of TOML that is commented out has no space behind its #, a line of text has one."""
    text = re.sub(r"(?m)^#(?![ :])", "", source(name))
    mapping = parse_mapping(text, f"{name}.toml")
    (own,) = mapping.file.schemas
    assert f"{own.id}:badgeNumber" in places(mapping)
    assert bool(mapping.catalogs) is (name == "okta")
    assert load_mapping(name).file.schemas == ()


@pytest.mark.parametrize("name", CLIENTS)
def test_a_user_of_the_default_mapping_reads_the_same(name: str) -> None:
    mapping = load_mapping(name)
    there = created(body(**PERSON))
    assert shown(there, mapping=mapping) == shown(there)
    assert there.custom_attributes is not None
    assert there.custom_attributes["scim"]["attributes"].keys() == {"name", "roles"}


@pytest.mark.parametrize("name", CLIENTS)
def test_the_next_write_moves_values_to_their_own_places(name: str) -> None:
    mapping = load_mapping(name)
    there = created(body(**PERSON))
    before = shown(there, mapping=mapping)
    assert changed(there, before, mapping=mapping) == there
    after = changed(there, {**before, "title": "Programmer"}, mapping=mapping)
    assert shown(after, mapping=mapping) == {**before, "title": "Programmer"}
    assert after.custom_attributes is not None
    assert "attributes" not in after.custom_attributes.get("scim", {})
    assert after.custom_attributes["middle_name"] == "A."
    assert after.custom_attributes["roles"] == [{"value": "admin"}]


@pytest.mark.parametrize("name", CLIENTS)
@pytest.mark.parametrize("new", ["B.", None])
def test_a_value_left_behind_can_be_changed_and_removed(name: str, new: str | None) -> None:
    mapping = load_mapping(name)
    there = created(body(**PERSON))
    wanted = shown(there, mapping=mapping)
    parts = {**wanted["name"], "middleName": new}
    wanted["name"] = {k: v for k, v in parts.items() if v is not None}
    assert shown(changed(there, wanted, mapping=mapping), mapping=mapping) == wanted


def test_a_value_that_the_new_rule_cannot_take_stays() -> None:
    """It is not the client's fault, who changes something else."""
    table = 'transform = [{ kind = "lookup", table = { a = "1" }, unknown = "refuse" }]'
    mapping = with_rule('scim = "title"\ncustom = "t"', f'scim = "nickName"\ncustom = "n"\n{table}')
    there = created(body(emails=PERSON["emails"], nickName="Ad", title="x"), mapping=with_rule())
    wanted = {**shown(there, mapping=mapping), "title": "y"}
    after = changed(there, wanted, mapping=mapping)
    assert shown(after, mapping=mapping) == wanted


def test_every_shipped_mapping_names_its_guide_and_schema() -> None:
    for name in CLIENTS:
        text = source(name)
        assert text.startswith("#:schema ./mapping.schema.json\n")
        guide = re.search(r"examples/\w+\.md", text)
        assert guide
        assert (Path(__file__).parents[3] / guide[0]).is_file()
