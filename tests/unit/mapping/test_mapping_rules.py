"""Each kind of rule, both ways, and what it leaves alone."""

from __future__ import annotations

from typing import Any

import pytest
from mapping_samples import (
    BASE,
    ENT,
    PLATFORM,
    body,
    change_to,
    changed,
    created,
    edited,
    shown,
    user,
    with_rule,
)

from app.bridge.steps import SetFields
from app.scim.errors import InvalidValue

WORK = [{"value": "ada@example.com", "type": "work", "primary": True}]


@pytest.mark.parametrize(
    ("attribute", "value", "field", "stored"),
    [
        ("userName", "ada", "username", "ada"),
        ("name", {"givenName": "Ada"}, "first_name", "Ada"),
        ("name", {"familyName": "Lovelace"}, "last_name", "Lovelace"),
        ("displayName", "Ada L.", "display_name", "Ada L."),
        ("locale", "de-DE", "locale", "de-DE"),
        ("timezone", "Europe/Berlin", "timezone", "Europe/Berlin"),
        ("emails", WORK, "email", "ada@example.com"),
        ("phoneNumbers", [{"value": "+1 (555) 01-00", "type": "work"}], "phone", "+1 (555) 01-00"),
    ],
)
def test_fields_both_ways(attribute: str, value: Any, field: str, stored: str) -> None:
    resource = body(
        emails=WORK, **{k: v for k, v in {attribute: value}.items() if k not in ("emails", "userName")}
    )
    made = created(resource)
    assert getattr(made, field) == stored
    assert made.custom_attributes is None
    read = shown(made)[attribute]
    assert read == value if attribute != "name" else read.items() >= value.items()


@pytest.mark.parametrize(
    ("attribute", "value", "key"),
    [
        ("title", "Countess", "title"),
        ("userType", "Employee", "user_type"),
        ("nickName", "Enchantress", "nick_name"),
        ("profileUrl", "https://example.com/ada", "profile_url"),
        ("preferredLanguage", "en-GB", "preferred_language"),
        ("addresses", [{"type": "work", "locality": "London", "primary": True}], "addresses"),
    ],
)
def test_custom_keys_both_ways(attribute: str, value: Any, key: str) -> None:
    made = created(body(emails=WORK, **{attribute: value}))
    assert made.custom_attributes == {key: value}
    assert shown(made)[attribute] == value
    gone = edited(made, **{attribute: None})
    assert not gone.custom_attributes
    assert attribute not in shown(gone)


@pytest.mark.parametrize(
    ("name", "value", "key"),
    [
        ("employeeNumber", "0042", "employee_number"),
        ("costCenter", "CC-7", "cost_center"),
        ("organization", "Engines", "organization"),
        ("division", "Difference", "division"),
        ("department", "Analytics", "department"),
        ("manager", {"value": "usr_9", "$ref": "../Users/usr_9"}, "manager"),
    ],
)
def test_enterprise_attributes_both_ways(name: str, value: Any, key: str) -> None:
    made = created(body(emails=WORK, **{ENT: {name: value}}))
    assert made.custom_attributes == {key: value}
    read = shown(made)
    assert read[ENT] == {name: value}
    assert ENT in read["schemas"]


def test_what_the_platform_knows_is_read() -> None:
    read = shown(
        user(
            status="LOCKED",
            ou_id="ou_1",
            ou_path="/a",
            mfa_enabled=True,
            email_verified=True,
            identity_source="SAML",
            last_login_at="2026-02-01T00:00:00.5",
            updated_at="2026-02-02T00:00:00Z",
            groups=[
                {"group_id": "grp_1", "name": "Staff", "membership_type": "DIRECT"},
                {"group_id": "grp_2", "name": "All", "membership_type": "NESTED"},
            ],
        )
    )
    assert read["active"] is True
    assert read[PLATFORM] == {
        "status": "LOCKED",
        "ouId": "ou_1",
        "ouPath": "/a",
        "identitySource": "SAML",
        "mfaEnabled": True,
        "emailVerified": True,
        "lastLoginAt": "2026-02-01T00:00:00.5Z",
    }
    assert [(g["value"], g["type"], g["display"]) for g in read["groups"]] == [
        ("grp_1", "direct", "Staff"),
        ("grp_2", "indirect", "All"),
    ]
    assert read["groups"][0]["$ref"] == f"{BASE}/Groups/grp_1"
    assert read["meta"] == {
        "resourceType": "User",
        "created": "2026-01-01T00:00:00.000000Z",
        "lastModified": "2026-02-02T00:00:00Z",
        "location": f"{BASE}/Users/usr_1",
    }


