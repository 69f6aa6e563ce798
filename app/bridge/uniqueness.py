"""userName is unique in a tenant, over `username` and, where that is null, the address read in its place."""

from __future__ import annotations

from app.bridge.context import Context
from app.bridge.faults import scim_error
from app.bridge.matching import Matching
from app.mapping.deleted import is_deleted
from app.planning.planner import match_for
from app.platform.errors import PlatformError, Taken
from app.scim.errors import ScimError, Uniqueness
from app.scim.schema import Resource


async def check_free(
    matching: Matching, context: Context, user_name: str, *, but: str | None = None
) -> str | None:
    """Raise `Uniqueness` where another user than `but` has this userName.

    Where only a user has it whom SCIM has deleted and the platform keeps, that user's id is answered. The
    platform guards usernames among themselves and addresses among themselves, but not across.
    """
    match = match_for("userName", user_name, context.mapping)
    others = [r for r in await matching.find_all(context, match) if r["id"] != but]
    for other in others:
        if not is_deleted(other):
            raise Uniqueness(f"userName {user_name!r} is already in use by user {other['id']}")
    return others[0]["id"] if others else None


def deleted_holder(user_name: str, user_id: str) -> Uniqueness:
    """The 409 for a rename to the userName of a user whom SCIM has deleted and the platform keeps."""
    return Uniqueness(
        f"userName {user_name!r} is that of user {user_id}, who is deleted and kept by the platform: "
        "a POST with it brings that user back"
    )


async def explain_taken(
    matching: Matching, context: Context, wanted: Resource, error: Taken, *, but: str | None = None
) -> ScimError:
    """The 409 for a conflict that the platform reports, with what an administrator needs to solve it."""
    found = scim_error(error, context.mapping)
    holders: set[str] = set()
    matches = [match_for("userName", str(wanted["userName"]), context.mapping)]
    matches += [
        match_for("email", email["value"], context.mapping)
        for email in wanted.get("emails", ())
        if isinstance(email.get("value"), str)
    ]
    try:
        for match in matches:
            holders.update(_named(r) for r in await matching.find_all(context, match))
    except (PlatformError, ScimError):
        # The conflict is certain, its explanation can be had another time.
        return found
    holders.discard(but or "")
    if holders:
        return Uniqueness(f"{found.detail} (by user {', '.join(sorted(holders))})")
    return Uniqueness(
        f"{found.detail}, but no user that exists has it: the platform may keep it taken after a deletion. "
        "Use another value, or have it released at the platform"
    )


def _named(resource: Resource) -> str:
    return f"{resource['id']}, deleted and kept by the platform" if is_deleted(resource) else resource["id"]
