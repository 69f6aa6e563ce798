"""The samples of RFC 7644 §3.5.2, by section; each holds in the strict and in the lenient dialect."""

from __future__ import annotations

from typing import Any

import pytest

from app.scim.dialect import LENIENT, STRICT, Dialect
from app.scim.errors import Mutability, NoTarget
from app.scim.messages import PATCH_OP
from app.scim.patch import apply_patch, read_patch
from app.scim.schema import GROUP, USER, Resource, ResourceModel, group_model, user_model

USERS, GROUPS = user_model(), group_model()
BABS = "2819c223-7f76-453a-919d-413861904646"
JAMES = "08e1d05d-121c-4561-8b96-473d93df9210"
ALICE = "6784d2fa-4b3c-4f5d-9a3d-08f0d3a6e2f7"

BABS_MEMBER = {"display": "Babs Jensen", "$ref": f"https://example.com/v2/Users/{BABS}", "value": BABS}
JAMES_MEMBER = {"display": "James Smith", "$ref": f"https://example.com/v2/Users/{JAMES}", "value": JAMES}

pytestmark = pytest.mark.parametrize("dialect", [STRICT, LENIENT], ids=["strict", "lenient"])


def user(**attributes: Any) -> Resource:
    return {"schemas": [USER], "id": BABS, "userName": "bjensen@example.com", **attributes}


def group(*members: dict[str, Any]) -> Resource:
    return {"schemas": [GROUP], "id": "acbf3ae7", "displayName": "Tour Guides", "members": list(members)}


def patch(
    resource: Resource, dialect: Dialect, *operations: dict[str, Any], model: ResourceModel = USERS
) -> Resource:
    body = {"schemas": [PATCH_OP], "Operations": list(operations)}
    return apply_patch(resource, read_patch(body, dialect), model, dialect)


class TestSection3521Add:
    def test_new_member_is_added(self, dialect: Dialect) -> None:
        new = {"op": "add", "path": "members", "value": [BABS_MEMBER]}
        after = patch(group(JAMES_MEMBER), dialect, new, model=GROUPS)
        added = {"$ref": BABS_MEMBER["$ref"], "value": BABS}  # display is the server's to fill in
        assert after["members"] == [JAMES_MEMBER, added]

    def test_existing_member_is_not_added_again(self, dialect: Dialect) -> None:
        new = {"op": "add", "path": "members", "value": [BABS_MEMBER]}
        before = group(BABS_MEMBER)
        assert patch(before, dialect, new, model=GROUPS) == before

    def test_without_path_the_value_holds_attributes(self, dialect: Dialect) -> None:
        new = {
            "op": "add",
            "value": {
                "emails": [{"value": "babs@jensen.org", "type": "home"}],
                "nickname": "Babs",
            },
        }
        work = {"value": "bjensen@example.com", "type": "work"}
        after = patch(user(emails=[work]), dialect, new)
        assert after["emails"] == [work, {"value": "babs@jensen.org", "type": "home"}]
        assert after["nickName"] == "Babs"

    def test_absent_target_is_added(self, dialect: Dialect) -> None:
        after = patch(user(), dialect, {"op": "add", "path": "name.givenName", "value": "Barbara"})
        assert after["name"] == {"givenName": "Barbara"}

    def test_complex_target_takes_sub_attributes(self, dialect: Dialect) -> None:
        new = {"op": "add", "path": "name", "value": {"givenName": "Barbara"}}
        after = patch(user(name={"familyName": "Jensen"}), dialect, new)
        assert after["name"] == {"familyName": "Jensen", "givenName": "Barbara"}

    def test_single_valued_target_is_replaced(self, dialect: Dialect) -> None:
        after = patch(user(title="Guide"), dialect, {"op": "add", "path": "title", "value": "Tour Guide"})
        assert after["title"] == "Tour Guide"


class TestSection3522Remove:
    def test_single_member(self, dialect: Dialect) -> None:
        gone = {"op": "remove", "path": f'members[value eq "{BABS}"]'}
        after = patch(group(BABS_MEMBER, JAMES_MEMBER), dialect, gone, model=GROUPS)
        assert after["members"] == [JAMES_MEMBER]

    def test_all_members(self, dialect: Dialect) -> None:
        gone = {"op": "remove", "path": "members"}
        after = patch(group(BABS_MEMBER, JAMES_MEMBER), dialect, gone, model=GROUPS)
        assert "members" not in after

    def test_selected_emails(self, dialect: Dialect) -> None:
        gone = {"op": "remove", "path": 'emails[type eq "work" and value ew "example.com"]'}
        home = {"type": "home", "value": "babs@jensen.org"}
        before = user(emails=[{"type": "work", "value": "bjensen@example.com"}, home])
        assert patch(before, dialect, gone)["emails"] == [home]

    def test_one_member_replaced_by_another(self, dialect: Dialect) -> None:
        after = patch(
            group(BABS_MEMBER),
            dialect,
            {"op": "remove", "path": f'members[value eq "{BABS}"]'},
            {"op": "add", "path": "members", "value": [{"value": JAMES}]},
            model=GROUPS,
        )
        assert after["members"] == [{"value": JAMES}]

    def test_no_path_is_no_target(self, dialect: Dialect) -> None:
        with pytest.raises(NoTarget):
            patch(user(), dialect, {"op": "remove"})

    @pytest.mark.parametrize("path", ["userName", "id", "groups", "schemas"])
    def test_required_or_read_only_is_mutability(self, dialect: Dialect, path: str) -> None:
        with pytest.raises(Mutability):
            patch(user(groups=[{"value": "g"}]), dialect, {"op": "remove", "path": path})


