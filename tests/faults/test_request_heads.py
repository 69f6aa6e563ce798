"""Heads of requests that two readers could understand differently, and upgrades that nobody asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from lines import Line, head

if TYPE_CHECKING:
    from conftest import Served

UPGRADE = ("Upgrade: h2c", "Connection: Upgrade, HTTP2-Settings", "HTTP2-Settings: AAMAAABkAAQ")
JSON = "Content-Type: application/json"


@pytest.fixture
def line(served: Served) -> Iterator[Line]:
    with closing(Line(served)) as line:
        yield line


@pytest.mark.parametrize(
    ("fields", "status", "part"),
    [
        (("Host: evil.test",), 400, "once"),
        (("Host: bridge.test",), 400, "once"),
        (("Authorization: Bearer x",), 400, "once"),
        ((JSON, "Content-Type: text/plain"), 400, "once"),
        (("Transfer-Encoding: gzip, chunked",), 501, "chunked"),
        (("Transfer-Encoding: gzip", "Transfer-Encoding: chunked"), 501, "chunked"),
        (("Transfer-Encoding: chunked, chunked",), 400, ""),
        (("Transfer-Encoding: identity",), 400, ""),
        (("Transfer-Encoding: xchunked",), 400, ""),
        (("Transfer-Encoding : chunked",), 400, ""),
        (("Transfer-Encoding: chunked", "Content-Length: 5"), 400, ""),
        (("Content-Length: 5", "Content-Length: 6"), 400, ""),
        (("Content-Length: +5",), 400, ""),
        (("X-A: b\r\n folded",), 400, ""),
        (("X A: b",), 400, ""),
        (("X-A: b\0c",), 400, ""),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_could_be_read_in_two_ways_ends_the_connection(
    line: Line, served: Served, fields: tuple[str, ...], status: int, part: str
) -> None:
    line.send(head(served, "POST", "/Users", *fields))
    line.refused(status, part)
    assert line.ended() == b""


@pytest.mark.parametrize(
    ("first", "status"),
    [
        (b"GET /scim/v2/Users HTTP/1.1", 400),
        (b"GET /scim/v2/Users HTTP/2.0", 505),
        (b"GET /scim/v2/Users", 505),
        (b"CONNECT /scim/v2/Users HTTP/1.0", 501),
        (b"CONNECT example.com:443 HTTP/1.0", 501),
        (b"CONNECT example.com:443 HTTP/1.1", 501),
    ],
)
def test_heads_without_a_host(line: Line, first: bytes, status: int) -> None:
    line.send(first + b"\r\n\r\n")
    line.refused(status)
    assert line.ended() == b""


def test_http_1_0_needs_no_host(line: Line) -> None:
    line.send(b"GET /health/live HTTP/1.0\r\n\r\n")
    assert line.answer()[0] == 200


@pytest.mark.parametrize(
    "target", ["http://bridge.test/scim/v2/Schemas", "https://evil.test/scim/v2/Schemas"]
)
def test_targets_in_absolute_form(line: Line, served: Served, target: str) -> None:
    line.send(head(served, "GET", "").replace(b"/scim/v2", target.encode(), 1))
    assert line.answer()[0] == 200


@pytest.mark.parametrize(
    "target", ["*", "//evil.test/scim/v2/Users", "/scim\\v2\\Users", "/scim/v2/Users;a=b"]
)
def test_targets_that_are_none(line: Line, served: Served, target: str) -> None:
    line.send(head(served, "GET", "").replace(b"/scim/v2", target.encode(), 1))
    line.refused(404)


@pytest.mark.parametrize("method", ["get", "FOO", "A" * 10_000, "G\0T"])
def test_methods_that_are_none(line: Line, served: Served, method: str) -> None:
    line.send(head(served, method, "/Users"))
    line.refused(400, "HTTP")
    assert line.ended() == b""


@pytest.mark.parametrize("method", ["TRACE", "PROPFIND", "SOURCE", "QUERY"])
def test_methods_of_others(line: Line, served: Served, method: str) -> None:
    line.send(head(served, method, "/Users"))
    line.refused(405)
    line.send(head(served, "GET", "/Schemas"))
    assert line.answer()[0] == 200


# --- upgrades --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cut", ["whole", "after the head", "byte by byte"])
def test_a_request_with_an_upgrade_keeps_its_body(line: Line, served: Served, cut: str) -> None:
    body = json.dumps({"userName": f"upgrade-{cut.replace(' ', '-')}@example.com"}).encode()
    start = head(served, "POST", "/Users", *UPGRADE, JSON, f"Content-Length: {len(body)}")
    if cut == "whole":
        line.send(start + body)
    elif cut == "after the head":
        line.send(start)
        line.send(body)
    else:
        for place in range(len(start)):
            line.send(start[place : place + 1])
        line.send(body)
    status, _, text = line.answer()
    assert status == 201, text


def test_the_body_of_an_upgrade_is_no_request(line: Line, served: Served) -> None:
    hidden = head(served, "GET", "/ResourceTypes/Hidden")
    fields = (*UPGRADE, "Content-Type: application/scim+json", f"Content-Length: {len(hidden)}")
    line.send(head(served, "POST", "/Users", *fields))
    line.send(hidden + head(served, "GET", "/ResourceTypes/Seen"))
    line.refused(400, "JSON")
    line.refused(404, "Seen")


def test_upgrades_in_one_go_are_answered_in_order(line: Line, served: Served) -> None:
    names = ["User", "Group", "Nobody"] * 100
    line.send(b"".join(head(served, "GET", f"/ResourceTypes/{name}", *UPGRADE) for name in names))
    for name in names:
        status, headers, body = line.answer()
        assert status == (404 if name == "Nobody" else 200)
        assert "upgrade" not in headers
        assert name.encode() in body


def test_a_websocket_is_answered_as_a_request(line: Line, served: Served) -> None:
    fields = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: YQ==",
    )
    line.send(head(served, "GET", "/ResourceTypes/User", *fields))
    assert line.answer()[0] == 200


# --- Expect: 100-continue --------------------------------------------------------------------------------


def test_a_body_is_asked_for_only_where_it_is_read(line: Line, served: Served) -> None:
    expect = ("Expect: 100-continue", "Content-Length: 2")
    line.send(head(served, "POST", "/Users", "Content-Type: text/plain", *expect))
    line.refused(415)
    with closing(Line(served)) as other:
        other.send(head(served, "POST", "/Users", JSON, *expect))
        assert other.answer()[0] == 100
        other.send(b"{}")
        assert other.answer()[0] == 400
