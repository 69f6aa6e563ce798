"""Dry runs: the use cases that write, over a store and a platform that only think.

What is carried out is the same code with the same reads, so that what would be sent is what a write then
sends, and what would be refused is refused. Writes end in memory: at the platform client, and at the store.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator, Sequence

import msgspec

from app.bridge.bulk import Allowance
from app.bridge.bulk_endpoints import Done, Failed, Outcome
from app.bridge.composition import Ground, UseCases, compose
from app.bridge.context import Context
from app.bridge.faults import scim_error
from app.bridge.indexing import Indexing
from app.bridge.journaling import Journaling
from app.bridge.locks import KeyedLocks
from app.bridge.planned_calls import ShownCall, shown_calls
from app.bridge.story import Story
from app.bridge.sweeping import Sweeper
from app.bridge.telling import within
from app.bridge.upkeep import Schedule, Upkeep, not_yet
from app.platform.errors import PlatformError
from app.platform.groups import GroupClient
from app.platform.rehearsal import MADE_UP, Behaviour, Rehearsal
from app.scim.bulk import BulkOperation, BulkRequest
from app.scim.bulk_references import PREFIX
from app.scim.errors import ScimError
from app.store.rehearsal import rehearsed


class Previewed(msgspec.Struct, frozen=True, kw_only=True):
    """What an operation of a batch would come to."""

    number: int
    """From 1, in the order of the batch."""
    method: str
    path: str
    """`/Users/usr_1`; with the made-up id of what the batch itself would create."""
    status: int
    """0 for one that `failOnErrors` leaves out."""
    id: str | None = None
    scim_type: str | None = None
    detail: str | None = None
    """Why it would be refused."""
    cause: str = ""
    """As in the audit trail."""
    changed: tuple[str, ...] = ()
    """Names of attributes."""
    calls: tuple[ShownCall, ...] = ()

    @property
    def fails(self) -> bool:
        """Whether it would be refused."""
        return self.status >= 400

    @property
    def writes(self) -> bool:
        """Whether it would change something; of groups the bridge keeps some of it, or all."""
        kept_here = self.path.startswith("/Groups") and bool(self.changed or self.method == "DELETE")
        return 0 < self.status < 400 and (bool(self.calls) or kept_here)


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch would come to."""

    operations: tuple[Previewed, ...]

    @property
    def failures(self) -> int:
        """Operations that would be refused."""
        return sum(each.fails for each in self.operations)

    @property
    def calls(self) -> int:
        """Platform calls that would be made, reads not counted."""
        return sum(len(each.calls) for each in self.operations)

    @property
    def changes(self) -> int:
        """Operations that would change something."""
        return sum(each.writes for each in self.operations)

    @property
    def left_out(self) -> int:
        """Operations that `failOnErrors` leaves out."""
        return sum(not each.status for each in self.operations)

    @property
    def unchanged(self) -> int:
        """Operations that would change nothing."""
        return len(self.operations) - self.changes - self.failures - self.left_out


