"""The run: connect, the first sync, steady cycles, and the clean-up that follows whatever happened."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from app.cli.bench.figures import Tally
from app.cli.bench.forms import Forms
from app.cli.bench.messages import Steps
from app.cli.bench.population import Plan, changes_of, population, rotate
from app.cli.bench.session import Session
from app.cli.bench.steps import Entity, Findings, remove, sync_group, sync_user

_CLEANING_PASSES = 3


class Show(Protocol):
    """Progress."""

    def begin(self, name: str, total: int) -> None:
        """A phase of so many users or groups begins."""

    def advance(self) -> None:
        """One of them is done."""


class Sync:
    """One run against one server."""

    def __init__(
        self,
        plan: Plan,
        forms: Forms,
        session: Session,
        tally: Tally,
        findings: Findings,
        show: Show,
        *,
        connections: int,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """`connections` is the number of users or groups that are worked on at a time."""
        self._plan = plan
        self._forms = forms
        self._session = session
        self._tally = tally
        self._findings = findings
        self._show = show
        self._connections = connections
        self._clock = clock
        self.users, self.groups = population(plan)

    async def connect(self) -> None:
        """The client's test of the connection; raises `Refused`, `Stopped`."""
        with self._timed("connect"):
            await self._session.ask(self._forms.connect(str(uuid.uuid4())))

    async def sync(self) -> bool:
        """The first sync and the cycles; False where it was stopped."""
        forms, findings = self._forms, self._findings
        users = [sync_user(forms, findings, user) for user in self.users]
        if not await self._phase("first sync, users", users):
            return False
        groups = [sync_group(forms, findings, group) for group in self.groups]
        if not await self._phase("first sync, groups", groups):
            return False
        for cycle in range(1, self._plan.cycles + 1):
            changes = changes_of(self.users, cycle)
            users = [sync_user(forms, findings, user, changes.get(user.number)) for user in self.users]
            if not await self._phase(f"cycle {cycle}, users", users):
                return False
            changing = {group.number for group in rotate(self.groups, self.users, cycle)}
            groups = [
                sync_group(forms, findings, group, changing=group.number in changing) for group in self.groups
            ]
            if not await self._phase(f"cycle {cycle}, groups", groups):
                return False
        return True

    async def clean(self) -> None:
        """Delete what was made, groups first; what fails is tried again while some of it succeeds."""
        kinds: tuple[tuple[str, Sequence[Entity]], ...] = (("groups", self.groups), ("users", self.users))
        for name, made in kinds:
            before = 0
            for _ in range(_CLEANING_PASSES):
                there = [entity for entity in made if _may_exist(entity)]
                if len(there) == before:
                    break
                before = len(there)
                jobs = [remove(self._forms, self._findings, entity) for entity in there]
                if not await self._phase(f"clean-up, {name}", jobs):
                    return

    def left(self) -> list[str]:
        """Names of what is, or may be, there."""
        made: list[Entity] = [*self.users, *self.groups]
        return [entity.name for entity in made if _may_exist(entity)]

    async def _phase(self, name: str, jobs: Sequence[Steps]) -> bool:
        if not jobs:
            return True
        self._show.begin(name, len(jobs))
        with self._timed(name):
            return await self._session.play(jobs, self._connections, self._show.advance)

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        begun, before = self._clock(), self._tally.requests
        try:
            yield
        finally:
            self._tally.phase(name, self._clock() - begun, self._tally.requests - before)


def _may_exist(entity: Entity) -> bool:
    return entity.id is not None or entity.tried
