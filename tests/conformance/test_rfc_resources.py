"""What every resource looks like (RFC 7643 §2 to §4)."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from groups_served import client, connect
from rfc import ENTERPRISE, USER, Create, check_error, find, ids, patch, read

if TYPE_CHECKING:
    from conftest import Serve, Served

GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"


@pytest.fixture
def group(groups: httpx.Client, create: Create) -> dict[str, Any]:
    """A group of one member, on either side."""
    body = {"schemas": [GROUP], "displayName": str(uuid.uuid4()), "members": [{"value": create()["id"]}]}
    made = groups.post("/Groups", json=body)
    assert made.status_code == 201, made.text
    found: dict[str, Any] = made.json()
    return found


def test_schemas_of_a_resource(scim: httpx.Client, create: Create) -> None:
    served = {USER, *(e["schema"] for e in scim.get("/ResourceTypes/User").json()["schemaExtensions"])}
    enterprise = {ENTERPRISE: {"department": "d"}}
    for listed in ([USER, ENTERPRISE], [ENTERPRISE, USER], [USER, USER, ENTERPRISE], [USER, "urn:none"]):
        made = create(schemas=listed, **enterprise)
        for shown in (made, read(scim, made["id"]), find(scim, f'id eq "{made["id"]}"')["Resources"][0]):
            assert shown["schemas"][0] == USER
            assert len(set(shown["schemas"])) == len(shown["schemas"])
            assert ENTERPRISE in shown["schemas"]
            assert set(shown["schemas"]) <= served
            assert shown[ENTERPRISE] == {"department": "d"}
    plain = create()
    assert ENTERPRISE not in plain["schemas"]
    assert {"department", "manager"}.isdisjoint(plain)


def test_order_of_members_does_not_matter(scim: httpx.Client) -> None:
    name = f"u-{uuid.uuid4()}@example.com"
    body = {
        ENTERPRISE: {"department": "d"},
        "emails": [{"primary": True, "type": "work", "value": name}],
        "name": {"familyName": "F", "givenName": "G"},
        "userName": name,
        "schemas": [ENTERPRISE, USER],
    }
    made = scim.post("/Users", json=body)
    assert made.status_code == 201, made.text
    user = made.json()
    assert user["emails"] == [{"value": name, "type": "work", "primary": True}]
    reversed_body = {key: user[key] for key in reversed(user)}
    assert scim.put(f"/Users/{user['id']}", json=reversed_body).json() == user


def test_ids_are_the_servers_own(scim: httpx.Client, groups: httpx.Client, group: dict[str, Any]) -> None:
    first = scim.post("/Users", json={"schemas": [USER], "userName": f"{uuid.uuid4()}@x.org"}).json()
    again = {"schemas": [USER], "userName": f"{uuid.uuid4()}@x.org", "id": first["id"], "meta": first["meta"]}
    users = [first, scim.post("/Users", json=again).json()]
    found = [group["id"], *(user["id"] for user in users)]
    assert len(set(found)) == 3
    for own in found:
        assert own
        assert "bulkid" not in own.lower()
    changed = patch(scim, users[0]["id"], {"op": "replace", "path": "userName", "value": f"{found[0]}@x.org"})
    assert changed.json()["id"] == users[0]["id"] == read(scim, users[0]["id"])["id"]
    assert groups.get(f"/Groups/{group['id']}").json()["id"] == group["id"]


def test_external_id_is_the_clients(scim: httpx.Client, create: Create, served: Served) -> None:
    assert "externalId" not in create()
    user = create(externalId=f"Own-{uuid.uuid4()}")
    text = f'externalId eq "{user["externalId"]}"'
    name = f"users-{uuid.uuid4().hex[:8]}"
    with client(served, connect(served, name, "--domain", name)) as other:
        assert ids(find(other, text)) == set()
        assert "externalId" not in read(other, user["id"])
        patch(other, user["id"], {"op": "add", "path": "externalId", "value": "another's"})
        assert read(other, user["id"])["externalId"] == "another's"
    assert ids(find(scim, text)) == {user["id"]}
    assert read(scim, user["id"])["externalId"] == user["externalId"]


def test_meta_of_a_user(scim: httpx.Client, create: Create) -> None:
    user = create()
    meta = user["meta"]
    assert meta["created"] == meta["lastModified"]
    assert meta["version"].startswith('W/"')
    changed = patch(scim, user["id"], {"op": "add", "path": "title", "value": "t"}).json()["meta"]
    assert changed["created"] == meta["created"]
    assert at(changed["lastModified"]) > at(meta["lastModified"])
    assert at(meta["created"]).tzinfo is not None


def test_meta_of_a_group(groups: httpx.Client, group: dict[str, Any]) -> None:
    body = {"schemas": [GROUP], "displayName": str(uuid.uuid4())}
    meta = groups.post("/Groups", json=body).json()["meta"]
    assert meta["resourceType"] == "Group"
    assert meta["created"] == meta["lastModified"]
    assert at(meta["created"]).tzinfo is not None
    assert group["meta"]["version"].startswith('W/"')


def at(value: str) -> datetime:
    """An xsd:dateTime of date and time."""
    assert "T" in value
    return datetime.fromisoformat(value)


def test_locations_and_references_lead_to_their_resources(
    groups: httpx.Client, group: dict[str, Any]
) -> None:
    member = group["members"][0]
    user = groups.get(member["$ref"]).json()
    assert (user["id"], user["meta"]["resourceType"]) == (member["value"], "User")
    (of_the_user,) = user["groups"]
    assert of_the_user["value"] == group["id"]
    assert groups.get(of_the_user["$ref"]).json()["id"] == group["id"]
    assert groups.delete(group["meta"]["location"]).status_code == 204
    check_error(groups.get(of_the_user["$ref"]), 404)


def test_content_location_is_the_location(groups: httpx.Client, group: dict[str, Any]) -> None:
    name = f"u-{uuid.uuid4()}@example.com"
    made = groups.post("/Users", json={"schemas": [USER], "userName": name})
    place = made.json()["meta"]["location"]
    asked = [
        made,
        groups.get(place),
        groups.get(place, params={"attributes": "meta"}),
        groups.put(place, json={**made.json(), "title": "t"}),
        groups.get(group["meta"]["location"]),
    ]
    for answer in asked:
        assert answer.headers["content-location"] == answer.json()["meta"]["location"]
        assert answer.headers["etag"] == answer.json()["meta"]["version"]


@pytest.mark.parametrize("empty", [None, [], ""])
@pytest.mark.parametrize("attribute", ["title", "phoneNumbers", "name"])
def test_unassigned_is_one_state(scim: httpx.Client, create: Create, attribute: str, empty: Any) -> None:
    filled = {"title": "t", "phoneNumbers": [{"value": "1"}], "name": {"givenName": "G"}}
    user = create(**filled)
    for shown in (
        create(**{attribute: empty}),
        scim.put(f"/Users/{user['id']}", json={**user, attribute: empty}).json(),
    ):
        assert attribute not in shown
        assert ids(find(scim, f'id eq "{shown["id"]}" and {attribute} pr')) == set()
        assert ids(find(scim, f'id eq "{shown["id"]}" and not ({attribute} pr)')) == {shown["id"]}


def test_no_element_is_answered_twice(scim: httpx.Client) -> None:
    twice = [{"value": "1", "type": "work"}] * 2 + [{"value": "1", "type": "home"}]
    body = {"schemas": [USER], "userName": f"{uuid.uuid4()}@example.com", "phoneNumbers": twice}
    user = scim.post("/Users", json=body).json()
    assert [n["type"] for n in user["phoneNumbers"]] == ["work", "home"]
    assert not any(n.get("primary") for n in user["phoneNumbers"])


@pytest.mark.parametrize(
    "attributes",
    [
        {"phoneNumbers": [{"value": "1", "primary": True}, {"value": "2", "primary": True}]},
        {"x509Certificates": [{"value": "no base64 !"}]},
        {"active": "perhaps"},
        {"name": "Ada"},
        {"title": {"value": "t"}},
        {"emails": [{"value": {"value": "x"}}]},
        {"userName": None},
        {"userName": ""},
        {"userName": []},
    ],
)
def test_values_of_another_type_are_refused(scim: httpx.Client, attributes: dict[str, Any]) -> None:
    body = {"schemas": [USER], "userName": f"{uuid.uuid4()}@example.com", **attributes}
    check_error(scim.post("/Users", json=body), 400, "invalidValue")


def test_certificates_come_back_as_they_were(scim: httpx.Client, create: Create) -> None:
    value = "MIIDQzCCAqygAwIBAgICEAAwDQYJKoZIhvcNAQEFBQAwTjELMAkGA1UEBhMCVVMx"
    user = create(x509Certificates=[{"value": value}])
    assert read(scim, user["id"])["x509Certificates"] == [{"value": value}]


def test_a_user_name_is_required(scim: httpx.Client, create: Create) -> None:
    check_error(scim.post("/Users", json={"schemas": [USER], "title": "t"}), 400, "invalidValue")
    user = create()
    check_error(scim.put(f"/Users/{user['id']}", json={"schemas": [USER]}), 400, "invalidValue")
    assert read(scim, user["id"]) == user


def test_the_formatted_name_follows_its_parts(scim: httpx.Client, create: Create) -> None:
    user = create(name={"givenName": "Ada", "familyName": "Byron"})
    assert user["name"]["formatted"] == "Ada Byron"
    married = patch(scim, user["id"], {"op": "replace", "path": "name.familyName", "value": "Lovelace"})
    assert married.json()["name"]["formatted"] == "Ada Lovelace"


def test_a_password_is_kept_nowhere(serve: Serve, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Neither as it is in a database, of which the embedded platform's is one, nor in the log."""
    place = tmp_path_factory.mktemp("passwords")
    served = serve(place, SCIM_BRIDGE_LOG_LEVEL="debug")
    secrets = [f"Corr3ct-{uuid.uuid4()}" for _ in range(4)]
    with client(served, connect(served, "sets", "--set-passwords")) as scim:
        body = {"schemas": [USER], "userName": f"{uuid.uuid4()}@example.com", "password": secrets[0]}
        user = scim.post("/Users", json=body).json()
        assert patch(scim, user["id"], {"op": "replace", "path": "password", "value": secrets[1]}).is_success
        assert scim.put(f"/Users/{user['id']}", json={**user, "password": secrets[2]}).is_success
        refused = {**body, "password": secrets[3]}
        check_error(scim.post("/Users", json=refused), 409, "uniqueness")
    written = [file for file in place.rglob("*") if file.is_file()]
    assert {"bridge.db", "platform.db", "serve.log"} <= {file.name for file in written}
    for file in written:
        data = file.read_bytes()
        assert [s for s in secrets if s.encode() in data] == [], file.name
