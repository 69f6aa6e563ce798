"""What policies and guards refuse, told apart from refusals of the platform and from rate limits."""

from __future__ import annotations

from app.scim.errors import Forbidden, TooManyRequests


class PolicyForbids(Forbidden):
    """A policy of the connection forbids it."""


class GuardStops(TooManyRequests):
    """The connection's guard has stopped it; only an operator lets it go on."""
