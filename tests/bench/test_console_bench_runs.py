"""The benchmark of the console runs, and every figure is there; how large they are is not asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

CONSOLE = Path(__file__).with_name("console.py")


def test_a_short_run_gives_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--rows", "2000", "--rounds", "1", "--no-pruning", "--no-target", "--json", str(figures)]
    done = subprocess.run(
        [sys.executable, str(CONSOLE), *options],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(figures.read_bytes())
    assert len(report["pages"]) > 30
    for name, page in report["pages"].items():
        assert name in done.stdout
        assert 0 < page["p50"] <= page["max"]
