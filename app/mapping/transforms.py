"""The fixed list of value transforms. Each knows both directions; none can fail on a value read back.

`to_platform` raises ValueError with a reason where the value cannot be written.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal, TypeAlias

import msgspec


class Lower(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lower"):
    """Lower case on the platform."""

    def to_platform(self, value: Any) -> Any:
        """Lower-case text; anything else as it is."""
        return value.lower() if isinstance(value, str) else value

    def to_scim(self, value: Any) -> Any:
        """As it is: the case that was sent is not kept."""
        return value


class Upper(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="upper"):
    """Upper case on the platform."""

    def to_platform(self, value: Any) -> Any:
        """Upper-case text; anything else as it is."""
        return value.upper() if isinstance(value, str) else value

    def to_scim(self, value: Any) -> Any:
        """As it is: the case that was sent is not kept."""
        return value


class Trim(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="trim"):
    """No white space around the value."""

    def to_platform(self, value: Any) -> Any:
        """Text without white space at both ends."""
        return value.strip() if isinstance(value, str) else value

    def to_scim(self, value: Any) -> Any:
        """The same, for values written by others."""
        return self.to_platform(value)


class Join(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="join"):
    """A list in SCIM, one text on the platform."""

    by: str = ","

    def to_platform(self, value: Any) -> Any:
        """The list's values with the separator between; a value that holds it is refused."""
        if not isinstance(value, list):
            return value
        parts = [str(v) for v in value]
        if any(self.by in p for p in parts):
            raise ValueError(f"a value contains the separator {self.by!r}")
        return self.by.join(parts)

    def to_scim(self, value: Any) -> Any:
        """The parts as a list."""
        return [p for p in value.split(self.by) if p] if isinstance(value, str) else value


class Split(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="split"):
    """One text in SCIM, a list on the platform."""

    by: str = ","

    def to_platform(self, value: Any) -> Any:
        """The parts as a list."""
        return [p for p in value.split(self.by) if p] if isinstance(value, str) else value

    def to_scim(self, value: Any) -> Any:
        """The list's values with the separator between."""
        return self.by.join(str(v) for v in value) if isinstance(value, list) else value


class Template(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="template"):
    """Text around the value on the platform, as in `CORP\\\\{value}`."""

    text: str

    def __post_init__(self) -> None:
        if self.text.count("{value}") != 1:
            raise ValueError("template text needs {value} exactly once")

    def to_platform(self, value: Any) -> Any:
        """The template with the value in it."""
        return self.text.replace("{value}", str(value))

    def to_scim(self, value: Any) -> Any:
        """The value without the template's text; as it is where it does not have it."""
        before, _, after = self.text.partition("{value}")
        fits = isinstance(value, str) and len(value) >= len(before) + len(after)
        if fits and value.startswith(before) and value.endswith(after):
            return value[len(before) : len(value) - len(after)]
        return value


class Lookup(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="lookup"):
    """A table of values."""

    table: dict[str, str]
    """SCIM value → platform value; platform values are each named once."""
    unknown: Literal["keep", "refuse"] = "keep"
    """What becomes of a value that is not in the table."""

    def __post_init__(self) -> None:
        if len(set(self.table.values())) != len(self.table):
            raise ValueError("a lookup table must name each platform value only once")

    def to_platform(self, value: Any) -> Any:
        """The platform's value."""
        found = self.table.get(value) if isinstance(value, str) else None
        if found is None and self.unknown == "refuse":
            raise ValueError(f"must be one of {', '.join(sorted(self.table))}")
        return value if found is None else found

    def to_scim(self, value: Any) -> Any:
        """The SCIM value; the platform's where the table has none."""
        return next((scim for scim, platform in self.table.items() if platform == value), value)


class Date(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="date"):
    """A dateTime in SCIM, text of another form on the platform."""

    form: str = "%Y-%m-%d"
    """The platform's form in the notation of `strptime`; read as UTC where it names no zone."""

    def to_platform(self, value: Any) -> Any:
        """The instant in UTC, in the platform's form."""
        if not isinstance(value, str):
            raise ValueError("not a dateTime")
        moment = datetime.fromisoformat(value)
        try:
            return (
                (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).strftime(self.form)
            )
        except OverflowError as exc:
            raise ValueError("out of the calendar's reach") from exc

    def to_scim(self, value: Any) -> Any:
        """A dateTime; nothing where the text is not of the form."""
        try:
            moment = datetime.strptime(str(value), self.form)  # noqa: DTZ007 - the zone is set below
        except ValueError:
            return None
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).isoformat().replace("+00:00", "Z")


class BooleanWords(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="boolean-words"):
    """A boolean in SCIM, one of two words on the platform."""

    true: str = "yes"
    false: str = "no"

    def to_platform(self, value: Any) -> Any:
        """The word."""
        return self.true if value else self.false

    def to_scim(self, value: Any) -> Any:
        """The boolean; nothing for any other word."""
        return {self.true: True, self.false: False}.get(str(value))


class Constant(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="constant"):
    """One value, whatever the other side says."""

    value: str | bool | int

    def to_platform(self, value: Any) -> Any:
        """The constant."""
        return self.value

    def to_scim(self, value: Any) -> Any:
        """The constant."""
        return self.value


Transform: TypeAlias = (
    Lower | Upper | Trim | Join | Split | Template | Lookup | Date | BooleanWords | Constant
)

TEXT_WITHIN = (Lower, Upper, Trim, Template)
"""Transforms whose platform text holds the value that SCIM shows of it, but for its case."""
