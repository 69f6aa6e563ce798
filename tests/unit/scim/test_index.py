"""What the index keeps of a resource."""

import pytest

from app.scim.evaluate import bind, predicate, sort_key
from app.scim.expression import AttrName, Compare
from app.scim.filter import parse_filter
from app.scim.index import Entry, index_entries, is_indexed, number_key, sort_is_indexed, value_key
from app.scim.index_terms import Element, Has, Without, index_term
from app.scim.schema import ENTERPRISE_USER, Attribute, user_model

MODEL = user_model()


def entries(**resource):
    return {(e.attribute, e.element, e.key) for e in index_entries(resource, MODEL)}


def test_values_are_entries_under_their_names():
    assert entries(
        userName="Ann",
        externalId="E-1",
        active=True,
        name={"familyName": "Straße", "givenName": ""},
        meta={"resourceType": "User", "lastModified": "2026-01-02T03:04:05.60+01:00"},
        **{ENTERPRISE_USER: {"department": "R&D", "manager": {"value": "U1"}}},
    ) == {
        ("userName", 0, "ann"),
        ("externalId", 0, "E-1"),
        ("active", 0, "t"),
        ("name.familyName", 0, "strasse"),
        ("name.givenName", 0, ""),
        ("meta.resourceType", 0, "User"),
        ("meta.lastModified", 0, "2026-01-02T02:04:05.6"),
        (f"{ENTERPRISE_USER}:department", 0, "r&d"),
        (f"{ENTERPRISE_USER}:manager.value", 0, "U1"),
    }


def test_the_element_that_sorting_goes_by_is_number_0():
    emails = [{"value": "b@x", "type": "work"}, {"value": "A@x", "primary": True}, {}, "stray"]
    assert entries(emails=emails) == {
        ("emails", 0, "t"),
        ("emails.value", 0, "a@x"),
        ("emails.primary", 0, "t"),
        ("emails", 1, "t"),
        ("emails.value", 1, "b@x"),
        ("emails.type", 1, "work"),
        ("emails.primary", 1, "f"),
        ("emails", 2, ""),
        ("emails.primary", 2, "f"),
        ("emails", 3, "t"),
    }


def test_a_primary_that_says_false_is_present():
    assert entries(roles=[{"primary": False}]) == {
        ("roles", 0, "t"),
        ("roles.primary", 0, "f"),
        ("roles.primary (other)", 0, "t"),
    }


def test_values_of_another_type_are_present_and_nothing_else():
    assert entries(userName=7, active="yes", title=[""], meta={"lastModified": "yesterday"}) == {
        ("userName (other)", 0, "t"),
        ("active (other)", 0, "t"),
        ("meta.lastModified (other)", 0, "t"),
    }
    assert entries(name=[{"familyName": "A"}, {"familyName": "B"}], schemas=["urn:a", 7, ""]) == {
        ("name.familyName (other)", 0, "t"),
        ("schemas", 0, "urn:a"),
        ("schemas (other)", 1, "t"),
        ("schemas", 2, ""),
    }
    assert entries(name={"unheard": "of"}) == {("name", 0, "t")}
    assert entries(name={"unheard": ""}, emails=[], title=None, nonsense=1) == set()


def test_what_depends_on_more_than_the_user_is_not_kept():
    assert not entries(
        id="u1",
        password="secret",
        groups=[{"value": "g"}],
        meta={"created": "2026-01-01T00:00:00Z", "location": "https://x/u1", "version": 'W/"1"'},
    )


@pytest.mark.parametrize(
    ("text", "indexed"),
    [
        ("userName eq null and not (emails[type eq null])", True),
        ('id eq "u" or meta.created gt "2026-01-01"', True),
        ("meta pr", True),
        ('groups.value eq "g"', False),
        ("not (groups pr)", False),
        ('userName pr and groups[display sw "a"]', False),
        ('title pr or meta.version eq "1"', False),
        ('meta.location co "x"', False),
    ],
)
def test_which_filters_are_indexed(text, indexed):
    bound = bind(parse_filter(text), MODEL)
    assert is_indexed(bound, MODEL) is indexed
    if not indexed:
        with pytest.raises(ValueError, match="not in the index"):
            index_term(bound, MODEL)


@pytest.mark.parametrize(
    ("name", "sub", "indexed"),
    [
        ("userName", None, True),
        ("emails", None, True),
        ("meta", "created", True),
        ("id", None, True),
        ("name", None, False),
        ("groups", None, False),
        ("meta", "version", False),
        ("password", None, False),
    ],
)
def test_which_orders_are_indexed(name, sub, indexed):
    assert sort_is_indexed(MODEL.resolve(name, sub)) is indexed


def test_terms_are_as_simple_as_their_filters():
    def term(text):
        return index_term(bind(parse_filter(text), MODEL), MODEL)

    ann = Has(attribute="userName", op="eq", keys=("ann",), single=True)
    assert term('userName eq "Ann"') == ann
    assert term('userName ne "Ann"') == Without(term=ann)
    assert term('not (not (userName eq "Ann"))') == ann
    assert term('userName eq "Ann" or userName eq "BOB" or userName eq "ann"') == Has(
        attribute="userName", op="eq", keys=("ann", "bob"), single=True
    )
    assert term('emails[value eq "A" or value eq "b"]') == term('emails eq "a" or emails eq "b"')
    assert isinstance(term('emails[type eq "work" and value eq "a"]'), Element)


@pytest.mark.parametrize(
    ("smaller", "larger"),
    [
        (-(10**400), -1e300),
        (-2, -1.5),
        (-1, -0.1),
        (-5e-324, 0),
        (0, 5e-324),
        (1, 1.0000001),
        (2**53, 2**53 + 1),
    ],
)
def test_numbers_order_by_value(smaller, larger):
    assert number_key(smaller) < number_key(larger)


def test_equal_numbers_have_one_key():
    assert number_key(1) == number_key(1.0)
    assert number_key(0) == number_key(-0.0)
    assert number_key(2**60) == number_key(2.0**60)
    assert number_key(float("nan")) is None
    assert value_key(Attribute(name="n", type="integer"), True) is None


def test_what_no_database_takes_compares_alike_in_memory():
    matches = predicate(Compare(path=AttrName(name="userName"), op="eq", value="a\0"), MODEL)
    assert matches({"userName": "A\ud800"})
    assert matches({"userName": "a\ufffd"})
    assert not matches({"userName": "a"})
    assert sort_key(MODEL.resolve("userName"))({"userName": "\0"}) == (0, "\ufffd")
    assert index_entries({"userName": "A\0"}, MODEL) == (Entry("userName", 0, "a\ufffd"),)
