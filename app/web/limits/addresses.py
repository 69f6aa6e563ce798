"""Tokens and client credentials that are refused, counted by the client's address."""

from __future__ import annotations

import ipaddress
import math
from collections.abc import Callable

from litestar.types import Scope

from app.config import Settings
from app.scim.errors import TooManyRequests
from app.web.headers import header
from app.web.limits.rates import Rates

_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class AuthFailures:
    """A limit on refused tokens for each client address.

    A token has 256 random bits, so guessing needs no limit; but each unknown one costs a look into the
    database. A token that was valid a moment ago is let in all the same: behind a proxy that is not named in
    `trusted_proxies` all clients have one address, and one with an old token must not lock out the others.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self._rates = Rates(clock)
        self._per_s = settings.auth_failures_per_minute / 60
        self._burst = max(1, math.ceil(settings.auth_failures_per_minute))
        self._proxies = settings.networks()

    def __bool__(self) -> bool:
        """Whether there were any lately."""
        return bool(self._rates)

    def check(self, scope: Scope) -> None:
        """Raise `TooManyRequests` where too many tokens of this address were refused."""
        if not self._per_s:
            return
        wait = self._rates.wait_s(self._key(scope), self._per_s, self._burst)
        if wait > 0:
            raise TooManyRequests(
                "too many requests with a token or a secret that is not valid came from this address: "
                "check it, then try again later",
                retry_after_s=math.ceil(wait),
            )

    def count(self, scope: Scope) -> None:
        """Note a refused token."""
        if self._per_s:
            self._rates.take(self._key(scope), self._per_s, self._burst)

    def _key(self, scope: Scope) -> str:
        """The client's address; of IPv6 the network, of which one client has all addresses."""
        address = client_address(scope, self._proxies)
        if isinstance(address, ipaddress.IPv6Address):
            return str(ipaddress.IPv6Address(int(address) >> 64 << 64))
        return str(address)


def client_address(
    scope: Scope, proxies: tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]
) -> _Address | None:
    """The client's address: of X-Forwarded-For the last one that is no trusted proxy, where one sent it."""
    client = scope.get("client")
    address = _read(client[0] if client else "")
    hops = header(scope, b"x-forwarded-for").decode("latin-1").split(",")
    while address is not None and hops and any(address in network for network in proxies):
        said = _read(hops.pop().strip())
        if said is None:
            break
        address = said
    return address


def _read(text: str) -> _Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None
