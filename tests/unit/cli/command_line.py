"""Commands in tests: how they are called, and how they fail."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar

from app.cli.opening import opened
from app.config import Settings
from app.web.services import Services

Run = Callable[..., "subprocess.CompletedProcess[str]"]
T = TypeVar("T")


def environment(**more: str) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("SCIM_BRIDGE_")}
    return {**own, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **more}


def one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for part in parts:
        assert part in done.stderr


class Place(NamedTuple):
    """A data directory that `serve` has been started in before."""

    settings: Settings
    tenant_id: str
    secrets: tuple[str, ...]

    def do(self, act: Callable[[Services], Awaitable[T]]) -> T:
        """Work with the services that a command would open."""

        async def run() -> T:
            async with opened(self.settings) as services:
                return await act(services)

        return asyncio.run(run())


def done(place: Place, result: subprocess.CompletedProcess[str]) -> str:
    """The output of a command that succeeded, which tells no secret."""
    assert result.returncode == 0, result.stderr
    assert not any(secret in result.stdout + result.stderr for secret in place.secrets)
    return result.stdout
