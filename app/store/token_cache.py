"""The cache in front of `Tokens` and `AccessTokens`: a request with a known token costs no database access.

What a cache must not do is let a dead token live: expiry is checked on every hit, and a revocation made by
any process takes effect within the time to live. Failures are not kept, so a new token works at once and
guessing fills no memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from app.store.access_tokens import AccessTokens
from app.store.errors import StoreUnavailable
from app.store.sources import Clock, utc_now
from app.store.tokens import ACCESS_TOKEN, Authenticated, Token, Tokens, digest_of, well_formed

_log = logging.getLogger(__name__)

RECORD_EVERY = timedelta(minutes=1)
"""How often at most the last use of one token is written."""

_NEVER = datetime.max.replace(tzinfo=UTC)


class _Entry:
    """One cached answer; mutable, because the hot path moves `record_from` on."""

    __slots__ = ("answer", "expires_at", "record_from", "valid_until_s")

    def __init__(self, answer: Authenticated, valid_until_s: float, record_from: datetime | None) -> None:
        self.answer = answer
        self.valid_until_s = valid_until_s
        self.expires_at = answer.token.expires_at
        self.record_from = record_from


class TokenCache:
    """Remembers live tokens for a few seconds and collects when they were used."""

    def __init__(
        self,
        tokens: Tokens,
        access_tokens: AccessTokens,
        *,
        ttl_s: float = 5.0,
        max_entries: int = 4096,
        flush_every_s: float = 10.0,
        clock: Clock = utc_now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """`ttl_s`, measured by `monotonic`, bounds how long a revoked token still works."""
        self._tokens = tokens
        self._access_tokens = access_tokens
        self._ttl_s = ttl_s
        self._max_entries = max_entries
        self._flush_every_s = flush_every_s
        self._clock = clock
        self._monotonic = monotonic
        self._entries: dict[bytes, _Entry] = {}
        self._used: dict[str, datetime] = {}
        self._flusher: asyncio.Task[None] | None = None

    async def authenticate(self, secret: str) -> Authenticated | None:
        """Find the live token with this secret, as `Tokens.authenticate` and `AccessTokens` do."""
        if not _could_be_one(secret):
            return None
        # The key is the hash: the cache holds no secret, and how dict compares tells nothing about one.
        digest = digest_of(secret)
        now = self._clock()
        entry = self._entries.get(digest)
        if entry is None or self._monotonic() >= entry.valid_until_s:
            entry = await self._load(digest, secret.startswith(ACCESS_TOKEN))
            if entry is None:
                return None
        elif entry.expires_at is not None and now >= entry.expires_at:
            del self._entries[digest]
            return None
        if entry.record_from is None or now >= entry.record_from:
            entry.record_from = now + RECORD_EVERY
            self._used[entry.answer.token.id] = now
        return entry.answer

    def remembers(self, secret: str) -> bool:
        """Whether this secret was valid when it was last looked up; costs no database access."""
        return _could_be_one(secret) and digest_of(secret) in self._entries

    def clear(self) -> None:
        """Forget all answers, for a revocation made in this process to take effect at once."""
        # A new dict, so that a load under way puts its answer, read before the revocation, into the old one.
        self._entries = {}

    async def flush(self) -> None:
        """Write the collected times of use; on StoreUnavailable they are kept for the next time."""
        used, self._used = self._used, {}
        try:
            await self._tokens.record_use(used)
        except BaseException:
            self._used = {**used, **self._used}
            raise

    async def open(self) -> None:
        """Start writing times of use in the background."""
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush_forever(), name="token-last-use")

    async def close(self) -> None:
        """Stop the background task and write what is left; may be called twice."""
        flusher, self._flusher = self._flusher, None
        if flusher is None:
            return
        flusher.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await flusher
        await self._flush_or_log()

    async def _load(self, digest: bytes, is_access_token: bool) -> _Entry | None:
        valid_until_s = self._monotonic() + self._ttl_s
        entries = self._entries
        entries.pop(digest, None)
        source = self._access_tokens if is_access_token else self._tokens
        answer = await source.authenticate_digest(digest)
        if answer is None:
            return None
        # Of an access token nobody asks when it was last used, but of what it was got by.
        record_from: datetime | None = _NEVER
        if isinstance(answer.token, Token):
            recorded_at = self._used.get(answer.token.id, answer.token.last_used_at)
            record_from = None if recorded_at is None else recorded_at + RECORD_EVERY
        entry = _Entry(answer, valid_until_s, record_from)
        while len(entries) >= self._max_entries:
            # The oldest loaded is the first to run out anyway.
            entries.pop(next(iter(entries)))
        entries[digest] = entry
        return entry

    async def _flush_forever(self) -> None:
        while True:
            await asyncio.sleep(self._flush_every_s)
            await self._flush_or_log()

    async def _flush_or_log(self) -> None:
        try:
            await self.flush()
        except StoreUnavailable as error:
            _log.warning("times of last use of tokens not written yet: %s", error)


def _could_be_one(secret: str) -> bool:
    return well_formed(secret) or well_formed(secret, ACCESS_TOKEN)
