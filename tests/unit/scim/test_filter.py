"""Reading filters: one row per thing a client may write, and what it must mean."""

import json

import pytest

from app.scim.errors import InvalidFilter
from app.scim.expression import And, AttrName, Compare, Filter, Not, Or, Present, ValuePath
from app.scim.filter import FilterLimits, all_of, any_of, parse_filter, print_filter

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def name(text: str, sub: str | None = None, urn: str | None = None) -> AttrName:
    return AttrName(urn=urn, name=text, sub=sub)


def pr(text: str) -> Present:
    return Present(path=name(text))


def eq(text: str, value: str | int | float | bool | None) -> Compare:
    return Compare(path=name(text), op="eq", value=value)


A, B, C, D = pr("a"), pr("b"), pr("c"), pr("d")


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a pr and b pr or c pr", Or(terms=(And(terms=(A, B)), C))),
        ("a pr or b pr and c pr", Or(terms=(A, And(terms=(B, C))))),
        ("a pr or b pr and c pr or d pr", Or(terms=(A, And(terms=(B, C)), D))),
        ("a pr and b pr or c pr and d pr", Or(terms=(And(terms=(A, B)), And(terms=(C, D))))),
        ("(a pr or b pr) and c pr", And(terms=(Or(terms=(A, B)), C))),
        ("a pr and (b pr or c pr and d pr)", And(terms=(A, Or(terms=(B, And(terms=(C, D))))))),
        ("not (a pr) or b pr and c pr", Or(terms=(Not(term=A), And(terms=(B, C))))),
        ("a pr or not (b pr) and c pr", Or(terms=(A, And(terms=(Not(term=B), C))))),
        ("not (a pr or b pr) and c pr", And(terms=(Not(term=Or(terms=(A, B))), C))),
        ("not(a pr)", Not(term=A)),  # erratum 7319
        ("NOT (not (a pr))", Not(term=Not(term=A))),
        ("((a pr))", A),
        ("a pr and (b pr and (c pr and d pr))", And(terms=(A, B, C, D))),
        ("a pr or (b pr or c pr)", Or(terms=(A, B, C))),
        ("a PR AND b Pr oR c pR", Or(terms=(And(terms=(A, B)), C))),
        ("e[a pr or b pr and c pr]", ValuePath(path=name("e"), filter=Or(terms=(A, And(terms=(B, C)))))),
    ],
)
def test_precedence(text: str, tree: Filter) -> None:
    assert parse_filter(text) == tree


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ("55", 55),
        ("0", 0),
        ("-1", -1),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("-2.5E-1", -0.25),
        ("true", True),
        ("True", True),  # Entra
        ("FALSE", False),
        ("null", None),
        ("Null", None),
        ('"true"', "true"),
        ('"null"', "null"),
        ('"55"', "55"),
        ('""', ""),
        (r'"a\"b"', 'a"b'),
        (r'"\\"', "\\"),
        (r'"\/\b\f\n\r\t"', "/\b\f\n\r\t"),
        (r'"\u00e9"', "é"),
        (r'"\ud83d\ude00"', "😀"),
        ('"é 😀 中"', "é 😀 中"),
        ('"a&b+c%20"', "a&b+c%20"),
        ('"a] and (b) or [c"', "a] and (b) or [c"),
        ('"\x7f"', "\x7f"),
    ],
)
def test_values(literal: str, value: object) -> None:
    found = parse_filter(f"a eq {literal}")
    assert isinstance(found, Compare)
    assert found.value == value
    assert type(found.value) is type(value)
    assert parse_filter(print_filter(found)) == found


