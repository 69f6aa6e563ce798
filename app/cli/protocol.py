"""uvicorn's HTTP protocol with bounds on what arrives before the application is asked.

The parser itself knows none: a header may grow for ever, and a connection that sends a byte now and then, or
nothing at all, is kept. Refusals are SCIM errors here too, at the token endpoint those of RFC 6749.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from app.config import Settings
from app.scim.errors import (
    BadRequest,
    HeadersTooLarge,
    HttpVersionNotSupported,
    NotImplementedHere,
    RequestTimeout,
    ScimError,
    UriTooLong,
)
from app.web.refusals import refusal

_ONCE = frozenset({b"host", b"authorization", b"content-type"})
"""Fields that a proxy in front and this server could read differently if there were two."""

_LINGER_S = 5.0
"""How long bytes that nobody wants any more are read: closed at once, the client might lose the answer."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A single timer watches its time: it looks at the deadline and winds itself up again."""

    def __init__(self, *args: Any, settings: Settings, **kwargs: Any) -> None:
        """`settings` bring the bounds; the rest is uvicorn's."""
        super().__init__(*args, **kwargs)
        self._settings = settings
        self._timeout_s = settings.request_timeout_s
        self._in_head = True
        self._head_bytes = 0
        """Bytes since the head began; where its end came with the same read, a part of the body too."""
        self._deadline: float | None = None
        """When the head, later the body, has to be complete; None while nothing is to arrive."""
        self._watch: asyncio.TimerHandle | None = None
        self._stall: asyncio.TimerHandle | None = None
        self._ending = False
        self._chunk = b""
        """What is being parsed; after an upgrade that is ignored, `_rest` is what comes next instead."""
        self._rest: bytes | None = None
        self._upgrading = False
        self._running: RequestResponseCycle | None = None
        """The request that is being answered; `cycle` is the last one that came, maybe further on in line."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Give the first request its time."""
        super().connection_made(transport)
        self._deadline = self.loop.time() + self._timeout_s
        self._watch = self.loop.call_later(self._timeout_s, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop watching."""
        for timer in (self._watch, self._stall):
            if timer is not None:
                timer.cancel()
        self._ending = True
        self._disconnect()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse, and stop at a head that is larger than it may be."""
        if self._ending:
            return
        if self._in_head:
            self._head_bytes += len(data)
            if self._deadline is None:
                self._deadline = self.loop.time() + self._timeout_s
        self._rest = data
        while self._rest is not None:
            self._chunk, self._rest = self._rest, None
            super().data_received(self._chunk)
        if self._in_head and self._head_bytes > self._settings.max_header_bytes and not self._ending:
            too_long = len(self.url or b"") > self._settings.max_url_bytes
            self._refuse(self._uri_too_long() if too_long else self._too_large())

    def on_headers_complete(self) -> None:
        """Hand the request to the application, or where its head cannot be taken to the refusal of it."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            self._upgrading = True
            return
        self._in_head = False
        # The application has the same time for the body, and answers; this is for what it does not read.
        self._deadline = self.loop.time() + self._timeout_s + _LINGER_S
        settings = self._settings
        closes = True
        refusal = refused_head(self.parser.get_method(), self.parser.get_http_version(), self.headers)
        if refusal is not None:
            self.url = b"/"  # that of CONNECT is none, and the refusal does not look at it
        elif len(self.url) > settings.max_url_bytes:
            closes = False
            refusal = self._uri_too_long()
        elif len(self.headers) > settings.max_headers or (
            self._head_bytes > settings.max_header_bytes and self._size() > settings.max_header_bytes
        ):
            closes = False
            refusal = self._too_large()
        if refusal is None:
            super().on_headers_complete()
            return
        application, self.app = self.app, _Refusal(refusal, closes=closes)
        try:
            super().on_headers_complete()
        finally:
            self.app = application

    def on_message_complete(self) -> None:
        """Be ready for the next head."""
        if self._upgrading:
            return
        super().on_message_complete()
        self._in_head = True
        self._head_bytes = 0
        self._deadline = None

    def on_response_complete(self) -> None:
        """Read the rest of a body that was answered early, but not for long."""
        super().on_response_complete()
        if not self._in_head and self.cycle.response_complete:
            self._deadline = self.loop.time() + _LINGER_S
            self._wind(_LINGER_S)

    def pause_writing(self) -> None:
        """The client does not read: end the connection where that lasts."""
        super().pause_writing()
        self._stall = self.loop.call_later(self._timeout_s, self._abort)

    def resume_writing(self) -> None:
        """The client reads again."""
        super().resume_writing()
        if self._stall is not None:
            self._stall.cancel()
            self._stall = None

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection, also one whose last answer nobody fetches."""
        super().timeout_keep_alive_handler()
        if self.transport.get_write_buffer_size():
            self.loop.call_later(_LINGER_S, self._abort)

    def send_400_response(self, msg: str) -> None:
        """What cannot be parsed; uvicorn would answer in plain text."""
        self._refuse(BadRequest("this is not an HTTP request that can be read"))

    def _unsupported_upgrade_warning(self) -> None:
        """Read the request again without its `Upgrade`, which a server may ignore (RFC 9110 §7.8).

        httptools ends such a request with its head (Java's client sends them, `Upgrade: h2c`): its body would
        be lost, and taken for the next request.
        """
        failure = sys.exc_info()[1]
        if not self._upgrading or not isinstance(failure, httptools.HttpParserUpgrade):
            return
        self._upgrading = False
        method, version = self.parser.get_method(), self.parser.get_http_version().encode()
        head = [method, b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self._rest = b"".join([*head, b"\r\n", self._chunk[failure.args[0] :]])

    def _look(self) -> None:
        now = self.loop.time()
        if self._deadline is not None and now >= self._deadline:
            self._expire(now)
        self._wind(self._timeout_s if self._deadline is None else max(0.0, self._deadline - now))

    def _expire(self, now: float) -> None:
        if not self._in_head:
            self._abort()
        elif self._is_running():
            # The beginning of a next request, while the one before is being answered.
            self._deadline = now + self._timeout_s
        elif self._head_bytes == 0:
            self._ending = True
            self.transport.close()
        else:
            self._refuse(RequestTimeout(f"the request's header did not arrive within {self._timeout_s:g} s"))

    def _wind(self, seconds: float) -> None:
        if self._watch is not None:
            self._watch.cancel()
        if not self._ending:
            self._watch = self.loop.call_later(seconds, self._look)

    def _refuse(self, error: ScimError) -> None:
        """Answer outside of the application, which has not seen a request, or not a whole one."""
        running = self._running
        if running is not None and running.response_started and not running.response_complete:
            self._abort()
            return
        self._disconnect()
        self._ending = True
        self._unset_keepalive_if_required()
        body, media_type = refusal(error, (self.url or b"").decode("latin-1"))
        self.transport.write(
            STATUS_LINE[error.status]
            + f"content-type: {media_type}\r\n".encode()
            + b"content-length: "
            + str(len(body)).encode()
            + b"\r\nconnection: close\r\n\r\n"
            + body
        )
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(_LINGER_S, self._abort)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def _is_running(self) -> bool:
        return self._running is not None and not self._running.response_complete

    def _disconnect(self) -> None:
        """Tell the application that nobody listens any more: what it sends is dropped."""
        self.pipeline.clear()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True
            self._running.message_event.set()

    def _abort(self) -> None:
        self._ending = True
        self._disconnect()
        self.transport.abort()

    def _size(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _uri_too_long(self) -> ScimError:
        most = self._settings.max_url_bytes
        return UriTooLong(f"the request target has more than {most} bytes: use a shorter filter")

    def _too_large(self) -> ScimError:
        settings = self._settings
        return HeadersTooLarge(
            f"the request has more than {settings.max_headers} header fields or "
            f"{settings.max_header_bytes} bytes of them"
        )


def refused_head(method: bytes, version: str, headers: list[tuple[bytes, bytes]]) -> ScimError | None:
    """What is wrong with a head that can be parsed, and would not be understood alike by everybody."""
    if version not in ("1.0", "1.1"):
        return HttpVersionNotSupported("HTTP/1.1 is spoken here")
    if method == b"CONNECT":
        return NotImplementedHere("this server is no proxy")
    names = [name for name, _value in headers if name in _ONCE]
    if len(names) > len(set(names)):
        return BadRequest("Host, Authorization and Content-Type may each be given once (RFC 9110 §5.3)")
    if version == "1.1" and b"host" not in names:
        return BadRequest("Host is missing (RFC 9112 §3.2)")
    codings = [value.strip().lower() for name, value in headers if name == b"transfer-encoding"]
    if codings not in ([], [b"chunked"]):
        return NotImplementedHere("of all transfer codings, chunked alone is understood (RFC 9112 §6.1)")
    return None


class _Refusal:
    """An application that answers every request with one error."""

    def __init__(self, error: ScimError, *, closes: bool) -> None:
        self._error = error
        self._closes = closes

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body, media_type = refusal(self._error, scope["path"])
        headers = [
            (b"content-type", media_type.encode()),
            (b"content-length", str(len(body)).encode()),
        ]
        if self._closes:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": self._error.status, "headers": headers})
        await send({"type": "http.response.body", "body": body, "more_body": False})
