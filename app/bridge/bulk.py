"""Bulk requests (RFC 7644 §3.7): operations side by side where they can be, in order where they must be."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from app.bridge.bulk_endpoints import Done, Endpoints, Failed, Guard, Outcome, perform
from app.bridge.bulk_failures import circle, depends, goes_on, not_begun
from app.bridge.context import Context
from app.platform.gate import urgent
from app.scim.bulk import BulkOperation, BulkRequest
from app.scim.bulk_order import Unit, order
from app.scim.bulk_references import resolved, without_references

_log = structlog.get_logger(__name__)


class Allowance(msgspec.Struct, frozen=True, kw_only=True):
    """When a bulk request has to come to its end, in the event loop's time."""

    start_until: float
    """No operation is begun after this."""
    answer_at: float
    """The answer is given now, whatever is still under way."""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What came of a bulk request."""

    outcomes: tuple[Outcome | None, ...]
    """One an operation, in the order of the request; None for what was not processed (`failOnErrors`)."""
    ids: Mapping[str, str]
    """What has been created, by bulkId."""
    under_way: frozenset[asyncio.Task[None]]
    """What is to be awaited after the answer: writes are finished, not cut off."""


class Bulk:
    """Carries out bulk requests over the use cases of the single ones."""

    def __init__(self, endpoints: Endpoints, *, concurrency: int) -> None:
        """`concurrency` is how many operations of one request run side by side."""
        self._endpoints = endpoints
        self._concurrency = concurrency

    async def run(self, context: Context, request: BulkRequest, guard: Guard, allowance: Allowance) -> Report:
        """Carry out the operations; an error of one is its outcome and stops no other.

        With `failOnErrors` they run one after the other, and nothing is begun after that many errors.
        """
        run = _Run(self._endpoints, context, request, guard, allowance, self._concurrency)
        loop = asyncio.get_running_loop()
        tasks = [loop.create_task(work) for work in run.work()]
        try:
            if tasks:
                await asyncio.wait(tasks, timeout=max(0.0, allowance.answer_at - loop.time()))
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            raise
        run.closed = True
        for task in tasks:
            if task.done():
                task.result()
        return Report(
            outcomes=run.reported(),
            ids=dict(run.ids),
            under_way=frozenset(task for task in tasks if not task.done()),
        )


class _Run:
    """One bulk request while it is carried out."""

    def __init__(
        self,
        endpoints: Endpoints,
        context: Context,
        request: BulkRequest,
        guard: Guard,
        allowance: Allowance,
        concurrency: int,
    ) -> None:
        self.ids: dict[str, str] = {}
        self.closed = False
        """Set with the answer: nothing more is begun."""
        self._endpoints = endpoints
        self._context = context
        self._operations = request.operations
        self._limit = request.fail_on_errors
        self._guard = guard
        self._allowance = allowance
        self._places = asyncio.Semaphore(concurrency)
        self._outcomes: list[Outcome | None] = [None] * len(request.operations)
        self._begun: set[int] = set()
        self._units = order(request.operations, nested_groups=context.groups == "local")
        self._over = [asyncio.Event() for _ in self._units]
        self._changes = [
            (position, self._operations[index].endpoint)
            for position, unit in enumerate(self._units)
            for index in unit.operations
            if not self._operations[index].creates
        ]
        self._makers = {o.bulk_id: o.index for o in reversed(request.operations) if o.creates and o.bulk_id}

    def work(self) -> Sequence[Any]:
        """The coroutines that do it."""
        if self._limit is not None:
            return [self._strictly(self._limit)]
        return [self._in_turn(position) for position in range(len(self._units))]

    def reported(self) -> tuple[Outcome | None, ...]:
        """What is known of each operation now."""
        return tuple(self._known(index) for index in range(len(self._outcomes)))

    def _known(self, index: int) -> Outcome | None:
        if (outcome := self._outcomes[index]) is not None:
            return outcome
        if index in self._begun:
            return goes_on()
        return not_begun() if self._limit is None else None

    async def _strictly(self, limit: int) -> None:
        for unit in self._units:
            if self.closed:
                return
            await self._carry_out(unit)
            if sum(isinstance(outcome, Failed) for outcome in self._outcomes) >= limit:
                return

    async def _in_turn(self, position: int) -> None:
        unit = self._units[position]
        try:
            for earlier in unit.after:
                await self._over[earlier].wait()
            async with self._places:
                open_before = self._may_free_names(position)
                await self._carry_out(unit)
            if not open_before or not self._is_taken(unit):
                return
            # In order, an earlier operation would have freed the name by now.
            for index in unit.operations:
                self._outcomes[index] = None
            for event in open_before:
                await event.wait()
            async with self._places:
                await self._carry_out(unit)
        finally:
            self._over[position].set()

    def _may_free_names(self, position: int) -> list[asyncio.Event]:
        """Earlier operations that are not over and may rename or delete a resource of the same type."""
        own = self._units[position].operations
        types = {self._operations[index].endpoint for index in own}
        return [
            self._over[earlier]
            for earlier, endpoint in self._changes
            if earlier < position and endpoint in types and not self._over[earlier].is_set()
        ]

    def _is_taken(self, unit: Unit) -> bool:
        found = [self._outcomes[index] for index in unit.operations]
        return any(isinstance(o, Failed) and o.error.scim_type == "uniqueness" for o in found)

    async def _carry_out(self, unit: Unit) -> None:
        if self.closed or asyncio.get_running_loop().time() >= self._allowance.start_until:
            self._settle(unit, not_begun())
            return
        self._begun.update(unit.operations)
        if not unit.resolvable:
            self._settle(unit, circle())
        elif unit.circular:
            await self._circle([self._operations[index] for index in unit.operations])
        else:
            operation = self._operations[unit.operations[0]]
            outcome = self._hindrance(operation) or await self._one(operation, operation.data)
            self._keep_id(operation, outcome)
            self._outcomes[operation.index] = outcome

    def _settle(self, unit: Unit, outcome: Outcome) -> None:
        for index in unit.operations:
            self._outcomes[index] = outcome

    def _keep_id(self, operation: BulkOperation, outcome: Outcome) -> None:
        if operation.creates and operation.bulk_id is not None and isinstance(outcome, Done):
            self.ids[operation.bulk_id] = outcome.id

    def _hindrance(self, operation: BulkOperation, among: Sequence[BulkOperation] = ()) -> Failed | None:
        """Why an operation cannot even be tried; references to those `among` themselves are not looked at."""
        if operation.error is not None:
            return Failed(error=operation.error)
        inside = {each.bulk_id for each in among}
        for bulk_id in sorted(operation.references - inside):
            outcome = self._outcomes[self._makers[bulk_id]]
            if isinstance(outcome, Failed):
                return depends(bulk_id, outcome)
        return None

    async def _one(self, operation: BulkOperation, data: Any) -> Outcome:
        target = operation.target or ""
        if operation.target_reference is not None:
            target = self.ids[operation.target_reference]
        work = perform(
            self._endpoints[operation.endpoint], self._context, operation, target, resolved(data, self.ids)
        )
        return await self._guard(operation, work)

    async def _circle(self, operations: Sequence[BulkOperation]) -> None:
        """All of a circle or nothing: create each without the references ahead, then complete it."""
        inside = {o.bulk_id for o in operations if o.bulk_id is not None}
        outcomes: dict[int, Outcome] = {}
        incomplete: list[BulkOperation] = []
        for operation in operations:
            ahead = (operation.references & inside) - self.ids.keys()
            failed = self._hindrance(operation, operations)
            outcome = failed or await self._one(operation, without_references(operation.data, ahead))
            outcomes[operation.index] = outcome
            if not isinstance(outcome, Done):
                break
            self._keep_id(operation, outcome)
            if ahead:
                incomplete.append(operation)
        else:
            for operation in incomplete:
                outcome = await self._complete(operation)
                outcomes[operation.index] = outcome
                if isinstance(outcome, Failed):
                    break
        await self._end_circle(operations, outcomes)

    async def _complete(self, operation: BulkOperation) -> Outcome:
        """Write a created resource once more, now with all of its references."""
        # The password is set already, and a policy may refuse to set the same again.
        data = {k: v for k, v in operation.data.items() if str(k).lower() != "password"}
        made = self.ids[operation.bulk_id or ""]
        endpoint = self._endpoints[operation.endpoint]
        data = resolved(data, self.ids)
        completion = msgspec.structs.replace(operation, method="PUT", target=made, data=data)
        outcome = await self._guard(completion, endpoint.complete(self._context, made, data))
        return msgspec.structs.replace(outcome, status=201) if isinstance(outcome, Done) else outcome

    async def _end_circle(self, operations: Sequence[BulkOperation], outcomes: Mapping[int, Outcome]) -> None:
        failed = next((o for o in operations if isinstance(outcomes.get(o.index), Failed)), None)
        if failed is None:
            for operation in operations:
                self._outcomes[operation.index] = outcomes[operation.index]
            return
        with urgent():
            for operation in reversed(operations):
                made = self.ids.pop(operation.bulk_id or "", None)
                if made is not None:
                    await self._take_back(operation, made)
        reason = outcomes[failed.index]
        for operation in operations:
            self._outcomes[operation.index] = (
                reason
                if operation is failed or not isinstance(reason, Failed)
                else depends(failed.bulk_id or "", reason)
            )

    async def _take_back(self, operation: BulkOperation, made: str) -> None:
        work = self._endpoints[operation.endpoint].delete(self._context, made, None)
        removal = msgspec.structs.replace(operation, method="DELETE", target=made, data=None)
        outcome = await self._guard(removal, work)
        if isinstance(outcome, Failed):
            _log.error(
                "a resource of a bulk request that failed could not be deleted again",
                endpoint=operation.endpoint,
                id=made,
                status=outcome.error.status,
            )