@pytest.mark.parametrize(
    "op", ["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "Eq", "eQ", "EQ", "Co", "SW", "gE"]
)
def test_operators_in_any_case(op: str) -> None:
    found = parse_filter(f'userName {op} "x"')
    assert isinstance(found, Compare)
    assert found.op == op.lower()


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("trueName", name("trueName")),
        ("falsehood", name("falsehood")),
        ("nullable", name("nullable")),
        ("notes", name("notes")),
        ("android", name("android")),
        ("origin", name("origin")),
        ("equipment", name("equipment")),
        ("true-name", name("true-name")),
        ("true.name", name("true", "name")),
        ("not_a", name("not_a")),
        ("$ref", name("$ref")),
        ("members.$ref", name("members", "$ref")),
        ("x509Certificates", name("x509Certificates")),
        ("name.givenName", name("name", "givenName")),
        (f"{ENTERPRISE}:manager.value", name("manager", "value", ENTERPRISE)),
        (f"{ENTERPRISE}:department", name("department", None, ENTERPRISE)),
        ("urn:okta:app_x:1.0:user:custom:attr", name("attr", None, "urn:okta:app_x:1.0:user:custom")),
        ("urn:mace:ex.com:a%20b:nickName", name("nickName", None, "urn:mace:ex.com:a%20b")),
        (
            "http://example.com/2.0/Group:displayName",
            name("displayName", None, "http://example.com/2.0/Group"),
        ),
        (ENTERPRISE, name("User", None, "urn:ietf:params:scim:schemas:extension:enterprise:2.0")),
        ("urn:okta:app_x:1.0", name("1", "0", "urn:okta:app_x")),
    ],
)
def test_names(text: str, path: AttrName) -> None:
    found = parse_filter(f"{text} pr")
    assert found == Present(path=path)
    assert print_filter(found) == f"{text} pr"


WORK = eq("type", "work")


@pytest.mark.parametrize(
    ("text", "inner"),
    [
        ('emails[type eq "work"]', WORK),
        ('emails[type eq "work"].value eq "x"', And(terms=(WORK, eq("value", "x")))),  # Entra
        ('emails [type eq "work"].value pr', And(terms=(WORK, pr("value")))),
        (
            'emails[type eq "work" and value co "@x"]',
            And(terms=(WORK, Compare(path=name("value"), op="co", value="@x"))),
        ),
        (
            'emails[type eq "work" or primary eq true].value eq "x"',
            And(terms=(Or(terms=(WORK, eq("primary", True))), eq("value", "x"))),
        ),
        ('emails[not(type eq "work") and (a pr or b pr)]', And(terms=(Not(term=WORK), Or(terms=(A, B))))),
    ],
)
def test_value_paths(text: str, inner: Filter) -> None:
    assert parse_filter(text) == ValuePath(path=name("emails"), filter=inner)


def test_number_of_several_digits() -> None:
    assert parse_filter("age gt 55") == Compare(path=name("age"), op="gt", value=55)


