"""Every command of the README and the guides runs as it stands, against a bridge that is served."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING

import elsewhere
import pytest
import reference
import written_commands
from reference_commands import commands as all_commands
from written_commands import SHELLS, Shell, Written, blocks, chapters, commands, matches, simple_commands

from app.bridge.steps import SetStatus, UserPlan
from app.store.store import Store
from app.web.contexts import BASE_PATH

if TYPE_CHECKING:
    from conftest import Serve, Served

USER = "urn:ietf:params:scim:schemas:core:2.0:User"

RUN_ELSEWHERE = {
    "python3 -m pip install uv && uv run scim-bridge serve": "tests/docs/test_fresh_clone.py",
    "python3 -m pip install uv && uv run pytest": "tests/docs/test_fresh_clone.py",
    "python3 -m venv ~/.uv && ~/.uv/bin/pip install uv && ~/.uv/bin/uv run scim-bridge serve": "",
    "uv run ruff check . && uv run ruff format --check . && uv run mypy && uv run lint-imports": ".ci/run",
}
"""Commands that take too long, with the file that runs them; none: the last part is that of another one."""

SMALLER = {
    "--users 1000 --groups 20 --members 50 --cycles 3": "--users 4 --groups 1 --members 2 --cycles 1",
    "--users 20 --groups 2 --members 5": "--users 3 --groups 1 --members 2",
}
"""What takes long only for its numbers."""

FOLLOWS = " --follow"
"""The option that never ends; what it follows is printed first."""

ON_A_COPY = {"incidents", "upgrades"}
"""Documents that take a database away, or have one in which a write is stuck."""

TAKEN_FOR_GRANTED = {
    "oauth": ["scim-bridge connection add entra-prod --tenant tnt_…"],
    "incidents": ["scim-bridge connection add okta --tenant tnt_…"],
}
"""What has been done before somebody reads a document."""

DOCUMENTS = [file for file in reference.DOCUMENTS if commands(file.read_text("utf-8"))]


@pytest.fixture(scope="module")
def bridge(serve: Serve) -> Served:
    """A bridge with a user, and with settings of its own for the rate of requests."""
    served = serve()
    with served.scim() as scim:
        body = {"schemas": [USER], "userName": "ada@example.com"}
        assert scim.post("/Users", json=body).status_code == 201
    return served


@pytest.fixture
def shell(bridge: Served, tmp_path: Path, request: pytest.FixtureRequest) -> Shell:
    """A shell whose placeholders lead to the bridge."""
    place, data_dir = tmp_path / "place", bridge.data_dir
    place.mkdir()
    if request.node.callspec.params["document"].stem in ON_A_COPY:
        data_dir = copied(bridge.data_dir, tmp_path / "copy")
    credentials = json.loads((bridge.data_dir / "platform.json").read_text())
    quickstart = json.loads((bridge.data_dir / "quickstart.json").read_text())
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "platform-client").write_text(credentials["client_secret"])
    with bridge.scim() as scim:
        (ada,) = scim.get("/Users", params={"filter": 'userName eq "ada@example.com"'}).json()["Resources"]
    origin = bridge.base_url.removesuffix(BASE_PATH)
    return Shell(
        place,
        data_dir,
        {
            "https://scim.example.com": origin,
            "https://localhost": origin,
            "https://platform.example.com": bridge.platform_url,
            "http://127.0.0.1:8080": origin,
            "http://127.0.0.1:9090": quickstart["console_url"].removesuffix("/console"),
            "/run/secrets": str(secrets),
            "tnt_…": bridge.tenant_id,
            "app_…": credentials["client_id"],
            "usr_…": ada["id"],
            "jrn_…": asyncio.run(stuck_write(data_dir, bridge.tenant_id))
            if data_dir != bridge.data_dir
            else "",
            "SCIM_BENCH_TOKEN=…": f"SCIM_BENCH_TOKEN={bridge.token}",
        },
    )


def copied(data_dir: Path, to: Path) -> Path:
    """The files of a data directory as a stopped bridge leaves them."""
    to.mkdir()
    for file in sorted(data_dir.glob("*.json")):
        shutil.copy(file, to)
    for file in sorted(data_dir.glob("*.db")):
        sqlite3.connect(file).execute("VACUUM INTO ?", (str(to / file.name),)).connection.close()
    return to


async def stuck_write(data_dir: Path, tenant_id: str) -> str:
    """The id of an unfinished write that was given up."""
    store = await Store.open(f"sqlite+aiosqlite:///{data_dir}/bridge.db")
    entry_id = store.journal.new_id()
    await store.journal.begin(
        entry_id,
        tenant_id=tenant_id,
        connection_id="con_gone",
        domain="default",
        kind="user-update",
        keys=[f"{tenant_id} user usr_gone"],
        plan=UserPlan(steps=(SetStatus(to="DISABLED", was="ACTIVE"),)).to_json(),
        resource_id="usr_gone",
        owner="own_gone",
        lease_s=600,
    )
    await store.journal.leave(
        entry_id, "own_gone", due_in_s=600, state="stuck", error="Denied: no", refused=True
    )
    await store.close()
    return entry_id


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not at hand")
@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda f: f.name)
def test_every_command_runs(document: Path, shell: Shell) -> None:
    text = document.read_text("utf-8")
    for before in TAKEN_FOR_GRANTED.get(document.stem, ()):
        shell.run(Written(before, []))
    for chapter in chapters(text):
        shell.begin()
        for written in [*commands(chapter), *(Written(each, []) for each in remedies(chapter))]:
            if written.text not in RUN_ELSEWHERE:
                shell.run(Written(shortened(written.text), written.shown))


def shortened(command: str) -> str:
    """A command as it ends within seconds."""
    for given, smaller in SMALLER.items():
        command = command.replace(given, smaller)
    return command.removeprefix("uv run ").replace(FOLLOWS, "")


def remedies(text: str) -> list[str]:
    """The commands in the table of failures of a client's guide."""
    _, found, table = text.partition("| The bridge says |")
    return re.findall(r"`((?:scim-bridge|curl) [^`]*)`", table.partition("\n\n")[0]) if found else []


