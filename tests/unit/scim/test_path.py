"""Attribute paths of `attributes`, `sortBy` and PATCH operations."""

import pytest

from app.scim.errors import InvalidFilter, InvalidPath, ScimError
from app.scim.filter import print_filter
from app.scim.path import ExtensionRef, PatchPath, parse_attribute_path, parse_patch_path
from app.scim.schema import (
    ENTERPRISE_USER,
    USER,
    Attribute,
    AttributeRef,
    ResourceModel,
    Schema,
    group_model,
    user_model,
)

CUSTOM = "urn:okta:app_x:1.0:user:custom"
MODEL = user_model(
    [
        Schema(
            id=CUSTOM,
            name="Custom",
            attributes=(Attribute(name="badge"), Attribute(name="tags", multi_valued=True)),
        )
    ]
)
GROUP = group_model()


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("userName", "userName"),
        ("USERNAME", "userName"),
        (" name.GivenName ", "name.givenName"),
        ("emails.value", "emails.value"),
        ("groups.$ref", "groups.$ref"),
        ("meta.location", "meta.location"),
        (f"{USER}:userName", "userName"),
        (f"{USER.upper()}:NAME.familyname", "name.familyName"),
        (f"{ENTERPRISE_USER}:manager.value", f"{ENTERPRISE_USER}:manager.value"),
        (f"{ENTERPRISE_USER.lower()}:Department", f"{ENTERPRISE_USER}:department"),
        (f"{CUSTOM}:badge", f"{CUSTOM}:badge"),
        (ENTERPRISE_USER, ENTERPRISE_USER),
        (CUSTOM, CUSTOM),
        ("manager", None),
        ("unknown", None),
        ("name.unknown", None),
        ("name.", None),
        ("name.givenName.x", None),
        ("userName.value", None),
        ("urn:unknown:thing", None),
        (f"{ENTERPRISE_USER}:", None),
        (USER, None),
        ("", None),
        ("emails[type eq", None),
    ],
)
def test_attribute_paths(text: str, canonical: str | None) -> None:
    found = parse_attribute_path(text, MODEL)
    assert (found.text if found else None) == canonical


def test_attribute_paths_anywhere() -> None:
    found = parse_attribute_path("manager.value", MODEL, anywhere=True)
    assert isinstance(found, AttributeRef)
    assert found.text == f"{ENTERPRISE_USER}:manager.value"
    assert parse_attribute_path(ENTERPRISE_USER.upper(), MODEL) == ExtensionRef(urn=ENTERPRISE_USER)


@pytest.mark.parametrize(
    ("text", "model", "ref", "inner"),
    [
        ("members", GROUP, "members", None),  # RFC 7644 §3.5.2, as the next three
        ("name.familyName", MODEL, "name.familyName", None),
        ('addresses[type eq "work"]', MODEL, "addresses", 'type eq "work"'),
        ('members[value eq "2819c223"].display', GROUP, "members.display", 'value eq "2819c223"'),
        ('emails[type eq "other"].Value', MODEL, "emails.value", 'type eq "other"'),  # Entra, as the rest
        ('addresses[Type Eq "work"].Formatted', MODEL, "addresses.formatted", 'type eq "work"'),
        ('roles[primary eq "True"].value', MODEL, "roles.value", "primary eq true"),
        ("emails[primary eq true]", MODEL, "emails", "primary eq true"),
        (f"{ENTERPRISE_USER}:department", MODEL, f"{ENTERPRISE_USER}:department", None),
        (f"{USER}:name.familyName", MODEL, "name.familyName", None),
        (f'{USER}:emails[type eq "work"].value', MODEL, "emails.value", 'type eq "work"'),
        ("manager", MODEL, f"{ENTERPRISE_USER}:manager", None),
        ("Manager.value", MODEL, f"{ENTERPRISE_USER}:manager.value", None),
        ('schemas[value eq "urn:x"]', MODEL, "schemas", 'value eq "urn:x"'),
        (f'{CUSTOM}:tags[value sw "a"]', MODEL, f"{CUSTOM}:tags", 'value sw "a"'),
        (r'emails[value eq "a]\"["].type', MODEL, "emails.type", r'value eq "a]\"["'),
        (
            ' emails[type eq "work" and not (primary eq false)].display ',
            MODEL,
            "emails.display",
            'type eq "work" and not (primary eq false)',
        ),
        ("emails[value eq null]", MODEL, "emails", "not (value pr)"),
    ],
)
def test_patch_paths(text: str, model: ResourceModel, ref: str, inner: str | None) -> None:
    found = parse_patch_path(text, model)
    assert found.ref is not None
    assert found.ref.text == ref
    assert (print_filter(found.filter) if found.filter else None) == inner
    assert found.extension is None
    assert found.text == text


