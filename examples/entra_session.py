"""Play Microsoft Entra ID's provisioning against a SCIM server, and show what Entra sends and gets.

    python examples/entra_session.py                       # reads data/quickstart.json of `scim-bridge serve`
    python examples/entra_session.py --base-url https://scim.example.com/scim/v2 --token …

It speaks Entra's default dialect: `Add` and `Replace` with a capital, booleans as words, paths to values that
are not there yet. It makes users of its own and deletes them. The exit code is 1 when an answer is not what
Entra needs.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any

from session import Session, Unexpected, arguments

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
HEADERS = {"Content-Type": "application/scim+json; charset=utf-8"}


def update(entra: Session, place: str, *operations: tuple[str, str, object]) -> dict[str, Any]:
    """PATCH, then the user as GET shows it."""
    listed = [{"op": op, "path": path, "value": value} for op, path, value in operations]
    entra.patch(place, json={"schemas": [PATCH], "Operations": listed})
    return entra.get(place)


def new_user(name: str, given: str, family: str, **more: object) -> dict[str, Any]:
    """The body that Entra creates a user with."""
    return {
        "schemas": [USER, ENTERPRISE],
        "externalId": str(uuid.uuid4()),
        "userName": name,
        "active": "True",
        "title": None,
        "emails": [{"primary": True, "type": "work", "value": name}],
        "name": {"formatted": f"{given} {family}", "familyName": family, "givenName": given},
        "meta": {"resourceType": "User"},
        "roles": [],
        **more,
    }


def play(entra: Session) -> None:
    """The session; raises `Unexpected`."""
    mark = uuid.uuid4().hex[:8]
    name = f"Grace.{mark}@contoso.example"
    work_address = 'emails[type eq "work"].value'

    entra.says("The administrator enters tenant URL and secret token, and presses Test Connection.")
    miss = entra.get("/Users", params={"filter": f'userName eq "{uuid.uuid4()}"'})
    entra.check(miss["totalResults"] == 0, "nobody has a random GUID for a name, and that is 200")
    schemas = entra.get("/Schemas")
    entra.check(any(s["id"] == USER for s in schemas["Resources"]), "the User schema is published")

    entra.says("The first cycle. A manager comes first.")
    boss = entra.post("/Users", json=new_user(f"boss.{mark}@contoso.example", "Howard", "Aiken"))

    entra.says(f"Grace Hopper ({name}) is in scope: match her, then create her.")
    for attribute in ("userName", "externalId", work_address):
        found = entra.get("/Users", params={"filter": f'{attribute} eq "{name}"'})
        entra.check(found["totalResults"] == 0, f"no match by {attribute}")
    user = entra.post(
        "/Users", json=new_user(name, "Grace", "Hopper", **{ENTERPRISE: {"manager": boss["id"]}})
    )
    entra.check(user["active"] is True, '"True" is stored as true')
    entra.check(user[ENTERPRISE]["manager"]["value"] == boss["id"], "the manager comes back as an object")
    place = f"/Users/{user['id']}"

    entra.says("The next cycle matches her, whatever the case.")
    for attribute, value in (("userName", name.upper()), (work_address, name)):
        found = entra.get("/Users", params={"filter": f'{attribute} eq "{value}"'})
        entra.check([r["id"] for r in found["Resources"]] == [user["id"]], f"matched by {attribute}")

    entra.says(
        "Her profile is filled in: a mobile phone, an office, a department. None of them is there yet."
    )
    after = update(
        entra,
        place,
        ("Add", 'phoneNumbers[type eq "mobile"].value', "+1 425 555 0100"),
        ("Add", 'addresses[type eq "work"].formatted', "1 Main St"),
        ("Add", f"{ENTERPRISE}:department", "Compilers"),
        ("Replace", "displayName", "Grace H."),
    )
    phone = {"type": "mobile", "value": "+1 425 555 0100"}
    entra.check(any(phone.items() <= p.items() for p in after["phoneNumbers"]), "the phone, as typed")
    entra.check(after["addresses"][0]["formatted"] == "1 Main St", "the office")
    entra.check(after[ENTERPRISE]["department"] == "Compilers", "the department")

    entra.says("Her e-mail address and her name change.")
    after = update(
        entra,
        place,
        ("Replace", work_address, f"g.{mark}@contoso.example"),
        ("Replace", "name.familyName", "Murray"),
    )
    entra.check(after["emails"][0]["value"] == f"g.{mark}@contoso.example", "the new address")
    entra.check(after["name"]["familyName"] == "Murray", "the new name")

    entra.says("Is Howard still her manager? Then he is no longer.")
    reference = f'id eq "{user["id"]}" and manager eq "{boss["id"]}"'
    held = entra.get("/Users", params={"filter": reference, "attributes": "id"})
    entra.check(held["totalResults"] == 1, "he is")
    after = update(entra, place, ("Replace", f"{ENTERPRISE}:manager", ""))
    entra.check("manager" not in after.get(ENTERPRISE, {}), "an empty string cleared it")

    entra.says("She is blocked from signing in, found, and let in again.")
    after = update(entra, place, ("Replace", "active", "False"))
    entra.check(after["active"] is False, "inactive")
    found = entra.get("/Users", params={"filter": f'userName eq "{name}"'})
    entra.check(found["totalResults"] == 1, "an inactive user is still found")
    after = update(entra, place, ("Add", "active", "True"))
    entra.check(after["active"] is True, "active again")

    entra.says("Thirty days after they left the directory, Entra deletes them for good.")
    for person in (place, f"/Users/{boss['id']}"):
        entra.delete(person)
        entra.get(person, status=404)


if __name__ == "__main__":
    base_url, token = arguments(__doc__ or "")
    try:
        with Session(base_url, token, HEADERS) as session:
            play(session)
    except Unexpected as exc:
        print(f"\nUnexpected: {exc}")
        sys.exit(1)
    print("\nAll answers are what Entra needs.")