def test_what_is_run_elsewhere_is_there() -> None:
    written = {each.text for file in DOCUMENTS for each in commands(file.read_text("utf-8"))}
    assert set(RUN_ELSEWHERE) <= written
    endings = {command.rpartition("uv run ")[2] for command, place in RUN_ELSEWHERE.items() if place}
    for command, place in RUN_ELSEWHERE.items():
        if place == ".ci/run":
            assert command in (reference.ROOT / place).read_text("utf-8")
        assert command.rpartition("uv run ")[2] in endings
    assert all(any(given in text for text in written) for given in SMALLER)


def test_every_block_is_of_a_known_language() -> None:
    known = {*SHELLS, *written_commands.NO_COMMANDS}
    for file in reference.DOCUMENTS:
        for language, block in blocks(file.read_text("utf-8")):
            assert language in known, (file.name, block)
            if language not in SHELLS:
                assert not re.search(r"^(\$ |scim-bridge |curl |docker |kubectl )", block, re.M), block


def test_every_command_in_a_sentence_exists() -> None:
    known = {path.removeprefix("scim-bridge "): command for path, command in all_commands()}
    groups = {" ".join(path.split()[:n]) for path in known for n in (1, 2)}
    for file in reference.DOCUMENTS:
        prose = re.sub(r"^```.*?^```$", "", file.read_text("utf-8"), flags=re.M | re.S)
        for written in re.findall(r"`scim-bridge ([^`]+)`", prose):
            words = written.replace("|", " ").split()
            path = next((" ".join(words[:n]) for n in (3, 2, 1) if " ".join(words[:n]) in known), None)
            assert path is not None or words[0] in groups, (file.name, written)
            options = {o for p in known[path].params for o in p.opts} if path else set()
            assert {w for w in words if w.startswith("--")} <= {*options, "--help"}, (file.name, written)


def test_a_command_that_is_wrong_is_noticed(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()
    shell = Shell(place, tmp_path, {})
    shell.run(Written("export A=1 && echo $A", ["1"]))
    shell.run(Written("docker run --rm scim-bridge mapping check x.toml | cat", []))
    wrong = [
        Written("false", []),
        Written("echo 1", ["2"]),
        Written("echo tnt_…", []),
        Written("scim-bridge mapping check nowhere.toml", []),
        Written("scim-bridge serve --nothing", []),
        Written("docker run --privileged scim-bridge", []),
        Written("kubectl apply -k nowhere", []),
    ]
    for each in wrong:
        with pytest.raises((AssertionError, Exception)):
            shell.run(each)


def test_words_of_a_line() -> None:
    line = 'docker tag a b && docker push b > "x y" | tee "$(cat z)"; true'
    assert list(simple_commands(line)) == [
        ["docker", "tag", "a", "b"],
        ["docker", "push", "b"],
        ["tee", "$(cat z)"],
        ["true"],
    ]
    assert matches("a…c", "abc")
    assert not matches("a…c", "ab")
    elsewhere.check(["pip", "install", "scim-bridge[postgresql]"], reference.ROOT)
    with pytest.raises(AssertionError):
        elsewhere.check(["pip", "install", "scim-bridge[nothing]"], reference.ROOT)
    assert elsewhere.is_command(["token", "generate"])
    assert not elsewhere.is_command(["tokens"])
