"""Groups as SCIM resources (RFC 7643 §4.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from app.mapping.rules import instant
from app.scim.schema import GROUP, Resource


class GroupHead(msgspec.Struct, frozen=True, kw_only=True):
    """A group without its members, from either backend."""

    id: str
    name: str
    created: str
    """ISO 8601."""
    modified: str
    """ISO 8601."""


class Member(msgspec.Struct, frozen=True, kw_only=True):
    """One member of a group."""

    id: str
    type: Literal["User", "Group"] = "User"
    display: str | None = None


def group_to_scim(
    head: GroupHead,
    members: Iterable[Member] | None,
    *,
    external_id: str | None,
    version: int,
    base_url: str,
) -> Resource:
    """The group as a resource; `members` None where they were not read, and then no version either.

    `version` is the bridge's counter of writes to the group.
    """
    resource: Resource = {"schemas": [GROUP], "id": head.id, "displayName": head.name}
    if external_id is not None:
        resource["externalId"] = external_id
    meta = {
        "resourceType": "Group",
        "created": instant(head.created),
        "lastModified": instant(head.modified),
        "location": f"{base_url}/Groups/{head.id}",
    }
    if members is not None:
        listed = [_member(m, base_url) for m in members]
        if listed:
            resource["members"] = listed
        meta["version"] = group_version(version)
    resource["meta"] = meta
    return resource


def group_version(counter: int) -> str:
    """The ETag of a group whose counter is this (RFC 7644 §3.14)."""
    return f'W/"{counter}"'


def _member(member: Member, base_url: str) -> dict[str, str]:
    shown = {"value": member.id, "$ref": f"{base_url}/{member.type}s/{member.id}", "type": member.type}
    if member.display:
        shown["display"] = member.display
    return shown


def user_groups(memberships: Iterable[tuple[str, str, bool]], base_url: str) -> list[dict[str, str]]:
    """`User.groups` (RFC 7643 §4.1.2) from group id, name and whether the membership is direct."""
    return [
        {
            "value": group_id,
            "$ref": f"{base_url}/Groups/{group_id}",
            "display": name,
            "type": "direct" if direct else "indirect",
        }
        for group_id, name, direct in memberships
    ]
