"""Filters and the plans they get, as text; and plans against filtering everything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.mapping.load import load_mapping, parse_mapping
from app.mapping.users import UserMapping
from app.planning.plan import ById, Listing, Match, Nothing, Plan, Union
from app.planning.planner import plan_users
from app.scim.evaluate import bind, predicate
from app.scim.expression import Filter
from app.scim.filter import parse_filter
from app.scim.path import parse_attribute_path
from app.scim.schema import PLATFORM_USER, AttributeRef, Resource
from app.wire.users import PlatformUser

P = PLATFORM_USER
MAPPING = load_mapping("default")


def text_of(plan: Plan) -> str:
    """`source [& filter] [by order]`; `&` says that the filter is applied to what the source yields."""
    parts = [_source(plan.source)]
    if plan.residual is not None:
        parts.append("& filter")
    if plan.order is not None:
        way = "at platform" if plan.order.pushed else "here"
        parts.append(f"by {plan.order.ref.text} {'down' if plan.order.descending else 'up'} {way}")
    if plan.pages_at_platform:
        parts.append("paged there")
    return " ".join(parts)


def _source(source: Any) -> str:
    match source:
        case Nothing():
            return "nothing"
        case ById():
            return f"get {source.id}"
        case Match():
            return f"match {source.kind}={source.value}" + (
                "" if source.search is None else f" search={source.search}"
            )
        case Listing():
            return "list" + "".join(f" {k}={v}" for k, v in sorted(source.query))
        case Union():
            return " | ".join(_source(s) for s in source.sources)
    raise AssertionError(source)


def plan(filter: str | None, mapping: UserMapping = MAPPING, **options: Any) -> str:
    bound = None if filter is None else bind(parse_filter(filter), mapping.model)
    return text_of(plan_users(bound, mapping, **options))


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        (None, "list paged there"),
        ('id eq "usr_1"', "get usr_1"),
        ('id eq "../x"', "nothing"),
        ('id eq ""', "nothing"),
        ('id ne "usr_1"', "list & filter"),
        ('userName eq "Ada"', "match userName=Ada search=Ada"),
        ('USERNAME EQ "Ada"', "match userName=Ada search=Ada"),
        ('userName eq ""', "list & filter"),
        ('userName sw "a"', "list & filter"),
        ('userName ne "a"', "list & filter"),
        ('externalId eq "x"', "match externalId=x"),
        ('emails.value eq "a@x"', "match email=a@x search=a@x"),
        ('emails eq "a@x"', "match email=a@x search=a@x"),
        ('emails[value eq "a@x"]', "match email=a@x search=a@x & filter"),
        ('emails[type eq "work" and value eq "a@x"]', "match email=a@x search=a@x & filter"),
        ('emails[type eq "work"].value eq "a@x"', "match email=a@x search=a@x & filter"),
        ('emails[type eq "work" or value eq "a@x"]', "list & filter"),
        ('emails[not (value eq "a@x")]', "list & filter"),
        ('emails[value ne "a@x"]', "list & filter"),
        ('emails.type eq "work"', "list & filter"),
        ('phoneNumbers.value eq "1"', "list & filter"),
        ("title pr", "list & filter"),
        ('id eq "u" and manager eq "m"', "get u & filter"),
        ('manager eq "m" and id eq "u"', "get u & filter"),
        ('externalId eq "x" and userName eq "a"', "match userName=a search=a & filter"),
        ('userName eq "a" and active eq true', "match userName=a search=a & filter"),
        ('title pr and externalId eq "x"', "match externalId=x & filter"),
        ('userName eq "a" or externalId eq "x"', "match userName=a search=a | match externalId=x & filter"),
        ('id eq "a" or id eq "b" or id eq "a"', "get a | get b & filter"),
        ('userName eq "a" or title pr', "list & filter"),
        ('userName eq "a" or id eq "../x"', "match userName=a search=a & filter"),
        ('id eq "../x" or id eq "../y"', "nothing"),
        ('not (userName eq "a")', "list & filter"),
        ("active eq false", "list status=DISABLED paged there"),
        ("active eq true", "list & filter"),
        ("active ne false", "list & filter"),
        ("not (active eq true)", "list & filter"),
        (f'{P}:status eq "LOCKED"', "list status=LOCKED paged there"),
        (f'{P}:status eq "NOBODY"', "nothing"),
        (f'{P}:status ne "LOCKED"', "list & filter"),
        (f"{P}:mfaEnabled eq true", "list mfa_enabled=true paged there"),
        (f'{P}:ouId eq "ou_1"', "list ou_id=ou_1 paged there"),
        (f'{P}:ouId eq "../x"', "nothing"),
        ('groups.value eq "grp_1"', "list group_id=grp_1 paged there"),
        ('groups eq "grp_1"', "list group_id=grp_1 paged there"),
        (f"{P}:mfaEnabled eq true and active eq false", "list mfa_enabled=true status=DISABLED paged there"),
        (f'{P}:status eq "LOCKED" and active eq false', "nothing"),
        (f"{P}:mfaEnabled eq true and {P}:mfaEnabled eq false", "nothing"),
        ("active eq false and title pr", "list status=DISABLED & filter"),
        (f'{P}:status eq "LOCKED" or {P}:status eq "DISABLED"', "list & filter"),
        ('groups.value eq "a" and groups.value eq "b"', "list group_id=a & filter"),
        ("userName eq null", "list & filter"),
        (f"{P}:ouId eq null", "list & filter"),
    ],
)
def test_plans(filter: str | None, expected: str) -> None:
    assert plan(filter) == expected


@pytest.mark.parametrize(
    ("sort", "descending", "filter", "expected"),
    [
        ("meta.created", False, None, "list by meta.created up at platform paged there"),
        (
            "meta.created",
            True,
            "active eq false",
            "list status=DISABLED by meta.created down at platform paged there",
        ),
        ("userName", False, None, "list by userName up here"),
        ("title", True, 'userName eq "a"', "match userName=a search=a by title down here"),
    ],
)
def test_orders(sort: str, descending: bool, filter: str | None, expected: str) -> None:
    ref = parse_attribute_path(sort, MAPPING.model)
    assert isinstance(ref, AttributeRef)
    assert plan(filter, sort=ref, descending=descending) == expected


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


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ('userName eq "a"', "match userName=a"),
        ('emails eq "a@x"', "match email=a@x search=a@x"),
        (f'{P}:status eq "LOCKED"', "list & filter"),
        ("active eq false", "list & filter"),
    ],
)
def test_nothing_is_pushed_that_the_platform_does_not_declare(filter: str, expected: str) -> None:
    assert plan(filter, parse_mapping(LESS, "less.toml")) == expected


def test_a_search_is_for_the_value_as_the_platform_has_it() -> None:
    text = LESS.replace('field = "email"\n', 'field = "email"\ntransform = []\n').replace(
        'search = ["email"]', 'search = ["email", "username"]'
    )
    lower = text.replace('fallback = "email"', 'transform = [{ kind = "template", text = "CORP-{value}" }]')
    assert plan('userName eq "a"', parse_mapping(lower, "t.toml")) == "match userName=a search=CORP-a"


def test_a_value_that_cannot_be_on_the_platform_is_no_failure() -> None:
    text = LESS.replace('search = ["email"]', 'search = ["email", "username"]').replace(
        'fallback = "email"', 'transform = [{ kind = "lookup", table = { a = "b" }, unknown = "refuse" }]'
    )
    plan('userName eq "c"', parse_mapping(text, "t.toml"))


# --- plans against filtering everything ------------------------------------------------------------------


def _users() -> list[PlatformUser]:
    statuses = ["ACTIVE", "DISABLED", "LOCKED", "PENDING_APPROVAL"]
    return [
        PlatformUser(
            id=f"usr_{n}",
            email=f"{'aAb'[n % 3]}{n // 3}@x.org",
            username=None if n % 4 == 0 else f"{'uU'[n % 2]}{n}",
            status=statuses[n % 4],
            mfa_enabled=n % 3 == 0,
            ou_id=None if n % 5 == 0 else f"ou_{n % 2}",
            first_name="Ada" if n % 2 else None,
            created_at=f"2026-01-{n + 1:02}T00:00:00Z",
            custom_attributes={
                "scim_external_ids": {"default": f"x{n % 4}"},
                "title": "T" if n % 3 else "",
            },
        )
        for n in range(12)
    ]


USERS = _users()
RESOURCES = {u.id: MAPPING.to_scim(u, domain="default", base_url="http://x") for u in USERS}


def yielded(source: Any) -> set[str]:
    """What a source yields by its definition, from the platform's own fields."""
    match source:
        case Nothing():
            return set()
        case ById():
            return {source.id} & RESOURCES.keys()
        case Match():
            folded = source.value.casefold()
            return {
                i
                for i, r in RESOURCES.items()
                if (source.kind == "externalId" and r.get("externalId") == source.value)
                or (source.kind == "userName" and r["userName"].casefold() == folded)
                or (source.kind == "email" and any(e["value"].casefold() == folded for e in r["emails"]))
            }
        case Listing():
            return {
                u.id
                for u in USERS
                if all(
                    wire_text(getattr(u, {"group_id": "avatar_url"}.get(k, k))) == v for k, v in source.query
                )
            }
        case Union():
            return set().union(*(yielded(s) for s in source.sources))
    raise AssertionError(source)


