"""A filter of a query over users and groups, seen from each of them (RFC 7644 §3.4.2.1)."""

from __future__ import annotations

import pytest

from app.scim.across import check_known, narrow
from app.scim.errors import InvalidFilter
from app.scim.evaluate import predicate
from app.scim.filter import parse_filter, print_filter
from app.scim.schema import group_model, user_model

USER, GROUP = user_model(), group_model()
ENT = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def seen(text: str, model) -> str | bool:
    left = narrow(parse_filter(text), model)
    return left if isinstance(left, bool) else print_filter(left)


@pytest.mark.parametrize(
    ("text", "of_users", "of_groups"),
    [
        ('displayName eq "x"', 'displayName eq "x"', 'displayName eq "x"'),
        ('userName eq "x"', 'userName eq "x"', False),
        ("userName pr", "userName pr", False),
        ("not (userName pr)", "not (userName pr)", True),
        ('userName ne "x"', 'userName ne "x"', True),
        ("userName eq null", "not (userName pr)", True),
        ("userName ne null", "userName pr", False),
        ('title gt "x"', 'title gt "x"', False),
        ('emails[type eq "work"]', 'emails[type eq "work"]', False),
        ('members eq "x"', False, 'members.value eq "x"'),
        ('USERNAME eq "x" or members eq "y"', 'userName eq "x"', 'members.value eq "y"'),
        ('userName eq "x" and displayName eq "y"', 'userName eq "x" and displayName eq "y"', False),
        (
            'userName ne "x" and displayName eq "y"',
            'userName ne "x" and displayName eq "y"',
            'displayName eq "y"',
        ),
        ('userName ne "x" or displayName eq "y"', 'userName ne "x" or displayName eq "y"', True),
        ('manager eq "x"', f'{ENT}:manager.value eq "x"', False),
        (f'{ENT}:department eq "x"', f'{ENT}:department eq "x"', False),
        ('urn:ietf:params:scim:schemas:core:2.0:Group:displayName eq "x"', False, 'displayName eq "x"'),
        ('meta.resourceType eq "User"', True, False),
        ('meta.resourceType ne "User"', False, True),
        ('meta.resourceType eq "user"', False, False),
        ('meta.resourceType sw "G" or userName eq "x"', 'userName eq "x"', True),
        ("meta.resourceType pr", True, True),
        ('meta.resourceType eq "Group" and displayName co "a"', False, 'displayName co "a"'),
        ('not (meta.resourceType eq "Group") and id pr', "id pr", False),
    ],
)
def test_what_is_left(text: str, of_users: str | bool, of_groups: str | bool) -> None:
    check_known(parse_filter(text), (USER, GROUP))
    assert (seen(text, USER), seen(text, GROUP)) == (of_users, of_groups)


def test_a_whole_extension() -> None:
    left = narrow(parse_filter(f"{ENT} pr"), USER)
    assert not isinstance(left, bool)
    assert predicate(left, USER)({ENT: {"department": "x"}})
    assert not predicate(left, USER)({"userName": "x"})
    assert narrow(parse_filter(f"{ENT} pr"), GROUP) is False


@pytest.mark.parametrize("text", ["nobody pr", 'userName eq "x" or nobody eq 1', "not (members.nobody pr)"])
def test_what_no_type_has_is_a_slip(text: str) -> None:
    with pytest.raises(InvalidFilter):
        check_known(parse_filter(text), (USER, GROUP))


@pytest.mark.parametrize(
    "text",
    [
        'active eq "x"',
        'active gt true and meta.resourceType eq "Group"',
        'meta.resourceType eq "Group" or emails[nobody pr]',
        "meta.resourceType gt null",
        'password eq "x"',
    ],
)
def test_what_makes_no_sense_is_refused_whatever_else_decides(text: str) -> None:
    check_known(parse_filter(text), (USER, GROUP))
    with pytest.raises(InvalidFilter):
        narrow(parse_filter(text), USER)


def test_extension_attributes_need_their_urn_where_the_dialect_says_so() -> None:
    f = parse_filter('manager eq "x"')
    assert narrow(f, USER, anywhere=False) is False
    with pytest.raises(InvalidFilter):
        check_known(f, (USER, GROUP), anywhere=False)
