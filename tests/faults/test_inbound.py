"""What reaches the bridge over a socket and is not what a client should send: slow, endless, huge, broken."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from lines import Line, head

if TYPE_CHECKING:
    from conftest import Serve, Served


@pytest.fixture(scope="module")
def hasty(serve: Serve) -> Iterator[Served]:
    """A bridge that waits for one second only; it has to be well after all of this."""
    bridge = serve(
        None,
        SCIM_BRIDGE_REQUEST_TIMEOUT_S="1",
        SCIM_BRIDGE_KEEP_ALIVE_S="1",
        SCIM_BRIDGE_MAX_BODY_BYTES="100000",
        SCIM_BRIDGE_PLATFORM_WEBHOOK_SECRET="whsec_inbound",
    )
    yield bridge
    with bridge.scim() as client:
        assert client.get("/Users").status_code == 200
    log = (bridge.data_dir / "serve.log").read_text()
    assert "Traceback" not in log
    assert "Exception" not in log


@pytest.fixture
def line(hasty: Served) -> Iterator[Line]:
    with closing(Line(hasty)) as line:
        yield line


JSON = "Content-Type: application/scim+json"


# --- slow ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begin", [b"G", b"GET /scim/v2/Users HTTP/1.1\r\nHost: a\r\n"])
def test_a_header_that_stops(line: Line, begin: bytes) -> None:
    line.send(begin)
    line.refused(408, "header")
    assert line.ended() == b""


def test_a_header_that_drips(line: Line) -> None:
    line.send(b"GET /scim/v2/Users HTTP/1.1\r\n")
    line.drip(b"X: y\r\n")
    line.refused(408, "header")
    assert line.ended() == b""


def test_a_connection_that_says_nothing(line: Line) -> None:
    assert line.ended() == b""


def test_an_idle_connection(line: Line, hasty: Served) -> None:
    line.send(head(hasty, "GET", "/Schemas"))
    assert line.answer()[0] == 200
    assert line.ended() == b""


@pytest.mark.parametrize("begin", [b"\r\n", b"GET /"])
def test_a_connection_that_stops_at_its_second_request(line: Line, hasty: Served, begin: bytes) -> None:
    line.send(head(hasty, "GET", "/Schemas"))
    assert line.answer()[0] == 200
    line.send(begin)
    line.refused(408)
    assert line.ended() == b""


@pytest.mark.parametrize("field", ["Content-Length: 5000", "Transfer-Encoding: chunked"])
def test_a_body_that_drips(line: Line, hasty: Served, field: str) -> None:
    line.send(head(hasty, "POST", "/Users", JSON, field))
    line.drip(b" " if "Length" in field else b"1\r\n \r\n")
    line.refused(408, "body")
    line.ended()


_WEBHOOK = b"POST /webhooks/platform HTTP/1.1\r\nHost: bridge.test\r\nContent-Length: 5000\r\n\r\n{"


def test_a_webhook_that_drips(line: Line) -> None:
    line.send(_WEBHOOK)
    line.drip(b" ")
    status, _, body = line.answer()
    assert (status, set(json.loads(body))) == (408, {"detail"})
    line.ended()


def test_a_webhook_that_ends_too_early(line: Line) -> None:
    """It is no failure of the bridge, and anybody can cause it: the log tells of none."""
    line.send(_WEBHOOK)
    line.close()


def test_a_body_that_goes_on_after_its_answer(line: Line, hasty: Served) -> None:
    request = head(hasty, "POST", "/Users", JSON, "Transfer-Encoding: chunked")
    line.send(request.replace(b"Bearer ", b"Bearer not-"))
    line.refused(401)
    over = line.drip(b"1\r\n \r\n")
    line.ended()
    assert over.wait(60)


def test_a_client_that_goes_in_the_middle_of_its_body(line: Line, hasty: Served) -> None:
    line.send(head(hasty, "POST", "/Users", JSON, "Content-Length: 5000") + b"{")
    line.close()


def test_a_client_that_does_not_fetch_its_answers(line: Line, hasty: Served) -> None:
    """Many large answers, none read: the bridge ends the connection instead of keeping them."""
    request = head(hasty, "GET", "/Schemas")
    over = line.drip(request * 20)
    assert over.wait(60)


# --- endless and huge ------------------------------------------------------------------------------------


def test_a_body_without_end(line: Line, hasty: Served) -> None:
    line.send(head(hasty, "POST", "/Users", JSON, "Transfer-Encoding: chunked"))
    over = line.drip(b"8000\r\n" + b" " * 0x8000 + b"\r\n")
    line.refused(413)
    line.ended()
    assert over.wait(60)


def test_a_body_announced_too_large(line: Line, hasty: Served) -> None:
    line.send(head(hasty, "POST", "/Users", JSON, "Content-Length: 100000000000"))
    line.refused(413)


@pytest.mark.parametrize(
    ("begin", "more", "status"),
    [
        (b"GET /scim/v2/Users?filter=", b"x" * 4096, 414),
        (b"GET /scim/v2/Users HTTP/1.1\r\nX: ", b"y" * 4096, 431),
        (b"GET /scim/v2/Users HTTP/1.1\r\n", b"X: y\r\n" * 500, 431),
    ],
)
def test_a_header_without_end(line: Line, begin: bytes, more: bytes, status: int) -> None:
    line.send(begin)
    line.drip(more)
    line.refused(status)
    line.ended()


@pytest.mark.parametrize(
    ("path", "fields", "status"),
    [
        ("/Users?x=" + "y" * 16_384, [], 414),
        ("/Users?x=" + "y" * 16_000, [], 200),
        ("/Users", ["X: " + "y" * 33_000], 431),
        ("/Users", ["X: " + "y" * 200_000], 431),
        ("/Users", ["X: " + "y" * 31_000], 200),
        ("/Users", [f"X-{n}: y" for n in range(99)], 431),
        ("/Users", [f"X-{n}: y" for n in range(98)], 200),
    ],
    ids=lambda v: str(v)[:40],
)
def test_whole_headers_at_their_bounds(
    line: Line, hasty: Served, path: str, fields: list[str], status: int
) -> None:
    line.send(head(hasty, "GET", path, *fields))
    if status == 200:
        assert line.answer()[0] == 200
    else:
        line.refused(status)


@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"POST /oauth/token?" + b"x" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 33_000 + b"\r\n\r\n", 431),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 40_000, 431),
        (b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000000\r\n\r\n", 415),
        (
            b"POST /oauth/token HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000000\r\n"
            b"Content-Type: application/x-www-form-urlencoded\r\n\r\n",
            413,
        ),
    ],
    ids=lambda v: str(v)[:30],
)
def test_at_the_token_endpoint_errors_are_those_of_oauth(line: Line, data: bytes, status: int) -> None:
    line.send(data)
    answered, headers, body = line.answer()
    assert answered == status
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["error"] == "invalid_request"


def test_a_small_header_with_a_large_body_is_not_too_large(line: Line, hasty: Served) -> None:
    body = json.dumps({"userName": "large@example.com", "x": "y" * 90_000}).encode()
    line.send(head(hasty, "POST", "/Users", JSON, f"Content-Length: {len(body)}") + body)
    assert line.answer()[0] == 201


# --- broken ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        b"nonsense\r\n\r\n",
        b"GET  HTTP/1.1\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET / HTTP/1.1\r\nbad header\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 100,
    ],
)
def test_what_is_no_request(line: Line, data: bytes) -> None:
    line.send(data)
    line.refused(400, "HTTP")
    assert line.ended() == b""


def test_a_broken_chunk(line: Line, hasty: Served) -> None:
    line.send(head(hasty, "POST", "/Users", JSON, "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n")
    line.refused(400)
    assert line.ended() == b""


def test_requests_in_one_go_are_answered_in_order(line: Line, hasty: Served) -> None:
    names = ["User", "Group", "Nobody"] * 10
    line.send(b"".join(head(hasty, "GET", f"/ResourceTypes/{name}") for name in names))
    for name in names:
        status, _, body = line.answer()
        assert status == (404 if name == "Nobody" else 200)
        assert name.encode() in body
