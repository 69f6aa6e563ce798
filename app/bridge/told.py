"""What an entry of the journal says, for an operator: ids and names of attributes, no values of theirs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, TypeAlias

import msgspec

from app.bridge.group_steps import AddMembers, GroupPlan, GroupStep, RemoveMembers, Rename
from app.bridge.steps import ResetPassword, SetFields, SetMembership, SetStatus, UserPlan, UserStep
from app.store.journal_records import Entry

Outcome: TypeAlias = Literal["done", "in doubt", "not done"]


class ToldStep(msgspec.Struct, frozen=True, kw_only=True):
    """One step and what came of it."""

    what: str
    outcome: Outcome


def told(entry: Entry) -> tuple[ToldStep, ...]:
    """The steps of an entry, in order. Raises `msgspec.MsgspecError` for a plan of another release."""
    plan = (GroupPlan if entry.kind.startswith("group") else UserPlan).from_json(entry.plan)
    found: list[ToldStep] = []
    if plan.create is not None:
        outcome: Outcome = "in doubt" if entry.resource_id is None else "done"
        found.append(ToldStep(what=f"create the {entry.kind.partition('-')[0]}", outcome=outcome))
    if entry.kind == "user-delete":
        found.append(ToldStep(what="delete the user, end its memberships kept here", outcome="in doubt"))
    begun = entry.resource_id is not None
    for number, step in enumerate(plan.steps):
        found.append(ToldStep(what=_what(step), outcome=_outcome(number, entry, begun)))
    return tuple(found)


def _outcome(number: int, entry: Entry, begun: bool) -> Outcome:
    if number < entry.done or entry.state == "done-unacknowledged":
        return "done"
    return "in doubt" if begun and number == entry.done else "not done"


def _what(step: UserStep | GroupStep) -> str:
    match step:
        case SetFields():
            return f"set {_listed([*step.fields, *(f'custom_attributes.{key}' for key in step.custom)])}"
        case SetStatus():
            return f"set the status from {step.was} to {step.to}"
        case SetMembership():
            return f"{'join' if step.member else 'leave'} the group {step.group_id}"
        case ResetPassword():
            return "set the password, which is not kept"
        case Rename():
            return "change the name"
        case AddMembers():
            return f"add the members {_listed(step.ids)}"
        case RemoveMembers():
            return f"remove the members {_listed(step.ids)}"


def _listed(names: Sequence[str]) -> str:
    shown = ", ".join(names[:10])
    return f"{shown} and {len(names) - 10} more" if len(names) > 10 else shown
