"""The log as the command line sets it up, read from memory."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
import structlog

from app.cli.logs import configure_logs
from app.config import Settings

Lines: TypeAlias = Callable[[], list[dict[str, Any]]]


@pytest.fixture
def configure(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., io.StringIO]]:
    """Sets logs up as the command line does, with standard error in memory; undone afterwards."""
    root, own = logging.getLogger(), logging.getLogger("app")
    before = (root.handlers, root.level, own.level, structlog.get_config())

    def into(**settings: Any) -> io.StringIO:
        stream = io.StringIO()
        monkeypatch.setattr("sys.stderr", stream)
        configure_logs(Settings(**settings))
        # Loggers that were used before keep the setup of then.
        structlog.configure(cache_logger_on_first_use=False)
        return stream

    yield into
    root.handlers = before[0]
    root.setLevel(before[1])
    own.setLevel(before[2])
    structlog.configure(**before[3])


@pytest.fixture
def lines(configure: Callable[..., io.StringIO]) -> Lines:
    stream = configure(log_format="json", log_level="debug")
    return lambda: [json.loads(line) for line in stream.getvalue().splitlines()]
