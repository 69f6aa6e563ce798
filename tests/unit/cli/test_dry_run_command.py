"""`scim-bridge dry-run`: a file of requests, previewed without a server."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from command_line import Place, Run, done, one_line

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
BULK = "urn:ietf:params:scim:api:messages:2.0:BulkRequest"


def user(name: str, **more: Any) -> dict[str, Any]:
    data = {"schemas": [USER], "userName": f"{name}@example.com", "password": "Geheim-Geheim-99"}
    return {"method": "POST", "path": "/Users", "data": data, **more}


def count(run: Run, place: Place) -> int:
    return int(json.loads(done(place, run("explain", "--run", "--json")))["ran"]["total"])


def test_lines_are_previewed_and_nothing_is_done(run: Run, place: Place, tmp_path: Path) -> None:
    before = count(run, place)
    file = tmp_path / "requests.jsonl"
    title = {"Operations": [{"op": "replace", "path": "title", "value": "Dr."}]}
    later = {"method": "PATCH", "path": "/Users/bulkId:new", "data": title}
    file.write_text("\n".join(map(json.dumps, [user("new-one", bulkId="new"), later])))
    out = done(place, run("dry-run", "demo", str(file)))
    assert "2 requests: 2 would change something" in out
    assert "Nothing was done." in out
    assert f"POST /api/v1/tenants/{place.tenant_id}/users" in out
    assert "/Users/dry-run-user-1" in out
    assert "Geheim" not in out
    assert count(run, place) == before
    found = json.loads(done(place, run("dry-run", "demo", str(file), "--json")))["operations"]
    assert [(each["status"], each["id"]) for each in found] == [
        (201, "dry-run-user-1"),
        (200, "dry-run-user-1"),
    ]
    assert [call["method"] for each in found for call in each["calls"]] == ["POST", "PATCH"]
    assert found[1]["changed"] == ["title"]


def test_a_refusal_is_exit_code_1(run: Run, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "bulk.json"
    gone = {"method": "DELETE", "path": "/Users/usr_nobody"}
    file.write_text(
        json.dumps({"schemas": [BULK], "failOnErrors": 1, "Operations": [gone, user("x", bulkId="x")]})
    )
    result = run("dry-run", "demo", str(file))
    assert result.returncode == 1
    assert "1 would be refused, 1 would not be begun" in result.stdout
    assert "does not exist" in result.stdout


def test_what_cannot_be_previewed(run: Run, place: Place, tmp_path: Path) -> None:
    file = tmp_path / "no.json"
    file.write_text("nonsense")
    one_line(run("dry-run", "demo", str(file)), "This is not JSON")
    one_line(run("dry-run", "demo", str(tmp_path / "nobody.json")), "nobody.json")
    file.write_text(json.dumps(user("x")))
    one_line(run("dry-run", "nobody", str(file)), "there is no connection 'nobody'")
