"""Commands in tests: how they are called, and how they fail."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable

Run = Callable[..., "subprocess.CompletedProcess[str]"]


def environment(**more: str) -> dict[str, str]:
    own = {k: v for k, v in os.environ.items() if not k.startswith("SCIM_BRIDGE_")}
    return {**own, "PYTHONUNBUFFERED": "1", "COLUMNS": "200", **more}


def one_line(done: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    for part in parts:
        assert part in done.stderr
