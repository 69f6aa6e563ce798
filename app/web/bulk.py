"""`/Bulk` (RFC 7644 §3.7)."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from litestar import Request, Router, post
from litestar.exceptions import HTTPException
from litestar.types import ASGIApp, Receive, Scope, Send

from app.bridge.bulk import Allowance, Report
from app.bridge.bulk_endpoints import Done, Failed, Outcome
from app.bridge.context import Context
from app.config import Settings
from app.scim.bulk import BulkOperation, BulkRequest, read_bulk
from app.scim.errors import PayloadTooLarge
from app.scim.messages import BULK_RESPONSE, error_body
from app.web.auth import context_of
from app.web.bulk_stories import BulkStories
from app.web.dry_runs import DRY_RUN, SAID, is_dry_run, is_made_up, report_of, writing
from app.web.exceptions import explained
from app.web.requests import read_json
from app.web.responses import scim_response
from app.web.services import Services

ScimRequest = Request[Any, Any, Any]

_BEGIN_FOR = 0.8
_ANSWER_AFTER = 0.95
"""Parts of `handling_timeout_s`: until when operations are begun, and when the answer is given at last."""


@post("/", status_code=200)
async def bulk(request: ScimRequest) -> ASGIApp:
    """Carry out many operations; 200 with the result of each."""
    services: Services = request.app.state.services
    settings, context = services.settings, context_of(request)
    message = read_bulk(
        await _read(request, settings),
        context.dialect,
        max_operations=settings.bulk_max_operations,
        max_patch_operations=settings.max_operations,
    )
    # The request itself is counted already.
    services.limits.charge(request.scope["state"]["connection"], len(message.operations) - 1)
    begun: float = request.scope["state"]["begun"]
    allowance = Allowance(
        start_until=begun + _BEGIN_FOR * settings.handling_timeout_s,
        answer_at=begun + _ANSWER_AFTER * settings.handling_timeout_s,
    )
    guard = BulkStories(services.stories, context)
    report = await writing(request.scope).bulk.run(context, message, guard, allowance)
    guard.end(message.operations, report.outcomes)
    answer = _answer(request, context, message, report, guard)
    return _Lasting(answer, report.under_way) if report.under_way else answer


async def _read(request: ScimRequest, settings: Settings) -> object:
    try:
        return await read_json(request)
    except HTTPException as exc:
        if exc.status_code == 413:
            raise PayloadTooLarge(
                f"the request exceeds maxPayloadSize ({settings.bulk_max_payload_bytes} bytes): "
                "send several requests"
            ) from exc
        raise


def _answer(
    request: ScimRequest, context: Context, message: BulkRequest, report: Report, stories: BulkStories
) -> ASGIApp:
    outcomes = _referenced(context, report.outcomes)
    dry = is_dry_run(request.scope)
    headers = SAID if dry else {}
    waits = [o.error.retry_after_s for o in outcomes if isinstance(o, Failed) and o.error.retry_after_s]
    return scim_response(
        request,
        {
            "schemas": [BULK_RESPONSE],
            "Operations": [
                {
                    **_shown(operation, outcome, context, report, dry=dry),
                    **(_rehearsed(operation, outcome, context, stories) if dry else {}),
                }
                for operation, outcome in zip(message.operations, outcomes, strict=True)
                if outcome is not None
            ],
        },
        headers={**headers, "Retry-After": str(max(waits))} if waits else headers,
    )


def _referenced(context: Context, outcomes: Sequence[Outcome | None]) -> list[Outcome | None]:
    """The outcomes; those with a 5xx that is in no log yet, for want of time, are logged as one."""
    unknown = [o for o in outcomes if isinstance(o, Failed) and o.error.status >= 500 and not o.reference]
    if not unknown:
        return list(outcomes)
    _, reference = explained(unknown[0].error, context, method="POST", path="/Bulk", operations=len(unknown))
    return [
        Failed(error=o.error, reference=reference)
        if isinstance(o, Failed) and o.error.status >= 500 and not o.reference
        else o
        for o in outcomes
    ]


def _shown(
    operation: BulkOperation, outcome: Outcome, context: Context, report: Report, *, dry: bool
) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    if operation.method is not None:
        shown["method"] = operation.method
    if operation.bulk_id is not None:
        shown["bulkId"] = operation.bulk_id
    resource = outcome.id if isinstance(outcome, Done) else operation.target
    if resource is None and operation.target_reference is not None:
        resource = report.ids.get(operation.target_reference)
    if isinstance(outcome, Done) and outcome.version is not None and not dry:
        shown["version"] = outcome.version
    if resource is not None and not is_made_up(resource):
        shown["location"] = f"{context.base_url}/{operation.endpoint}/{quote(resource, safe='')}"
    if isinstance(outcome, Failed):
        shown["response"] = error_body(outcome.error, outcome.reference)
        shown["status"] = str(outcome.error.status)
    else:
        shown["status"] = str(outcome.status)
    return shown


def _rehearsed(
    operation: BulkOperation, outcome: Outcome, context: Context, stories: BulkStories
) -> dict[str, Any]:
    """What an operation would have come to."""
    told = stories.told.get(operation.index, [])
    calls = [call for story in told for call in story.recording.planned]
    status = outcome.error.status if isinstance(outcome, Failed) else outcome.status
    return {DRY_RUN: report_of(context, status, told[-1].changed if told else (), calls)}


class _Lasting:
    """An answer after which the request's last writes are waited for, so that a shutdown waits too."""

    def __init__(self, answer: ASGIApp, under_way: frozenset[asyncio.Task[None]]) -> None:
        self._answer = answer
        self._under_way = under_way

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, then wait."""
        try:
            await self._answer(scope, receive, send)
            await asyncio.wait(self._under_way)
        except asyncio.CancelledError:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)
            raise


def router(settings: Settings) -> Router:
    """The route, with its own bound for the body."""
    return Router(path="/Bulk", route_handlers=[bulk], request_max_body_size=settings.bulk_max_payload_bytes)
