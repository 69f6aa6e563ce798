"""A mapping tried out without a platform: both ways, and there and back again."""

from __future__ import annotations

from typing import Any

import pytest

from app.bridge.context import Context
from app.bridge.differences import Difference, differences
from app.bridge.rules import GroupRules, UserRules
from app.bridge.trying import Tried, from_platform, from_scim
from app.mapping.load import load_mapping
from app.scim.dialect import LENIENT
from app.scim.errors import InvalidValue, ScimError
from app.scim.schema import PLATFORM_USER, USER

CONTEXT = Context(
    connection_id="con_1",
    connection="okta",
    tenant_id="tnt_1",
    domain="okta",
    mapping=load_mapping("default"),
    dialect=LENIENT,
    base_url="https://scim.test/scim/v2",
    sets_passwords=True,
    send_welcome_email=False,
    lift=frozenset(),
    terminate_sessions=True,
    groups="platform",
    indexed=True,
    explains=False,
    dry_runs=False,
    group_patch_answers=False,
    audits_personal=False,
    deprovision="delete",
    guard=None,
    protected_users=UserRules(),
    protected_groups=GroupRules(),
    group_scope=None,
)


def scim(**attributes: Any) -> Tried:
    return from_scim(CONTEXT, {"schemas": [USER], "userName": "ada@example.com", **attributes})


def platform(**fields: Any) -> Tried:
    user = {"id": "u1", "email": "ada@example.com", "status": "ACTIVE", "created_at": "2026-01-01T00:00:00Z"}
    return from_platform(CONTEXT, {**user, **fields})


def test_a_creation_is_one_call_and_comes_back() -> None:
    tried = scim(
        name={"givenName": "Ada"},
        externalId="00u1",
        emails=[{"value": "ada@example.com", "type": "work", "primary": True}],
        addresses=[{"type": "home", "locality": "London"}],
        active=True,
    )
    assert [call.what for call in tried.calls] == ["POST the user"]
    assert tried.result["first_name"] == "Ada"
    assert tried.result["custom_attributes"]["scim_external_ids"] == {"okta": "00u1"}
    assert tried.differences == ()


def test_a_user_that_is_to_be_inactive_takes_a_second_call() -> None:
    tried = scim(active=False)
    assert [call.what for call in tried.calls] == ["POST the user", "PUT the status"]
    assert tried.calls[1].body["status"] == "DISABLED"
    assert (tried.result["status"], tried.back["active"]) == ("DISABLED", False)


def test_a_status_that_is_to_be_restored_later_is_recorded() -> None:
    tried = scim(**{PLATFORM_USER: {"status": "LOCKED"}})
    assert tried.calls[-1].body["status"] == "LOCKED"
    assert tried.back["active"] is True


def test_a_password_is_not_repeated() -> None:
    tried = scim(password="Geheim-99")
    assert "Geheim-99" not in str(tried)
    assert "password" in tried.calls[0].body


def test_what_the_server_adds_is_told_apart_from_what_it_changes() -> None:
    tried = scim(emails=[{"value": "b@example.com"}])
    assert tried.differences == ()
    assert {d.path for d in tried.added} >= {"active"}


@pytest.mark.parametrize(
    "body", [None, [], "x", {}, {"userName": "nobody"}, {"userName": "a@b.c", "active": "perhaps"}]
)
def test_what_no_client_could_create_is_refused(body: object) -> None:
    with pytest.raises(ScimError):
        from_scim(CONTEXT, body)


def test_sending_back_what_was_read_makes_no_call() -> None:
    tried = platform(
        username="ada",
        phone="+1 555",
        status="LOCKED",
        custom_attributes={"title": "Countess", "scim_external_ids": {"okta": "1", "entra": "2"}},
    )
    assert tried.result["externalId"] == "1"
    assert tried.calls == ()
    lost = {d.path: d.before for d in tried.differences}
    # The other domain's value is nothing that a client of this one can carry over.
    assert lost == {"custom_attributes.scim_external_ids.entra": "2"}


@pytest.mark.parametrize(
    "document",
    [
        None,
        1,
        "x",
        [],
        {},
        {"data": {}},
        {"data": 1},
        {"id": "u", "email": "e", "status": 1, "created_at": "x"},
    ],
)
def test_what_is_no_platform_user_is_refused(document: object) -> None:
    with pytest.raises(InvalidValue, match="platform"):
        from_platform(CONTEXT, document)


@pytest.mark.parametrize(
    ("before", "after", "found"),
    [
        ({"a": 1}, {"a": 1}, []),
        ({"a": 1}, {"a": True}, [("a", 1, True)]),
        ({"a": {"b": 1}}, {"a": {"c": 2}}, [("a.b", 1, None), ("a.c", None, 2)]),
        ({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}, 4]}, [("a[1].b", 2, 3), ("a[2]", None, 4)]),
        ({"a": [1]}, {"a": {"0": 1}}, [("a", [1], {"0": 1})]),
        (1, 2, [("", 1, 2)]),
        ({"a": None}, {}, []),
    ],
)
def test_differences_are_named_by_their_place(
    before: object, after: object, found: list[tuple[str, object, object]]
) -> None:
    assert list(differences(before, after)) == [Difference(path=p, before=b, after=a) for p, b, a in found]