# --- userName ----------------------------------------------------------------------------------------------


def test_user_name_is_read_from_the_address_where_there_is_no_username() -> None:
    assert shown(user(username=None))["userName"] == "ada@example.com"


def test_a_new_address_does_not_rename_a_user_without_username() -> None:
    after = edited(
        user(username=None), emails=[{"value": "new@example.com", "type": "work", "primary": True}]
    )
    assert after.email == "new@example.com"
    assert shown(after)["userName"] == "ada@example.com"


def test_renaming_a_user_without_username_leaves_the_address() -> None:
    after = edited(user(username=None), userName="lady")
    assert (after.username, after.email) == ("lady", "ada@example.com")


def test_a_change_of_case_alone_is_a_change() -> None:
    assert edited(user(), userName="ADA").username == "ADA"


def test_the_rule_order_in_the_file_does_not_matter_to_the_fallback() -> None:
    text = with_rule()
    current = user(username=None)
    after = {
        **shown(current, mapping=text),
        "emails": [{"value": "b@x.org", "type": "work", "primary": True}],
    }
    moved = changed(current, after, mapping=text)
    assert shown(moved, mapping=text)["userName"] == "ada@example.com"


# --- name.formatted ----------------------------------------------------------------------------------------

NAMED = user(first_name="Ada", last_name="Lovelace")


def test_formatted_is_derived() -> None:
    assert shown(NAMED)["name"]["formatted"] == "Ada Lovelace"
    assert shown(user(first_name="Ada"))["name"]["formatted"] == "Ada"
    assert "name" not in shown(user())


def test_formatted_equal_to_the_template_is_not_kept() -> None:
    made = created(
        body(emails=WORK, name={"givenName": "Ada", "familyName": "Lovelace", "formatted": "Ada Lovelace"})
    )
    assert made.custom_attributes is None


def test_another_formatted_is_kept_until_a_name_changes_elsewhere() -> None:
    held = edited(NAMED, name__formatted="Lady Lovelace")
    assert shown(held)["name"]["formatted"] == "Lady Lovelace"
    renamed = user(first_name="Augusta", last_name="Lovelace", custom_attributes=held.custom_attributes)
    assert shown(renamed)["name"]["formatted"] == "Augusta Lovelace"


def test_a_kept_formatted_stays_when_the_client_changes_another_name() -> None:
    held = edited(NAMED, name__formatted="Lady Lovelace")
    after = edited(held, name__givenName="Augusta")
    assert shown(after)["name"]["formatted"] == "Lady Lovelace"


def test_a_derived_formatted_that_is_sent_back_follows_the_names() -> None:
    assert shown(edited(NAMED, name__givenName="Augusta"))["name"]["formatted"] == "Augusta Lovelace"


def test_a_removed_formatted_is_derived_again() -> None:
    held = edited(NAMED, name__formatted="Lady Lovelace")
    after = edited(held, name__formatted=None)
    assert shown(after)["name"]["formatted"] == "Ada Lovelace"
    assert not after.custom_attributes


# --- emails ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("emails", "field"),
    [
        ([{"value": "a@x.org"}], "a@x.org"),
        ([{"value": "a@x.org", "type": "home"}, {"value": "b@x.org", "type": "work"}], "b@x.org"),
        (
            [{"value": "a@x.org", "type": "work"}, {"value": "b@x.org", "type": "home", "primary": True}],
            "b@x.org",
        ),
        ([{"value": "a@x.org", "type": "other"}, {"value": "b@x.org", "type": "home"}], "a@x.org"),
        ([{"value": "a@x.org", "type": "work", "primary": False}, {"value": "b@x.org"}], "a@x.org"),
    ],
)
def test_which_address_the_platform_gets(emails: list[dict[str, Any]], field: str) -> None:
    made = created(body(emails=emails))
    assert made.email == field
    assert shown(made)["emails"] == emails


def test_one_plain_work_address_leaves_nothing_behind() -> None:
    assert created(body(emails=WORK)).custom_attributes is None


def test_further_addresses_are_dropped_when_the_field_changed_elsewhere() -> None:
    made = created(body(emails=[*WORK, {"value": "home@example.com", "type": "home"}]))
    assert len(shown(made)["emails"]) == 2
    moved = user(email="new@example.com", custom_attributes=made.custom_attributes)
    assert shown(moved)["emails"] == [{"value": "new@example.com", "type": "work", "primary": True}]


