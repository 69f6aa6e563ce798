"""Identifiers and timestamps, as the platform writes them."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_MICROSECOND = timedelta(microseconds=1)


def new_id(prefix: str) -> str:
    """A new identifier: the prefix, `_` and 26 random characters of [a-z0-9] (about 134 bits)."""
    value = int.from_bytes(secrets.token_bytes(17), "big")
    digits = []
    for _ in range(26):
        value, remainder = divmod(value, 36)
        digits.append(_ALPHABET[remainder])
    return f"{prefix}_{''.join(digits)}"


def new_request_id() -> str:
    """A new identifier of one answer."""
    return f"req_{secrets.token_hex(12)}"


def utc_text(moment: datetime) -> str:
    """ISO 8601 in UTC with microseconds and `Z`: as text these sort by time."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def utc_now() -> str:
    """The present moment as text."""
    return utc_text(datetime.now(UTC))


class Clock:
    """Moments that only ever rise within the process, so that creation times order what was created."""

    def __init__(self) -> None:
        self._last = datetime.min.replace(tzinfo=UTC)

    def now(self) -> str:
        """The present moment as text, at least a microsecond after the one before."""
        self._last = max(datetime.now(UTC), self._last + _MICROSECOND)
        return utc_text(self._last)
