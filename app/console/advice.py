"""What an operator does about each cause of failed requests."""

from __future__ import annotations

from collections.abc import Mapping

ADVICE: Mapping[str, str] = {
    "unauthenticated": "The client's token or secret is wrong, expired or revoked. Look at the "
    "connection's tokens and clients, and give the client a valid one.",
    "forbidden": "The platform does not let the bridge's client do this: widen its rights there. Or the "
    "token is bound to one user, and good for /Me alone.",
    "policy": "A policy of the connection forbids it. If the client is to be allowed, change the policy.",
    "stopped": "The connection's guard has stopped it: too many users were deactivated or deleted. If that "
    "was intended, release the connection; if not, look at the client's assignments first.",
    "not-found": "The resource is gone, or the endpoint does not exist. Common and harmless after a "
    "deletion.",
    "conflict": "The name belongs to another user or group; the detail names the attribute. Rename one of "
    "them, or let the client match the one that is there.",
    "precondition": "The client has an old version of the resource. It reads it anew by itself.",
    "throttled": "The client sends faster than the connection may. It tries again by itself; raise the rate "
    "limit if it happens all the time.",
    "invalid-value": "The client's attribute mapping sends a value that cannot be; the detail says which.",
    "invalid-filter": "The client searches for what cannot be answered; the detail says which part.",
    "invalid-request": "The client sends what is no SCIM request; the detail says what is wrong.",
    "platform-throttled": "The platform takes no more calls now. Ask its operator for a higher "
    "limit, or lower the connection's rate.",
    "platform-unavailable": "The platform did not answer. The calls say which and why; the client "
    "tries again.",
    "platform-error": "The platform answered with an error. The calls say which; see to it there.",
    "busy": "The bridge is at its limits, or an earlier change of the resource is not finished: see the "
    "journal. The client tries again by itself.",
    "bridge-error": "The bridge or its database failed; its log has the correlation id.",
    "no-answer": "The client went before it was answered. If it happens often, its time-out is too short.",
}
"""By the cause of `audit_records.CAUSES`."""
