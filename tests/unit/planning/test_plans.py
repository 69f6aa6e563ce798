"""Filters and the plans they get, as text; what a mapping must declare before anything is pushed down."""

from __future__ import annotations

from typing import Any

import pytest
from plan_cases import Case, cases, is_known, is_sortable

from app.mapping.load import load_mapping, parse_mapping
from app.mapping.users import UserMapping
from app.planning.plan import IndexQuery, Listing, Plan
from app.planning.planner import match_for, plan_users
from app.planning.printer import print_plan
from app.planning.pushdown import exact_needle, part_needle
from app.scim.errors import InvalidFilter
from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.scim.path import parse_attribute_path
from app.scim.schema import PLATFORM_USER, AttributeRef

P = PLATFORM_USER
MAPPING = load_mapping("default")
CASES = list(cases())


def planned(
    filter: str | None, mapping: UserMapping = MAPPING, *, index: bool = False, **options: Any
) -> Plan:
    bound = None if filter is None else bind(parse_filter(filter), mapping.model)
    return plan_users(bound, mapping, index=index, can_index=is_known, can_sort=is_sortable, **options)


def text_of(case: Case, *, index: bool) -> str:
    ref = None if case.sort is None else parse_attribute_path(case.sort, MAPPING.model)
    assert ref is None or isinstance(ref, AttributeRef)
    try:
        plan = planned(
            case.filter,
            index=index,
            sort=ref,
            descending=case.descending,
            groups_at_platform=not case.local_groups,
        )
    except InvalidFilter as error:
        return f"refused: {error.detail}"
    return print_plan(plan)


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.place)
def test_a_filter_and_its_plans(case: Case) -> None:
    assert text_of(case, index=False) == case.live
    assert text_of(case, index=True) == case.index


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.place)
@pytest.mark.parametrize("index", [True, False], ids=["index", "live"])
def test_totals_of_lists_are_not_used_where_they_hold_hidden_users(case: Case, index: bool) -> None:
    ref = None if case.sort is None else parse_attribute_path(case.sort, MAPPING.model)
    assert ref is None or isinstance(ref, AttributeRef)
    asked: dict[str, Any] = {
        "index": index,
        "sort": ref,
        "descending": case.descending,
        "groups_at_platform": not case.local_groups,
    }
    try:
        plain, hiding = planned(case.filter, **asked), planned(case.filter, **asked, hides=True)
    except InvalidFilter:
        return
    assert hiding.window != "platform"
    if hiding.order is not None:
        assert hiding.order.made != "platform"
    if not isinstance(plain.source, Listing) or plain.residual is not None:
        assert (hiding.source, hiding.residual, hiding.order) == (plain.source, plain.residual, plain.order)
    elif index and (ref is None or is_sortable(ref)) and _indexed(case.filter):
        assert isinstance(hiding.source, IndexQuery)
    else:
        assert hiding.notes
    if hiding.order is not None and isinstance(hiding.source, IndexQuery) and hiding.residual is None:
        assert hiding.window == "index"


def _indexed(text: str | None) -> bool:
    return text is None or is_known(bind(parse_filter(text), MAPPING.model))


def test_there_are_plenty_of_filters() -> None:
    assert len({c.filter for c in CASES}) > 150


# --- what the mapping declares ----------------------------------------------------------------------------

LESS = """
format = 1
name = "less"
[platform]
search = ["email"]
[[user]]
scim = "userName"
field = "username"
fallback = "email"
[[user]]
scim = "emails"
field = "email"
"""


def less(*rules: str, search: str = '"email"', platform: str = "", **changes: str) -> UserMapping:
    text = LESS.replace('search = ["email"]', f"search = [{search}]\n{platform}")
    for old, new in changes.items():
        text = text.replace({"fallback": 'fallback = "email"', "email": 'field = "email"'}[old], new)
    return parse_mapping(text + "".join(f"[[user]]\n{rule}\n" for rule in rules), "less.toml")


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ('userName eq "a"', 'match userName="a"'),
        ('userName co "abc"', 'list & userName co "abc"'),
        ('emails eq "a@x"', 'match email="a@x" search="a@x"'),
        (f'{P}:status eq "LOCKED"', f'list & {P}:status eq "LOCKED"'),
        ("active eq false", "list & active eq false"),
        ('groups.value eq "g"', 'list & groups.value eq "g"'),
    ],
)
def test_nothing_is_pushed_that_the_platform_does_not_declare(filter: str, expected: str) -> None:
    assert print_plan(planned(filter, less())) == expected


WITH_NAME = 'scim = "displayName"\nfield = "display_name"\n'


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ('displayName eq "Ada L"', 'list name="Ada L"'),
        ('displayName eq "Ada" and title pr', 'list name="Ada"'),
        ('displayName eq "Ada" and displayName eq "ada"', 'list name="Ada"'),
        ('displayName eq "Ada" and active eq false', 'list status="DISABLED" name="Ada"'),
        ('displayName co "Ada"', "list"),
        ('displayName ne "Ada"', "list"),
        ('displayName eq ""', "list"),
    ],
)
def test_what_narrows_is_pushed_and_checked(filter: str, expected: str) -> None:
    mapping = less(
        WITH_NAME,
        platform=f'[platform.narrows]\ndisplayName = "name"\n[platform.filters]\n"{P}:status" = "status"',
    )
    plan = planned(filter, mapping)
    assert plan.window is None
    assert print_plan(plan).split(" & ")[0] == expected


