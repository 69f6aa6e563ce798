"""The keys of issuers, fetched and kept: the only place beside the platform layer that speaks HTTP.

What is fetched, and from where, an operator has declared: who sends an assertion can at most cause one fetch
in `RETRY_S`, of keys of an issuer that is trusted.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable, Sequence

import httpx
import msgspec
import structlog

from app.store.federation import is_safe_url
from app.web.oauth.keys import BadKeySet, SigningKey, read_key_set

_log = structlog.get_logger(__name__)

MAX_ANSWER_BYTES = 262_144
RETRY_S = 30
"""Seconds between two fetches for the same issuer, whatever is asked for."""

_TIMEOUT_S = 5.0
_FRESH_S = (60, 86_400)
"""Bounds of `max-age`."""
_USUALLY_FRESH_S = 3600
_KEEP_S = 86_400
"""Seconds for which keys stand in for ones that cannot be fetched: a day, for a key may have been stolen."""

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,9})")


class KeysUnavailable(Exception):
    """The issuer's keys cannot be had now."""


class _Discovery(msgspec.Struct, frozen=True):
    issuer: str
    jwks_uri: str


class _Kept:
    """What is known of one issuer's keys; times are monotonic."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.keys: Sequence[SigningKey] = ()
        self.fresh_until = self.good_until = float("-inf")
        self.asked_at = float("-inf")
        self.failed = False


class IssuerKeys:
    """The keys of every issuer that was asked for, with one fetch for all who wait for it."""

    def __init__(
        self,
        transport: Callable[[], httpx.AsyncBaseTransport],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`transport` bounds answers and is made with the first fetch; `clock` is monotonic, in seconds."""
        self._transport = transport
        self._clock = clock
        self._client: httpx.AsyncClient | None = None
        self._kept: dict[tuple[str, str | None], _Kept] = {}

    async def find(self, issuer: str, jwks_url: str | None, kid: str | None) -> Sequence[SigningKey]:
        """The keys with this id; without one, the only key of an issuer that has one.

        Nothing where the issuer has no such key. Raises `KeysUnavailable` where that cannot be told now.
        """
        kept = self._kept.setdefault((issuer, jwks_url), _Kept())
        if self._is_due(kept, kid):
            async with kept.lock:
                # Who waited may find it done.
                if self._is_due(kept, kid):
                    await self._renew(kept, issuer, jwks_url)
        found = _chosen(kept, kid) if self._clock() < kept.good_until else []
        if not found and kept.failed:
            raise KeysUnavailable("the issuer's keys cannot be fetched")
        return found

    async def aclose(self) -> None:
        """Close the connections."""
        if self._client is not None:
            await self._client.aclose()

    def _is_due(self, kept: _Kept, kid: str | None) -> bool:
        now = self._clock()
        if now - kept.asked_at < RETRY_S:
            return False
        return now >= kept.fresh_until or not _chosen(kept, kid)

    async def _renew(self, kept: _Kept, issuer: str, jwks_url: str | None) -> None:
        """Fetch; where that fails the keys so far stay."""
        try:
            async with asyncio.timeout(_TIMEOUT_S):
                url = jwks_url or await self._discover(issuer)
                answer = await self._get(url)
                keys = read_key_set(answer.content)
            if not keys:
                raise BadKeySet("no key that can check a signature")
        except (httpx.HTTPError, httpx.InvalidURL, BadKeySet, TimeoutError, OSError) as exc:
            _log.warning("keys of an issuer not fetched", issuer=issuer, error=str(exc) or type(exc).__name__)
            kept.failed = True
        else:
            kept.failed = False
            kept.keys = keys
            kept.fresh_until = self._clock() + _fresh_s(answer.headers.get("cache-control", ""))
            kept.good_until = max(kept.fresh_until, self._clock() + _KEEP_S)
        kept.asked_at = self._clock()

    async def _discover(self, issuer: str) -> str:
        """Where the keys are (OpenID Connect Discovery 1.0 §4)."""
        answer = await self._get(issuer.rstrip("/") + "/.well-known/openid-configuration")
        try:
            found = msgspec.json.decode(answer.content, type=_Discovery)
        except (ValueError, RecursionError) as exc:
            raise BadKeySet("the discovery document cannot be read") from exc
        if found.issuer != issuer:
            raise BadKeySet("the discovery document is of another issuer")
        # Only an issuer on this machine may send the bridge to this machine.
        if not is_safe_url(found.jwks_uri) or not found.jwks_uri.startswith(("https:", issuer[:5])):
            raise BadKeySet("the discovery document names no https URL of keys")
        return found.jwks_uri

    async def _get(self, url: str) -> httpx.Response:
        if self._client is None:
            self._client = httpx.AsyncClient(
                transport=self._transport(), timeout=_TIMEOUT_S, trust_env=False, follow_redirects=False
            )
        answer = await self._client.get(url, headers={"Accept": "application/json"})
        if answer.status_code != 200:
            raise BadKeySet(f"{url} answers {answer.status_code}")
        return answer


def _chosen(kept: _Kept, kid: str | None) -> Sequence[SigningKey]:
    if kid is None:
        return kept.keys if len(kept.keys) == 1 else ()
    return [key for key in kept.keys if key.kid == kid]


def _fresh_s(cache_control: str) -> int:
    least, most = _FRESH_S
    found = _MAX_AGE.search(cache_control.lower())
    return _USUALLY_FRESH_S if found is None else min(most, max(least, int(found[1])))
