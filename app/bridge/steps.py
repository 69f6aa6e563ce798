"""The steps of a write to a user, in a form that the journal keeps.

A step knows what it sets and what was there before. So whoever finds it later can tell from the user alone
whether it is in effect: a value that is neither was written by somebody else since, and is left alone.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec
from msgspec import UNSET

from app.mapping.users import UserChange, changed_keys
from app.wire.users import CustomAttributes, PlatformUser, UserStatusUpdate, UserUpdate


class CreateUser(msgspec.Struct, frozen=True, kw_only=True, tag="create-user"):
    """POST of a user, which carries the id of the journal's entry to the platform."""

    email: str
    """By which the user is found, should its id never have arrived."""
    wants: dict[str, Any]
    """`active` and the status as the client wrote them: they become steps once the user is there."""


class SetFields(msgspec.Struct, frozen=True, kw_only=True, tag="set-fields"):
    """PATCH of fields and of keys of custom_attributes; among the keys None stands for absence."""

    fields: dict[str, Any] = {}
    were: dict[str, Any] = {}
    custom: CustomAttributes = {}
    custom_were: CustomAttributes = {}

    @classmethod
    def of(cls, change: UserChange, current: PlatformUser) -> SetFields:
        """The step that makes this change of the user."""
        present = current.custom_attributes or {}
        wanted = change.custom_attributes
        custom = {} if wanted is None else changed_keys(present, wanted)
        return cls(
            fields=change.fields,
            were={name: getattr(current, name) for name in change.fields},
            custom=custom,
            custom_were={key: present.get(key) for key in custom},
        )

    def __bool__(self) -> bool:
        return bool(self.fields or self.custom)

    def body(self, user: PlatformUser, *, merges: bool) -> UserUpdate:
        """What is sent; `merges` as in `Capabilities.merges_custom_attributes`."""
        values = dict(self.fields)
        if self.custom:
            whole = {k: v for k, v in (user.custom_attributes or {}).items() if k not in self.custom}
            whole.update((k, v) for k, v in self.custom.items() if v is not None)
            values["custom_attributes"] = self.custom if merges else whole
        return UserUpdate(**values)

    def applied(self, user: PlatformUser) -> PlatformUser:
        """The user as the step makes it."""
        body = self.body(user, merges=False)
        values = {n: v for n in body.__struct_fields__ if (v := getattr(body, n)) is not UNSET}
        return msgspec.structs.replace(user, **values)

    def left(self, user: PlatformUser) -> SetFields | None:
        """What of it is not in effect and nobody else has changed."""
        present = user.custom_attributes or {}
        fields = {n: v for n, v in self.fields.items() if _holds(getattr(user, n), self.were[n], v)}
        custom = {k: v for k, v in self.custom.items() if _holds(present.get(k), self.custom_were[k], v)}
        left = SetFields(
            fields=fields,
            were={n: self.were[n] for n in fields},
            custom=custom,
            custom_were={k: self.custom_were[k] for k in custom},
        )
        return left or None

    def back(self, user: PlatformUser) -> SetFields | None:
        """What takes back those of its values that are still there."""
        reverse = SetFields(
            fields=self.were, were=self.fields, custom=self.custom_were, custom_were=self.custom
        )
        return reverse.left(user)


class SetStatus(msgspec.Struct, frozen=True, kw_only=True, tag="set-status"):
    """PUT of the status."""

    to: str
    was: str
    reason: str | None = None
    terminate_sessions: bool = False

    def body(self) -> UserStatusUpdate:
        """What is sent."""
        reason = UNSET if self.reason is None else self.reason
        return UserStatusUpdate(status=self.to, reason=reason, terminate_sessions=self.terminate_sessions)

    def left(self, user: PlatformUser) -> SetStatus | None:
        """The step, where the user still has the status from before."""
        return self if user.status == self.was else None

    def back(self, user: PlatformUser) -> SetStatus | None:
        """The step back, where the status is still ours."""
        return SetStatus(to=self.was, was=self.to) if user.status == self.to else None


class SetMembership(msgspec.Struct, frozen=True, kw_only=True, tag="set-membership"):
    """POST or DELETE of the user's own membership of a group at the platform."""

    group_id: str
    member: bool

    def left(self, user: PlatformUser) -> SetMembership | None:
        """The step, where it is not in effect."""
        return None if self._is_member(user) is self.member else self

    def back(self, user: PlatformUser) -> SetMembership | None:
        """The step back, where it is in effect."""
        if self._is_member(user) is not self.member:
            return None
        return SetMembership(group_id=self.group_id, member=not self.member)

    def _is_member(self, user: PlatformUser) -> bool:
        return any(g.group_id == self.group_id and g.membership_type == "DIRECT" for g in user.groups)


class ResetPassword(msgspec.Struct, frozen=True, kw_only=True, tag="reset-password"):
    """password/reset. The value is never stored: what of it is left, the client's retry brings."""

    def left(self, user: PlatformUser) -> None:
        """Nobody can tell, and nobody has the value any more."""

    def back(self, user: PlatformUser) -> None:
        """The password before is not known."""


FieldStep: TypeAlias = SetFields | SetStatus | ResetPassword
"""What a client's change of a user comes to."""

UserStep: TypeAlias = FieldStep | SetMembership


class UserPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal keeps of a write to a user."""

    create: CreateUser | None = None
    steps: tuple[UserStep, ...] = ()
    """After the creation, where there is one."""
    undo: bool = False
    """The steps are to be taken back, and a user that was created is to be deleted."""

    def to_json(self) -> str:
        """The plan as text."""
        return msgspec.json.encode(self).decode()

    @classmethod
    def from_json(cls, text: str) -> UserPlan:
        """Raises `msgspec.DecodeError` for a plan of another release that this one does not know."""
        return msgspec.json.decode(text, type=cls)


def _holds(value: Any, mine: Any, other: Any) -> bool:
    """Whether a value is this one of two; a platform may have changed its case (addresses) on the way in."""
    if value in (mine, other):
        return bool(value == mine)
    return isinstance(value, str) and isinstance(mine, str) and value.casefold() == mine.casefold()
