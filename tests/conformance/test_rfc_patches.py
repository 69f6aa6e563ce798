"""PATCH and PUT rule by rule (RFC 7644 §3.5), where `test_rfc_writes.py` does not have them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import client, connect
from rfc import ENTERPRISE, PATCH, USER, Create, check_error, patch, read

if TYPE_CHECKING:
    from conftest import Served

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


@pytest.fixture(scope="module")
def strict(served: Served) -> Iterator[httpx.Client]:
    """A client without any tolerance."""
    with client(served, connect(served, "strict", "--strict")) as made:
        yield made


@pytest.mark.parametrize(
    ("body", "scim_type"),
    [
        ({"schemas": [PATCH]}, "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": {"op": "remove", "path": "title"}}, "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": ["remove"]}, "invalidSyntax"),
        ({"schemas": [PATCH], "Operations": [{"path": "title", "value": "x"}]}, "invalidSyntax"),
        (
            {"schemas": [PATCH], "Operations": [{"op": "move", "path": "title", "value": "x"}]},
            "invalidSyntax",
        ),
        (
            {"schemas": [PATCH], "Operations": [{"op": ["add"], "path": "title", "value": "x"}]},
            "invalidSyntax",
        ),
    ],
)
def test_patch_messages(scim: httpx.Client, create: Create, body: Any, scim_type: str) -> None:
    user = create(title="t")
    check_error(scim.patch(f"/Users/{user['id']}", json=body), 400, scim_type)
    assert read(scim, user["id"]) == user


def test_messages_are_known_by_their_schemas(strict: httpx.Client, create: Create) -> None:
    user = create()
    operations = [{"op": "add", "path": "title", "value": "t"}]
    for wrong in ({}, {"schemas": []}, {"schemas": [USER]}):
        answer = strict.patch(f"/Users/{user['id']}", json={**wrong, "Operations": operations})
        check_error(answer, 400, "invalidSyntax")
        check_error(strict.post("/Users/.search", json={**wrong, "count": 0}), 400, "invalidSyntax")
    assert patch(strict, user["id"], *operations).status_code == 200


@pytest.mark.parametrize(
    ("operation", "scim_type"),
    [
        ({"op": "remove", "path": "userName"}, "mutability"),
        ({"op": "replace", "path": "userName", "value": None}, "mutability"),
        ({"op": "remove", "path": "id"}, "mutability"),
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "remove", "path": "groups"}, "mutability"),
        ({"op": "add", "path": "groups", "value": [{"value": "x"}]}, "mutability"),
        ({"op": "replace", "path": "meta.created", "value": "2001-01-01T00:00:00Z"}, "mutability"),
        ({"op": "replace", "path": "nobody", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": "emails[", "value": "x"}, "invalidPath"),
        ({"op": "add", "path": "title"}, "invalidValue"),
        ({"op": "add", "path": "title", "value": {"a": 1}}, "invalidValue"),
        ({"op": "add", "path": "name", "value": "Ada"}, "invalidValue"),
        ({"op": "replace", "path": "name", "value": "Ada"}, "invalidValue"),
        ({"op": "replace", "value": "title"}, "invalidValue"),
        ({"op": "add", "value": ["title"]}, "invalidValue"),
    ],
)
def test_operations_that_cannot_be_done(
    scim: httpx.Client, create: Create, operation: dict[str, Any], scim_type: str
) -> None:
    user = create()
    check_error(patch(scim, user["id"], operation), 400, scim_type)
    assert read(scim, user["id"]) == user


def test_the_name_of_a_group_cannot_be_removed(groups: httpx.Client) -> None:
    made = groups.post("/Groups", json={"schemas": [GROUP], "displayName": str(uuid.uuid4())}).json()
    body = {"schemas": [PATCH], "Operations": [{"op": "remove", "path": "displayName"}]}
    check_error(groups.patch(made["meta"]["location"], json=body), 400, "mutability")
    assert groups.get(made["meta"]["location"]).json() == made


def test_parts_of_a_member_are_immutable(groups: httpx.Client, create: Create) -> None:
    ann, ben = create()["id"], create()["id"]
    body = {"schemas": [GROUP], "displayName": str(uuid.uuid4()), "members": [{"value": ann}]}
    made = groups.post("/Groups", json=body).json()
    change = {"op": "replace", "path": f'members[value eq "{ann}"].value', "value": ben}
    answer = groups.patch(made["meta"]["location"], json={"schemas": [PATCH], "Operations": [change]})
    check_error(answer, 400, "mutability")
    assert groups.get(made["meta"]["location"]).json() == made


def test_schemas_follow_the_extensions(scim: httpx.Client, create: Create) -> None:
    user = create()
    added = {"op": "add", "path": f"{ENTERPRISE}:employeeNumber", "value": "7"}
    assert ENTERPRISE in patch(scim, user["id"], added).json()["schemas"]
    gone = {"op": "remove", "path": f"{ENTERPRISE}:employeeNumber"}
    assert ENTERPRISE not in patch(scim, user["id"], gone).json()["schemas"]
    listed = {"op": "add", "path": "schemas", "value": [ENTERPRISE]}
    after = patch(scim, user["id"], listed, {"op": "add", "value": {ENTERPRISE: {"division": "d"}}})
    assert ENTERPRISE in after.json()["schemas"]
    assert after.json()[ENTERPRISE] == {"division": "d"}


def test_additions(scim: httpx.Client, create: Create) -> None:
    user = create(title="old", name={"givenName": "G"}, phoneNumbers=[{"value": "1"}])

    def after(**operation: Any) -> dict[str, Any]:
        answer = patch(scim, user["id"], {"op": "add", **operation})
        assert answer.status_code == 200, answer.text
        shown = read(scim, user["id"])
        assert shown == answer.json()
        return shown

    assert after(path="nickName", value="n")["nickName"] == "n"
    assert after(path="title", value="new")["title"] == "new"
    name = after(path="name", value={"familyName": "F"})["name"]
    assert (name["givenName"], name["familyName"]) == ("G", "F")
    numbers = after(path="phoneNumbers", value=[{"value": "2", "type": "home"}])["phoneNumbers"]
    assert numbers == [{"value": "1"}, {"value": "2", "type": "home"}]
    shown = after(value={"title": "last", "phoneNumbers": [{"value": "3"}]})
    assert (shown["title"], len(shown["phoneNumbers"])) == ("last", 3)


def test_removals(scim: httpx.Client, create: Create) -> None:
    numbers = [{"value": "1", "type": "work"}, {"value": "2", "type": "home"}, {"value": "3", "type": "home"}]
    user = create(title="t", name={"givenName": "G", "familyName": "F"}, phoneNumbers=numbers)

    def after(path: str) -> dict[str, Any]:
        assert patch(scim, user["id"], {"op": "remove", "path": path}).status_code == 200
        return read(scim, user["id"])

    assert "title" not in after("title")
    assert "givenName" not in after("name.givenName")["name"]
    assert "name" not in after("name")
    assert [n["value"] for n in after('phoneNumbers[value eq "1"]')["phoneNumbers"]] == ["2", "3"]
    assert "type" not in after('phoneNumbers[value eq "2"].type')["phoneNumbers"][0]
    assert [n["value"] for n in after('phoneNumbers[type eq "home"]')["phoneNumbers"]] == ["2"]
    assert "phoneNumbers" not in after('phoneNumbers[value sw "2"]')
    patch(scim, user["id"], {"op": "add", "path": "phoneNumbers", "value": numbers})
    assert "phoneNumbers" not in after("phoneNumbers")


def test_replacements(scim: httpx.Client, create: Create) -> None:
    home = {"value": "2", "type": "home"}
    user = create(phoneNumbers=[{"value": "1", "type": "work"}, home, {"value": "3", "type": "work"}])

    def after(**operation: Any) -> dict[str, Any]:
        answer = patch(scim, user["id"], {"op": "replace", **operation})
        assert answer.status_code == 200, answer.text
        shown = read(scim, user["id"])
        assert shown == answer.json()
        return shown

    assert after(path="title", value="new")["title"] == "new"
    assert after(path="title", value="newer")["title"] == "newer"
    each = after(path='phoneNumbers[type eq "work"].display', value="at work")["phoneNumbers"]
    assert [n.get("display") for n in each] == ["at work", None, "at work"]
    both = after(path='phoneNumbers[type eq "work"]', value={"value": "4", "type": "other"})["phoneNumbers"]
    assert [n for n in both if n["type"] == "work"] == []
    assert home in both
    assert {n["value"] for n in both} == {"2", "4"}
    whole = [{"value": "5", "type": "fax"}]
    assert after(path="phoneNumbers", value=whole)["phoneNumbers"] == whole
    shown = after(value={"title": "last", "nickName": "n"})
    assert (shown["title"], shown["nickName"], shown["phoneNumbers"]) == ("last", "n", whole)


def test_unmatched_filter(scim: httpx.Client, strict: httpx.Client, create: Create) -> None:
    """No target, but where the dialect creates what the filter describes (Entra needs it; erratum 8097)."""
    user = create(phoneNumbers=[{"value": "1", "type": "work"}])
    path = 'phoneNumbers[type eq "mobile"]'
    for replaced in ({"path": path, "value": {"value": "2"}}, {"path": f"{path}.value", "value": "2"}):
        check_error(patch(strict, user["id"], {"op": "replace", **replaced}), 400, "noTarget")
    assert read(scim, user["id"]) == user
    vague = {"op": "replace", "path": 'phoneNumbers[type co "mob"].value', "value": "2"}
    check_error(patch(scim, user["id"], vague), 400, "noTarget")
    made = patch(scim, user["id"], {"op": "replace", "path": f"{path}.value", "value": "2"}).json()
    assert made["phoneNumbers"] == [{"value": "1", "type": "work"}, {"type": "mobile", "value": "2"}]


def test_an_unchanged_resource_keeps_its_time(scim: httpx.Client, create: Create) -> None:
    user = create(title="t", name={"givenName": "G"})
    answer = patch(
        scim,
        user["id"],
        {"op": "add", "path": "title", "value": "t"},
        {"op": "add", "path": "name", "value": {"givenName": "G"}},
        {"op": "add", "value": {"title": "t"}},
    )
    assert answer.status_code == 200
    assert answer.json()["meta"] == user["meta"] == read(scim, user["id"])["meta"]


def test_put_replaces(scim: httpx.Client, create: Create) -> None:
    user = create(
        title="old",
        nickName="n",
        phoneNumbers=[{"value": "1"}, {"value": "2"}],
        name={"givenName": "G", "familyName": "F"},
        **{ENTERPRISE: {"department": "d", "division": "v"}},
    )
    sent = {
        "schemas": [USER, ENTERPRISE],
        "userName": user["userName"],
        "title": "new",
        "phoneNumbers": [{"value": "3"}],
        "name": {"givenName": "H"},
        ENTERPRISE: {"department": "e"},
    }
    answer = scim.put(f"/Users/{user['id']}", json=sent)
    assert answer.status_code == 200
    after = answer.json()
    assert after == read(scim, user["id"])
    assert (after["title"], after["phoneNumbers"]) == ("new", [{"value": "3"}])
    assert "familyName" not in after["name"]
    assert after["name"]["givenName"] == "H"
    assert after[ENTERPRISE] == {"department": "e"}
    assert "nickName" not in after
    assert after["emails"] == user["emails"]