def test_without_addresses_the_user_name_supplies_one() -> None:
    made = created(body(userName="ada@example.com"))
    assert made.email == "ada@example.com"
    assert shown(made)["emails"] == WORK


def test_a_supplied_address_follows_the_user_name_until_the_client_sends_one() -> None:
    made = created(body(userName="ada@example.com"))
    renamed = edited(made, userName="lady@example.com")
    assert (renamed.username, renamed.email) == ("lady@example.com", "lady@example.com")
    again = edited(renamed, userName="third@example.com")
    assert again.email == "third@example.com"
    own = edited(again, emails=[{"value": "own@example.com"}])
    last = edited(own, userName="fourth@example.com")
    assert (last.username, last.email) == ("fourth@example.com", "own@example.com")


def test_a_supplied_address_does_not_follow_where_there_is_no_address() -> None:
    made = created(body(userName="ada@example.com"))
    assert edited(made, userName="ada").email == "ada@example.com"


def test_a_supplied_address_that_was_changed_elsewhere_no_longer_follows() -> None:
    made = created(body(userName="ada@example.com"))
    moved = user(username=made.username, email="moved@example.com", custom_attributes=made.custom_attributes)
    assert edited(moved, userName="lady@example.com").email == "moved@example.com"


def test_no_address_anywhere_is_refused() -> None:
    with pytest.raises(InvalidValue, match="emails"):
        created(body(userName="ada"))
    with pytest.raises(InvalidValue, match="emails"):
        edited(user(), emails=None)


@pytest.mark.parametrize("name", ["", " ", "@", "a@", "@b", "a b@c", "a@b@c", "a@b c"])
def test_what_is_no_address_does_not_become_one(name: str) -> None:
    resource = {**body(), "userName": name}
    with pytest.raises(InvalidValue):
        created(resource)


def test_phone_numbers_may_go() -> None:
    made = created(body(emails=WORK, phoneNumbers=[{"value": "1"}, {"value": "2", "primary": True}]))
    assert made.phone == "2"
    gone = edited(made, phoneNumbers=None)
    assert gone.phone is None
    assert not gone.custom_attributes
    assert "phoneNumbers" not in shown(gone)


# --- locale and timezone -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("attribute", "value"), [("locale", "de-DE"), ("timezone", "Europe/Berlin")])
def test_a_removed_default_is_recorded_and_void_when_changed_elsewhere(attribute: str, value: str) -> None:
    made = created(body(emails=WORK, **{attribute: value}))
    gone = edited(made, **{attribute: None})
    assert getattr(gone, attribute) == value
    assert attribute not in shown(gone)
    moved = user(**{attribute: "fr"}, custom_attributes=gone.custom_attributes)
    assert shown(moved)[attribute] == "fr"
    back = edited(gone, **{attribute: value})
    assert shown(back)[attribute] == value
    assert not back.custom_attributes


# --- externalId --------------------------------------------------------------------------------------------


def test_domains_do_not_see_each_others_external_ids() -> None:
    made = created(body(emails=WORK, externalId="okta-1"), domain="okta")
    assert "externalId" not in shown(made, domain="entra")
    both = edited(made, domain="entra", externalId="entra-1")
    assert shown(both, domain="okta")["externalId"] == "okta-1"
    assert shown(both, domain="entra")["externalId"] == "entra-1"
    one = edited(both, domain="okta", externalId=None)
    assert "externalId" not in shown(one, domain="okta")
    assert shown(one, domain="entra")["externalId"] == "entra-1"
    none = edited(one, domain="entra", externalId=None)
    assert not none.custom_attributes


def test_a_domain_with_dots_is_one_domain() -> None:
    made = created(body(emails=WORK, externalId="1"), domain="a.b")
    assert made.custom_attributes == {"scim_external_ids": {"a.b": "1"}}
    assert shown(made, domain="a.b")["externalId"] == "1"
    assert "externalId" not in shown(made, domain="a")


# --- what is not the mapping's own -------------------------------------------------------------------------

FOREIGN = {"badge": 7, "nested": {"list": [1, 2.5, None, True, "ß"]}, "Title": "other key", "empty": {}}


def test_foreign_keys_are_carried_over_with_their_types() -> None:
    current = user(custom_attributes=FOREIGN)
    after = edited(current, title="Countess", externalId="x", roles=[{"value": "admin"}], locale=None)
    assert after.custom_attributes is not None
    assert {k: after.custom_attributes[k] for k in FOREIGN} == FOREIGN
    back = edited(after, title=None, externalId=None, roles=None, locale="en")
    assert back.custom_attributes == FOREIGN


