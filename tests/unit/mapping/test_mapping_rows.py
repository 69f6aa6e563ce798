"""What rows of the platform's list answer, and the fingerprint under which resources are kept."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mapping_samples import BASE, ENT, MAPPING, PLATFORM, shown, user, with_rule

from app.mapping.users import UserMapping
from app.scim.attributes import Projection, apply, parse_projection
from app.scim.schema import USER
from app.wire.users import PlatformUser, UserListItem

ROW = UserListItem(
    id="usr_1",
    email="ada@example.com",
    status="LOCKED",
    identity_source="LDAP",
    display_name="Ada",
    ou_path="/maths",
    mfa_enabled=True,
    last_login_at="2026-02-01T00:00:00",
)


def asked(attributes: str, mapping: UserMapping = MAPPING) -> Projection:
    found = parse_projection(attributes, None, mapping.model)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("attributes", "answered"),
    [
        ("id", True),
        ("active", True),
        ("displayName", True),
        ("id,displayName,active", True),
        (f"{USER}:displayName", True),
        (f"{PLATFORM}:status", True),
        (f"{PLATFORM}:status,{PLATFORM}:mfaEnabled,{PLATFORM}:lastLoginAt", True),
        ("meta.resourceType,meta.location", True),
        ("password", True),
        ("unheard", True),
        ("meta", False),
        ("meta.created", False),
        ("schemas", False),
        ("userName", False),
        ("id,userName", False),
        ("emails", False),
        ("emails.value", False),
        ("name", False),
        ("name.givenName", False),
        ("displayName,name.givenName", False),
        ("externalId", False),
        ("title", False),
        ("locale", False),
        ("groups", False),
        (PLATFORM, False),
        (f"{PLATFORM}:ouId", False),
        (f"{PLATFORM}:status,{PLATFORM}:emailVerified", False),
        (f"{ENT}:manager", False),
    ],
)
def test_what_a_row_answers(attributes: str, answered: bool) -> None:
    assert MAPPING.answers_from_row(asked(attributes)) is answered


def test_what_is_left_out_says_nothing_about_what_is_needed() -> None:
    excluded = parse_projection(None, "emails,name", MAPPING.model)
    assert excluded is not None
    assert not MAPPING.answers_from_row(excluded)


def test_a_row_as_a_resource() -> None:
    assert MAPPING.row_to_scim(ROW, base_url=BASE) == {
        "schemas": [USER, PLATFORM],
        "id": "usr_1",
        "displayName": "Ada",
        "active": True,
        PLATFORM: {
            "status": "LOCKED",
            "ouPath": "/maths",
            "identitySource": "LDAP",
            "mfaEnabled": True,
            "lastLoginAt": "2026-02-01T00:00:00Z",
        },
        "meta": {"resourceType": "User", "location": f"{BASE}/Users/usr_1"},
    }


@pytest.mark.parametrize(
    ("rule", "head", "answered"),
    [
        ('field = "display_name"', "", True),
        ('field = "display_name"\ntransform = [{ kind = "upper" }]', "", True),
        ('field = "display_name"\nfallback = "email"', "", True),
        ('field = "display_name"\nfallback = "phone"', "", False),
        ('field = "phone"', "", False),
        ('field = "display_name"\nclear = "record"', "", False),
        ('field = "display_name"\ndirection = "write"', "", False),
        ('custom = "nick"', "", False),
        ('template = "{display_name}"', "", False),
        ('field = "display_name"', '[platform]\nlist_fields = ["status"]\n', False),
    ],
)
def test_what_a_row_answers_follows_the_mapping(rule: str, head: str, answered: bool) -> None:
    mapping = with_rule(f'scim = "nickName"\n{rule}', head=head)
    assert mapping.answers_from_row(asked("nickName", mapping)) is answered
    assert ("nickName" in mapping.row_to_scim(ROW, base_url=BASE)) is answered


def test_a_list_without_the_status_does_not_tell_who_is_active() -> None:
    mapping = with_rule(head='[platform]\nlist_fields = ["email"]\n')
    assert not mapping.answers_from_row(asked("active", mapping))
    assert "active" not in mapping.row_to_scim(ROW, base_url=BASE)


NAMES = [
    *(
        "id",
        "active",
        "displayName",
        "userName",
        "emails.value",
        "name.givenName",
        "locale",
        "title",
        "meta.location",
    )
]
NAMES += [
    f"{PLATFORM}:{n}" for n in ("status", "ouId", "ouPath", "mfaEnabled", "lastLoginAt", "emailVerified")
]

TEXTS = st.sampled_from([None, "", "Ada", "/x"])
CUSTOM: st.SearchStrategy[dict[str, Any] | None] = st.sampled_from(
    [
        None,
        {"title": "T"},
        {"scim": {"unassigned": {"locale": "en", "display_name": "Ada"}}},
        {"scim": {"attributes": {"displayName": "Other", PLATFORM: {"ouPath": "/other"}}}},
        {"scim": {"held": {"displayName": {"with": "Ada", "value": "Other"}}}},
    ]
)
USERS = st.builds(
    user,
    display_name=TEXTS,
    ou_path=TEXTS,
    status=st.sampled_from(["ACTIVE", "DISABLED", "NEW"]),
    mfa_enabled=st.booleans(),
    last_login_at=st.sampled_from([None, "2026-01-01T00:00:00", "2026-01-01T00:00:00+02:00"]),
    custom_attributes=CUSTOM,
)


@settings(deadline=None, max_examples=300)
@given(USERS, st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True))
def test_a_row_answers_what_the_whole_user_would(found: PlatformUser, names: list[str]) -> None:
    projection = asked(",".join(names))
    if not MAPPING.answers_from_row(projection):
        return
    fields = UserListItem.__struct_fields__
    row = UserListItem(**{k: v for k, v in msgspec.structs.asdict(found).items() if k in fields})
    short = apply(projection, MAPPING.row_to_scim(row, base_url=BASE), MAPPING.model)
    whole = apply(projection, shown(found), MAPPING.model)
    assert {**short, "schemas": []} == {**whole, "schemas": []}
    assert set(short["schemas"]) <= set(whole["schemas"])


# --- the fingerprint --------------------------------------------------------------------------------------


def test_the_fingerprint_changes_with_what_users_look_like_and_with_nothing_else() -> None:
    rule = 'scim = "nickName"\nfield = "display_name"'
    element = 'scim = "phoneNumbers"\nfield = "phone"\nelement = { type = "work", primary = true }'
    start = with_rule(rule, element).fingerprint
    assert len(start) == 16
    assert int(start, 16) >= 0
    same = [
        with_rule(rule, element, head='description = "x"\n[platform]\nper_page_max = 5\n'),
        with_rule(rule, element.replace('type = "work", primary = true', 'primary = true, type = "work"')),
        with_rule(rule, element, head='[status]\nenable_to = "LOCKED"\n'),
    ]
    assert {m.fingerprint for m in same} == {start}
    other = [
        with_rule(rule),
        with_rule(rule + '\nclear = "record"', element),
        with_rule(rule, element.replace("work", "home")),
        with_rule(rule, element, head='[status]\ninactive = ["DISABLED", "LOCKED"]\n'),
        with_rule(element, rule),
    ]
    assert len({start, *(m.fingerprint for m in other)}) == len(other) + 1