def test_patch_path_of_a_whole_extension() -> None:
    text = ENTERPRISE_USER.upper()
    assert parse_patch_path(text, MODEL) == PatchPath(ref=None, extension=ENTERPRISE_USER, text=text)


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("", InvalidPath, "empty"),
        ("  ", InvalidPath, "empty"),
        ("unknown", InvalidPath, "'unknown' is not an attribute of User"),
        ("name.unknown", InvalidPath, "not an attribute"),
        ("urn:unknown:schema:x", InvalidPath, "not an attribute"),
        (USER, InvalidPath, "not an attribute"),
        ("name.givenName.x", InvalidPath, "not an attribute"),
        ("emails]", InvalidPath, "not an attribute"),
        ("emails[type", InvalidPath, "is not a path"),
        ("emails.value[type eq 'x']", InvalidPath, "no values to choose from"),
        ('[type eq "work"]', InvalidPath, "is not a path"),
        ('emails[type eq "work"]value', InvalidPath, "is not a path"),
        ('emails[type eq "work"].value.x', InvalidPath, "is not a path"),
        ('emails[type eq "work"].unknown', InvalidPath, "'unknown' is not a sub-attribute of emails"),
        ('schemas[value eq "x"].value', InvalidPath, "not a sub-attribute"),
        ('unknown[type eq "work"]', InvalidPath, "not an attribute"),
        ('userName[value eq "x"]', InvalidPath, "no values to choose from"),
        ('name[givenName eq "x"]', InvalidPath, "no values to choose from"),
        (f'{ENTERPRISE_USER}[department eq "x"]', InvalidPath, "no values to choose from"),
        ("a" * 8001, InvalidPath, "longer than"),
        ("emails[]", InvalidFilter, "empty"),
        ("emails[type]", InvalidFilter, "ends too early"),
        ('emails[unknown eq "x"]', InvalidFilter, "unknown is not a sub-attribute of emails"),
        ('emails[name.value eq "x"]', InvalidFilter, "not a sub-attribute"),
        ("emails[primary gt true]", InvalidFilter, "gt is not for"),
        ('emails[primary eq "x"]', InvalidFilter, "boolean"),
        ("emails[type eq 5]", InvalidFilter, "string"),
        ('schemas[type eq "x"]', InvalidFilter, "not a sub-attribute of schemas"),
        ('emails[type eq "a"][type eq "b"]', InvalidFilter, "unexpected"),
        ("emails[" + "(" * 30 + "type pr" + ")" * 30 + "]", InvalidFilter, "deeper"),
    ],
)
def test_patch_path_refusals(text: str, error: type[ScimError], said: str) -> None:
    with pytest.raises(error) as caught:
        parse_patch_path(text, MODEL)
    assert type(caught.value) is error
    assert said in caught.value.detail


def test_tolerances_can_be_off() -> None:
    with pytest.raises(InvalidPath):
        parse_patch_path("manager", MODEL, anywhere=False)
    with pytest.raises(InvalidFilter):
        parse_patch_path('roles[primary eq "True"]', MODEL, boolean_words=False)
