"""How an event travels: signed, and by HTTP."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TypeAlias
from urllib.parse import urlsplit

import httpx

Send: TypeAlias = Callable[[str, Mapping[str, str], bytes], Awaitable[int]]
"""POSTs a body with headers to a URL and answers the status. Raises `httpx.HTTPError` or `OSError` where none
came; the caller sees to the time it may take."""

_MAX_ANSWER_BYTES = 65_536


def signed_headers(
    secret: str, event_id: str, event_type: str, body: bytes, timestamp_s: int
) -> dict[str, str]:
    """The headers of a delivery; `timestamp_s`, in Unix seconds, is the moment of sending.

    The receiver takes a signature for fresh during five minutes, so every attempt is signed anew.
    """
    signed = str(timestamp_s).encode() + b"." + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()
    return {
        "Content-Type": "application/json",
        "X-ScaiKey-Event-ID": event_id,
        "X-ScaiKey-Event-Type": event_type,
        "X-ScaiKey-Timestamp": str(timestamp_s),
        "X-ScaiKey-Signature": f"t={timestamp_s},v1={digest}",
    }


@asynccontextmanager
async def http_sender(
    transports: Mapping[str, httpx.AsyncBaseTransport],
) -> AsyncIterator[Send]:
    """Sends by HTTP; an origin (`https://host:port`) named in `transports` is reached by that transport.

    Redirects are not followed, proxies of the environment not used.
    """
    async with AsyncExitStack() as stack:
        network: httpx.AsyncBaseTransport | None = None

        def transport_to(url: str) -> httpx.AsyncBaseTransport:
            nonlocal network
            given = transports.get(origin(url))
            if given is not None:
                return given
            if network is None:  # made at first use: it loads all root certificates
                network = httpx.AsyncHTTPTransport(trust_env=False)
                stack.push_async_callback(network.aclose)
            return network

        async def send(url: str, headers: Mapping[str, str], body: bytes) -> int:
            request = httpx.Request("POST", url, headers=headers, content=body)
            answer = await transport_to(url).handle_async_request(request)
            try:
                # The answer is read so that the connection can be used again, but not without end.
                if isinstance(answer.stream, httpx.AsyncByteStream):
                    size = 0
                    async for chunk in answer.stream:
                        size += len(chunk)
                        if size > _MAX_ANSWER_BYTES:
                            break
            finally:
                await answer.aclose()
            return answer.status_code

        yield send


def origin(url: str) -> str:
    """Scheme, host and port of a URL, as `http_sender` looks them up."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


def require_url(url: str) -> None:
    """Raises ValueError for a URL that nothing can be sent to."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise ValueError(f"not a URL: {error}") from error
    if parsed.scheme not in ("http", "https") or not parsed.host or parsed.userinfo or parsed.fragment:
        raise ValueError("a webhook needs an http or https URL, without credentials and fragment")