def wire_text(value: object) -> str:
    """A value as the platform's query has it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


TERMS = st.sampled_from(
    [
        *(f'userName eq "{v}"' for v in ("u1", "U1", "a0@x.org", "A0@X.ORG", "none", "")),
        *(f'id eq "{v}"' for v in ("usr_1", "usr_2", "../usr_1", "USR_1", "")),
        *(f'externalId eq "{v}"' for v in ("x0", "x1", "X1", "none")),
        *(f'emails.value eq "{v}"' for v in ("a0@x.org", "A0@X.ORG", "b1@x.org")),
        'emails[type eq "work" and value eq "a0@x.org"]',
        'emails[type eq "home" and value eq "a0@x.org"]',
        'emails[type eq "work"]',
        "active eq true",
        "active eq false",
        *(f'{P}:status eq "{v}"' for v in ("ACTIVE", "DISABLED", "LOCKED", "locked", "NONE")),
        f"{P}:mfaEnabled eq true",
        f"{P}:mfaEnabled eq false",
        *(f'{P}:ouId eq "{v}"' for v in ("ou_0", "ou_1", "OU_1", "../ou_1")),
        'groups.value eq "grp_1"',
        'title eq "t"',
        "title pr",
        'name.givenName eq "ada"',
        'userName co "1"',
    ]
)
FILTERS = st.recursive(
    TERMS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda t: f"({t[0]}) and ({t[1]})"),
        st.tuples(inner, inner).map(lambda t: f"({t[0]}) or ({t[1]})"),
        inner.map(lambda t: f"not ({t})"),
    ),
    max_leaves=6,
)


@settings(deadline=None, max_examples=300)
@given(FILTERS)
def test_carrying_out_a_plan_equals_filtering_everything(text: str) -> None:
    bound: Filter = bind(parse_filter(text), MAPPING.model)
    found = plan_users(bound, MAPPING)
    test = predicate(bound, MAPPING.model)
    wanted: set[str] = {i for i, r in RESOURCES.items() if test(r)}
    source = yielded(found.source)
    if found.residual is None:
        assert source == wanted
    else:
        again = predicate(found.residual, MAPPING.model)
        kept: list[Resource] = [RESOURCES[i] for i in source if again(RESOURCES[i])]
        assert {r["id"] for r in kept} == wanted
