"""The console as `scim-bridge serve` opens it: a second listener of the same process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from command_line import Run, environment, one_line

if TYPE_CHECKING:
    from conftest import Serve


def told(data_dir: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((data_dir / "quickstart.json").read_text())
    return found


def test_the_console_is_served_beside_scim_and_ends_with_it(serve: Serve, tmp_path: Path) -> None:
    served = serve(tmp_path)
    known = told(tmp_path)
    url = httpx.URL(known["console_url"])
    assert url.host == "127.0.0.1"
    origin = f"http://{url.netloc.decode()}"
    with httpx.Client(base_url=origin, headers={"origin": origin}, timeout=30) as browser:
        assert browser.get("/").headers["location"] == "/console"
        signed_in = browser.post("/console/sign-in", data={"token": known["admin_token"]})
        assert signed_in.status_code == 303
        page = browser.get("/console")
        assert page.status_code == 200
        assert "demo" in page.text
        # Neither side has what is the other's.
        assert (
            browser.get("/scim/v2/Users", headers={"authorization": f"Bearer {served.token}"}).status_code
            == 404
        )
        assert browser.get("/health/live").status_code == 404
        root = served.base_url.removesuffix("/scim/v2")
        for path in ("/console", "/console/sign-in", "/console/static/console.css"):
            answer = httpx.get(root + path)
            assert answer.status_code == 404
            assert answer.json()["status"] == "404"
        # A browser that keeps its connection open does not hold the process up.
        served.process.send_signal(signal.SIGTERM)
        assert served.process.wait(timeout=60) == 0
    assert "Traceback" not in (tmp_path / "serve.log").read_text()

    again = serve(tmp_path, SCIM_BRIDGE_ADMIN_PORT="0")
    assert told(tmp_path)["admin_token"] == known["admin_token"]
    assert told(tmp_path)["console_url"] == ""
    with pytest.raises(httpx.ConnectError):
        httpx.get(str(url))
    with again.scim() as client:
        assert client.get("/Users").status_code == 200


def test_a_port_that_is_taken_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--data-dir", str(tmp_path)],
            env={**environment(), "SCIM_BRIDGE_ADMIN_PORT": port},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert port in done.stderr
    assert "SCIM_BRIDGE_ADMIN_PORT" in done.stderr


def test_the_console_of_the_embedded_platform_stays_on_this_machine(run: Run) -> None:
    one_line(run("serve", SCIM_BRIDGE_ADMIN_HOST="0.0.0.0"), "0.0.0.0", "--demo")  # noqa: S104 - refused
