"""The command line with a bridge that counts nothing, to compare the metrics with."""

from __future__ import annotations

import asyncio

import app.asgi
from app.bridge.story import Story
from app.cli.main import main
from app.observing.counting import Counting
from app.platform.recording import CallMade


class _Uncounted(Counting):
    """Shows nothing, since it has heard nothing."""

    def take(self, story: Story) -> asyncio.Future[None] | None:
        return None

    def heard(self, call: CallMade) -> None:
        return


app.asgi.Counting = _Uncounted  # type: ignore[misc]  # what the benchmark is about
if __name__ == "__main__":
    main()
