"""The stories of a bulk request's operations, told as if each had been a request of its own."""

from __future__ import annotations

from collections.abc import Awaitable, Sequence

from app.bridge.bulk_endpoints import Done, Failed, Outcome
from app.bridge.context import Context
from app.bridge.story import Stories, Story
from app.bridge.telling import tell_body, within
from app.scim.bulk import BulkOperation
from app.scim.errors import Uniqueness
from app.web.exceptions import explained


class BulkStories:
    """The guard of one bulk request (`bulk_endpoints.Guard`): an error of an operation is its outcome.

    Nobody waits for the record of an operation: that of the request comes after it, and is waited for.
    """

    def __init__(self, stories: Stories, context: Context) -> None:
        self._stories = stories
        self._context = context
        self._begun: set[int] = set()
        self._taken: dict[int, Story] = {}
        """Of operations whose name is taken: they may be tried again when another one has freed it."""
        self._ended = False
        self.told: dict[int, list[Story]] = {}
        """What was told of each operation; of one that had to be completed, both times."""

    async def __call__(self, operation: BulkOperation, work: Awaitable[Done]) -> Outcome:
        """Carry out an operation."""
        self._begun.add(operation.index)
        if self._taken.pop(operation.index, None) is not None:
            self.told.pop(operation.index)
        with within(operation.method or "", _path(operation)) as story:
            self.told.setdefault(operation.index, []).append(story)
            try:
                done = await work
            except Exception as exc:  # noqa: BLE001 - one operation's error must not end the others
                place = f"bulk /{operation.endpoint}"
                error, reference = explained(exc, self._context, method=operation.method, path=place)
                story.failed(error, exc)
                told = story.ended(error.status)
                if isinstance(error, Uniqueness) and not self._ended:
                    self._taken[operation.index] = told
                else:
                    self._stories.tell(told)
                return Failed(error=error, reference=reference)
            story.resource_id = done.id
            self._stories.tell(story.ended(done.status))
            return done

    def end(self, operations: Sequence[BulkOperation], outcomes: Sequence[Outcome | None]) -> None:
        """Tell what is left before the answer goes out, such as operations that have not even been tried."""
        self._ended = True
        for told in self._taken.values():
            self._stories.tell(told)
        for operation, outcome in zip(operations, outcomes, strict=True):
            if not isinstance(outcome, Failed) or operation.index in self._begun:
                continue
            with within(operation.method or "", _path(operation)) as story:
                tell_body(operation.data)
                story.failed(outcome.error)
                self._stories.tell(story.ended(outcome.error.status))


def _path(operation: BulkOperation) -> str:
    place = f"/{operation.endpoint or '?'}"
    return place if operation.target is None else f"{place}/{operation.target}"
