"""The benchmark itself: it runs, and every figure is there; how large they are is not asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

RUN = Path(__file__).with_name("run.py")
CASES = {"get", "userName eq", "create", "patch active"}


def test_a_short_run_gives_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--seconds", "0.1", "--rounds", "1", "--connections", "2", "--users", "3"]
    done = subprocess.run(
        [sys.executable, str(RUN), *options, "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(figures.read_bytes())
    assert set(report["stub"]) == set(report["embedded"]) == CASES
    for case in CASES:
        assert set(report["stub"][case]["servers"]) == {"bridge", "proxy", "direct"}
        assert set(report["embedded"][case]["servers"]) == {"bridge", "direct"}
        assert set(report["stub"][case]["ratios"]) == {"throughput", "cpu"}
        for servers in (report["stub"][case]["servers"], report["embedded"][case]["servers"]):
            for server in servers.values():
                assert server["requests"] > 0
                assert server["per_second"]["median"] > 0
                assert 0 < server["p50_ms"]["median"] <= server["p99_ms"]["median"]
                assert "median" in server["cpu_ms"]
        assert case in done.stdout
    assert set(report["memory"]) == {"idle_mb", "after_mb", "growth_mb"}
    assert "Bridge memory" in done.stdout


def test_what_cannot_be_measured_is_refused() -> None:
    done = subprocess.run(
        [sys.executable, str(RUN), "--seconds", "0.5", "--generator", "wrk"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 1
    assert "--seconds" in done.stderr
