"""The steps of a write to a group at the platform, in a form that the journal keeps.

Adding and removing members is idempotent: what is not finished is simply made again. Only what takes a step
back has to be known: who was not there before, who really was removed.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec


class Rename(msgspec.Struct, frozen=True, kw_only=True, tag="rename"):
    """PATCH of the name."""

    to: str
    was: str


class AddMembers(msgspec.Struct, frozen=True, kw_only=True, tag="add-members"):
    """POST of as many members as one call takes."""

    ids: tuple[str, ...]
    new: tuple[str, ...] | None
    """Those of them who were no members before; None where that is not known."""


class RemoveMembers(msgspec.Struct, frozen=True, kw_only=True, tag="remove-members"):
    """DELETE of members, as many as are sent side by side."""

    ids: tuple[str, ...]


GroupStep: TypeAlias = Rename | AddMembers | RemoveMembers


class GroupPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal keeps of a write to a group."""

    create: str | None = None
    """The name of the group that is to be created first."""
    steps: tuple[GroupStep, ...] = ()
    links: bool = False
    """Whether `external_id` is written, None to forget it."""
    external_id: str | None = None
    unknown: tuple[str, ...] = ()
    """Members that cannot be or turned out not to be."""
    knows: bool = False
    """Whether one of the members that are wanted is known to exist."""
    removed: tuple[str, ...] = ()
    """Members that were there and were removed."""
    undo: bool = False
    """The steps are to be taken back, and a group that was created is to be deleted."""

    @property
    def calls(self) -> int:
        """How many calls the steps are."""
        return sum(len(s.ids) if isinstance(s, RemoveMembers) else 1 for s in self.steps)

    @property
    def adds_nobody(self) -> bool:
        """Whether not one of the members that are wanted exists."""
        return bool(self.unknown) and not self.knows

    def undoable(self, done: int) -> bool:
        """Whether so many steps can be taken back."""
        made = self.create is not None
        return made or all(not isinstance(s, AddMembers) or s.new is not None for s in self.steps[:done])

    def to_json(self) -> str:
        """The plan as text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> GroupPlan:
        """Raises `msgspec.DecodeError` for a plan of another release that this one does not know."""
        return msgspec.json.decode(text, type=cls)
