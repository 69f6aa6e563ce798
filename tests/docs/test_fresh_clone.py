"""The README's commands, word for word, in a fresh clone with nothing but Python's own venv."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import pytest
import reference

if shutil.which("git") is None or not (reference.ROOT / ".git").exists():
    pytest.skip("not a git checkout", allow_module_level=True)

COMMANDS = re.findall(r"^python3 -m pip install uv && uv run .*$", reference.README.read_text("utf-8"), re.M)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is committed, in a directory of its own."""
    place = tmp_path_factory.mktemp("clone") / "scim-bridge"
    subprocess.run(["git", "clone", "-q", str(reference.ROOT), str(place)], check=True)
    return place


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A Python that has pip and nothing else, and no settings of the machine."""
    venv = tmp_path_factory.mktemp("python") / "venv"
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    mine = {
        k: v for k, v in os.environ.items() if not k.startswith(("SCIM_BRIDGE_", "VIRTUAL_ENV", "UV_PROJECT"))
    }
    return {**mine, "PATH": f"{venv / 'bin'}{os.pathsep}{mine['PATH']}", "SCIM_BRIDGE_PORT": "0"}


def test_the_readme_has_two_commands() -> None:
    assert [command.split("uv run ")[1] for command in COMMANDS] == ["scim-bridge serve", "pytest"]


def test_serve(clone: Path, environment: dict[str, str]) -> None:
    process = subprocess.Popen(
        ["sh", "-c", f"exec 2>../err.log; {COMMANDS[0]}"],
        cwd=clone,
        env={**environment, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stdout is not None
    shown = ""
    for line in process.stdout:
        shown += line
        if line.startswith("Ctrl-C"):
            break
    try:
        assert process.poll() is None, shown + (clone.parent / "err.log").read_text()
        quickstart = json.loads((clone / "data" / "quickstart.json").read_text())
        assert quickstart["token"] in shown
        answer = httpx.get(
            f"{quickstart['base_url']}/Users", headers={"Authorization": f"Bearer {quickstart['token']}"}
        )
        assert answer.status_code == 200
        assert answer.json()["totalResults"] == 0
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.stdout.read()
        process.stdout.close()
        process.wait(timeout=30)


def test_pytest(clone: Path, environment: dict[str, str]) -> None:
    # A part of the suite, or this test would run itself.
    ran = subprocess.run(
        ["sh", "-c", f"{COMMANDS[1]} tests/unit/scim"],
        cwd=clone,
        env=environment,
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"\d{3,} passed", ran.stdout)
    status = subprocess.run(
        ["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True
    )
    assert status.stdout == ""
