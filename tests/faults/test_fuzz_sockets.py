"""The requests of the fuzz runs over sockets, whole and damaged: an answer in its form, or the end."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from bridge_rig import ERROR, LEAKS
from fuzz_requests import Request, requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from conftest import Serve, Served

AREAS = ("users", "groups", "searches", "elsewhere", "webhooks")
FRAMINGS = ["length"] * 6 + ["chunked", "none", "two lengths", "both", "odd length", "long", "short"]

_PATIENCE_S = 0.3


@pytest.fixture(scope="module")
def quick(serve: Serve) -> Iterator[Served]:
    """A bridge that waits for little; afterwards it has to be well, and its log to tell of no failure."""
    bridge = serve(
        None,
        SCIM_BRIDGE_REQUEST_TIMEOUT_S=str(_PATIENCE_S),
        SCIM_BRIDGE_AUTH_FAILURES_PER_MINUTE="0",
        SCIM_BRIDGE_PLATFORM_WEBHOOK_SECRET="whsec_never_to_be_shown",
    )
    yield bridge
    with bridge.scim() as client:
        assert client.get("/Users").status_code == 200
    log = (bridge.data_dir / "serve.log").read_text()
    assert "Traceback" not in log
    assert "request failed" not in log


@dataclass(frozen=True)
class Sent:
    """A request as bytes, and what may be wrong with them."""

    request: Request
    framing: str
    damage: tuple[int, bytes] | None
    """Where these bytes are put into the head in place of others."""

    def text(self, known: dict[bytes, bytes]) -> bytes:
        """All of it."""
        request = self.request
        target = request.path + (b"?" + request.query if request.query else b"")
        body = request.body
        fields = [*request.headers, (b"connection", b"close")]
        match self.framing:
            case "length" | "two lengths" | "both":
                fields.append((b"content-length", str(len(body)).encode()))
            case "odd length":
                fields.append((b"content-length", b"+0x1"))
            case "long":
                fields.append((b"content-length", str(len(body) + 3).encode()))
            case "short":
                fields.append((b"content-length", str(len(body) // 2).encode()))
        if self.framing == "two lengths":
            fields.append((b"content-length", b"1"))
        if self.framing in ("chunked", "both"):
            fields.append((b"transfer-encoding", b"chunked"))
            body = b"%x;x=y\r\n%b\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
        lines = [request.method.encode() + b" " + target + b" HTTP/1.1", *(n + b": " + v for n, v in fields)]
        head = b"\r\n".join([*lines, b"", b""])
        text = head + body
        for name, value in known.items():
            text = text.replace(name, value)
        if self.damage is not None:
            at, put = self.damage[0] % len(head), self.damage[1]
            text = text[:at] + put + text[at + len(put) :]
        return text


@st.composite
def sent(draw: st.DrawFn) -> Sent:
    """Requests of all areas."""
    damaged = draw(st.integers(min_value=0, max_value=7)) == 0
    return Sent(
        draw(requests(draw(st.sampled_from(AREAS)))),
        draw(st.sampled_from(FRAMINGS)),
        (draw(st.integers(min_value=0, max_value=400)), draw(st.binary(min_size=1, max_size=3)))
        if damaged
        else None,
    )


def _exchange(bridge: Served, text: bytes) -> bytes:
    """All that comes until the server ends the connection."""
    base, found = urlsplit(bridge.base_url), b""
    with socket.create_connection((base.hostname, base.port), timeout=30) as connection:
        with suppress(ConnectionError):
            connection.sendall(text)
        with suppress(ConnectionError):
            while more := connection.recv(65536):
                found += more
    return found


def _check(one: Sent, bridge: Served, known: dict[bytes, bytes]) -> None:
    text = one.text(known)
    rest = _exchange(bridge, text)
    is_head = text.startswith(b"HEAD ")
    while rest:
        head, end, rest = rest.partition(b"\r\n\r\n")
        assert end, (one, head)
        first, *lines = head.decode("latin-1").split("\r\n")
        version, status, *_ = first.split(" ")
        assert version == "HTTP/1.1", (one, head)
        assert int(status) < 500 or status in ("501", "505"), (one, head, rest)
        fields = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        assert "transfer-encoding" not in fields, (one, head)
        # Of what cannot be read nobody knows that it was meant to be HEAD.
        is_head = is_head and not (one.damage is not None and rest.startswith(b"{"))
        length = 0 if is_head else int(fields.get("content-length", 0))
        body, rest = rest[:length], rest[length:]
        assert len(body) == length, (one, head, body)
        assert bridge.token.encode() not in head + body, (one, body)
        if int(status) >= 400 and not is_head:
            said = json.loads(body)
            assert isinstance(said["detail"], str), (one, body)
            assert said == {"detail": said["detail"]} or (
                said["schemas"] == [ERROR] and said["status"] == status
            ), (one, body)
            assert not any(leak in body.decode() for leak in LEAKS), (one, body)
        is_head = False


def _fuzz(count: int, *, new: bool = False) -> Callable[[Served], None]:
    """Send so many; `new` ones in every run."""

    @settings(
        derandomize=not new,
        deadline=None,
        max_examples=count,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )
    @given(one=sent())
    def sending(quick: Served, known: dict[bytes, bytes], one: Sent) -> None:
        _check(one, quick, known)

    def run(quick: Served) -> None:
        with quick.scim() as client:
            made = client.post("/Users", json={"userName": f"seed{count}@example.com"})
            group = client.post("/Groups", json={"displayName": f"Seed {count}"})
        known = {
            b"{token}": quick.token.encode(),
            b"{tenant}": quick.tenant_id.encode(),
            b"{group}": group.json()["id"].encode(),
            **{name: made.json()["id"].encode() for name in (b"{user}", b"{user1}", b"{user2}")},
        }
        sending(quick, known)

    return run


def test_requests_over_a_socket(quick: Served) -> None:
    _fuzz(250)(quick)


@pytest.mark.long
def test_very_many_requests_over_a_socket(quick: Served) -> None:
    _fuzz(4_000, new=True)(quick)
