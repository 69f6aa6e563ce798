"""What an examination finds, and the lines that set a mapping or a setting right."""

from __future__ import annotations

from typing import Literal

import msgspec

State = Literal["ok", "hint", "differs", "failed", "unknown"]
"""`hint`: right, and could be better; `differs`: the bridge would be wrong, or slower than need be;
`failed`: it cannot work; `unknown`: there was nothing to tell it by."""


class Line(msgspec.Struct, frozen=True, kw_only=True):
    """One line for the operator to put somewhere."""

    place: str
    """A section of the mapping such as `[platform]`; `environment`, or `connection` for its options."""
    text: str


class Finding(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One assumption, and what the platform says to it."""

    name: str
    state: State
    found: str
    """In a sentence or less; of people at most what is in the message of a refusal."""
    declared: str = ""
    """What mapping or settings say."""
    lines: tuple[Line, ...] = ()
    """What to write instead."""


def toml(value: object) -> str:
    """A string, number, boolean or list of strings as TOML has it."""
    return msgspec.json.encode(value).decode().replace(",", ", ")
