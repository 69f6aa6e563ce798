"""What `attributes`, `excludedAttributes` and `returned` leave of a resource."""

import copy
import json
from pathlib import Path

import pytest

from app.scim.attributes import Projection, apply, parse_projection
from app.scim.errors import InvalidValue
from app.scim.schema import ENTERPRISE_USER, Attribute, Resource, Schema, user_model

SAMPLES = Path(__file__).parents[2] / "data" / "rfc7643"
EXT = "urn:example:params:2.0:Thing"
MODEL = user_model(
    [
        Schema(
            id=EXT,
            name="Thing",
            attributes=(
                Attribute(name="plain"),
                Attribute(name="asked", returned="request"),
                Attribute(name="kept", returned="always"),
                Attribute(name="secret", returned="never"),
                Attribute(
                    name="items",
                    type="complex",
                    multi_valued=True,
                    sub_attributes=(
                        Attribute(name="value", returned="always"),
                        Attribute(name="label"),
                        Attribute(name="big", returned="request"),
                        Attribute(name="pin", returned="never"),
                    ),
                ),
            ),
        )
    ]
)
USER: Resource = json.loads((SAMPLES / "user_enterprise.json").read_text())
ITEM = {"value": "v", "label": "l", "big": "b", "pin": "p"}
THING: Resource = {
    "schemas": [EXT],
    "id": "1",
    EXT: {"plain": "a", "asked": "b", "kept": "c", "secret": "d", "items": [ITEM]},
}


def include(names: str | list[str]) -> Projection:
    found = parse_projection(names, None, MODEL)
    assert found is not None
    return found


def exclude(names: str | list[str]) -> Projection:
    found = parse_projection(None, names, MODEL)
    assert found is not None
    return found


def picked(names: str, resource: Resource = USER) -> Resource:
    """The answer to `attributes`, less what is always there."""
    found = apply(include(names), resource, MODEL)
    assert found.pop("schemas") == resource["schemas"]
    assert found.pop("id") == resource["id"]
    return found


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("userName", {"userName": "bjensen@example.com"}),
        ("USERNAME, nickname", {"userName": "bjensen@example.com", "nickName": "Babs"}),
        ("name.givenName", {"name": {"givenName": "Barbara"}}),
        ("emails.value", {"emails": [{"value": "bjensen@example.com"}, {"value": "babs@jensen.org"}]}),
        ("emails.primary", {"emails": [{"primary": True}]}),
        ("emails.display", {}),
        ("ims,ims.type", {"ims": [{"value": "someaimhandle", "type": "aim"}]}),
        ("urn:ietf:params:scim:schemas:core:2.0:User:title", {"title": "Tour Guide"}),
        (f"{ENTERPRISE_USER}:division", {ENTERPRISE_USER: {"division": "Theme Park"}}),
        ("division", {ENTERPRISE_USER: {"division": "Theme Park"}}),
        (
            f"{ENTERPRISE_USER}:manager.displayName",
            {ENTERPRISE_USER: {"manager": {"displayName": "John Smith"}}},
        ),
        (ENTERPRISE_USER.upper(), {ENTERPRISE_USER: USER[ENTERPRISE_USER]}),
        ("meta.location", {"meta": {"location": USER["meta"]["location"]}}),
        ("id", {}),
        ("schemas", {}),
        ("unknown", {}),
        ("unknown,name.unknown,title", {"title": "Tour Guide"}),
        ("password", {}),
    ],
)
def test_attributes(names: str, expected: Resource) -> None:
    assert picked(names) == expected


@pytest.mark.parametrize(
    ("names", "gone"),
    [
        ("emails", ["emails"]),
        ("Emails,groups,unknown", ["emails", "groups"]),
        (ENTERPRISE_USER, [ENTERPRISE_USER]),
        ("id,schemas", []),
        ("meta", ["meta"]),
    ],
)
def test_excluded_attributes(names: str, gone: list[str]) -> None:
    found = apply(exclude(names), USER, MODEL)
    assert found == {k: v for k, v in USER.items() if k not in [*gone, "password"]}


def test_excluded_sub_attributes() -> None:
    names = f"name.formatted,emails.value,emails.type,emails.primary,{ENTERPRISE_USER}:manager.$ref"
    found = apply(exclude(names), USER, MODEL)
    assert "formatted" not in found["name"]
    assert found["name"]["givenName"] == "Barbara"
    assert "emails" not in found
    assert set(found[ENTERPRISE_USER]["manager"]) == {"value", "displayName"}
    assert found[ENTERPRISE_USER]["division"] == "Theme Park"


