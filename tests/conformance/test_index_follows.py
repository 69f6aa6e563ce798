"""What others do at the platform is soon found by indexed filters: a served bridge is told of it."""

from __future__ import annotations

import time
import uuid
from typing import TYPE_CHECKING, Any

import httpx
import pytest

if TYPE_CHECKING:
    from conftest import Serve

PATIENCE_S = 30.0
"""How long a busy machine may take; a sweep would come much later."""


@pytest.fixture(scope="module")
def sides(serve: Serve) -> Any:
    """Both sides of a bridge whose index is complete and is not swept again."""
    served = serve(None, SCIM_BRIDGE_INDEX_SWEEP_S="100000")
    with served.scim() as scim, served.platform() as platform:
        # The first lookup has everybody read.
        assert find(scim, 'externalId eq "nobody"') == []
        yield scim, platform


def find(scim: httpx.Client, filter: str) -> list[str]:
    answer = scim.get("/Users", params={"filter": filter, "sortBy": "userName"})
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert body["totalResults"] == len(body["Resources"])
    return [user["id"] for user in body["Resources"]]


def becomes(scim: httpx.Client, filter: str, expected: list[str]) -> None:
    """Wait until a filter finds these users."""
    deadline = time.monotonic() + PATIENCE_S
    while (found := find(scim, filter)) != expected:
        assert time.monotonic() < deadline, f"{filter} finds {found}"
        time.sleep(0.05)


def test_changes_made_by_others_are_found(sides: tuple[httpx.Client, httpx.Client]) -> None:
    scim, platform = sides
    # The order is one that only the index has: no filter here reads the platform's list.
    mark = f"m{uuid.uuid4().hex[:10]}"
    filter = f'title sw "{mark}"'
    ids = []
    for number in range(3):
        made = platform.post(
            "/users",
            json={
                "email": f"{mark}-{number}@example.com",
                "username": f"{mark}-{number}",
                "custom_attributes": {"title": f"{mark} {number}"},
            },
        )
        assert made.status_code == 201, made.text
        ids.append(made.json()["data"]["id"])
    becomes(scim, filter, ids)

    changed = platform.patch(f"/users/{ids[0]}", json={"custom_attributes": {"title": "another"}})
    assert changed.status_code == 200, changed.text
    becomes(scim, filter, ids[1:])

    status = platform.put(f"/users/{ids[1]}/status", json={"status": "DISABLED"})
    assert status.status_code == 200, status.text
    becomes(scim, f"{filter} and active eq false", [ids[1]])

    gone = platform.delete(f"/users/{ids[2]}", params={"confirm_email": f"{mark}-2@example.com"})
    assert gone.status_code == 204, gone.text
    becomes(scim, filter, [ids[1]])
    becomes(scim, f'userName sw "{mark}" and not (title sw "{mark}")', [ids[0]])


def test_own_writes_are_found_at_once(sides: tuple[httpx.Client, httpx.Client]) -> None:
    scim, _ = sides
    mark = f"m{uuid.uuid4().hex[:10]}"
    body = {
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": f"{mark}@example.com",
        "title": mark,
    }
    user = scim.post("/Users", json=body).json()
    for title in (mark, f"{mark} the second"):
        assert scim.put(f"/Users/{user['id']}", json={**user, "title": title}).status_code == 200
        assert find(scim, f'title eq "{title}"') == [user["id"]]
    assert find(scim, f'title eq "{mark}"') == []
    assert scim.delete(f"/Users/{user['id']}").status_code == 204
    assert find(scim, f'title sw "{mark}"') == []
