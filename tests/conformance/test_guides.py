"""The guides for Okta and Entra: every command runs as it stands, every error text is one of the bridge's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import typer
from groups_served import client, connect
from rfc import PATCH, USER, patch

from app.bridge.faults import scim_error
from app.cli.main import app
from app.config import Settings
from app.mapping.load import load_mapping
from app.platform.errors import Denied, PlatformError, Unauthenticated, Unavailable
from app.web.contexts import BASE_PATH

if TYPE_CHECKING:
    from conftest import Serve, Served

ROOT = Path(__file__).parents[2]
GUIDES = ["entra", "okta"]
COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]
LIMITED = "this connection sends more than 100 requests a second (at most "
FIRST_READ = "users are being read for the first time, to find them by externalId and e-mail"


def text_of(guide: str) -> str:
    return (ROOT / "examples" / f"{guide}.md").read_text("utf-8")


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Every command of the console blocks with the lines that are shown of its answer."""
    found: list[tuple[str, list[str]]] = []
    for block in re.findall(r"```console\n(.*?)```", text, re.S):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append((line[2:], []))
            else:
                found[-1][1].append(line)
    return found


def remedies(text: str) -> list[str]:
    """The commands in the table of failures."""
    table = text[text.index("| The bridge says |") :]
    return re.findall(r"`((?:scim-bridge|curl) [^`]*)`", table.partition("\n\n")[0])


def quoted_errors(text: str) -> list[str]:
    """The first column of the table of failures."""
    table = text[text.index("| The bridge says |") :].partition("\n\n")[0]
    return [m[1] for line in table.splitlines()[2:] if (m := re.match(r"\| `([^`]+)` \|", line))]


