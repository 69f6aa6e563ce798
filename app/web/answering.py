"""Around every request: its correlation id, and its story, handed over before the answer goes out."""

from __future__ import annotations

import re

from litestar.enums import ScopeType
from litestar.types import ASGIApp, Message, Receive, Scope, Send

from app.bridge.story import Stories, Story, new_correlation_id
from app.bridge.telling import begin, end
from app.config import Settings
from app.platform.tracing import Traces
from app.web.headers import header
from app.web.limits.addresses import client_address
from app.web.oauth import is_oauth
from app.web.paths import BASE_PATH

_HARMLESS = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_UNTOLD = ("/ServiceProviderConfig", "/ResourceTypes", "/Schemas")
"""Discovery says nothing of anybody: only what fails there is told."""
_TRACE_FIELDS = ("traceparent", "tracestate")
"""Of W3C Trace Context."""
_TOKEN_PATH = "/oauth/token"  # noqa: S105 - a path


class Answering:
    """Stands around the whole application, so that what is refused anywhere has an id and a story too."""

    def __init__(
        self, app: ASGIApp, stories: Stories, settings: Settings, tracing: Traces | None = None
    ) -> None:
        self._app = app
        self._stories = stories
        self._tracing = tracing
        self._proxies = settings.networks()
        self._name = settings.correlation_header.lower().encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != ScopeType.HTTP:
            await self._app(scope, receive, send)
            return
        given = header(scope, self._name)
        harmless = given and _HARMLESS.fullmatch(given)
        correlation_id = given.decode() if harmless else new_correlation_id()
        path = scope["path"]
        is_scim, is_token = path.startswith(BASE_PATH), is_oauth(path)
        is_told = is_scim or is_token
        telling = Story(scope["method"], path[len(BASE_PATH) :] if is_scim else path, correlation_id)
        if is_token:
            telling.place = (_TOKEN_PATH if path.rstrip("/") == _TOKEN_PATH else "/oauth/?"), "Client"
        if is_told:
            telling.after = self._unheard
            telling.user_agent = header(scope, b"user-agent").decode("latin-1")
            telling.address = self._address(scope)
            if self._tracing is not None:
                fields = {name: header(scope, name.encode()).decode("latin-1") for name in _TRACE_FIELDS}
                telling.recording.trace = self._tracing.begin(scope["method"], fields)
        started = False

        async def answer(message: Message) -> None:
            # With the id, and when the story is where it has to be.
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if is_told:
                    await self.finish(telling, message["status"])
                message["headers"] = [*message["headers"], (self._name, correlation_id.encode())]
            await send(message)

        told = begin(telling)
        try:
            await self._app(scope, receive, answer)
        finally:
            if is_told and not started:
                self._unheard(telling, 0)
            end(told)

    async def finish(self, telling: Story, status: int) -> None:
        """Hand the story over; what has to be waited for before the answer goes out is waited for."""
        if status >= 400 or not telling.path.startswith(_UNTOLD):
            await self._stories.told(telling.ended(status))

    def _unheard(self, telling: Story, status: int) -> None:
        """Hand over a story whose end nobody waits for any more."""
        self._stories.tell(telling.ended(status))

    def _address(self, scope: Scope) -> str:
        """The client's, behind proxies that are trusted."""
        if self._proxies:
            return str(client_address(scope, self._proxies) or "")
        client = scope.get("client")
        return client[0] if client else ""
