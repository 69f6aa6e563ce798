"""Writes that the journal keeps: begun before their first call, in hand while they go on, left or ended."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence

from app.bridge.context import Context
from app.bridge.faults import scim_error
from app.platform.errors import PlatformError, Throttled, Unavailable
from app.scim.errors import ScimError, ServiceUnavailable, TooManyRequests
from app.store.journal import Journal
from app.store.journal_records import Entry, State

_SLACK_S = 3.0
"""Between a mark in the journal and the call that follows it there may be so much time."""


class Unfinished(ServiceUnavailable):
    """What is to be written is held by an earlier write that is not finished."""

    def __init__(self, entries: Sequence[Entry]) -> None:
        wait_s = max(e.wait_s for e in entries)
        super().__init__(
            "an earlier change of this resource is being finished: try again",
            retry_after_s=max(1, math.ceil(wait_s)),
        )
        self.entry_ids = tuple(e.id for e in entries)
        self.due = wait_s == 0
        """Whether it can be finished now."""


class InHand:
    """An entry that this process works on."""

    def __init__(self, journaling: Journaling, entry_id: str, done: int = 0) -> None:
        self.id = entry_id
        self._journal = journaling.journal
        self._owner = journaling.owner
        self._lease_s = journaling.lease_s
        self._settle_s = journaling.settle_s
        self.done = done
        """Steps that were answered well."""
        self._kept_at = time.monotonic()

    async def keep(
        self,
        *,
        state: State | None = None,
        plan: str | None = None,
        done: int | None = None,
        resource_id: str | None = None,
        keys: Iterable[str] = (),
    ) -> None:
        """Before a call: note what is new, and keep the entry until that call is over.

        Raises `EntryLost` where somebody else has it: nothing more may be sent.
        """
        self.done = self.done if done is None else done
        self._kept_at = time.monotonic()
        await self._journal.advance(
            self.id,
            self._owner,
            lease_s=self._lease_s,
            done=done,
            state=state,
            plan=plan,
            resource_id=resource_id,
            keys=keys,
        )

    async def next(self) -> None:
        """A step is done, another follows."""
        await self.keep(done=self.done + 1)

    async def ready(self) -> None:
        """Keep the entry for one more call, unless it was kept just now."""
        if time.monotonic() - self._kept_at > _SLACK_S / 2:
            await self.keep()

    async def leave(
        self,
        error: Exception,
        *,
        due_in_s: float | None = None,
        state: State | None = None,
        refused: bool = False,
    ) -> float:
        """Leave the rest to recovery; the seconds until it may begin, by default when all calls are over."""
        due_in_s = self._settle_s if due_in_s is None else due_in_s
        text = " ".join(f"{type(error).__name__}: {error}".split())
        await self._journal.leave(
            self.id, self._owner, due_in_s=due_in_s, state=state, error=text, refused=refused
        )
        return due_in_s

    async def end(self) -> None:
        """Nothing is left to do."""
        await self._journal.end([self.id])


class Journaling:
    """The journal as the use cases see it."""

    def __init__(self, journal: Journal, *, settle_s: float, owner: str) -> None:
        """`settle_s` is the time after which a platform call is over for sure; `owner` names this process."""
        self.journal = journal
        self.owner = owner
        self.settle_s = settle_s
        self.lease_s = settle_s + _SLACK_S

    async def check(self, keys: Sequence[str]) -> tuple[Entry, ...]:
        """Raise `Unfinished` where a write that is not finished has one of the keys; what else is known.

        Callers hold the locks of the keys, and have sent nothing yet.
        """
        found = await self.journal.find(keys)
        blocking = [e for e in found if e.blocks]
        if blocking:
            raise Unfinished(blocking)
        return found

    async def made_before(self, context: Context, key: str, *kinds: str) -> Entry | None:
        """The creation, of one of these kinds, that the client, or another of its domain, never heard of.

        Raises `Unfinished` as `check` does.
        """
        for entry in await self.check([key]):
            ours = context.connection_id == entry.connection_id or context.domain == entry.domain
            if entry.kind in kinds and entry.resource_id is not None and ours:
                return entry
        return None

    async def begin(
        self,
        context: Context,
        kind: str,
        keys: Sequence[str],
        plan: str,
        *,
        resource_id: str | None = None,
        entry_id: str | None = None,
    ) -> InHand:
        """Note what a write is about to do."""
        entry_id = entry_id or self.journal.new_id()
        await self.journal.begin(
            entry_id,
            tenant_id=context.tenant_id,
            connection_id=context.connection_id,
            domain=context.domain,
            kind=kind,
            keys=keys,
            plan=plan,
            resource_id=resource_id,
            owner=self.owner,
            lease_s=self.lease_s,
        )
        return InHand(self, entry_id)

    async def claim(self, entry_id: str) -> tuple[Entry, InHand] | None:
        """Take on an entry that is due."""
        entry = await self.journal.claim(entry_id, self.owner, self.lease_s)
        return None if entry is None else (entry, InHand(self, entry.id, entry.done))


def unfinished(error: PlatformError, context: Context, due_in_s: float) -> ScimError:
    """What a client is told whose write is begun and will be finished without it."""
    found = scim_error(error, context.mapping)
    told = TooManyRequests if isinstance(found, TooManyRequests) else ServiceUnavailable
    return told(
        "the platform has not confirmed all of this change; it is being finished: send it again to be sure",
        retry_after_s=max(found.retry_after_s or 1, math.ceil(due_in_s)),
    )


def may_pass(error: PlatformError) -> bool:
    """Whether the same call may go well later, or has already: no reason to take back what is done."""
    return error.outcome_unknown or isinstance(error, Throttled | Unavailable)
