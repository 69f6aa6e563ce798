"""Which users and groups a connection's policies name: by id, by a pattern, by a custom attribute. Pure.

The forms are those of `UserRule` and `GroupRule` of a connection's policies. Patterns are compared without
case, as userName and displayName are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import Any, Self

import msgspec

from app.wire.users import CustomAttributes, PlatformUser

OWN = "own"
"""The rule that names the groups which the connection has made."""


class UserRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that name users; a user that one of them names is named."""

    ids: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    """Patterns for userName."""
    customs: tuple[tuple[tuple[str, ...], str], ...] = ()
    """Path and value in custom_attributes."""

    @classmethod
    def of(cls, rules: Sequence[str]) -> Self:
        """Read rules of the form that the policies have."""
        kinds = _by_kind(rules)
        customs = (rest.partition("=") for rest in kinds.get("custom", ()))
        return cls(
            ids=frozenset(kinds.get("id", ())),
            names=tuple(kinds.get("userName", ())),
            customs=tuple((tuple(key.split(".")), value) for key, _, value in customs),
        )

    def __bool__(self) -> bool:
        return bool(self.ids or self.looks)

    @property
    def looks(self) -> bool:
        """Whether a user has to be read to tell whether it is named."""
        return bool(self.names or self.customs)

    def name(self, user_name: str) -> bool:
        """Whether every user of this userName is named."""
        return _matches(user_name, self.names)

    def names_user(self, user: PlatformUser, user_name: str) -> bool:
        """Whether the user is named; `user_name` is what it reads as."""
        return user.id in self.ids or self.name(user_name) or self.custom(user.custom_attributes)

    def custom(self, custom: CustomAttributes | None) -> bool:
        """Whether every user with these custom_attributes is named."""
        return any(value in _texts(custom, path) for path, value in self.customs)


class GroupRules(msgspec.Struct, frozen=True, kw_only=True):
    """Rules that name groups."""

    ids: frozenset[str] = frozenset()
    names: tuple[str, ...] = ()
    """Patterns for displayName."""
    own: bool = False
    """Whether the groups are named that the connection has made."""

    @classmethod
    def of(cls, rules: Sequence[str]) -> Self:
        """Read rules of the form that the policies have."""
        kinds = _by_kind(rules)
        return cls(
            ids=frozenset(kinds.get("id", ())),
            names=tuple(kinds.get("displayName", ())),
            own=OWN in rules,
        )

    def __bool__(self) -> bool:
        return bool(self.ids or self.names or self.own)

    def name(self, display_name: str) -> bool:
        """Whether every group of this displayName is named."""
        return _matches(display_name, self.names)


def _by_kind(rules: Iterable[str]) -> dict[str, list[str]]:
    kinds: dict[str, list[str]] = {}
    for rule in rules:
        kind, _, rest = rule.partition(":")
        kinds.setdefault(kind, []).append(rest)
    return kinds


def _matches(name: str, patterns: Iterable[str]) -> bool:
    folded = name.casefold()
    return any(fnmatchcase(folded, pattern.casefold()) for pattern in patterns)


def _texts(value: Any, path: tuple[str, ...]) -> tuple[str, ...]:
    """The texts at a path; a list holds several, what is no text is as JSON has it."""
    for key in path:
        if not isinstance(value, dict) or key not in value:
            return ()
        value = value[key]
    return tuple(
        each if isinstance(each, str) else msgspec.json.encode(each).decode()
        for each in (value if isinstance(value, list) else [value])
    )
