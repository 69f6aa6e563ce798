"""Under which names the console answers.

A page of another site can let its own name point at this listener (DNS rebinding), and the browser then
takes the console for a part of that site. An address cannot be made to point elsewhere, one's own name is
not in foreign hands; any other name is refused.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Set

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::[0-9]{1,5})?")


def is_own_host(host: str, names: Set[str]) -> bool:
    """Whether a Host header field is an address, localhost, or one of these names (lower case)."""
    found = _HOST.fullmatch(host)
    if found is None:
        return False
    name = found[1].lower().removesuffix(".")
    return name == "localhost" or name.endswith(".localhost") or name in names or _is_address(name)


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True
