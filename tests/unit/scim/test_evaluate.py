"""Binding filters to a schema, matching resources with them, and sorting."""

import json
from pathlib import Path
from typing import Any

import pytest

from app.scim.errors import InvalidFilter, InvalidValue
from app.scim.evaluate import (
    bind,
    bind_element,
    element_predicate,
    format_instant,
    parse_instant,
    predicate,
    sort_resources,
)
from app.scim.expression import Compare
from app.scim.filter import parse_filter, print_filter
from app.scim.path import parse_attribute_path
from app.scim.schema import (
    ENTERPRISE_USER,
    Attribute,
    AttributeRef,
    Resource,
    Schema,
    group_model,
    user_model,
)

SAMPLES = Path(__file__).parents[2] / "data" / "rfc7643"
EXT = "urn:example:params:2.0:Thing"
MODEL = user_model(
    [
        Schema(
            id=EXT,
            name="Thing",
            attributes=(
                Attribute(name="level", type="integer"),
                Attribute(name="weight", type="decimal"),
                Attribute(name="seen", type="dateTime", multi_valued=True),
                Attribute(name="tags", multi_valued=True),
                Attribute(name="codes", multi_valued=True, case_exact=True),
                Attribute(name="key", type="binary", case_exact=True),
                Attribute(name="secret", returned="never"),
                Attribute(
                    name="pins",
                    type="complex",
                    multi_valued=True,
                    sub_attributes=(Attribute(name="value", returned="never"), Attribute(name="label")),
                ),
            ),
        ),
        Schema(id="urn:example:blind", name="Blind", attributes=(Attribute(name="x", returned="never"),)),
    ]
)
GROUP = group_model()


def sample(name: str) -> Resource:
    found: Resource = json.loads((SAMPLES / f"{name}.json").read_text())
    return found


def matches(text: str, resource: Resource, model: Any = MODEL) -> bool:
    return predicate(bind(parse_filter(text), model), model)(resource)


def bound(text: str, model: Any = MODEL, **options: bool) -> str:
    return print_filter(bind(parse_filter(text), model, **options))


ENT = ENTERPRISE_USER


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ('USERNAME eq "x"', 'userName eq "x"'),
        ('urn:ietf:params:scim:schemas:core:2.0:user:username sw "J"', 'userName sw "J"'),
        ('Name.FamilyName co "O"', 'name.familyName co "O"'),
        (f'{ENT.lower()}:Department eq "x"', f'{ENT}:department eq "x"'),
        ('manager eq "m"', f'{ENT}:manager.value eq "m"'),  # Entra
        (f'{ENT}:manager eq "m"', f'{ENT}:manager.value eq "m"'),
        ('emails co "x"', 'emails.value co "x"'),
        ('emails[Type eq "work" and Value eq "x"]', 'emails[type eq "work" and value eq "x"]'),
        ('roles[primary eq "True"]', "roles[primary eq true]"),
        ('active eq "False"', "active eq false"),
        ("title eq null", "not (title pr)"),
        ("manager eq null", f"not ({ENT}:manager pr)"),
        ("emails ne null", "emails pr"),
        ("name pr", "name pr"),
        (
            'meta.created gt "2011-05-13T06:42:34.500+02:00"',
            'meta.created gt "2011-05-13T04:42:34.5Z"',
        ),
        ('meta.created ge "2011-05-13"', 'meta.created ge "2011-05-13T00:00:00Z"'),
        (f"{EXT}:level gt 1.5", f"{EXT}:level gt 1.5"),
        (f'{EXT}:tags[value eq "x"]', f'{EXT}:tags[value eq "x"]'),
        (
            f"userName pr or {ENT.upper()} pr",
            "userName pr or "
            + " or ".join(
                f"{ENT}:{n} pr"
                for n in (
                    "employeeNumber",
                    "costCenter",
                    "organization",
                    "division",
                    "department",
                    "manager",
                )
            ),
        ),
    ],
)
def test_bind(text: str, canonical: str) -> None:
    assert bound(text) == canonical
    assert bound(canonical) == canonical


