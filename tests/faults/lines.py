"""One connection to a bridge, to the byte."""

from __future__ import annotations

import json
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import httpx
from bridge_rig import ERROR

if TYPE_CHECKING:
    from conftest import Served


class Line:
    """One connection of bytes."""

    def __init__(self, bridge: Served) -> None:
        url = httpx.URL(bridge.base_url)
        self._socket = socket.create_connection((url.host, url.port), timeout=60)
        self._rest = b""

    def close(self) -> None:
        self._socket.close()

    def send(self, data: bytes) -> None:
        """Send; a server that closes meanwhile is no failure."""
        with suppress(ConnectionError):
            self._socket.sendall(data)

    def drip(self, data: bytes) -> threading.Event:
        """Send the same again and again in the background, until the connection ends or the event is set."""
        over = threading.Event()

        def run() -> None:
            while not over.wait(0.05):
                try:
                    self._socket.sendall(data)
                except OSError:
                    over.set()

        threading.Thread(target=run, daemon=True).start()
        return over

    def answer(self) -> tuple[int, dict[str, str], bytes]:
        """The next answer: status, headers, body."""
        while b"\r\n\r\n" not in self._rest:
            self._read()
        head, _, self._rest = self._rest.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
        length = int(headers.get("content-length", "0"))
        while len(self._rest) < length:
            self._read()
        body, self._rest = self._rest[:length], self._rest[length:]
        return int(first.split()[1]), headers, body

    def _read(self) -> None:
        data = self._socket.recv(65536)
        assert data, f"closed after {self._rest!r}"
        self._rest += data

    def ended(self) -> bytes:
        """What comes until the server ends the connection."""
        data = self._rest
        with suppress(ConnectionError):
            while more := self._socket.recv(65536):
                data += more
        return data

    def refused(self, status: int, part: str = "") -> None:
        """The answer is a SCIM error of this status."""
        found, headers, text = self.answer()
        assert found == status, text
        assert headers["content-type"] == "application/scim+json"
        body = json.loads(text)
        assert body["schemas"] == [ERROR]
        assert body["status"] == str(status)
        assert part in body["detail"]


def head(bridge: Served, method: str, path: str, *fields: str) -> bytes:
    lines = [
        f"{method} /scim/v2{path} HTTP/1.1",
        "Host: bridge.test",
        f"Authorization: Bearer {bridge.token}",
        *fields,
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
