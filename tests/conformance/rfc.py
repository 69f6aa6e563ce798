"""What the tests of the RFCs' points share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
LIST = "urn:ietf:params:scim:api:messages:2.0:ListResponse"
ERROR = "urn:ietf:params:scim:api:messages:2.0:Error"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"

Create = Callable[..., dict[str, Any]]


def find(scim: httpx.Client, text: str, **params: Any) -> dict[str, Any]:
    answer = scim.get("/Users", params={"filter": text, **params})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def ids(found: dict[str, Any]) -> set[str]:
    assert len(found["Resources"]) == found["itemsPerPage"]
    return {resource["id"] for resource in found["Resources"]}


def patch(scim: httpx.Client, user_id: str, *operations: dict[str, Any], **params: Any) -> httpx.Response:
    return scim.patch(
        f"/Users/{user_id}", params=params, json={"schemas": [PATCH], "Operations": list(operations)}
    )


def read(scim: httpx.Client, user_id: str) -> dict[str, Any]:
    answer = scim.get(f"/Users/{user_id}")
    assert answer.status_code == 200, answer.text
    user: dict[str, Any] = answer.json()
    return user


def check_error(answer: httpx.Response, status: int, scim_type: str | None = None) -> None:
    body = answer.json()
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith(("application/scim+json", "application/json"))
    assert body["schemas"] == [ERROR]
    assert body["status"] == str(status)
    assert body["detail"]
    assert body.get("scimType") == scim_type