def test_bind_group_members() -> None:
    assert bound('id eq "g" and members eq "u"', GROUP) == 'id eq "g" and members.value eq "u"'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('unknown eq "x"', "unknown is not an attribute of User"),
        ('name.unknown eq "x"', "name.unknown is not an attribute"),
        ('urn:unknown:a eq "x"', "urn:unknown:a is not an attribute"),
        ('emails[unknown eq "x"]', "unknown is not a sub-attribute of emails"),
        ('emails[emails.type eq "x"]', "not a sub-attribute"),
        ("userName pr and unknown pr", "unknown"),
        ("userName eq 5", "userName is of type string: compare it with a string in double quotes"),
        ("userName eq true", "string"),
        ('active eq "yes"', "active is of type boolean: compare it with true or false"),
        ("active eq 1", "boolean"),
        (f'{EXT}:level eq "5"', "number"),
        (f"{EXT}:level eq true", "number"),
        ('meta.created gt "yesterday"', "date and time"),
        ('meta.created gt "2011-02-30T00:00:00Z"', "date and time"),
        ("meta.created gt 2011", "date and time"),
        ("active gt true", "gt is not for active"),  # RFC 7644 §3.4.2.2, as the next
        ('x509Certificates.value ge "AA=="', "ge is not for x509Certificates.value"),
        ("active co true", "co is not for active"),
        (f"{EXT}:level sw 1", "sw is not for"),
        ('meta.created sw "2011"', "sw is not for"),
        ('password eq "x"', "password is never returned"),
        ("password pr", "password is never returned"),
        ("password ne null", "password is never returned"),
        (f'{EXT}:pins eq "1"', "pins.value is never returned"),
        (f'{EXT}:pins[value eq "1"]', "pins.value is never returned"),
        ("urn:example:blind pr", "no attribute to filter by"),
        ('name eq "x"', "name cannot be compared as a whole; name one of formatted"),
        ('addresses eq "x"', "as a whole"),
        ("userName gt null", "only eq and ne compare with null"),
        ('name[givenName eq "x"]', "name has one value only"),
        ('userName[value eq "x"]', "one value only"),
        (f'{ENT} eq "x"', "is not an attribute"),
    ],
)
def test_bind_refusals(text: str, said: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        bound(text)
    assert said in caught.value.detail


def test_tolerances_can_be_off() -> None:
    with pytest.raises(InvalidFilter, match="manager is not an attribute"):
        bound('manager eq "m"', anywhere=False)
    for text in ('active eq "True"', 'roles[primary eq "True"]'):
        with pytest.raises(InvalidFilter, match="boolean"):
            bound(text, boolean_words=False)


def test_booleans_and_numbers_stay_apart_from_strings() -> None:
    found = bind(parse_filter('active eq "True"'), MODEL)
    assert isinstance(found, Compare)
    assert found.value is True


FULL, ENTERPRISE, MINIMAL = sample("user_full"), sample("user_enterprise"), sample("user_minimal")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('userName Eq "bjensen"', False),
        ('userName Eq "BJensen@example.com"', True),
        ('name.familyName co "O\'Malley"', False),
        ('name.familyName co "Jens"', True),
        ('userName sw "J"', False),
        ('userName sw "B"', True),
        ('urn:ietf:params:scim:schemas:core:2.0:User:userName sw "B"', True),
        ("title pr", True),
        ('meta.lastModified gt "2011-05-13T04:42:34Z"', False),
        ('meta.lastModified ge "2011-05-13T04:42:34Z"', True),
        ('meta.lastModified lt "2011-05-13T04:42:34Z"', False),
        ('meta.lastModified le "2011-05-13T04:42:34Z"', True),
        ('title pr and userType eq "Employee"', True),
        ('title pr or userType eq "Intern"', True),
        ('schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"', False),
        ('userType eq "Employee" and (emails co "example.com" or emails.value co "example.org")', True),
        ('userType ne "Employee" and not (emails co "example.com" or emails.value co "example.org")', False),
        ('userType eq "Employee" and (emails.type eq "work")', True),
        ('userType eq "Employee" and emails[type eq "work" and value co "@example.com"]', True),
        (
            'emails[type eq "work" and value co "@example.com"] or '
            'ims[type eq "xmpp" and value co "@foo.com"]',
            True,
        ),
    ],
)
def test_rfc7644_section_3_4_2_2_examples(text: str, expected: bool) -> None:
    assert matches(text, FULL) is expected


