"""The benchmark of searches itself: it runs, and every figure is there; how large they are is not asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

RUN = Path(__file__).with_name("search.py")
LOOKUPS = {"userName eq", "work e-mail eq"}


def test_a_short_run_gives_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    done = subprocess.run(
        [sys.executable, str(RUN), "--users", "400", "--rounds", "2", "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(figures.read_bytes())
    assert set(report["lookups"]) == LOOKUPS
    assert len(report["cases"]) == 7
    for name, case in report["cases"].items():
        assert name in done.stdout
        assert case["bridge_ms"] > 0
        # Known users cost one call, a page one for each user on it, a total none.
        page = 1 if name in LOOKUPS else 0 if name.startswith("total") else min(100, case["total"])
        assert case["calls"] == page
    assert report["cases"]["not department eq"]["total"] == 350
    assert report["filling"]["users"] == 400
    assert report["filling"]["seconds"] > 0
    assert report["memory_mb"] > 0