def test_value_path_among_other_terms() -> None:
    found = parse_filter('a pr or emails[type eq "work"].value eq "x" and b pr')
    selected = ValuePath(path=name("emails"), filter=And(terms=(WORK, eq("value", "x"))))
    assert found == Or(terms=(A, And(terms=(selected, B))))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("   ", "empty"),
        ("emails[]", "character 8"),
        ("()", "character 2"),
        ("not ()", "character 6"),
        ('userName eq "bjensen', "begins at character 13 has no closing quote"),
        ('userName eq "bjensen\\"', "begins at character 13 has no closing quote"),
        ("userName eq", "ends too early: a value is"),
        ("userName", "ends too early: an attribute is followed by"),
        ("userName eq bjensen", "unexpected 'bjensen' at character 13: a value is a string in double quotes"),
        ("userName eq 'bjensen'", "character 13; strings stand in double quotes"),
        ('userName like "b"', "unexpected 'like' at character 10: an attribute is followed by eq"),
        ('userName == "b"', "cannot read '==' at character 10"),
        ("not a pr", "character 5: not is followed by a filter in parentheses"),
        ("a pr b pr", "unexpected 'b' at character 6: a comparison is followed by and"),
        ('a eq "x" "y"', "character 10"),
        ("a pr)", "unexpected ')' at character 5"),
        ("(a pr", "'(' at character 1 is never closed"),
        ("emails[a pr", "'[' at character 7 is never closed"),
        ("(a pr]", "unexpected ']' at character 6"),
        ("a pr and", "ends too early"),
        ("a pr or b pr and", "ends too early"),
        ("a pr or and b pr", "unexpected 'and' at character 9"),
        ("and a pr", "character 1"),
        ("a eq 12a", "character 6"),
        ("a eq 012", "character 6"),
        ("a eq -", "character 6"),
        ("a eq 1.", "character 6"),
        ("a eq 1e999", "too large"),
        ("a eq " + "9" * 5000, "too long"),
        (r'a eq "\x"', "character 6 is not a JSON string"),
        (r'a eq "\ud83d"', "character 6 is not a JSON string"),
        (r'a eq "\u0000"', "U+0000"),
        ('a eq "x\ny"', "control character at character 8"),
        ('a eq "x\ty"', "not a JSON string"),
        ("a\x00 pr", "control character at character 2"),
        ('a eq "\ud800"', "control character"),
        ("ä pr", "cannot read 'ä' at character 1"),
        ("a.b.c pr", "'a.b.c' at character 1 is not an attribute name"),
        ("a..b pr", "is not an attribute name"),
        ("a. pr", "is not an attribute name"),
        ("urn:x: pr", "is not an attribute name"),
        (".value pr", "unexpected '.value'"),
        ("a .b pr", "unexpected '.b'"),
        ("a[b pr] .c pr", "unexpected '.c'"),
        ('emails[type eq "w"] eq "x"', "unexpected 'eq' at character 21: after the brackets"),
        ('emails[type eq "w"] pr', "unexpected 'pr'"),
        ('emails[type eq "w"].value', "ends too early"),
        ("emails.value[a pr]", "follows a sub-attribute"),
        ("a[b[c pr]]", "within other brackets"),
        ("a[b pr][c pr]", "unexpected '['"),
        ("[a pr]", "unexpected '['"),
        ("a(b pr)", "unexpected '('"),
        ("true eq true", "unexpected 'true' at character 1"),
        ("eq eq eq", "unexpected 'eq' at character 1"),
    ],
)
def test_refusals_say_where(text: str, said: str) -> None:
    with pytest.raises(InvalidFilter) as caught:
        parse_filter(text)
    assert said in caught.value.detail


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("(" * 3000 + "a pr" + ")" * 3000, "deeper than 20"),
        ("not (" * 1300 + "a pr" + ")" * 1300, "deeper than 20"),
        ("(" * 8000, "deeper than 20"),
        (" or ".join(["a pr"] * 201), "more than 200 comparisons"),
        ('a eq "' + "x" * 8000 + '"', "longer than 8000"),
    ],
)
def test_bounds(text: str, said: str) -> None:
    with pytest.raises(InvalidFilter, match=said):
        parse_filter(text)


def test_bounds_are_inclusive_and_settable() -> None:
    assert parse_filter("(" * 20 + "a pr" + ")" * 20) == A
    many = parse_filter(" and ".join(["a pr"] * 200))
    assert isinstance(many, And)
    assert len(many.terms) == 200
    wide = FilterLimits(max_length=100_000, max_terms=2000)
    long = parse_filter(" and ".join(["a pr"] * 2000), wide)
    assert print_filter(long).count("a pr") == 2000
    tight = FilterLimits(max_length=30, max_depth=1, max_terms=2)
    assert parse_filter("(a pr or b pr)", tight) == Or(terms=(A, B))
    for text in ("((a pr))", "a[not (b pr)]", "a pr or b pr or c pr", "a pr" + " " * 27):
        with pytest.raises(InvalidFilter):
            parse_filter(text, tight)


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("(a PR) or ((b pr) AND c pr)", "a pr or b pr and c pr"),
        ("(a pr or b pr) and c pr", "(a pr or b pr) and c pr"),
        ("not(a pr)", "not (a pr)"),
        ('emails[type eq "work"].value eq "x"', 'emails[type eq "work" and value eq "x"]'),
        ("a eq TRUE", "a eq true"),
        (r'a eq "\u00e9\"\n"', r'a eq "é\"\n"'),
        ("a eq 1e3", "a eq 1000.0"),
    ],
)
def test_canonical_text(text: str, canonical: str) -> None:
    assert print_filter(parse_filter(text)) == canonical
    assert parse_filter(canonical) == parse_filter(text)


def test_normal_form() -> None:
    assert all_of((A,)) == A
    assert all_of((A, And(terms=(B, C)), D)) == And(terms=(A, B, C, D))
    assert any_of((Or(terms=(A, B)), C)) == Or(terms=(A, B, C))
    assert any_of(iter((And(terms=(A, B)),))) == And(terms=(A, B))


def test_any_json_string_is_a_value() -> None:
    for value in ('"', "\\", "O'Malley", "\u2028", "a\\u0041", "x" * 7000):
        assert parse_filter(f"a eq {json.dumps(value)}") == eq("a", value)