KEPT: dict[str, Any] = {
    "roles": [{"value": "admin", "primary": True}, {"value": "user", "display": "User"}],
    "entitlements": [{"value": "e1"}],
    "ims": [{"value": "ada", "type": "xmpp"}],
    "photos": [{"value": "https://example.com/a.png", "type": "photo"}],
    "x509Certificates": [{"value": "AQID"}],
    "name": {
        "middleName": "King",
        "honorificPrefix": "Lady",
        "honorificSuffix": "Jr.",
        "givenName": "Ada",
        "familyName": "Lovelace",
        "formatted": "Lady Ada King Lovelace",
    },
}


@pytest.mark.parametrize("attribute", KEPT)
def test_what_no_rule_maps_is_read_back_as_written(attribute: str) -> None:
    made = created(body(emails=WORK, **{attribute: KEPT[attribute]}))
    assert shown(made)[attribute] == KEPT[attribute]
    assert not change_to(made, shown(made))
    gone = edited(made, **{attribute: None})
    assert attribute not in shown(gone)
    assert not gone.custom_attributes


def test_all_of_it_at_once() -> None:
    made = created(body(emails=WORK, **KEPT))
    read = shown(made)
    assert {k: read[k] for k in KEPT} == KEPT
    assert set(made.custom_attributes or {}) == {"scim"}


OWN = """
[[schemas]]
id = "urn:example:params:badge:1.0:User"
name = "Badge"
[[schemas.attributes]]
name = "colour"
[[schemas.attributes]]
name = "level"
type = "integer"
"""


def test_an_extension_of_ones_own() -> None:
    urn = "urn:example:params:badge:1.0:User"
    mapping = with_rule(f'scim = "{urn}:colour"\ncustom = "badge.colour"', head=OWN)
    resource = {"userName": "ada", "emails": WORK, urn: {"colour": "red", "level": 3}}
    made = created(resource, mapping=mapping)
    assert made.custom_attributes == {"badge": {"colour": "red"}, "scim": {"attributes": {urn: {"level": 3}}}}
    read = shown(made, mapping=mapping)
    assert read[urn] == {"colour": "red", "level": 3}
    assert urn in read["schemas"]
    assert not change_to(made, read, mapping=mapping)


@pytest.mark.parametrize("direction", ["read", "write"])
@pytest.mark.parametrize("place", ['field = "display_name"', 'custom = "label"'])
def test_directions(direction: str, place: str) -> None:
    mapping = with_rule(f'scim = "displayName"\n{place}\ndirection = "{direction}"')
    made = created({"userName": "ada", "emails": WORK, "displayName": "Ada"}, mapping=mapping)
    written = made.display_name or (made.custom_attributes or {}).get("label")
    assert written == (None if direction == "read" else "Ada")
    full = user(display_name="Ada", custom_attributes={"label": "Ada"})
    assert ("displayName" in shown(full, mapping=mapping)) is (direction == "read")


def test_where_the_platform_merges_only_changed_keys_are_sent() -> None:
    mapping = with_rule(
        'scim = "title"\ncustom = "title"',
        'scim = "nickName"\ncustom = "nick"',
        head="[platform]\nmerges_custom_attributes = true",
    )
    current = user(custom_attributes={"title": "A", "nick": "B", "badge": 7, "scim": {"attributes": {}}})
    before = shown(current, mapping=mapping)
    change = change_to(current, {**before, "title": "C"}, mapping=mapping)
    assert SetFields.of(change, current).body(current, merges=True).custom_attributes == {"title": "C"}
    without = {k: v for k, v in before.items() if k != "nickName"}
    removed = change_to(current, without, mapping=mapping)
    assert SetFields.of(removed, current).body(current, merges=True).custom_attributes == {"nick": None}


@pytest.mark.parametrize(
    "record",
    [
        {"held": {"name.formatted": {"with": ["Augusta", "King"], "value": "Lady King"}}},
        {"held": {"name.formatted": {"with": ["Ada", "Lovelace"], "value": "Ada Lovelace"}}},
        {"held": {"emails": {"with": "old@example.com", "value": [{"value": "old@example.com"}]}}},
        {"unassigned": {"locale": "de"}},
        {"derived": {"emails": "old@example.com"}},
        {"prior_status": "LOCKED"},
        {"made_by": "somebody else"},
    ],
)
def test_a_stale_record_alone_is_no_reason_to_write(record: dict[str, Any]) -> None:
    current = user(first_name="Ada", last_name="Lovelace", custom_attributes={"scim": record})
    assert not change_to(current, shown(current))