@pytest.mark.parametrize(
    ("text", "full", "minimal"),
    [
        # case: userName, emails without; id and externalId with
        ('id eq "2819C223-7F76-453A-919D-413861904646"', False, False),
        ('emails eq "BABS@jensen.ORG"', True, False),
        ('profileUrl eq "https://LOGIN.example.com/bjensen"', False, False),
        # unassigned
        ('title eq "x"', False, False),
        ('title ne "x"', True, True),
        ("title eq null", False, True),
        ("title ne null", True, False),
        ('not (title eq "x")', True, True),
        ('title ge ""', True, False),
        ('title co ""', True, False),
        ("active eq false", False, False),
        ("active ne true", False, True),
        ('active eq "True"', True, False),
        # several values
        ('emails.type ne "work"', True, True),
        ('emails.type ne "other"', True, True),
        ('ims.type ne "aim"', False, True),
        ('emails[type ne "work"]', True, False),
        ('emails[type eq "home"].value eq "bjensen@example.com"', False, False),
        ('emails[type eq "home"].value ew "@JENSEN.org"', True, False),
        ("emails[primary eq false]", True, False),
        ("emails.primary eq false", True, False),
        ('emails[primary eq "False" and type eq "home"]', True, False),
        ("emails[not (primary pr)]", True, False),
        ("emails pr", True, False),
        ("emails.display pr", False, False),
        ("name.middleName pr", True, False),
        ('groups.display eq "employees"', True, False),
        ('schemas[value sw "urn:ietf"]', True, True),
        # order
        ('userName gt "A" and userName lt "c"', True, True),
        # precedence, evaluated
        ('title pr or userName eq "x" and active eq true', True, False),
    ],
)
def test_semantics(text: str, full: bool, minimal: bool) -> None:
    assert matches(text, FULL) is full
    assert matches(text, MINIMAL) is minimal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('manager eq "26118915-6090-4610-87e4-49d8ca9f808d"', True),
        (f'{ENT}:manager.displayName sw "john"', True),
        (f'{ENT}:department eq "tour operations"', True),
        (f"{ENT} pr", True),
        (f"{EXT} pr", False),
        ('schemas eq "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"', True),
    ],
)
def test_extension_attributes(text: str, expected: bool) -> None:
    assert matches(text, ENTERPRISE) is expected
    assert matches(f"not ({text})", ENTERPRISE) is not expected
    assert matches(f"{ENT} pr", MINIMAL) is False


def test_group_reference_check() -> None:
    group = sample("group")
    text = f'id eq "{group["id"]}" and members eq "{group["members"][0]["value"]}"'
    assert matches(text, group, GROUP)
    assert not matches(text.replace("2819", "2820"), group, GROUP)


THING = {
    EXT: {
        "level": 5,
        "weight": 1.5,
        "seen": ["2020-01-01T00:00:00.0000000001Z", "bad"],
        "tags": ["Red", ""],
        "codes": ["Ab"],
        "key": "QUI=",
    }
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("level eq 5.0", True),
        ("level gt 4.5", True),
        ("level le -1", False),
        ("level ne 6", True),
        ("weight lt 2", True),
        ('seen gt "2020-01-01T01:00:00+01:00"', True),
        ('seen eq "2020-01-01T00:00:00.00000000010Z"', True),
        ('seen lt "2020-01-01T00:00:00"', False),
        ('tags eq "red"', True),
        ('tags[value eq "RED"]', True),
        ('tags ne "red"', True),
        ('codes eq "ab"', False),
        ('codes[value eq "Ab"]', True),
        ('key eq "QUI="', True),
        ('key eq "qui="', False),
    ],
)
def test_other_types(text: str, expected: bool) -> None:
    assert matches(text, THING) is expected


@pytest.mark.parametrize("value", ["", [], {}, [{}], [""], None, {"value": ""}, [{"value": None}]])
def test_empty_is_not_present(value: object) -> None:
    assert not matches("emails pr", {"emails": value})
    assert matches('emails ne "x"', {"emails": value})