class DryRuns:
    """Makes ground for rehearsals, one for each request."""

    def __init__(self, ground: Ground, sweeper: Sweeper, *, user_include: str) -> None:
        """`ground` is what real writes stand on; `user_include` as for the platform client."""
        self._ground = ground
        self._sweeper = sweeper
        self._user_include = user_include

    def begin(self, context: Context, *, bulk_concurrency: int | None = None) -> UseCases:
        """The use cases for one request, or one batch, over this connection."""
        ground, capabilities = self._ground, context.mapping.platform
        rehearsal = Rehearsal(
            context.tenant_id,
            Behaviour(
                new_status=context.mapping.status.enable_to,
                merges_custom_attributes=capabilities.merges_custom_attributes,
                searches_email="email" in capabilities.search,
                per_page=capabilities.per_page_max,
            ),
            groups_path=ground.group_client.path,
            user_include=self._user_include,
        )
        platform = ground.platform.rehearsed(rehearsal)
        store = rehearsed(ground.store, _Ids())
        indexing = Indexing(platform, store.index)
        return compose(
            msgspec.structs.replace(
                ground,
                store=store,
                platform=platform,
                group_client=GroupClient(platform, path=ground.group_client.path),
                # Nobody waits for what is not written.
                locks=KeyedLocks(),
                indexing=indexing,
                upkeep=_NoUpkeep(indexing, self._sweeper, ground.contexts, Schedule()),
                journaling=Journaling(store.journal, settle_s=ground.journaling.settle_s, owner="dry-run"),
                bulk_concurrency=bulk_concurrency or ground.bulk_concurrency,
            )
        )

    async def preview(self, context: Context, request: BulkRequest, allowance: Allowance) -> Preview:
        """What the operations would come to, one after the other. Raises `StoreError`."""
        told = _Notes(context)
        report = await self.begin(context, bulk_concurrency=1).bulk.run(context, request, told, allowance)
        for task in report.under_way:
            task.cancel()
        await asyncio.gather(*report.under_way, return_exceptions=True)
        return Preview(operations=tuple(told.previewed(request.operations, report.outcomes)))


class _NoUpkeep(Upkeep):
    """Sweeps nothing: an index that is not complete stays so."""

    async def ensure_complete(self, context: Context) -> None:
        """Raise `ServiceUnavailable` unless every user of the tenant is in the connection's view."""
        view = await self.indexing.view(context)
        if view.complete_since is None:
            raise not_yet(view)


class _Ids:
    """Ids of groups that would be made here."""

    def __init__(self) -> None:
        self._count = 0

    def __call__(self, prefix: str) -> str:
        self._count += 1
        return f"{MADE_UP}group-{self._count}"


class _Notes:
    """The guard of a batch (`bulk_endpoints.Guard`): what becomes of each operation, told to nobody."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._told: dict[int, list[Story]] = {}

    async def __call__(self, operation: BulkOperation, work: Awaitable[Done]) -> Outcome:
        """Rehearse an operation."""
        with within(operation.method or "", f"/{operation.endpoint}") as story:
            story.dry_run, story.context = True, self._context
            told = self._told.setdefault(operation.index, [])
            told.append(story)
            try:
                return await work
            except (ScimError, PlatformError) as exc:
                error = scim_error(exc, self._context.mapping) if isinstance(exc, PlatformError) else exc
                story.failed(error, exc)
                return Failed(error=error)

    def previewed(
        self, operations: Sequence[BulkOperation], outcomes: Sequence[Outcome | None]
    ) -> Iterator[Previewed]:
        """What is known of each in the end."""
        for operation, outcome in zip(operations, outcomes, strict=True):
            told = self._told.get(operation.index, [])
            story = told[-1] if told else Story(operation.method or "", "", "")
            if isinstance(outcome, Failed) and story.detail is None:
                story.failed(outcome.error)
            found = outcome.id if isinstance(outcome, Done) else operation.target
            if found is None and operation.target_reference is not None:
                found = f"{PREFIX}{operation.target_reference}"
            target = None if operation.creates else found
            place = f"/{operation.endpoint}" if operation.endpoint else ""
            error = outcome.error if isinstance(outcome, Failed) else None
            status = 0 if outcome is None else error.status if error is not None else _status(outcome)
            yield Previewed(
                number=operation.index + 1,
                method=operation.method or "",
                path=place if target is None else f"{place}/{target}",
                status=status,
                id=found,
                scim_type=None if error is None else error.scim_type,
                detail=None if error is None else error.detail,
                cause="" if error is None else story.cause,
                changed=story.changed,
                calls=shown_calls(self._context, [c for each in told for c in each.recording.planned]),
            )


def _status(outcome: Outcome) -> int:
    return outcome.status if isinstance(outcome, Done) else outcome.error.status
