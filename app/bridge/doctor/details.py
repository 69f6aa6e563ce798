"""What is assumed of single users and of groups, as far as reading shows it."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from urllib.parse import quote

import msgspec

from app.bridge.doctor.findings import Finding, Line
from app.bridge.doctor.probe import Probe
from app.platform.errors import Denied, Missing, PlatformError, Rejected, Unreadable
from app.wire.groups import PlatformGroup
from app.wire.users import USERS_PATH, PlatformUser

_GROUPS_LOOKED_AT = 5


async def check_details(probe: Probe) -> AsyncIterator[Finding]:
    """Unknown ids, groups and who is in them; raises `PlatformError` where a call fails in another way."""
    yield await _unknown_id(probe)
    if probe.context.groups == "local":
        yield Finding(name="groups", state="ok", declared="local", found="kept in the bridge's database")
        return
    try:
        page = await probe.groups.list(probe.tenant_id, {"page": 1, "per_page": _GROUPS_LOOKED_AT})
    except (Unreadable, Missing, Denied, Rejected) as error:
        lines = (
            Line(place="environment", text="SCIM_BRIDGE_PLATFORM_GROUPS_PATH=…{tenant_id}…"),
            Line(place="connection", text="--local-groups, where the platform has no group endpoints"),
        )
        found = f"no groups at that path: {error.detail}"
        yield Finding(name="groups", state="failed", declared="platform", found=found, lines=lines)
        return
    total = page.pagination.total_items
    yield Finding(name="groups", state="ok", declared="platform", found=f"listed, {total} in all")
    yield await _group_search(probe, page.data)
    yield await _groups_of_users(probe, page.data)


async def _unknown_id(probe: Probe) -> Finding:
    user_id = f"usr_doctor{secrets.token_hex(8)}"
    name, declared = "unknown id", "404 of the platform's own form"
    try:
        await probe.platform.get_user(probe.tenant_id, user_id)
    except Missing:
        return Finding(name=name, state="ok", declared=declared, found="as declared")
    except PlatformError as error:
        # A client that is told 404 creates the user anew: it has to be the platform that says so.
        found = f"{error.detail}: the bridge would answer 502 for users that do not exist"
        return Finding(name=name, state="failed", declared=declared, found=found)
    return Finding(
        name=name, state="failed", declared=declared, found="a user that cannot exist was answered"
    )


async def _group_search(probe: Probe, groups: tuple[PlatformGroup, ...]) -> Finding:
    name, declared = "group_search", probe.capabilities.group_search
    shown = str(declared).lower()
    named = [g for g in groups if len(g.name) > 1 and g.name.isascii() and g.name.isalnum()]
    if not named:
        return Finding(name=name, state="unknown", declared=shown, found="no group to search for")
    part = named[0].name[1:].swapcase()
    try:
        page = await probe.groups.list(probe.tenant_id, {"page": 1, "per_page": 100, "search": part})
        finds = any(g.id == named[0].id for g in page.data)
        narrows = all(part.casefold() in g.name.casefold() for g in page.data)
    except Rejected:
        finds = narrows = False
    found = "a part, in other case, is found" if finds and narrows else "does not find a part of a name"
    if finds and not narrows:
        found = "the list is not narrowed"
    if (finds and narrows) == declared:
        return Finding(name=name, state="ok", declared=shown, found=found)
    line = Line(place="[platform]", text=f"group_search = {'false' if declared else 'true'}")
    return Finding(
        name=name, state="differs" if declared else "hint", declared=shown, found=found, lines=(line,)
    )


async def _groups_of_users(probe: Probe, groups: tuple[PlatformGroup, ...]) -> Finding:
    """Whether a user's record names its groups, or only when it is asked to."""
    name = "groups of a user"
    for group in groups:
        members = (await probe.groups.members(probe.tenant_id, group.id, 1, 1)).data
        if not members:
            continue
        user_id = members[0].user_id
        if _is_in(await probe.platform.get_user(probe.tenant_id, user_id), group):
            return Finding(name=name, state="ok", found="in the user's record")
        if _is_in(await _with_groups(probe, user_id), group):
            line = Line(place="environment", text="SCIM_BRIDGE_PLATFORM_USER_INCLUDE=groups")
            found = "only with include=groups"
            return Finding(name=name, state="differs", found=found, lines=(line,))
        return Finding(name=name, state="differs", found="not in the user's record: `groups` will be absent")
    return Finding(name=name, state="unknown", found="no group with a member")


async def _with_groups(probe: Probe, user_id: str) -> PlatformUser:
    users = USERS_PATH.format(tenant_id=quote(probe.tenant_id, safe=""))
    body = await probe.platform.send(
        "GET",
        f"{users}/{quote(user_id, safe='')}?include=groups",
        expect=200,
        resource_id=user_id,
        idempotent=True,
    )
    return msgspec.convert(msgspec.json.decode(body)["data"], PlatformUser)


def _is_in(user: PlatformUser, group: PlatformGroup) -> bool:
    return any(membership.group_id == group.id for membership in user.groups)
