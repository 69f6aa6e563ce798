"""What the journal answers."""

from __future__ import annotations

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec

State: TypeAlias = Literal["open", "undo", "done-unacknowledged", "stuck"]
"""`open`: to be finished. `undo`: to be taken back. `done-unacknowledged`: a creation that was finished, but
its client has not had its answer. `stuck`: can be neither; waits for an operator."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One write that is not finished."""

    id: str
    """`jrn_…`."""
    tenant_id: str
    connection_id: str
    domain: str
    kind: str
    """What wrote it and knows how to finish it: `user-create`, `user-update`, `group-create`, …"""
    state: State
    resource_id: str | None
    """Of the user or group; None while it is not known."""
    plan: str
    """The steps, as JSON of whoever wrote them."""
    done: int
    """Steps that were answered well."""
    owner: str | None
    due_at: datetime
    attempts: int
    """Tries to finish it that were refused."""
    error: str | None
    """What stopped it last, in one line."""
    created_at: datetime
    updated_at: datetime
    keys: tuple[str, ...] = ()
    now: datetime
    """When this was read, by the clock of `due_at`."""

    @property
    def blocks(self) -> bool:
        """Whether what it is about must not be written."""
        return self.state in ("open", "undo")

    @property
    def wait_s(self) -> float:
        """Seconds until somebody else may take it on; 0 where that may be now."""
        return max(0.0, (self.due_at - self.now).total_seconds())


class Counts(msgspec.Struct, frozen=True, kw_only=True):
    """How many entries wait, and for how long the oldest one is there."""

    unfinished: int = 0
    """To be finished or undone, and nobody is at it."""
    stuck: int = 0
    oldest_s: float = 0.0
