"""The benchmark of groups: it runs, and every figure is there; how large they are is not asked."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec

RUN = Path(__file__).with_name("groups.py")


def test_a_short_run_gives_every_figure(tmp_path: Path) -> None:
    figures = tmp_path / "figures.json"
    options = ["--sizes", "2", "5", "--rounds", "2", "--users", "6", "--groups", "2", "--members", "3"]
    done = subprocess.run(
        [sys.executable, str(RUN), *options, "--json", str(figures)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    report = msgspec.json.decode(figures.read_bytes())
    assert set(report["sizes"]) == set(report["push"]) == {"platform", "local"}
    for requests in report["sizes"].values():
        assert set(requests) == {"add one", "remove one", "GET without members"}
        for request in requests.values():
            assert set(request["ms"]) == {"2", "5"}
            assert request["ratio"] > 0
    for push in report["push"].values():
        counts = {kind: count for kind, (count, _) in push["by_kind"].items()}
        assert counts == {
            "find user": 6,
            "create user": 6,
            "find group": 2,
            "create group": 2,
            "add members": 2,
        }
        assert push["requests"] == sum(counts.values())
        assert push["calls"].keys() == counts.keys()
    assert report["push"]["platform"]["calls"]["add members"] == 1
    assert "platform calls a request" in done.stdout