def test_without_projection_everything_but_passwords() -> None:
    assert parse_projection(None, None, MODEL) is None
    assert parse_projection("", [], MODEL) is None
    assert parse_projection(" , ", None, MODEL) is None
    assert apply(None, USER, MODEL) == {k: v for k, v in USER.items() if k != "password"}


ALWAYS = {"kept": "c"}


@pytest.mark.parametrize(
    ("projection", "expected"),
    [
        (None, {"plain": "a", "kept": "c", "items": [{"value": "v", "label": "l"}]}),
        (include("userName"), ALWAYS),
        (include(EXT), {"plain": "a", "kept": "c", "items": [{"value": "v", "label": "l"}]}),
        (include(f"{EXT}:asked"), {"asked": "b", "kept": "c"}),
        (
            include([EXT, f"{EXT}:asked,{EXT}:items.big"]),
            {"plain": "a", "asked": "b", "kept": "c", "items": [{"value": "v", "big": "b"}]},
        ),
        (include(f"{EXT}:items"), {"kept": "c", "items": [{"value": "v", "label": "l"}]}),
        (include(f"{EXT}:items.label"), {"kept": "c", "items": [{"value": "v", "label": "l"}]}),
        (
            include(f"{EXT}:items,{EXT}:items.big"),
            {"kept": "c", "items": [{"value": "v", "label": "l", "big": "b"}]},
        ),
        (include(f"{EXT}:secret,{EXT}:items.pin"), {"kept": "c", "items": [{"value": "v"}]}),
        (exclude(EXT), ALWAYS),
        (exclude(f"{EXT}:kept,{EXT}:plain"), {"kept": "c", "items": [{"value": "v", "label": "l"}]}),
        (
            exclude(f"{EXT}:items.value,{EXT}:items.label"),
            {"plain": "a", "kept": "c", "items": [{"value": "v"}]},
        ),
        (exclude(f"{EXT}:items"), {"plain": "a", "kept": "c"}),
    ],
)
def test_returned(projection: Projection | None, expected: Resource) -> None:
    assert apply(projection, THING, MODEL)[EXT] == expected


def test_both_at_once_are_refused() -> None:
    with pytest.raises(InvalidValue):
        parse_projection("userName", "emails", MODEL)


def test_lists_and_text_are_the_same() -> None:
    assert include(["userName", "emails.value"]) == include("userName,emails.value")


@pytest.mark.parametrize(
    ("projection", "wanted", "unwanted"),
    [
        (
            include("userName"),
            ["userName", "id", "schemas", EXT],
            ["groups", "emails.value", ENTERPRISE_USER],
        ),
        (include("emails.value"), ["emails", "emails.value"], ["emails.type"]),
        (
            include(f"{ENTERPRISE_USER}:manager.value"),
            [ENTERPRISE_USER, f"{ENTERPRISE_USER}:manager", f"{ENTERPRISE_USER}:manager.value"],
            [f"{ENTERPRISE_USER}:division", f"{ENTERPRISE_USER}:manager.displayName"],
        ),
        (include(ENTERPRISE_USER), [f"{ENTERPRISE_USER}:manager.value"], ["name.givenName"]),
        (
            exclude("groups,name.formatted"),
            ["userName", "name", "name.givenName"],
            ["groups", "name.formatted"],
        ),
        (exclude(ENTERPRISE_USER), ["groups"], [ENTERPRISE_USER, f"{ENTERPRISE_USER}:manager.value"]),
        (include("password"), [], ["password"]),
        (include("unknown"), ["id"], ["userName", "unknown"]),
    ],
)
def test_wants(projection: Projection, wanted: list[str], unwanted: list[str]) -> None:
    assert [name for name in wanted if not projection.wants(name)] == []
    assert [name for name in unwanted if projection.wants(name)] == []


def test_only() -> None:
    assert include("USERNAME,emails.value,department,unknown").only == frozenset(
        {"userName", "emails", ENTERPRISE_USER}
    )
    assert include("unknown").only == frozenset()
    assert exclude("userName").only is None


def test_the_resource_is_left_as_it_was() -> None:
    before = copy.deepcopy(USER)
    apply(exclude("emails.value"), USER, MODEL)["userName"] = "changed"
    apply(include("name.givenName"), USER, MODEL)["name"]["givenName"] = "changed"
    apply(None, USER, MODEL).clear()
    assert before == USER
