"""Whether a form is of the console's own page: by where it comes from, and a token bound to the session."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode
from urllib.parse import urlsplit

_PURPOSE = b"scim-bridge console form"


def csrf_token(session_secret: str) -> str:
    """The token of a session's forms; it does not tell the session's secret."""
    digest = hmac.new(session_secret.encode(), _PURPOSE, hashlib.sha256).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode()


def is_token(given: str, session_secret: str) -> bool:
    """Whether a form's token is that of the session; in constant time."""
    return hmac.compare_digest(given.encode(), csrf_token(session_secret).encode())


def is_same_origin(*, fetch_site: str, origin: str, host: str) -> bool:
    """Whether a browser says that a request comes from a page of this very host.

    Arguments are the header fields Sec-Fetch-Site, Origin and Host, empty where absent. Sec-Fetch-Site is
    sent by https and at the loopback, and holds behind a proxy that changes Host; Origin by every browser
    with every POST. A request with neither is not a browser's.
    """
    if fetch_site:
        return fetch_site == "same-origin"
    try:
        return bool(host) and urlsplit(origin).netloc.lower() == host.lower()
    except ValueError:
        return False
