"""The four requests of an identity provider, as bytes for the bridge and for the platform."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

import msgspec
from load import NUMBER, Target

CASES = ("get", "userName eq", "create", "patch active")

_SCIM_USERS = "/scim/v2/Users"
_USER_SCHEMA = "urn:ietf:params:scim:schemas:core:2.0:User"
_PATCH_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


class KnownUser(msgspec.Struct, frozen=True, kw_only=True):
    """A user that exists at the platform."""

    id: str
    user_name: str


def at_bridge(case: str, users: Iterable[KnownUser], *, port: int, token: str, toggle: bool) -> Target:
    """The requests as an identity provider sends them.

    `toggle`: every user is disabled in one turn and enabled in the next; else always disabled, for a platform
    on which all are active whatever is set.
    """
    known = list(users)
    match case:
        case "get":
            return _target(
                port, token, [("GET", f"{_SCIM_USERS}/{u.id}", None) for u in known], 200, "userName"
            )
        case "userName eq":
            filters = [quote(f'userName eq "{u.user_name}"') for u in known]
            calls = [("GET", f"{_SCIM_USERS}?filter={f}", None) for f in filters]
            return _target(port, token, calls, 200, '"totalResults":1')
        case "create":
            return _target(port, token, [("POST", _SCIM_USERS, _scim_user(_new_name()))], 201, "userName")
        case _:
            turns = (False, True) if toggle else (False,)
            calls = [("PATCH", f"{_SCIM_USERS}/{u.id}", _okta_patch(t)) for t in turns for u in known]
            return _target(port, token, calls, 200, '"active":')


def at_platform(
    case: str,
    users: Iterable[KnownUser],
    *,
    port: int,
    token: str,
    tenant_id: str,
    toggle: bool = False,
    search: bool = True,
) -> Target:
    """The one platform call that each request stands for.

    `search`: a user name is looked up by a search; else by the GET that the bridge makes for a known name.
    """
    known = list(users)
    base = f"/api/v1/tenants/{tenant_id}/users"
    match case:
        case "userName eq" if search:
            calls = [("GET", f"{base}?search={quote(u.user_name)}&page=1&per_page=100", None) for u in known]
            return _target(port, token, calls, 200, '"total_items":1')
        case "get" | "userName eq":
            return _target(port, token, [("GET", f"{base}/{u.id}", None) for u in known], 200, '"username"')
        case "create":
            return _target(port, token, [("POST", base, _platform_user(_new_name()))], 201, '"username"')
        case _:
            turns = ("DISABLED", "ACTIVE") if toggle else ("DISABLED",)
            calls = [("PUT", f"{base}/{u.id}/status", {"status": t}) for t in turns for u in known]
            return _target(port, token, calls, 200, "")


def _target(
    port: int, token: str, calls: list[tuple[str, str, dict[str, Any] | None]], expect: int, holds: str
) -> Target:
    requests = tuple(_request(port, token, *call) for call in calls)
    return Target(port=port, requests=requests, expect=expect, holds=holds.encode())


def _request(port: int, token: str, method: str, path: str, body: dict[str, Any] | None) -> bytes:
    kind = "application/scim+json" if path.startswith("/scim/") else "application/json"
    lines = [
        f"{method} {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        f"Authorization: Bearer {token}",
        f"Accept: {kind}",
        "User-Agent: bench",
    ]
    content = b"" if body is None else msgspec.json.encode(body)
    if body is not None:
        lines += [f"Content-Type: {kind}", f"Content-Length: {len(content)}"]
    return "\r\n".join([*lines, "", ""]).encode() + content


def _new_name() -> str:
    """A user name that no other run uses, with room for the request's number."""
    return f"new.{secrets.token_hex(4)}.{NUMBER.decode()}@example.com"


def _scim_user(name: str) -> dict[str, Any]:
    return {
        "schemas": [_USER_SCHEMA],
        "userName": name,
        "name": {"givenName": "Amelia", "familyName": "Okonkwo"},
        "emails": [{"primary": True, "value": name, "type": "work"}],
        "displayName": "Amelia Okonkwo",
        "locale": "en",
        "externalId": f"00u{NUMBER.decode()}",
        "active": True,
    }


def _platform_user(name: str) -> dict[str, Any]:
    return {
        "email": name,
        "username": name,
        "first_name": "Amelia",
        "last_name": "Okonkwo",
        "display_name": "Amelia Okonkwo",
        "locale": "en",
        "custom_attributes": {"scim_external_ids": {"default": f"00u{NUMBER.decode()}"}},
        "send_welcome_email": False,
    }


def _okta_patch(active: bool) -> dict[str, Any]:
    return {"schemas": [_PATCH_SCHEMA], "Operations": [{"op": "replace", "value": {"active": active}}]}
