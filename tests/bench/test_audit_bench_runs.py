"""The benchmark of the audit trail runs, and every figure is there; how large they are is not asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

AUDIT = Path(__file__).with_name("audit.py")


def test_a_short_run_gives_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--seconds", "0.1", "--rounds", "1", "--connections", "2", "--users", "3"]
    done = subprocess.run(
        [sys.executable, str(AUDIT), *options, "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = msgspec.json.decode(figures.read_bytes())
    assert set(found) == {"get", "userName eq", "create", "patch active"}
    assert all(figure > 0 for cost in found.values() for figure in cost.values())
