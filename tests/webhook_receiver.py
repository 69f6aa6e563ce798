"""A server that takes webhooks: on a real socket, in a thread, checking every signature."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SECRET = "a-secret-of-the-test"


@dataclass(frozen=True)
class Received:
    """One delivery, as it came."""

    headers: dict[str, str]
    body: bytes
    status: int
    """What it was answered with."""

    @property
    def event(self) -> dict[str, Any]:
        return json.loads(self.body)

    @property
    def type(self) -> str:
        return self.event["event_type"]

    def is_signed(self, secret: str) -> bool:
        """By the letter of the platform's documentation, apart from the code that signs."""
        found = re.fullmatch(r"t=(\d+),v1=([0-9a-f]{64})", self.headers["x-scaikey-signature"])
        assert found
        assert abs(time.time() - int(found[1])) < 300
        wanted = hmac.new(secret.encode(), f"{found[1]}.".encode() + self.body, hashlib.sha256).hexdigest()
        return hmac.compare_digest(wanted, found[2])


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False


class Receiver:
    """Answers each delivery with the status that `answer` says; may be stopped and started again."""

    def __init__(self, answer: Callable[[dict[str, Any]], int] = lambda _event: 204) -> None:
        self.answer = answer
        self.all: list[Received] = []
        self._changed = threading.Condition()
        self._server: _Server | None = None
        self.start()
        self.url = f"http://127.0.0.1:{self.port}/hooks?of=platform"

    def start(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                status = receiver.answer(json.loads(body))
                headers = {name.lower(): value for name, value in self.headers.items()}
                with receiver._changed:
                    receiver.all.append(Received(headers, body, status))
                    receiver._changed.notify_all()
                self.send_response(status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_args: object) -> None:
                pass

        self._server = _Server(("127.0.0.1", getattr(self, "port", 0)), Handler)
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """From now on connections are refused."""
        if self._server is not None:
            self._server.shutdown()
            self._thread.join()
            self._server.server_close()
            self._server = None

    @property
    def taken(self) -> list[Received]:
        """What was answered with 2xx, in the order of arrival."""
        return [one for one in list(self.all) if one.status < 300]

    def wait_until(self, good: Callable[[Receiver], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: good(self), 30), [one.type for one in self.all]


@contextmanager
def receiving(answer: Callable[[dict[str, Any]], int] = lambda _event: 204) -> Iterator[Receiver]:
    receiver = Receiver(answer)
    try:
        yield receiver
    finally:
        receiver.stop()
