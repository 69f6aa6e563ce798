"""The rules of policies: what they name, and which are refused."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from app.bridge.rules import GroupRules, UserRules
from app.store.connections import Policies
from app.wire.users import PlatformUser


def user(custom: Any = None) -> PlatformUser:
    return PlatformUser(
        id="usr_1",
        email="a@b.c",
        status="ACTIVE",
        created_at="2026-01-01T00:00:00Z",
        custom_attributes=custom,
    )


@pytest.mark.parametrize(
    ("rule", "custom", "named"),
    [
        ("id:usr_1", None, True),
        ("id:USR_1", None, False),
        ("id:usr_*", None, False),
        ("userName:STRASSE-?", None, True),
        ("userName:strasse", None, False),
        ("userName:*", None, True),
        ("custom:role=admin", None, False),
        ("custom:role=admin", {"role": "admin"}, True),
        ("custom:role=admin", {"role": "Admin"}, False),
        ("custom:role=admin", {"role": ["x", "admin"]}, True),
        ("custom:a.b=1", {"a": {"b": 1}}, True),
        ("custom:a.b=1", {"a": "b"}, False),
        ("custom:vip=true", {"vip": True}, True),
        ("custom:note=a=b", {"note": "a=b"}, True),
        ("custom:empty=", {"empty": ""}, True),
    ],
)
def test_user_rules(rule: str, custom: Any, named: bool) -> None:
    assert UserRules.of([rule]).names_user(user(custom), "Straße-7") is named
    assert not UserRules().names_user(user(custom), "Straße-7")


def test_group_rules() -> None:
    rules = GroupRules.of(["own", "id:g1", "displayName:Okta *"])
    assert (rules.own, rules.ids, rules.name("okta x"), rules.name("x okta ")) == (True, {"g1"}, True, False)
    assert not GroupRules()


@pytest.mark.parametrize(
    "policies",
    [
        {"protected_users": ["admin*"]},
        {"protected_users": ["username:admin*"]},
        {"protected_users": ["custom:role"]},
        {"protected_groups": ["own"]},
        {"protected_groups": ["id:"]},
        {"group_scope": ["all"]},
        {"guard_share": 1.5},
        {"guard_limit": -1},
        {"deprovision": "hide"},
    ],
)
def test_what_would_protect_nothing_is_refused(policies: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(policies, type=Policies)
