"""A line of the log for every request; what is said there may be read by anybody."""

from __future__ import annotations

import asyncio

import structlog

from app.bridge.story import Story
from app.observing.counting import METHODS

_log = structlog.get_logger(__name__)


class AccessLog:
    """Takes stories (`Sink`)."""

    def take(self, story: Story) -> asyncio.Future[None] | None:
        """Write the line; nobody has to wait for that."""
        _log.info(
            "request" if story.actor == "client" else story.actor,
            correlation_id=story.correlation_id,
            connection=story.connection,
            method=story.method if story.method in METHODS else "other",
            route=story.route,
            status=story.status,
            duration_ms=round(story.duration_s * 1000, 1),
            calls=len(story.calls),
            cause=story.cause,
        )
        return None
