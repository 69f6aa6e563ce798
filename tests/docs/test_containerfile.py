"""The Containerfile, as far as it can be checked without an engine: steps are parsed, and some replayed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from reference import ROOT

if TYPE_CHECKING:
    from conftest import Served

TEXT = (ROOT / "Containerfile").read_text("utf-8")
IGNORED = [
    line for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines() if line and line[0] != "#"
]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]


class Step(NamedTuple):
    """An instruction with what follows it, its lines joined."""

    word: str
    rest: str


def steps(text: str) -> list[Step]:
    """All instructions of a Containerfile, in order."""
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", "")
    return [Step(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


STEPS = steps(TEXT)
STARTS = [i for i, step in enumerate(STEPS) if step.word == "FROM"]
FINAL = STEPS[STARTS[-1] :]


def the(word: str) -> str:
    """What follows the one instruction of a kind in the final stage."""
    (found,) = (step.rest for step in FINAL if step.word == word)
    return found


def pairs(text: str) -> dict[str, str]:
    """`a=b c="d e"` as a table."""
    found = re.findall(r'([\w.]+)=(?:"([^"]*)"|(\S+))', text)
    return {name: quoted or plain for name, quoted, plain in found}


def test_every_base_is_pinned_by_the_same_digest() -> None:
    bases = [STEPS[i].rest.split()[0] for i in STARTS]
    assert len(bases) == 2
    assert len(set(bases)) == 1
    name, _, digest = bases[0].partition("@")
    assert re.fullmatch(r"sha256:[0-9a-f]{64}", digest)
    labels = pairs(the("LABEL"))
    assert labels["org.opencontainers.image.base.name"] == name
    assert labels["org.opencontainers.image.base.digest"] == digest
    assert labels["org.opencontainers.image.version"] == PROJECT["version"]


def test_it_runs_a_python_that_the_project_takes() -> None:
    version = re.search(r"python:(\d+\.\d+)-slim", TEXT)
    assert version
    assert set(re.findall(r"/lib/python(\d+\.\d+)", TEXT)) == {version[1]}
    least = PROJECT["requires-python"].removeprefix(">=").split(".")
    assert [int(part) for part in version[1].split(".")] >= [int(part) for part in least]


def test_what_is_copied_is_there_and_not_ignored() -> None:
    stages = {step.rest.split(" AS ")[1] for step in STEPS if step.word == "FROM" and " AS " in step.rest}
    made = {step.rest.split()[-1].rstrip("/") for step in STEPS if step.word == "COPY"}
    for step in (step for step in STEPS if step.word == "COPY"):
        first, *rest = step.rest.split()
        if first.startswith("--from="):
            assert first.removeprefix("--from=") in stages
            assert any(path == rest[0] or path.startswith(rest[0]) for path in {*made, "/opt/venv"})
            continue
        assert (ROOT / first).exists()
        assert f"!{first}" in IGNORED
    assert IGNORED[0] == "*"
    copied = {step.rest.split()[0] for step in STEPS if step.word == "COPY"}
    assert {name.removeprefix("!") for name in IGNORED if name.startswith("!")} <= copied
    assert (ROOT / ".containerignore").read_bytes() == (ROOT / ".dockerignore").read_bytes()


def test_requirements_are_all_that_the_project_needs_and_hashed() -> None:
    text = (ROOT / "requirements.txt").read_text("utf-8")
    pinned = dict(re.findall(r"^([A-Za-z0-9._-]+)==([^ ;\\]+)", text, re.M))
    for needed in [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["postgresql"]]:
        requirement = Requirement(needed)
        name = canonicalize_name(requirement.name)
        assert name in pinned
        assert requirement.specifier.contains(pinned[name]), needed
    for block in re.split(r"\n(?=\S)", text.strip()):
        assert block.startswith("#") or "--hash=sha256:" in block, block[:80]
    assert "--require-hashes" in TEXT
    assert "--only-binary :all:" in TEXT


def test_no_installer_stays_in_the_image() -> None:
    (cleaned,) = (step.rest for step in FINAL if step.word == "RUN")
    assert "pip uninstall" in cleaned
    assert "site-packages/*" in cleaned
    assert "/opt/venv" not in cleaned
    made = STEPS[STARTS[0] : STARTS[-1]]
    assert any("venv --without-pip /opt/venv" in step.rest for step in made if step.word == "RUN")


@pytest.mark.parametrize("step", [step for step in STEPS if step.word == "RUN"], ids=lambda s: s.rest[:20])
def test_scripts_are_shell(step: Step) -> None:
    subprocess.run(["sh", "-n", "-c", step.rest], check=True)


def test_it_is_nobody_by_number_and_stays_so() -> None:
    words = [step.word for step in FINAL]
    user, _, group = the("USER").partition(":")
    assert user == group
    assert int(user) > 0
    assert f"--uid {user} " in TEXT
    assert f"install -d -o {user} -g {group} -m 0700 {the('VOLUME')}" in TEXT
    assert "RUN" not in words[words.index("USER") :]
    assert "COPY" not in words[words.index("USER") :]


def test_it_ends_as_the_bridge_does() -> None:
    assert the("STOPSIGNAL") == "SIGTERM"
    assert json.loads(the("ENTRYPOINT")) == ["scim-bridge"]
    assert json.loads(the("CMD")) == ["serve"]
    assert r"exec python -m app.cli" in TEXT
    assert set(the("EXPOSE").split()) == {pairs(the("ENV"))["SCIM_BRIDGE_PORT"], "9090"}


def test_its_steps_make_something_that_runs_and_is_not_written_to(tmp_path: Path) -> None:
    place, volume = tmp_path / "image", tmp_path / "data"
    for step in STEPS[: STARTS[-1]]:
        if step.word == "COPY" and step.rest.split()[1].startswith("/srv/"):
            source, target = step.rest.split()
            # With what is compiled already, as the image has it.
            shutil.copytree(ROOT / source, place / target.lstrip("/"))
    (script,) = re.findall(r"printf '([^']*)' > /srv/scim-bridge", TEXT)
    product = place / "srv" / "scim-bridge"
    product.write_text(script.encode().decode("unicode_escape"))
    product.chmod(0o755)
    interpreters = tmp_path / "bin"
    interpreters.mkdir()
    (interpreters / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (interpreters / "python").chmod(0o755)
    written = {file: file.stat().st_mtime_ns for file in place.rglob("*")}
    own = pairs(the("ENV"))
    environment = {
        **own,
        "PATH": f"{place / 'srv'}{os.pathsep}{interpreters}{os.pathsep}{os.defpath}",
        "PYTHONPATH": str(place / "srv"),
        "SCIM_BRIDGE_DATA_DIR": str(volume),
    }
    done = subprocess.run(
        ["scim-bridge", "connection", "add", "okta", "--tenant", "tnt_1", "--mapping", "okta"],
        cwd=place / the("WORKDIR").lstrip("/"),
        env=environment,
        executable=str(product),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert {file.name for file in volume.iterdir()} >= {"bridge.db"}
    assert {file: file.stat().st_mtime_ns for file in place.rglob("*")} == written


def test_the_health_check_tells_a_bridge_from_none(served: Served) -> None:
    command = json.loads(the("HEALTHCHECK").partition(" CMD ")[2])
    assert command[0] == "python"

    def healthy(port: int) -> bool:
        done = subprocess.run(
            [sys.executable, *command[1:]],
            env={"SCIM_BRIDGE_PORT": str(port)},
            capture_output=True,
            timeout=30,
            check=False,
        )
        return done.returncode == 0

    port = urlsplit(served.base_url).port
    assert port
    assert healthy(port)
    assert not healthy(1)
