"""What the bridge keeps on the platform beside the mapped fields: `custom_attributes.scim`.

One JSON object a user, so that losing the bridge's database loses nothing of what clients wrote:

    attributes    attributes that no rule maps, as SCIM JSON; extensions under their URN
    held          {attribute: {"with": field value, "value": …}}: what a field cannot hold of an attribute;
                  void once the field has another value than the one it accompanied
    derived       {attribute: field value}: the field was filled from another attribute, the client sent none
    unassigned    {field: field value}: removed by the client, although the platform keeps a default there
    prior_status  the status before a client disabled a user that was not ACTIVE
    journal       the id of the journal's entry of the creation; gone with the first change of this record
    deleted       when SCIM deleted the user that the platform keeps (policy deprovision = "disable")
"""

from __future__ import annotations

from typing import Any

import msgspec

KEY = "scim"


class Kept(msgspec.Struct, kw_only=True):
    """The record, mutable: a translation edits its own copy."""

    attributes: dict[str, Any] = {}
    held: dict[str, Any] = {}
    derived: dict[str, Any] = {}
    unassigned: dict[str, Any] = {}
    prior_status: str | None = None
    journal: str | None = None
    deleted: str | None = None

    def held_value(self, attribute: str, companion: Any) -> Any:
        """What is held for the attribute, or None when its field has changed since."""
        entry = self.held.get(attribute)
        if isinstance(entry, dict) and "with" in entry and entry["with"] == companion:
            return entry.get("value")
        return None

    def to_json(self) -> dict[str, Any]:
        """The record without empty members; empty when there is nothing to keep."""
        return {k: v for k, v in msgspec.structs.asdict(self).items() if v}


def with_record(custom: dict[str, Any], kept: Kept) -> dict[str, Any]:
    """custom_attributes with this record in the place of the one they have; no key where it is empty.

    The mark of the creation goes: the user has been read since.
    """
    record = {k: v for k, v in kept.to_json().items() if k != "journal"}
    rest = {k: v for k, v in custom.items() if k != KEY}
    return {**rest, KEY: record} if record else rest


EMPTY = Kept()
"""For users without a record; not to be edited."""


def kept_of(custom: dict[str, Any] | None) -> Kept:
    """The record of a user's custom_attributes, in a copy; damaged parts read as empty."""
    raw = (custom or {}).get(KEY)
    if not isinstance(raw, dict):
        return Kept()

    def part(name: str) -> dict[str, Any]:
        value = raw.get(name)
        return dict(value) if isinstance(value, dict) else {}

    def text(name: str) -> str | None:
        value = raw.get(name)
        return value if isinstance(value, str) else None

    return Kept(
        attributes=part("attributes"),
        held=part("held"),
        derived=part("derived"),
        unassigned=part("unassigned"),
        prior_status=text("prior_status"),
        journal=text("journal"),
        deleted=text("deleted"),
    )


def marked(custom: dict[str, Any] | None, journal: str) -> dict[str, Any]:
    """custom_attributes of a creation, with the id of its entry in the journal."""
    custom = custom or {}
    return {**custom, KEY: {**custom.get(KEY, {}), "journal": journal}}
