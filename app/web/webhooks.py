"""`POST /webhooks/platform`: the platform tells of changes; its signature takes the place of a token."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from litestar import Request, Router, post

from app.bridge.events import Events, Kind
from app.config import Settings
from app.planning.planner import PLATFORM_ID
from app.scim.errors import BadRequest, NotFound, Unauthorized
from app.web.headers import header
from app.web.limits import read_body
from app.web.signatures import BadSignature, check_signature
from app.wire.events import PlatformEvent

PATH = "/webhooks"

_log = structlog.get_logger(__name__)
_REMEMBERED = 10_000


class Receiver:
    """Checks what is sent, passes over what has been seen, and hands on the rest."""

    def __init__(self, settings: Settings, events: Events, clock: Callable[[], float] = time.time) -> None:
        """`clock` answers Unix time."""
        self._secrets = settings.webhook_secrets()
        self._tolerance_s = settings.webhook_tolerance_s
        self._events = events
        self._clock = clock
        # In the order in which they came. A doubled event does no harm, so that other replicas need not know.
        self._seen: dict[str, None] = {}

    def check(self, signature: str, body: bytes) -> None:
        """Raise `Unauthorized` for a body that the platform has not signed just now."""
        try:
            check_signature(signature, body, self._secrets, now=self._clock(), tolerance_s=self._tolerance_s)
        except BadSignature as exc:
            _log.warning("webhook refused", reason=str(exc))
            raise Unauthorized(
                "the signature is missing, too old, or not made with the shared secret"
            ) from exc

    @property
    def configured(self) -> bool:
        """Whether there is a secret."""
        return bool(self._secrets)

    async def take(self, body: bytes) -> None:
        """Apply an event once; raises `BadRequest` for one that cannot be read.

        Any event about a user or a group counts, also of a type that is not known yet: it marks what it is
        about, and a mark too many costs one read.
        """
        try:
            event = msgspec.json.decode(body, type=PlatformEvent)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as exc:
            raise BadRequest("the body is not an event") from exc
        kind = _kind(event)
        if kind is None or event.event_id in self._seen:
            return
        tenant_id, resource_id = _about(event, kind)
        actor_id = None if event.actor is None else event.actor.id
        at = _moment(event.timestamp)
        await self._events.apply(tenant_id, kind, resource_id, actor_id=actor_id, at=at)
        # Only now: what failed is to be sent again.
        self._seen[event.event_id] = None
        if len(self._seen) > _REMEMBERED:
            del self._seen[next(iter(self._seen))]


@post("/platform", status_code=204)
async def platform_event(request: Request[Any, Any, Any]) -> None:
    """204: taken, seen before or of no concern; 400, 401, 408, 413: refused; 503: to be sent again."""
    receiver: Receiver = request.app.state.receiver
    if not receiver.configured:
        raise NotFound("webhooks are not configured here")
    body = await read_body(request, request.app.state.services.settings.request_timeout_s)
    receiver.check(header(request.scope, b"x-scaikey-signature").decode("latin-1"), body)
    await receiver.take(body)


def _kind(event: PlatformEvent) -> Kind | None:
    match event.event_type.partition("."):
        case ("user", ".", _):
            return "user"
        case ("group", ".", _):
            return "group"
        case _:
            return None


def _moment(timestamp: object) -> datetime | None:
    """When an event happened, None where that cannot be read: it is of use, not needed."""
    try:
        moment = datetime.fromisoformat(timestamp if isinstance(timestamp, str) else "")
    except ValueError:
        return None
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _about(event: PlatformEvent, kind: Kind) -> tuple[str, str]:
    """Tenant and id."""
    resource = event.resource
    if event.tenant_id is None or PLATFORM_ID.fullmatch(event.tenant_id) is None:
        raise BadRequest("the event names no tenant")
    if resource is None or PLATFORM_ID.fullmatch(resource.id) is None:
        raise BadRequest(f"the event names no {kind}")
    if resource.type is not None and resource.type.lower() != kind:
        raise BadRequest(f"the event is of a {kind}, and its resource is not")
    return event.tenant_id, resource.id


router = Router(path=PATH, route_handlers=[platform_event])
