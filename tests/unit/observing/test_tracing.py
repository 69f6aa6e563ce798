"""Spans of requests and of the platform calls that they take, and the ids that go on to the platform."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from bridge_rig import CORE, Rig, answers
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from app.asgi import open_services
from app.bridge.story import Stories, Story
from app.bridge.telling import told_by, within
from app.config import Settings, SettingsError
from app.observing.routes import CallRoutes
from app.observing.tracing import Tracing
from app.web.app import create_app

pytestmark = pytest.mark.asyncio(loop_scope="module")

ROUTES = CallRoutes("/api/v1/tenants/{tenant_id}/groups")
USER = "GET /api/v1/tenants/{tenant_id}/users/{user_id}"
TRACE, ABOVE = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
NAME = "Wilhelmina"


class Traced:
    """The rig's bridge, with spans kept in memory."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.exporter = InMemorySpanExporter()
        self.tracing = Tracing(ROUTES, SimpleSpanProcessor(self.exporter))
        services = rig.app.state.services
        self.app = create_app(
            msgspec.structs.replace(services, tracing=self.tracing, stories=Stories([self.tracing]))
        )

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        async with httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://bridge.test/scim/v2",
            headers={"authorization": f"Bearer {self.rig.token}", **headers},
        ) as client:
            return await client.request(method, path, json=body)

    def spans(self) -> Sequence[ReadableSpan]:
        return self.exporter.get_finished_spans()

    def servers(self) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.kind is SpanKind.SERVER]

    def clients(self) -> list[ReadableSpan]:
        return [span for span in self.spans() if span.kind is SpanKind.CLIENT]


@pytest_asyncio.fixture(loop_scope="module")
async def traced(rig: Rig) -> AsyncIterator[Traced]:
    rig.wire.reset()
    made = Traced(rig)
    yield made
    await made.tracing.aclose()


def ids(span: ReadableSpan) -> tuple[str, str]:
    assert span.context is not None
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def parent(span: ReadableSpan) -> str | None:
    return None if span.parent is None else f"{span.parent.span_id:016x}"


def sent(rig: Rig) -> list[str]:
    return [request.headers["traceparent"] for request in rig.wire.requests]


async def test_a_request_is_one_span_with_one_below_it_for_each_call(traced: Traced) -> None:
    made = await traced.ask("POST", "/Users", {"schemas": [CORE], "userName": f"{NAME}@example.com"})
    assert made.status_code == 201
    (server,) = traced.servers()
    assert server.name == "POST /Users"
    assert server.attributes is not None
    assert server.attributes["http.route"] == "/Users"
    assert server.attributes["http.response.status_code"] == 201
    assert server.attributes["scim_bridge.correlation_id"] == made.headers["x-correlation-id"]
    assert server.attributes["scim_bridge.resource_id"] == made.json()["id"]
    assert server.attributes["scim_bridge.platform_calls"] == len(traced.clients())
    assert parent(server) is None
    trace_id, span_id = ids(server)
    assert [ids(call)[0] for call in traced.clients()] == [trace_id] * len(traced.rig.wire.requests)
    assert {parent(call) for call in traced.clients()} == {span_id}
    assert server.start_time is not None
    assert server.end_time is not None
    for call in traced.clients():
        assert call.start_time is not None
        assert call.end_time is not None
        # Two clocks: that of the day, and the one that durations are measured with.
        assert server.start_time - 10**8 < call.start_time < call.end_time < server.end_time + 10**8


async def test_each_call_carries_the_id_of_its_span(traced: Traced) -> None:
    await traced.ask("GET", "/Users/usr_1")
    assert len(traced.clients()) == 1
    assert sent(traced.rig) == [f"00-{'-'.join(ids(call))}-01" for call in traced.clients()]


async def test_the_clients_trace_is_taken_over_and_passed_on(traced: Traced) -> None:
    await traced.ask(
        "GET", "/Users/usr_1", traceparent=f"00-{TRACE}-{ABOVE}-01", tracestate="rojo=00f067aa0ba902b7"
    )
    (server,), (call,) = traced.servers(), traced.clients()
    assert (ids(server)[0], parent(server)) == (TRACE, ABOVE)
    assert (ids(call)[0], parent(call)) == (TRACE, ids(server)[1])
    assert sent(traced.rig) == [f"00-{TRACE}-{ids(call)[1]}-01"]
    assert traced.rig.wire.requests[0].headers["tracestate"] == "rojo=00f067aa0ba902b7"


async def test_what_the_client_does_not_sample_is_passed_on_but_not_kept(traced: Traced) -> None:
    await traced.ask("GET", "/Users/usr_1", traceparent=f"00-{TRACE}-{ABOVE}-00")
    assert traced.spans() == ()
    (passed,) = sent(traced.rig)
    assert passed.startswith(f"00-{TRACE}-")
    assert passed.endswith("-00")


