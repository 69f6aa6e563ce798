"""What is assumed of writes, tried with a user and a group made for it, and removed again."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator
from contextlib import suppress

from app.bridge.doctor.findings import Finding, Line
from app.bridge.doctor.probe import Probe
from app.platform.errors import Missing, PlatformError, Rejected, Taken
from app.wire.users import (
    PlatformUser,
    UserCreate,
    UserPasswordReset,
    UserStatusUpdate,
    UserUpdate,
)

_DOMAIN = "example.com"
"""Mail to it goes nowhere (RFC 2606 §3)."""


async def check_writes(probe: Probe) -> AsyncIterator[Finding]:
    """Make a user, change it in every way that the bridge does, and delete it."""
    mark = secrets.token_hex(6)
    made = UserCreate(
        email=f"scim-bridge-doctor-{mark}@{_DOMAIN}",
        username=f"scim-bridge-doctor-{mark}@{_DOMAIN}",
        first_name="SCIM",
        last_name="Doctor",
        phone="+44 20 7946 0000",
        custom_attributes={"scim_doctor": {"a": 1}, "scim_doctor_kept": "x"},
    )
    user = await probe.platform.create_user(probe.tenant_id, made)
    removed = False
    try:
        yield _created(made, user)
        yield await _duplicate(probe, made)
        yield await _patch(probe, user.id)
        yield await _merging(probe, user.id)
        yield await _status(probe, user.id)
        yield await _password(probe, user.id)
        if probe.context.groups == "platform":
            async for finding in _group(probe, user.id, mark):
                yield finding
        yield await _deletion(probe, user.id, made)
        removed = True
    finally:
        if not removed:
            with suppress(PlatformError):
                await probe.platform.delete_user(probe.tenant_id, user.id, made.email)


def _created(made: UserCreate, user: PlatformUser) -> Finding:
    name = "creation"
    unlike = [
        f
        for f in ("email", "username", "first_name", "last_name", "phone")
        if getattr(user, f) != getattr(made, f)
    ]
    if unlike:
        found = (
            f"the answer has other values in {', '.join(unlike)}: clients would write them again and again"
        )
        return Finding(name=name, state="differs", found=found)
    if user.status == "ACTIVE":
        return Finding(name=name, state="ok", found="as sent, ACTIVE")
    line = Line(place="[status]", text=f'lift = ["{user.status}"]   # only if SCIM may skip that step')
    return Finding(name=name, state="hint", found=f"as sent, with status {user.status}", lines=(line,))


async def _duplicate(probe: Probe, made: UserCreate) -> Finding:
    name, declared = "duplicate", "409"
    again = UserCreate(email=made.email.upper(), username=made.email.upper())
    try:
        second = await probe.platform.create_user(probe.tenant_id, again)
    except Taken:
        return Finding(name=name, state="ok", declared=declared, found="refused, also in other case")
    except Rejected as refused:
        found = f"refused as invalid, not as a conflict: {refused.detail}"
        return Finding(name=name, state="differs", declared=declared, found=found)
    with suppress(PlatformError):
        await probe.platform.delete_user(probe.tenant_id, second.id, second.email)
    found = "a second user with the same address in other case was made: userName is not unique"
    return Finding(name=name, state="failed", declared=declared, found=found)


async def _patch(probe: Probe, user_id: str) -> Finding:
    name, declared = "PATCH", "changes the keys that are sent; null clears"
    await probe.platform.update_user(probe.tenant_id, user_id, UserUpdate(display_name="Doctor", phone=None))
    user = await probe.platform.get_user(probe.tenant_id, user_id)
    if user.display_name != "Doctor" or user.first_name != "SCIM":
        return Finding(name=name, state="failed", declared=declared, found="other fields changed, or none")
    if user.phone:
        return Finding(name=name, state="failed", declared=declared, found="null does not clear a field")
    return Finding(name=name, state="ok", declared=declared, found="as declared")


async def _merging(probe: Probe, user_id: str) -> Finding:
    name, declared = "merges_custom_attributes", probe.capabilities.merges_custom_attributes
    change = UserUpdate(custom_attributes={"scim_doctor": {"b": 2}})
    await probe.platform.update_user(probe.tenant_id, user_id, change)
    found = (await probe.platform.get_user(probe.tenant_id, user_id)).custom_attributes or {}
    shown = str(declared).lower()
    if found.get("scim_doctor") != {"b": 2}:
        told = "objects within custom_attributes are merged too, or not written: neither can be declared"
        return Finding(name=name, state="failed", declared=shown, found=told)
    merges = "scim_doctor_kept" in found
    told = "keys that are not sent stay" if merges else "the whole object is replaced"
    if merges == declared:
        return Finding(name=name, state="ok", declared=shown, found=told)
    line = Line(place="[platform]", text=f"merges_custom_attributes = {str(merges).lower()}")
    return Finding(name=name, state="hint" if merges else "failed", declared=shown, found=told, lines=(line,))


async def _status(probe: Probe, user_id: str) -> Finding:
    rules = probe.context.mapping.status
    name, declared = "status", f"{rules.disable_to}, {rules.enable_to}"
    for status in (rules.disable_to, rules.enable_to):
        change = UserStatusUpdate(status=status, terminate_sessions=rules.terminate_sessions)
        try:
            await probe.platform.set_status(probe.tenant_id, user_id, change)
        except Rejected as refused:
            found = f"{status} is refused: {refused.detail}"
            return Finding(name=name, state="failed", declared=declared, found=found)
        now = (await probe.platform.get_user(probe.tenant_id, user_id)).status
        if now != status:
            found = f"{now} after {status} was set"
            return Finding(name=name, state="failed", declared=declared, found=found)
    return Finding(name=name, state="ok", declared=declared, found="set and read back")


async def _password(probe: Probe, user_id: str) -> Finding:
    name, method = "password_reset_method", probe.capabilities.password_reset_method
    before = (await probe.platform.get_user(probe.tenant_id, user_id)).password_changed_at
    reset = UserPasswordReset(method=method, new_password=f"{secrets.token_urlsafe(18)}aA1!")
    try:
        await probe.platform.reset_password(probe.tenant_id, user_id, reset)
    except Rejected as refused:
        return Finding(name=name, state="differs", declared=method, found=f"refused: {refused.detail}")
    after = (await probe.platform.get_user(probe.tenant_id, user_id)).password_changed_at
    if after == before:
        found = "accepted, but the record does not say that the password has changed"
        return Finding(name=name, state="unknown", declared=method, found=found)
    return Finding(name=name, state="ok", declared=method, found="applied")


async def _group(probe: Probe, user_id: str, mark: str) -> AsyncIterator[Finding]:
    group = await probe.groups.create(probe.tenant_id, f"scim-bridge-doctor-{mark}")
    try:
        yield await _members(probe, group.id, user_id)
        renamed = f"{group.name}-renamed"
        await probe.groups.rename(probe.tenant_id, group.id, renamed)
        now = (await probe.groups.get(probe.tenant_id, group.id)).name
        if now == renamed:
            yield Finding(name="group name", state="ok", found="written and read back")
        else:
            yield Finding(name="group name", state="failed", found="a new name is accepted and not written")
    finally:
        with suppress(PlatformError):
            await probe.groups.delete(probe.tenant_id, group.id)


async def _members(probe: Probe, group_id: str, user_id: str) -> Finding:
    name, declared = "members", "deltas; present and absent ones are no error; unknown ones refuse all"

    async def ids() -> set[str]:
        return {m.user_id for m in (await probe.groups.members(probe.tenant_id, group_id, 1, 10)).data}

    for _ in range(2):
        await probe.groups.add(probe.tenant_id, group_id, (user_id,))
    if await ids() != {user_id}:
        return Finding(name=name, state="failed", declared=declared, found="an added member is not there")
    await probe.groups.remove(probe.tenant_id, group_id, user_id)
    await probe.groups.remove(probe.tenant_id, group_id, user_id)
    if await ids():
        return Finding(name=name, state="failed", declared=declared, found="a removed member is still there")
    try:
        await probe.groups.add(probe.tenant_id, group_id, (user_id, f"usr_doctor{secrets.token_hex(8)}"))
    except (Rejected, Missing):
        if await ids():
            found = "of an addition that was refused, a part was made"
            return Finding(name=name, state="differs", declared=declared, found=found)
        return Finding(name=name, state="ok", declared=declared, found="as declared")
    found = "an unknown member is no error: clients are not told of it"
    return Finding(name=name, state="hint", declared=declared, found=found)


async def _deletion(probe: Probe, user_id: str, made: UserCreate) -> Finding:
    name, declared = "deletion", "404 afterwards, and the names are free"
    await probe.platform.delete_user(probe.tenant_id, user_id, made.email)
    try:
        await probe.platform.get_user(probe.tenant_id, user_id)
    except Missing:
        pass
    else:
        return Finding(name=name, state="failed", declared=declared, found="the user is still read")
    rows = (await probe.page({"search": made.email})).data
    if any(row.id == user_id for row in rows):
        return Finding(name=name, state="failed", declared=declared, found="the user is still listed")
    try:
        second = await probe.platform.create_user(
            probe.tenant_id, UserCreate(email=made.email, username=made.email)
        )
    except Taken:
        found = "the names stay taken: a client that deletes a user cannot create it again (409)"
        return Finding(name=name, state="hint", declared=declared, found=found)
    await probe.platform.delete_user(probe.tenant_id, second.id, second.email)
    return Finding(name=name, state="ok", declared=declared, found="as declared")
