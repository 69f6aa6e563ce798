"""The benchmark of the rate of the gallery: it runs, and every figure is there, however large it is."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

RUN = Path(__file__).with_name("gallery.py")


def test_a_short_run_gives_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--rate", "20", "--seconds", "2", "--delay-ms", "1", "--users", "5"]
    done = subprocess.run(
        [sys.executable, str(RUN), *options, "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    report = msgspec.json.decode(figures.read_bytes())
    counts = {kind: figures["requests"] for kind, figures in report["kinds"].items()}
    assert counts == {
        "find user": 12,
        "change user": 12,
        "miss user": 4,
        "create user": 4,
        "find group": 4,
        "add member": 4,
    }
    for figures_of in (*report["kinds"].values(), report["together"]):
        assert figures_of["failures"] == 0
        assert 0 < figures_of["p50_ms"] <= figures_of["p95_ms"] <= figures_of["p99_ms"]
    assert report["together"]["requests"] == 40
    assert all(figures_of["calls"] >= 1 for figures_of in report["kinds"].values())
    assert "platform calls a request" in done.stdout


def test_a_run_too_short_for_the_mix_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(RUN), "--seconds", "0.1"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "20 requests" in done.stderr
