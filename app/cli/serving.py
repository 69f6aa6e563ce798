"""The server process around an application: uvicorn, its bounds, and how it ends."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from types import FrameType
from typing import Any

import uvicorn

from app.config import Settings

_GC_THRESHOLDS = (10_000, 20, 20)
"""Objects that are made before the youngest are looked through, and how often until older ones are, too."""


async def run_server(
    app: Any,
    listener: socket.socket,
    settings: Settings,
    *,
    bounded: bool = True,
    on_stop: Callable[[], None] = lambda: None,
    beside: tuple[Any, socket.socket] | None = None,
) -> None:
    """Serve until a signal, then finish what is under way.

    `bounded`: with the bounds on a request's head and SCIM errors for what breaks them. `on_stop` is called
    at the signal, `shutdown_delay_s` before the listener closes. `beside` is an application with a listener
    of its own, served for as long as the first one is.
    """
    server = _Server(_config(app, settings, bounded=bounded), settings.shutdown_delay_s, on_stop)
    # For a signal that comes before uvicorn listens for it, and for one that comes after it has shut down,
    # when nothing must be interrupted any more.
    signal.signal(signal.SIGINT, server.handle_exit)
    signal.signal(signal.SIGTERM, server.handle_exit)
    async with _served(beside, settings):
        await server.serve(sockets=[listener])


@asynccontextmanager
async def _served(beside: tuple[Any, socket.socket] | None, settings: Settings) -> AsyncIterator[None]:
    if beside is None:
        yield
        return
    app, listener = beside
    server = _Follower(_config(app, settings, bounded=True))
    task = asyncio.create_task(server.serve(sockets=[listener]))
    try:
        yield
    finally:
        server.should_exit = True
        await task


def _config(app: Any, settings: Settings, *, bounded: bool) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        http=_protocol(settings) if bounded else "auto",
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.keep_alive_s,
        timeout_graceful_shutdown=settings.shutdown_timeout_s,
        h11_max_incomplete_event_size=settings.max_header_bytes,
    )


def _protocol(settings: Settings) -> Any:
    """The protocol with bounds; on Windows, which has no httptools, uvicorn's slower one with its own."""
    try:
        from app.cli.protocol import BoundedProtocol
    except ImportError:
        return "h11"
    return partial(BoundedProtocol, settings=settings)


class _Follower(uvicorn.Server):
    """Ends when it is told, and leaves signals to the server that it follows."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Take none."""
        yield


class _Server(uvicorn.Server):
    """Goes on taking connections for a while after SIGTERM, until load balancers have noticed."""

    def __init__(self, config: uvicorn.Config, delay_s: float, on_stop: Callable[[], None]) -> None:
        super().__init__(config)
        self._delay_s = delay_s
        self._on_stop = on_stop
        self._exit_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to listen, with the garbage collector set for a server."""
        await super().startup(sockets)
        # What stands by now stays: to look through it again and again costs a tenth of every request's time.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*_GC_THRESHOLDS)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to shut down. Ctrl-C does not wait, nor does a second signal; a third cuts off what is left.

        Not uvicorn's own, which raises the signal again at the end: the exit code is 0.
        """
        if self.should_exit:
            self.force_exit = sig == signal.SIGINT
        elif sig == signal.SIGTERM and self._exit_at is None:
            self._exit_at = time.monotonic() + self._delay_s
        else:
            self.should_exit = True
        self._on_stop()

    async def on_tick(self, counter: int) -> bool:
        """Whether to end; asked ten times a second."""
        if self._exit_at is not None and time.monotonic() >= self._exit_at:
            self.should_exit = True
        return await super().on_tick(counter)
