"""Everything under `examples/` runs."""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from commands import scim_bridge

if TYPE_CHECKING:
    from conftest import Served

EXAMPLES = Path(__file__).parents[2] / "examples"
SESSIONS = ["okta_session.py", "entra_session.py"]
MAPPING = EXAMPLES / "my-mapping.toml"
EMPLOYMENT = "urn:example:schemas:2.0:Employment"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"
USER = "urn:ietf:params:scim:schemas:core:2.0:User"


def run(*arguments: str | Path, **options: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


@pytest.mark.parametrize("script", SESSIONS)
def test_a_session_plays_to_its_end(script: str, served: Served) -> None:
    with served.scim() as scim:
        before = scim.get("/Users", params={"count": 0}).json()["totalResults"]
        done = run(EXAMPLES / script, "--base-url", served.base_url, "--token", served.token)
        after = scim.get("/Users", params={"count": 0}).json()["totalResults"]
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert done.stdout.rstrip().splitlines()[-1].startswith("All answers are what ")
    for told in ("> POST /Users", "< 201", "> GET /Users?filter=userName eq ", "< 204", "< 404"):
        assert told in done.stdout
    assert served.token not in done.stdout
    assert after == before


@pytest.mark.parametrize("script", SESSIONS)
def test_a_session_reads_the_quickstart_file(script: str, served: Served, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "quickstart.json").write_bytes((served.data_dir / "quickstart.json").read_bytes())
    assert run(EXAMPLES / script, cwd=tmp_path).returncode == 0
    file = served.data_dir / "quickstart.json"
    assert run(EXAMPLES / script, "--quickstart", file, cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("script", SESSIONS)
def test_a_session_without_a_server_says_so(script: str, tmp_path: Path) -> None:
    done = run(EXAMPLES / script, cwd=tmp_path)
    assert done.returncode == 1
    assert "quickstart.json cannot be read" in done.stdout
    done = run(EXAMPLES / script, "--base-url", "http://127.0.0.1:9/scim/v2", "--token", "t")
    assert done.returncode == 1
    assert "does not answer" in done.stdout
    assert run(EXAMPLES / script, "--token", "t").returncode == 2


@pytest.fixture
def odd_server() -> Iterator[str]:
    """A server to which every user exists already, and which answers nothing but that."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"totalResults": "1", "startIndex": 1, "itemsPerPage": 1, "Resources": []})
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, *_: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("script", SESSIONS)
def test_a_session_notices_a_wrong_answer(script: str, odd_server: str, served: Served) -> None:
    done = run(EXAMPLES / script, "--base-url", odd_server, "--token", "t")
    assert done.returncode == 1
    assert "Unexpected: this does not hold" in done.stdout
    done = run(EXAMPLES / script, "--base-url", served.base_url, "--token", "wrong")
    assert done.returncode == 1
    assert "answered 401, not 200" in done.stdout


def test_the_mapping_is_accepted() -> None:
    told = scim_bridge("mapping", "check", str(MAPPING))
    assert "mapping 'my-mapping' is right" in told


@pytest.fixture(scope="module")
def mapped(served: Served) -> Iterator[httpx.Client]:
    """A client of a connection that uses the mapping, added while the bridge runs."""
    place = ("--data-dir", str(served.data_dir))
    scim_bridge(
        "connection",
        "add",
        "mine",
        "--tenant",
        served.tenant_id,
        "--mapping",
        str(MAPPING),
        "--domain",
        "mine",
        *place,
    )
    token = scim_bridge("token", "create", "mine", *place).strip()
    with served.scim(Authorization=f"Bearer {token}") as client:
        yield client


def test_users_go_through_the_mapping(mapped: httpx.Client, served: Served) -> None:
    employment = {
        "contract": "temporary",
        "remote": True,
        "languages": ["de", "en"],
        "skills": "welding,driving",
    }
    body = {
        "schemas": [USER, EMPLOYMENT, ENTERPRISE],
        "userName": "mapped@example.com",
        "name": {"givenName": "Ma", "familyName": "Pped"},
        "externalId": "e-1",
        "title": "kept without a rule",
        EMPLOYMENT: employment,
        ENTERPRISE: {"costCenter": "k7"},
    }
    answer = mapped.post("/Users", json=body)
    assert answer.status_code == 201, answer.text
    place = f"/Users/{answer.json()['id']}"
    user = mapped.get(place).json()
    assert user[EMPLOYMENT] == employment
    assert EMPLOYMENT in user["schemas"]
    assert user["name"]["formatted"] == "Pped, Ma"
    assert user["title"] == "kept without a rule"
    assert user["externalId"] == "e-1"
    with served.platform() as platform:
        held = platform.get(f"/users/{user['id']}").json()["data"]
        assert held["custom_attributes"]["employment"] == {
            "contract_code": "T",
            "works_from": "home",
            "languages": "de;en",
            "skills": ["welding", "driving"],
            "cost_centre": "AT-K7",
        }
        platform.put(f"/users/{user['id']}/status", json={"status": "LOCKED"}).raise_for_status()
        mapped.patch(place, json={"Operations": [{"op": "replace", "value": {"active": True}}]})
        assert platform.get(f"/users/{user['id']}").json()["data"]["status"] == "ACTIVE"
    with served.scim() as other_domain:
        assert "externalId" not in other_domain.get(place).json()
    changed = {"op": "replace", "path": f"{EMPLOYMENT}:contract", "value": "external"}
    after = mapped.patch(place, json={"Operations": [changed]}).json()
    assert after[EMPLOYMENT] == {**employment, "contract": "external"}
    found = mapped.get("/Users", params={"filter": f'{EMPLOYMENT}:contract eq "external"'}).json()
    assert [r["id"] for r in found["Resources"]] == [user["id"]]


def test_the_mapping_refuses_what_its_table_lacks(mapped: httpx.Client) -> None:
    body = {"schemas": [USER], "userName": "refused@example.com", EMPLOYMENT: {"contract": "eternal"}}
    answer = mapped.post("/Users", json=body)
    assert answer.status_code == 400
    assert answer.json()["scimType"] == "invalidValue"
    assert "contract" in answer.json()["detail"]
    assert (
        mapped.get("/Users", params={"filter": 'userName eq "refused@example.com"'}).json()["totalResults"]
        == 0
    )


def test_the_extension_is_published(mapped: httpx.Client) -> None:
    published = mapped.get(f"/Schemas/{EMPLOYMENT}").json()
    assert [a["name"] for a in published["attributes"]] == ["contract", "remote", "languages", "skills"]
    types = mapped.get("/ResourceTypes/User").json()
    assert {"schema": EMPLOYMENT, "required": False} in types["schemaExtensions"]


def test_every_example_is_in_the_readme() -> None:
    text = (EXAMPLES / "README.md").read_text("utf-8")
    runnable = {p.name for p in EXAMPLES.iterdir() if p.suffix in (".py", ".toml")} - {"session.py"}
    assert [name for name in sorted(runnable) if name not in text] == []
