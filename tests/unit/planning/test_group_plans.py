"""Filters on groups and the plans they get, as text."""

from __future__ import annotations

from typing import Any

import pytest

from app.planning.groups import (
    AllGroups,
    AnyOf,
    ByExternalId,
    ByName,
    GroupPlan,
    OfMember,
    plan_groups,
)
from app.planning.plan import ById, Nothing
from app.scim.evaluate import bind
from app.scim.filter import parse_filter
from app.scim.path import parse_attribute_path
from app.scim.schema import GROUP, AttributeRef, group_model

MODEL = group_model()


def text_of(plan: GroupPlan) -> str:
    """`source [& filter] [with members] [by order] [paged there]`."""
    parts = [_source(plan.source)]
    if plan.residual is not None:
        parts.append("& filter")
    if plan.all_members:
        parts.append("with all members")
    elif plan.member_ids:
        parts.append("with " + " ".join(sorted(plan.member_ids)))
    if plan.order is not None:
        parts.append(f"by {plan.order.text} {'down' if plan.descending else 'up'}")
    if plan.pages_at_backend:
        parts.append("paged there")
    return " ".join(parts)


def _source(source: Any) -> str:
    match source:
        case Nothing():
            return "nothing"
        case ById():
            return f"get {source.id}"
        case ByName():
            return f"name {source.name}"
        case ByExternalId():
            return f"externalId {source.value}"
        case OfMember():
            return f"of {source.id}"
        case AllGroups():
            return "all"
        case AnyOf():
            return " | ".join(_source(s) for s in source.sources)
    raise AssertionError(source)


def plan(filter: str | None, **options: Any) -> str:
    bound = None if filter is None else bind(parse_filter(filter), MODEL)
    return text_of(plan_groups(bound, **options))


def by(path: str) -> AttributeRef:
    return parse_attribute_path(path, MODEL)


PLANS: list[tuple[str | None, str]] = [
    (None, "all paged there"),
    ('displayName eq "x"', "name x & filter"),
    ('DISPLAYNAME EQ "x"', "name x & filter"),
    (f'{GROUP}:displayName eq "x"', "name x & filter"),
    ('displayName eq ""', "all & filter"),
    ('displayName ne "x"', "all & filter"),
    ('displayName co "x"', "all & filter"),
    ('displayName sw "x"', "all & filter"),
    ("displayName pr", "all & filter"),
    ('not (displayName eq "x")', "all & filter"),
    ('externalId eq "e"', "externalId e & filter"),
    ('externalId sw "e"', "all & filter"),
    ('id eq "g1"', "get g1 & filter"),
    ('id eq "../g"', "nothing & filter"),
    ('id eq ""', "nothing & filter"),
    ('id ne "g1"', "all & filter"),
    ('members.value eq "u"', "of u & filter with u"),
    ('members[value eq "u"]', "of u & filter with u"),
    ('members eq "u"', "of u & filter with u"),
    ('members.value eq "../u"', "nothing & filter with ../u"),
    ('members.value ne "u"', "all & filter with all members"),
    ('members.value sw "u"', "all & filter with all members"),
    ("members pr", "all & filter with all members"),
    ('members[type eq "Group"]', "all & filter with all members"),
    ('members[value eq "u" and type eq "User"]', "all & filter with all members"),
    ('members.display co "x"', "all & filter with all members"),
    ('not (members.value eq "u")', "all & filter with u"),
    ('id eq "g" and members eq "u"', "get g & filter with u"),
    ('members eq "u" and id eq "g"', "get g & filter with u"),
    ('displayName eq "x" and members.value eq "u"', "name x & filter with u"),
    ('externalId eq "e" and members.value eq "u"', "externalId e & filter with u"),
    ('displayName eq "x" and externalId eq "e"', "name x & filter"),
    ('displayName eq "x" and id eq "g"', "get g & filter"),
    ('displayName eq "x" and id eq "a/b"', "nothing & filter"),
    ('displayName eq "x" and meta.created gt "2026-01-01T00:00:00Z"', "name x & filter"),
    ('displayName eq "x" and members pr', "name x & filter with all members"),
    (
        'displayName eq "x" and members eq "u" and members[type eq "Group"]',
        "name x & filter with all members",
    ),
    ('members eq "u" and members eq "v"', "of u & filter with u v"),
    ('displayName eq "x" or displayName eq "y"', "name x | name y & filter"),
    ('displayName eq "x" or displayName eq "x"', "name x & filter"),
    ('displayName eq "x" or id eq "g" or externalId eq "e"', "name x | get g | externalId e & filter"),
    ('displayName eq "x" or displayName co "y"', "all & filter"),
    ('id eq "a/b" or id eq "c/d"', "nothing & filter"),
    ('id eq "a/b" or displayName eq "x"', "name x & filter"),
    ('members eq "u" or members eq "v"', "of u | of v & filter with u v"),
    ('displayName eq "x" and (id eq "g" or id eq "h")', "name x & filter"),
    ('displayName co "x" and (id eq "g" or id eq "h")', "get g | get h & filter"),
    ('(id eq "g" or id eq "h") or displayName eq "x"', "get g | get h | name x & filter"),
    ('(displayName co "q" and id eq "g") or displayName eq "x"', "get g | name x & filter"),
    ('meta.lastModified gt "2026-01-01T00:00:00Z"', "all & filter"),
]


@pytest.mark.parametrize(("filter", "expected"), PLANS, ids=[str(f) for f, _ in PLANS])
def test_a_filter_and_its_plan(filter: str | None, expected: str) -> None:
    assert plan(filter) == expected


@pytest.mark.parametrize(
    ("sort", "descending", "expected"),
    [
        ("meta.created", False, "all paged there"),
        ("meta.created", True, "all by meta.created down"),
        ("displayName", False, "all by displayName up"),
        ("displayName", True, "all by displayName down"),
        ("members", False, "all with all members by members up"),
        ("members.value", False, "all with all members by members.value up"),
    ],
)
def test_an_order_and_its_plan(sort: str, descending: bool, expected: str) -> None:
    assert plan(None, sort=by(sort), descending=descending) == expected


def test_order_and_filter() -> None:
    assert plan('displayName eq "x"', sort=by("displayName")) == "name x & filter by displayName up"
    assert plan('displayName co "x"', sort=by("meta.created")) == "all & filter"
