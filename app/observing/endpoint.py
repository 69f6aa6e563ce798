"""`GET /metrics`, in the text format of Prometheus or, where it is asked for, OpenMetrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from litestar import Request, Response, get
from litestar.handlers import HTTPRouteHandler
from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from app.observing.counting import Counting
from app.observing.gauges import Readings, Sources, gauges, read

PATH = "/metrics"


class _Moment:
    """What one scrape shows, in the form of a registry."""

    def __init__(self, counted: CollectorRegistry, sources: Sources, readings: Readings) -> None:
        self._counted = counted
        self._sources = sources
        self._readings = readings

    def collect(self) -> Iterator[Metric]:
        yield from self._counted.collect()
        yield from gauges(self._sources, self._readings)


def metrics_endpoint(counting: Counting, sources: Sources) -> HTTPRouteHandler:
    """The handler, which asks for no token: it says nothing of any user."""
    # Of its own: the library's registry belongs to the process, which may hold several bridges.
    registry = CollectorRegistry()
    registry.register(counting)
    ProcessCollector(registry=registry)

    @get(PATH, include_in_schema=False)
    async def metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
        """All metrics."""
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        content = encode(_Moment(registry, sources, await read(sources)))
        # Not as media_type, to which the framework adds a charset once more.
        return Response(content, headers={"content-type": content_type})

    return metrics