@pytest.mark.parametrize("bad", ["", "rubbish", f"00-{'0' * 32}-{ABOVE}-01", f"00-{TRACE}-{'0' * 16}-01"])
async def test_a_broken_traceparent_begins_a_new_trace(traced: Traced, bad: str) -> None:
    await traced.ask("GET", "/Users/usr_1", traceparent=bad)
    (server,) = traced.servers()
    assert parent(server) is None
    assert ids(server)[0] != TRACE


async def test_repetitions_are_spans_of_their_own_and_the_cause_is_told(traced: Traced) -> None:
    traced.rig.wire.always("GET user", answers(503))
    try:
        answer = await traced.ask("GET", "/Users/usr_1")
    finally:
        traced.rig.wire.reset()
    assert answer.status_code == 503
    (server,) = traced.servers()
    assert (server.status.status_code, server.status.description) == (
        StatusCode.ERROR,
        "platform-unavailable",
    )
    found = [call.attributes or {} for call in traced.clients()]
    assert [each["http.response.status_code"] for each in found] == [503] * 3
    assert [each.get("http.request.resend_count") for each in found] == [None, 1, 2]
    assert {call.status.status_code for call in traced.clients()} == {StatusCode.ERROR}


async def test_a_refusal_is_the_clients_error_and_not_the_servers(traced: Traced) -> None:
    await traced.ask("GET", "/Users/usr_1")
    (server,) = traced.servers()
    assert server.status.status_code is StatusCode.UNSET
    assert server.attributes is not None
    assert server.attributes["error.type"] == "not-found"


async def test_spans_say_nothing_of_whom(traced: Traced) -> None:
    body = {"schemas": [CORE], "userName": f"{NAME}@example.com", "name": {"givenName": NAME}}
    made = await traced.ask("POST", "/Users", body)
    for method, path in (
        ("GET", f'/Users?filter=userName eq "{NAME}@example.com"'),
        ("GET", f"/Users/{NAME}"),
        ("GET", f"/{NAME}/{NAME}"),
        ("DELETE", f"/Users/{made.json()['id']}"),
        (NAME, "/Users"),
    ):
        await traced.ask(method, path)
    text = "".join(span.to_json() for span in traced.spans())
    assert len(traced.servers()) == 6
    assert NAME.lower() not in text.lower()
    assert traced.rig.token not in text


async def test_operations_of_a_bulk_request_are_spans_within_it(traced: Traced) -> None:
    message = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"
    operations = [{"method": "DELETE", "path": f"/Users/usr_{n}"} for n in range(2)]
    answer = await traced.ask("POST", "/Bulk", {"schemas": [message], "Operations": operations})
    assert answer.status_code == 200
    (server,) = traced.servers()
    inner = [span for span in traced.spans() if span.kind is SpanKind.INTERNAL]
    assert [(span.name, parent(span)) for span in inner] == [("DELETE /Users/{id}", ids(server)[1])] * 2
    assert {parent(call) for call in traced.clients()} <= {ids(span)[1] for span in inner}


async def test_a_write_that_ends_after_its_answer_adds_a_span_and_no_call_twice() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(ROUTES, SimpleSpanProcessor(exporter))
    telling = Story("POST", "/Users", "late")
    telling.recording.trace = tracing.begin("POST", {})
    tracing.take(telling.ended(503))
    tracing.take(telling.ended(201))
    first, last = exporter.get_finished_spans()
    assert (first.kind, last.kind) == (SpanKind.SERVER, SpanKind.INTERNAL)
    assert parent(last) == ids(first)[1]
    assert ids(first)[1] != ids(last)[1]
    await tracing.aclose()


async def test_tasks_side_by_side_keep_their_traces(traced: Traced) -> None:
    asked = [f"{n:032x}" for n in range(1, 9)]
    await asyncio.gather(
        *(traced.ask("GET", f"/Users/usr_{t}", traceparent=f"00-{t}-{ABOVE}-01") for t in asked)
    )
    assert sorted(ids(call)[0] for call in traced.clients()) == asked
    assert {passed.split("-")[1] for passed in sent(traced.rig)} == set(asked)


async def test_the_setting_makes_traces_for_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    settings = Settings(data_dir=str(tmp_path), otel_traces=True)
    async with open_services(settings, transport=httpx.MockTransport(_unreachable)) as services:
        assert services.tracing is not None
        assert services.tracing.begin("GET", {}).sampled is False


async def test_a_missing_extra_is_told_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "app.observing.tracing", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    settings = Settings(data_dir=str(tmp_path), otel_traces=True)
    with pytest.raises(SettingsError, match=r"OTEL_TRACES.*pip install 'scim-bridge\[otel\]'"):
        async with open_services(settings, transport=httpx.MockTransport(_unreachable)):
            pass


async def test_without_a_trace_nothing_is_made() -> None:
    exporter = InMemorySpanExporter()
    tracing = Tracing(ROUTES, SimpleSpanProcessor(exporter))
    with told_by(Story("GET", "/Users", "none")), within("GET", "/Users/usr_1") as inner:
        tracing.take(inner.ended(200))
    assert exporter.get_finished_spans() == ()
    await tracing.aclose()


def _unreachable(request: httpx.Request) -> httpx.Response:
    raise httpx.ConnectError("nobody is there", request=request)
