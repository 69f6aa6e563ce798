"""Logging for the command line: one structured stream on standard error.

Levels: `error`, somebody has to do something; `warning`, something was refused, is degraded or is tried
again; `info`, the process starts, stops or has done work of its own, and a request where `log_requests` is
set; `debug`, what only helps to find a fault. Other libraries have their say from `warning` on: below that,
some of them write down what is in requests.
"""

from __future__ import annotations

import logging
import sys
from typing import Any

import structlog

from app.bridge.telling import telling
from app.cli.log_text import hide, told
from app.config import Settings


def configure_logs(settings: Settings) -> None:
    """Set up structlog, and the standard library's loggers (uvicorn, SQLAlchemy) through it."""
    as_json = settings.log_format == "json" or (settings.log_format == "auto" and not sys.stderr.isatty())
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if as_json
        # Any other formatter shows local variables, with tokens and users among them.
        else structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    )
    shared: list[Any] = [
        _of_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.ExceptionRenderer(told),
            hide,
            renderer,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers = [handler]
    level = logging.getLevelName(settings.log_level.upper())
    root.setLevel(max(logging.WARNING, level))
    logging.getLogger("app").setLevel(level)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )


def _of_request(_logger: Any, _method: str, line: Any) -> Any:
    """The correlation id of the request that the line belongs to, if it belongs to one."""
    story = telling()
    if story is not None:
        line.setdefault("correlation_id", story.correlation_id)
    return line
