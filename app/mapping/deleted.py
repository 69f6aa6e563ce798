"""Users that SCIM has deleted and the platform keeps: disabled there, and marked in their own record.

As resources they carry a mark, so that whoever reads them can tell; none of them is ever answered.
"""

from __future__ import annotations

from app.scim.schema import Resource

DELETED = "urn:scim-bridge:deleted"
"""The member of such a resource; its value is when the user was deleted."""


def is_deleted(resource: Resource) -> bool:
    """Whether the user is deleted, as far as SCIM is concerned."""
    return DELETED in resource
