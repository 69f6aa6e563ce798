"""What the store takes from outside and tests replace: the time, ids and secrets."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""Answers the present time, aware and in UTC."""

Ids = Callable[[str], str]
"""Makes a new id from a prefix such as `con`."""

SecretBytes = Callable[[int], bytes]
"""Answers that many unpredictable bytes."""

_ID_ALPHABET = string.ascii_lowercase + string.digits
_ID_LENGTH = 20
_ID_LENGTHS = {"grp": 26}


def utc_now() -> datetime:
    """Answer the system's time."""
    return datetime.now(UTC)


def new_id(prefix: str) -> str:
    """Make `{prefix}_` and 20 random characters of [a-z0-9], 103 bits: no need to look for a clash.

    A group's id gets 26, as the platform's own ids have.
    """
    length = _ID_LENGTHS.get(prefix, _ID_LENGTH)
    return f"{prefix}_{''.join(secrets.choice(_ID_ALPHABET) for _ in range(length))}"