def test_an_exact_filter_takes_any_text() -> None:
    mapping = less(WITH_NAME, platform='[platform.filters]\ndisplayName = "name"')
    assert print_plan(planned('displayName eq "Ada L."', mapping)) == 'list name="Ada L.", window of platform'
    assert print_plan(planned('displayName eq "A" and displayName eq "B"', mapping)) == "nothing"


@pytest.mark.parametrize(
    ("transform", "searched"),
    [
        ('{ kind = "lower" }', True),
        ('{ kind = "upper" }, { kind = "trim" }', True),
        ('{ kind = "template", text = "CORP-{value}" }', True),
        ('{ kind = "lookup", table = { a = "b" } }', False),
        ('{ kind = "lower" }, { kind = "lookup", table = { a = "b" } }', False),
        ('{ kind = "constant", value = "x" }', False),
        ('{ kind = "boolean-words" }', False),
    ],
)
def test_search_is_for_values_that_the_field_holds_as_they_are_shown(transform: str, searched: bool) -> None:
    """A table shows other values than the field has, and a value that is not in it as it is."""
    mapping = less(
        f"{WITH_NAME}transform = [{transform}]",
        search='"email", "username", "display_name"',
        fallback=f"transform = [{transform}]",
    )
    assert match_for("userName", "abc", mapping).search == ("abc" if searched else None)
    plan = print_plan(planned('displayName co "abc"', mapping))
    assert plan == ('list search="ab" & ' if searched else "list & ") + 'displayName co "abc"'


def test_a_search_covers_all_fields_that_are_read_or_none() -> None:
    rule = WITH_NAME + 'fallback = "first_name"'
    for fields, expected in (
        ('"display_name"', "list"),
        ('"display_name", "first_name"', 'list search="Ada"'),
    ):
        plan = planned('displayName eq "Ada"', less(rule, search=fields))
        assert print_plan(plan).split(" & ")[0] == expected


def test_an_address_is_searched_for_only_as_rows_show_it() -> None:
    mapping = less(search='"email", "display_name"', email='field = "display_name"')
    assert match_for("email", "a@x", mapping).search is None
    assert match_for("email", "a\\b@x", MAPPING).search is None


@pytest.mark.parametrize(
    ("text", "whole", "part", "end"),
    [
        ("smith", "smith", "smit", "smith"),
        ("a", "a", None, "a"),
        ("42", "42", "42", "42"),
        ("@x.org", "@x.org", "@x.or", "@x.org"),
        ("  a b ", "a b", "a b", "a b"),
        ("é", "é", None, "é"),
        ("Ren\u00e9e", "Ren\u00e9e", "Ren\u00e9", "Ren\u00e9e"),
        ("Rene\u0301e", "Rene\u0301e", "Ren", "Ren"),
        ("\u0301x1", "\u0301x1", "x1", "x1"),
        ("李小龍", "李小龍", "李小", "李小龍"),
        ("a\\bcd", "bcd", "bc", "bcd"),
        ("\\", None, None, None),
        ("\ufffdab", "ab", "a", "ab"),
        ("", None, None, None),
        ("  ", None, None, None),
    ],
)
def test_needles(text: str, whole: str | None, part: str | None, end: str | None) -> None:
    assert exact_needle(text) == whole
    assert part_needle(text) == part
    assert part_needle(text, at_end=True) == end


# --- notes ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filter", "index", "said"),
    [
        (None, False, []),
        ('userName eq "ada"', False, []),
        ("title pr", True, []),
        ('title eq "secret"', False, ["no filter for title eq …", "no complete index"]),
        ('userName co "secret"', False, ["search finds more users than userName co …", "no complete index"]),
        ('not (title eq "secret")', False, ["cannot leave users out, as not (title eq …)"]),
        ('title eq "secret" or title pr', False, ["Not every branch of title eq … or title pr"]),
        ('groups.display eq "secret"', True, ["no filter for groups.display eq …", "index does not know"]),
        (
            'groups.display eq "secret" and title pr',
            True,
            ["The index does not know all of groups.display eq …."],
        ),
        ('groups.value eq "g" and title pr', True, ["index knows title pr, but is likely to find more"]),
        ('groups.value eq "g" and title pr', False, ["no filter for title pr", "no complete index"]),
    ],
)
def test_notes_say_why_and_keep_values_to_themselves(
    filter: str | None, index: bool, said: list[str]
) -> None:
    notes = planned(filter, index=index).notes
    assert all(any(each in note for note in notes) for each in said), notes
    assert bool(notes) == bool(said)
    assert "secret" not in " ".join(notes)


def test_notes_of_an_order() -> None:
    ref = parse_attribute_path("title", MAPPING.model)
    (note,) = planned("active eq false", sort=ref).notes
    assert "not in order by title" in note
    assert planned("active eq false", sort=ref, index=True).notes == ()