@pytest.mark.parametrize("value", [5, True, ["x"], {"a": 1}, "odd"])
def test_values_of_the_wrong_type_match_nothing(value: object) -> None:
    resource = {"userName": value, "emails": value, "name": value, ENT: value, "meta": {"created": value}}
    for text in (
        'userName eq "y"',
        'emails co "y"',
        'name.givenName sw "y"',
        'department eq "y"',
        'meta.created gt "2000-01-01T00:00:00Z"',
        'emails[type eq "work"]',
    ):
        assert not matches(text, resource)


def test_case_folding_goes_beyond_ascii() -> None:
    assert matches('userName eq "STRASSE"', {"userName": "Straße"})
    assert matches('userName eq "élan"', {"userName": "ÉLAN"})


def test_elements() -> None:
    emails = MODEL.attribute("emails")
    assert emails is not None
    test = element_predicate(bind_element(parse_filter('TYPE eq "work"'), emails), emails)
    assert test({"type": "Work"})
    assert not test({"type": "home"})
    assert not test({})
    assert not test("work")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2011-05-13T04:42:34Z", "2011-05-13T04:42:34Z"),
        ("2011-05-13t04:42:34z", "2011-05-13T04:42:34Z"),
        ("2011-05-13T04:42:34", "2011-05-13T04:42:34Z"),
        ("2011-05-13 04:42:34.120-0700", "2011-05-13T11:42:34.12Z"),
        ("2011-05-13T04:42Z", "2011-05-13T04:42:00Z"),
        ("2011-05-13", "2011-05-13T00:00:00Z"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("0001-01-01T00:00:00+14:00", None),
        ("2011-13-01T00:00:00Z", None),
        ("2011-05-13T25:00:00Z", None),
        ("20110513", None),
        ("2011-05-13Z", None),
        ("", None),
    ],
)
def test_instants(text: str, canonical: str | None) -> None:
    instant = parse_instant(text)
    assert (format_instant(instant) if instant else None) == canonical


def ref(text: str) -> AttributeRef:
    found = parse_attribute_path(text, MODEL, anywhere=True)
    assert isinstance(found, AttributeRef)
    return found


def order(text: str, resources: list[Resource], descending: bool = False) -> list[str]:
    return [r["id"] for r in sort_resources(resources, ref(text), descending)]


def test_sorting_by_string() -> None:
    people = [
        {"id": "1", "userName": "b"},
        {"id": "2", "userName": "A"},
        {"id": "3"},
        {"id": "4", "userName": "B"},
        {"id": "5", "userName": ""},
    ]
    assert order("userName", people) == ["2", "1", "4", "3", "5"]
    assert order("userName", people, descending=True) == ["3", "5", "1", "4", "2"]
    assert order("externalId", people) == ["1", "2", "3", "4", "5"]
    assert order("externalId", people, descending=True) == ["1", "2", "3", "4", "5"]


def test_sorting_by_other_types() -> None:
    when = [
        {"id": "1", "meta": {"created": "2020-01-01T01:00:00+02:00"}},
        {"id": "2", "meta": {"created": "2020-01-01T00:00:00Z"}},
        {"id": "3", "meta": {"created": "2019-12-31T23:30:00.5Z"}},
    ]
    assert order("meta.created", when) == ["1", "3", "2"]
    levels: list[Resource] = [{"id": str(n), EXT: {"level": n}} for n in (10, 9, 2)]
    assert order(f"{EXT}:level", levels) == ["2", "9", "10"]
    flags: list[Resource] = [{"id": "1", "active": True}, {"id": "2", "active": False}, {"id": "3"}]
    assert order("active", flags) == ["2", "1", "3"]


def test_sorting_by_several_values_takes_the_primary_one() -> None:
    people: list[Resource] = [
        {"id": "1", "emails": [{"value": "a"}, {"value": "z", "primary": True}]},
        {"id": "2", "emails": [{"value": "m"}, {"value": "b"}]},
        {"id": "3", "emails": []},
    ]
    for text in ("emails", "emails.value"):
        assert order(text, people) == ["2", "1", "3"]
        assert order(text, people, descending=True) == ["3", "1", "2"]


@pytest.mark.parametrize("text", ["name", "addresses", "password", f"{EXT}:pins"])
def test_unsortable(text: str) -> None:
    with pytest.raises(InvalidValue):
        order(text, [])
