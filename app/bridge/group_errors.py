"""What clients are told of a change of a group that was refused."""

from __future__ import annotations

from collections.abc import Sequence

from app.bridge.context import Context
from app.bridge.faults import scim_error
from app.platform.errors import PlatformError, Rejected, Taken
from app.scim.errors import InvalidValue, ScimError, Uniqueness


def unknown_members(ids: Sequence[str]) -> InvalidValue:
    """The error for a change of which no member is known."""
    shown = ", ".join(i[:128] for i in ids[:5]) + (f" and {len(ids) - 5} more" if len(ids) > 5 else "")
    return InvalidValue(f"members: none of them exists in this tenant: {shown}")


def name_taken(name: str) -> Uniqueness:
    """The error for a displayName that another group has."""
    return Uniqueness(f"displayName {name!r} is already in use in this tenant")


def name_refused(error: PlatformError, name: str) -> Exception:
    """The error for a name that the platform does not take; others as they are."""
    match error:
        case Taken():
            return name_taken(name)
        case Rejected():
            return InvalidValue(f"displayName: the platform refuses it: {error.detail}")
        case _:
            return error


def partly_refused(error: Exception, context: Context) -> Exception:
    """The error for a change of which the rest was made, and could not be taken back."""
    found = scim_error(error, context.mapping) if isinstance(error, PlatformError) else error
    if not isinstance(found, ScimError):
        return error
    return type(found)(f"{found.detail}; the rest of the change was made", retry_after_s=found.retry_after_s)
