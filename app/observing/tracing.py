"""OpenTelemetry traces, made of finished stories: while a request runs, only ids and times are noted.

Needs the extra `otel`. What there is to set up beside `otel_traces` is said by the standard variables
(`OTEL_EXPORTER_OTLP_ENDPOINT`, `OTEL_TRACES_SAMPLER`, `OTEL_SERVICE_NAME`, …). Names and attributes follow
the semantic conventions for HTTP; of what a client or the platform sent, nothing personal is among them.
"""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Mapping

from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    TraceState,
    get_current_span,
    set_span_in_context,
)
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.bridge.story import Story
from app.observing.counting import METHODS
from app.observing.routes import CallRoutes
from app.platform.recording import CallMade
from app.platform.tracing import Trace, new_span_id, new_trace_id

_NAME = "scim-bridge"
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_FLUSH_S = 5.0

_propagator = TraceContextTextMapPropagator()


class _KnownIds(IdGenerator):
    """Gives the next span the ids that were made for it when its request or call began."""

    def __init__(self) -> None:
        self.trace_id = 0
        self.span_id = 0

    def generate_trace_id(self) -> int:
        return self.trace_id

    def generate_span_id(self) -> int:
        return self.span_id


class Tracing:
    """Begins traces, and takes stories (`Sink`), of each of which it makes spans."""

    def __init__(self, routes: CallRoutes, processor: SpanProcessor | None = None) -> None:
        """`processor` takes the place of the export by OTLP over HTTP."""
        self._route_of = routes.of
        self._ids = _KnownIds()
        self._provider = TracerProvider(resource=_resource(), id_generator=self._ids, shutdown_on_exit=False)
        self._provider.add_span_processor(processor or BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._provider.get_tracer(_NAME)

    def begin(self, method: str, fields: Mapping[str, str]) -> Trace:
        """The trace of a request: the client's, where its `traceparent` names one, else a new one.

        `fields` are header fields, their names in lower case.
        """
        above = _propagator.extract(fields, Context())
        parent = get_current_span(above).get_span_context()
        trace_id = parent.trace_id if parent.is_valid else new_trace_id()
        sampling = self._provider.sampler.should_sample(above, trace_id, method, SpanKind.SERVER)
        return Trace(
            trace_id,
            parent.span_id,
            sampled=sampling.decision is Decision.RECORD_AND_SAMPLE,
            remote=parent.is_valid,
            state=parent.trace_state.to_header() if parent.is_valid else "",
        )

    def take(self, story: Story) -> asyncio.Future[None] | None:
        """Make the spans of a request; nobody has to wait for that."""
        trace = story.trace
        if trace is None or not trace.sampled:
            return None
        # A write that went on after its request was answered is told twice: its second end is a span below.
        span_id, parent_id = trace.span_id, trace.parent_id
        if trace.ended:
            span_id, parent_id = new_span_id(), trace.span_id
        self._tell_request(story, trace, span_id, parent_id)
        new, trace.told, trace.ended = story.calls[trace.told :], len(story.calls), True
        failed: dict[tuple[str, str], int] = {}
        for call in new:
            self._tell_call(call, trace, failed.get((call.method, call.path), 0))
            if call.status is None or call.status in (401, 429) or call.status >= 500:
                failed[call.method, call.path] = failed.get((call.method, call.path), 0) + 1
        return None

    async def aclose(self) -> None:
        """Send what has not been sent yet, for a few seconds at most, and stop."""
        # A thread that is left alone, also at the end of the process: the library waits for half a minute.
        ending = threading.Thread(target=self._provider.shutdown, daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, _FLUSH_S)

    def _tell_request(self, story: Story, trace: Trace, span_id: int, parent_id: int) -> None:
        method = story.method if story.method in METHODS else "_OTHER"
        begun_ns = int(story.at.timestamp() * 1e9)
        attributes: dict[str, str | int] = {
            "http.request.method": method,
            "http.route": story.route,
            "scim_bridge.correlation_id": story.correlation_id,
            "scim_bridge.connection": story.connection,
            "scim_bridge.actor": story.actor,
            "scim_bridge.platform_calls": len(story.calls),
        }
        if story.status:
            attributes["http.response.status_code"] = story.status
        if story.cause:
            attributes["error.type"] = story.cause
        elif story.resource_id is not None and _ID.fullmatch(story.resource_id):
            # Of a request that failed, it may be anything that a client has put there.
            attributes["scim_bridge.resource_id"] = story.resource_id
        self._ids.trace_id, self._ids.span_id = trace.trace_id, span_id
        span = self._tracer.start_span(
            f"{method} {story.route}" if method in METHODS else story.route,
            context=_below(trace, parent_id, remote=trace.remote and not trace.ended),
            # What is done within a request has no client of its own.
            kind=SpanKind.INTERNAL if trace.ended or (parent_id and not trace.remote) else SpanKind.SERVER,
            attributes=attributes,
            start_time=begun_ns,
        )
        if story.cause and (story.status >= 500 or story.status == 0):
            # What the client did wrong is no error of the server's: the conventions leave its status unset.
            span.set_status(Status(StatusCode.ERROR, story.cause))
        span.end(begun_ns + int(story.duration_s * 1e9))

    def _tell_call(self, call: CallMade, trace: Trace, resent: int) -> None:
        route = self._route_of(call.path)
        attributes: dict[str, str | int] = {"http.request.method": call.method, "url.template": route}
        if call.status is not None:
            attributes["http.response.status_code"] = call.status
        if resent:
            attributes["http.request.resend_count"] = resent
        error = None
        if call.status is None:
            error = "no-answer"
        elif call.status >= 400:
            error = str(call.status)
        if error is not None:
            attributes["error.type"] = error
        self._ids.trace_id, self._ids.span_id = trace.trace_id, call.span_id
        span = self._tracer.start_span(
            f"{call.method} {route}",
            context=_below(trace, trace.span_id, remote=False),
            kind=SpanKind.CLIENT,
            attributes=attributes,
            start_time=call.begun_ns,
        )
        if error is not None:
            span.set_status(Status(StatusCode.ERROR))
        span.end(call.begun_ns + int(call.ms * 1e6))


def _below(trace: Trace, parent_id: int, *, remote: bool) -> Context:
    """The context of a span whose parent has this id; 0: it has none."""
    if not parent_id:
        return Context()
    parent = SpanContext(
        trace.trace_id,
        parent_id,
        is_remote=remote,
        trace_flags=TraceFlags(TraceFlags.SAMPLED),
        trace_state=TraceState.from_header([trace.state]) if trace.state else None,
    )
    return set_span_in_context(NonRecordingSpan(parent), Context())


def _resource() -> Resource:
    """What the standard variables say of this service, which otherwise has the name of this program."""
    found = Resource.create()
    name = str(found.attributes.get(SERVICE_NAME, ""))
    return found.merge(Resource({SERVICE_NAME: _NAME})) if name.startswith("unknown_service") else found
