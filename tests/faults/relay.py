"""A wire between a bridge and its platform, both processes of their own, on which one call can be held."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class Relay:
    """Passes bytes both ways; what begins with `hold` waits until `go` is set. One for each test."""

    def __init__(self, host: str, port: int, hold: bytes) -> None:
        self._target = (host, port)
        self._hold = hold
        self.held = threading.Event()
        """Set when a call waits."""
        self.go = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self.go.set()
        for each in self._sockets:
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
                self._sockets += [near, far]
                threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
                threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, target: socket.socket, holds: bool) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                if holds and data.startswith(self._hold):
                    self.held.set()
                    self.go.wait()
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)
