"""Play an administrator's session in Okta against a SCIM server, and show what Okta sends and gets.

    python examples/okta_session.py                        # reads data/quickstart.json of `scim-bridge serve`
    python examples/okta_session.py --base-url https://scim.example.com/scim/v2 --token …

It makes users of its own and deletes them. The exit code is 1 when an answer is not what Okta needs.
"""

from __future__ import annotations

import sys
import uuid
from typing import Any

from session import Session, Unexpected, arguments

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
HEADERS = {
    "User-Agent": "Okta SCIM Client 1.0.0",
    "Accept": "application/scim+json",
    "Content-Type": "application/scim+json; charset=utf-8",
}


def play(okta: Session) -> None:
    """The session; raises `Unexpected`."""
    login = f"ada.{uuid.uuid4().hex[:8]}@example.com"
    find = {"filter": f'userName eq "{login}"', "startIndex": 1, "count": 100}

    okta.says("The administrator enters base URL and token, and presses Test Connector Configuration.")
    page = okta.get("/Users", params={"startIndex": 1, "count": 2})
    okta.check(all(type(page[k]) is int for k in ("totalResults", "startIndex", "itemsPerPage")), "integers")

    okta.says("Import Now: Okta reads all users, page by page.")
    start, total = 1, 1
    while start <= total:
        page = okta.get("/Users", params={"startIndex": start, "count": 100})
        total = page["totalResults"]
        start += page["itemsPerPage"] or total

    okta.says(f"Ada Byron ({login}) is assigned to the app. Okta looks for her, and creates her.")
    okta.check(okta.get("/Users", params=find)["totalResults"] == 0, "she is not there yet")
    new: dict[str, Any] = {
        "schemas": [USER],
        "userName": login,
        "name": {"givenName": "Ada", "familyName": "Byron"},
        "emails": [{"primary": True, "value": login, "type": "work"}],
        "displayName": "Ada Byron",
        "locale": "en-US",
        "externalId": f"00u{uuid.uuid4().hex[:17]}",
        "groups": [],
        "password": uuid.uuid4().hex[:8],
        "active": True,
    }
    user = okta.post("/Users", json=new)
    okta.check(
        user["id"] and user["userName"] == login and user["active"] is True, "the whole user comes back"
    )
    okta.check("password" not in user, "and no password")
    place = f"/Users/{user['id']}"

    okta.says("She marries; her last name changes. A wizard app sends the whole user back.")
    user = okta.get(place)
    user["name"]["familyName"] = "Lovelace"
    user["displayName"] = "Ada Lovelace"
    user = okta.put(place, json=user)
    okta.check(user["name"]["familyName"] == "Lovelace", "the new name")

    okta.says("Her e-mail address changes, her login does not.")
    user["emails"] = [{"primary": True, "value": f"lovelace.{login}", "type": "work"}]
    user = okta.put(place, json=user)
    okta.check(user["emails"][0]["value"] == f"lovelace.{login}", "the new address")
    okta.check(user["userName"] == login, "the old login")

    okta.says("She leaves: Okta deactivates, it never deletes.")
    leave = {"schemas": [PATCH], "Operations": [{"op": "replace", "value": {"active": False}}]}
    okta.patch(place, json=leave)
    found = okta.get("/Users", params=find)
    okta.check(found["totalResults"] == 1, "she can still be found")
    okta.check(found["Resources"][0]["active"] is False, "inactive")

    okta.says("She comes back. Okta may try to create her again before it looks.")
    conflict = okta.post("/Users", json=new, status=409)
    okta.check(conflict["scimType"] == "uniqueness", "409 uniqueness")
    leave["Operations"] = [{"op": "replace", "value": {"active": True}}]
    okta.patch(place, json=leave)
    okta.check(okta.get(place)["active"] is True, "active again")

    okta.says("An administrator mistypes the token.")
    error = okta.get("/Users", headers={"Authorization": "Bearer wrong"}, status=401)
    okta.check(error["status"] == "401" and error["detail"], "an error that Okta can show")

    okta.says("Clearing up (Okta would not).")
    okta.delete(place)
    okta.get(place, status=404)


if __name__ == "__main__":
    base_url, token = arguments(__doc__ or "")
    try:
        with Session(base_url, token, HEADERS) as session:
            play(session)
    except Unexpected as exc:
        print(f"\nUnexpected: {exc}")
        sys.exit(1)
    print("\nAll answers are what Okta needs.")
