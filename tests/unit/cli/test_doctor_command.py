"""`scim-bridge doctor` over the embedded platform."""

from __future__ import annotations

import json
from pathlib import Path

from command_line import Place, Run, done

SHIPPED = Path(__file__).parents[3] / "mappings" / "default.toml"


def test_a_bridge_that_is_well(run: Run, place: Place) -> None:
    out = done(place, run("doctor", "--write"))
    for check in ("database", "tokens", "per_page_max", "search", "creation", "deletion"):
        assert check in out
    assert "failed" not in out
    assert "differs" not in out


def test_what_differs_ends_with_1_and_the_line_to_write(run: Run, place: Place, tmp_path: Path) -> None:
    mapping = tmp_path / "other.toml"
    mapping.write_text(SHIPPED.read_text().replace("per_page_max = 100", "per_page_max = 500"))
    added = run("connection", "add", "other", "--tenant", place.tenant_id, "--mapping", str(mapping))
    assert added.returncode == 0, added.stderr
    assert run("token", "create", "other", "--label", "t").returncode == 0
    found = run("doctor", "other")
    assert found.returncode == 1
    assert "put into [platform]:\n    per_page_max = 100" in found.stdout
    assert not found.stderr
    assert run("doctor", "demo").returncode == 0


def test_a_connection_without_a_token_is_told_as_json(run: Run, place: Place) -> None:
    assert run("connection", "add", "silent", "--tenant", place.tenant_id).returncode == 0
    found = run("doctor", "silent", "--json")
    assert found.returncode == 1
    bridge, connection = json.loads(found.stdout)
    assert [f["state"] for f in bridge["findings"] if f["name"] == "database"] == ["ok"]
    (tokens,) = (f for f in connection["findings"] if f["name"] == "tokens")
    assert tokens["state"] == "failed"
    assert tokens["lines"] == [{"place": "connection", "text": "scim-bridge token create silent"}]
