"""Requests to the byte: httpx tidies paths, and an attacker does not."""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any, NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """A response, its body read as JSON where there is one."""

    status: int
    headers: dict[str, str]
    json: Any


def send(base_url: str, token: str, method: str, path: str, body: object = None) -> Answer:
    """Send `path` below the base URL as it stands, not one character escaped or resolved."""
    base = urlsplit(base_url)
    content = b"" if body is None else json.dumps(body).encode()
    head = (
        f"{method} {base.path}{path} HTTP/1.1\r\nHost: {base.netloc}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/scim+json\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n"
    )
    with socket.create_connection((base.hostname, base.port), timeout=60) as connection:
        connection.sendall(head.encode("latin-1") + content)
        response = http.client.HTTPResponse(connection, method=method)
        response.begin()
        text = response.read()
    headers = {name.lower(): value for name, value in response.getheaders()}
    is_json = "json" in headers.get("content-type", "")
    return Answer(response.status, headers, json.loads(text) if is_json and text else None)