class TestSection3523Replace:
    def test_all_members_by_one_request(self, dialect: Dialect) -> None:
        new = {"op": "replace", "path": "members", "value": [BABS_MEMBER, JAMES_MEMBER]}
        after = patch(group({"value": ALICE}), dialect, new, model=GROUPS)
        assert [m["value"] for m in after["members"]] == [BABS, JAMES]

    def test_work_address_keeps_what_is_not_named_only_outside_it(self, dialect: Dialect) -> None:
        work = {
            "type": "work",
            "streetAddress": "911 Universal City Plaza",
            "locality": "Hollywood",
            "region": "CA",
            "postalCode": "91608",
            "country": "US",
            "formatted": "911 Universal City Plaza\nHollywood, CA 91608 US",
            "primary": True,
        }
        home = {"type": "home", "locality": "Burbank"}
        before = user(addresses=[{"type": "work", "locality": "Los Angeles"}, home])
        new = {"op": "replace", "path": 'addresses[type eq "work"]', "value": work}
        assert patch(before, dialect, new)["addresses"] == [work, home]

    def test_one_sub_attribute_of_the_work_address(self, dialect: Dialect) -> None:
        new = {
            "op": "replace",
            "path": 'addresses[type eq "work"].streetAddress',
            "value": "1010 Broadway Ave",
        }
        before = user(addresses=[{"type": "work", "streetAddress": "1 Old St", "country": "US"}])
        after = patch(before, dialect, new)
        assert after["addresses"] == [{"type": "work", "streetAddress": "1010 Broadway Ave", "country": "US"}]

    def test_emails_and_nickname_without_path(self, dialect: Dialect) -> None:
        emails = [
            {"value": "bjensen@example.com", "type": "work", "primary": True},
            {"value": "babs@jensen.org", "type": "home"},
        ]
        new = {"op": "replace", "value": {"emails": emails, "nickname": "Babs"}}
        after = patch(user(emails=[{"value": "old@example.com"}], nickName="B"), dialect, new)
        assert (after["emails"], after["nickName"]) == (emails, "Babs")

    def test_complex_target_keeps_sub_attributes_not_named(self, dialect: Dialect) -> None:
        new = {"op": "replace", "path": "name", "value": {"givenName": "Barbara"}}
        after = patch(user(name={"givenName": "B", "familyName": "Jensen"}), dialect, new)
        assert after["name"] == {"givenName": "Barbara", "familyName": "Jensen"}

    def test_absent_target_is_added(self, dialect: Dialect) -> None:
        after = patch(user(), dialect, {"op": "replace", "path": "nickName", "value": "Babs"})
        assert after["nickName"] == "Babs"


class TestSection352:
    def test_unmatched_filter_is_no_target_unless_the_dialect_creates(self, dialect: Dialect) -> None:
        new = {"op": "replace", "path": 'addresses[type eq "work"].locality', "value": "Oslo"}
        if dialect == STRICT:
            with pytest.raises(NoTarget):
                patch(user(), dialect, new)
        else:
            assert patch(user(), dialect, new)["addresses"] == [{"type": "work", "locality": "Oslo"}]

    def test_a_new_primary_resets_the_one_there_was(self, dialect: Dialect) -> None:
        before = user(emails=[{"value": "a@example.com", "primary": True}])
        new = {"op": "add", "path": "emails", "value": [{"value": "b@example.com", "primary": True}]}
        assert [e["primary"] for e in patch(before, dialect, new)["emails"]] == [False, True]

    def test_operations_apply_in_order(self, dialect: Dialect) -> None:
        after = patch(
            user(),
            dialect,
            {"op": "add", "path": "title", "value": "one"},
            {"op": "remove", "path": "title"},
            {"op": "add", "path": "title", "value": "two"},
        )
        assert after["title"] == "two"

    def test_a_failure_undoes_what_came_before(self, dialect: Dialect) -> None:
        before = user(title="Guide", emails=[{"value": "a@example.com"}])
        with pytest.raises(Mutability):
            patch(
                before,
                dialect,
                {"op": "replace", "path": "title", "value": "x"},
                {"op": "replace", "path": 'emails[value eq "a@example.com"].value', "value": "b@example.com"},
                {"op": "remove", "path": "userName"},
            )
        assert before == user(title="Guide", emails=[{"value": "a@example.com"}])