class Shell:
    """Runs commands one after the other; exported variables and the last token stay."""

    def __init__(self, served: Served, place: Path) -> None:
        self._served = served
        self._place = place
        self._token = "scb_…"
        for name in ("mappings", "examples"):
            (place / name).symlink_to(ROOT / name)
        binaries = place / "bin"
        binaries.mkdir()
        (binaries / "python").symlink_to(sys.executable)
        product = binaries / "scim-bridge"
        product.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m app.cli "$@"\n')
        product.chmod(0o755)
        self._environment = {
            **os.environ,
            "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": f"{ROOT}{os.pathsep}{os.pathsep.join(p for p in sys.path if 'site-packages' in p)}",
            "SCIM_BRIDGE_DATA_DIR": str(served.data_dir),
        }

    def run(self, command: str) -> str:
        line = command.replace("tnt_…", self._served.tenant_id).replace("scb_…", self._token)
        origin = self._served.base_url.removesuffix(BASE_PATH)
        line = line.replace("https://scim.example.com", origin)
        assert "…" not in line, command
        done = subprocess.run(
            ["bash", "-c", f"set -e -o pipefail\n{line}\nenv -0 > environment"],
            cwd=self._place,
            env=self._environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
        if line.startswith("export "):
            after = dict(
                each.split("=", 1) for each in (self._place / "environment").read_text().split("\0")[:-1]
            )
            exported = re.findall(r" ([A-Z]+)=", line)
            assert all(after[name] for name in exported), command
            self._environment |= {name: after[name] for name in exported}
        if done.stdout.startswith("scb_"):
            self._token = done.stdout.strip()
        return done.stdout


def matches(shown: str, said: str) -> bool:
    """Whether a text is as shown, `…` standing for anything."""
    return re.fullmatch(".*".join(re.escape(part) for part in shown.split("…")), said, re.S) is not None


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not at hand")
@pytest.mark.parametrize("guide", GUIDES)
def test_every_command_runs(guide: str, serve: Serve, tmp_path: Path) -> None:
    text = text_of(guide)
    served = serve()
    with served.scim() as scim:
        assert scim.post("/Users", json={"schemas": [USER], "userName": "ada@example.com"}).status_code == 201
    shell = Shell(served, tmp_path)
    listed = commands(text)
    assert [c for c, _ in listed if c.startswith("scim-bridge client ")] == [
        f"scim-bridge client add {guide}"
    ]
    for command, shown in [*listed, *((c, []) for c in remedies(text))]:
        words = command.split()
        if words[0] == "scim-bridge" and words[1] not in COMMANDS:
            assert words[1] == "client"
            continue
        said = shell.run(command)
        for expected, line in zip(shown, said.splitlines(), strict=False):
            assert matches(expected, line), command
        assert len(shown) <= len(said.splitlines()), command


@pytest.mark.parametrize("guide", GUIDES)
def test_every_error_is_one_of_the_bridge(guide: str, served: Served) -> None:
    said = [*platform_errors(), *source_texts(), *answers(guide, served)]
    quoted = quoted_errors(text_of(guide))
    assert len(quoted) > 10
    assert [each for each in quoted if not any(matches(each, detail) for detail in said)] == []


def platform_errors() -> list[str]:
    """The texts for failures at the platform."""
    failures: list[PlatformError] = [
        Unavailable("GET", "", outcome_unknown=False),
        Unauthenticated("GET", ""),
        Denied("GET", ""),
    ]
    return [scim_error(failure, load_mapping("default")).detail for failure in failures]


def source_texts() -> list[str]:
    """Texts that take too long to bring about, as the modules have them."""
    limits = (ROOT / "app" / "web" / "limits" / "limits.py").read_text("utf-8")
    assert "this connection sends more than {per_s:g} requests a second (at most {burst} at once)" in limits
    upkeep = (ROOT / "app" / "bridge" / "upkeep.py").read_text("utf-8")
    assert FIRST_READ in upkeep
    return [LIMITED, FIRST_READ]


def answers(guide: str, served: Served) -> list[str]:
    """What the bridge answers to the requests behind the table."""
    place = ROOT / "tests" / "data" / "mappings" / "catalogs.toml"
    closed = place.read_text("utf-8").replace('closed = ["entitlements"]', 'closed = ["roles"]')
    mapping = served.data_dir / f"closed-{guide}.toml"
    mapping.write_text(closed)
    token = connect(served, f"guide-{guide}", "--mapping", str(mapping), "--domain", f"guide-{guide}")
    said: list[httpx.Response] = []
    with client(served, token) as scim:
        ada = {"schemas": [USER], "userName": "ada@example.com"}
        made = scim.post("/Users", json=ada).json()
        user = made.get("id") or scim.get("/Users").json()["Resources"][0]["id"]
        group = scim.post("/Groups", json={"displayName": f"g-{uuid.uuid4()}"}).json()["id"]
        no_name: dict[str, Any] = {"schemas": [USER], "emails": [{"value": "x@example.com"}]}
        said += [
            scim.get("/Users", headers={"Authorization": "Bearer wrong"}),
            httpx.get(served.base_url.removesuffix(BASE_PATH) + "/Users"),
            scim.post("/Users", json=ada),
            scim.post("/Users", json={"schemas": [USER], "userName": "no address"}),
            scim.post("/Users", json=no_name),
            scim.post("/Users", json={**ada, "userName": "r@example.com", "roles": [{"value": "nobody"}]}),
            patch(scim, user, {"op": "Remove", "path": "emails"}),
            patch(scim, user, {"op": "Replace", "path": "id", "value": "x"}),
            patch(scim, user, {"op": "Add", "path": "badgeNumber", "value": "x"}),
            scim.patch(
                f"/Groups/{group}",
                json={
                    "schemas": [PATCH],
                    "Operations": [{"op": "add", "path": "members", "value": [{"value": "usr_nobody"}]}],
                },
            ),
        ]
    assert all(answer.status_code >= 400 for answer in said)
    return [answer.json()["detail"] for answer in said]


def test_defaults_that_the_guides_quote() -> None:
    assert Settings().requests_per_second == 100
    assert {"okta", "entra"} <= {f.stem for f in (ROOT / "mappings").glob("*.toml")}


@pytest.mark.parametrize("guide", GUIDES)
def test_it_is_linked(guide: str) -> None:
    assert f"(examples/{guide}.md)" in (ROOT / "README.md").read_text("utf-8")
    assert f"({guide}.md)" in (ROOT / "examples" / "README.md").read_text("utf-8")
