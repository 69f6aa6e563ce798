"""The commands as users type them."""

from __future__ import annotations

import asyncio
import json
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from command_line import Run, environment, one_line
from webhook_receiver import SECRET as HOOK_SECRET
from webhook_receiver import receiving

from app.cli.connections import read_expiry
from app.cli.servers import is_loopback
from app.config import SettingsError
from app.store.connections import Connection, Policies
from app.store.deprovisionings import GuardLimits
from app.store.store import Store

SECRET = re.compile(r"scb_[A-Za-z0-9_-]{43}")


@pytest.fixture
def run_apart(tmp_path: Path) -> Run:
    """A command in a process of its own, for those that set up logs and signals."""

    def call(*arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "app.cli", *arguments],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env=environment(SCIM_BRIDGE_DATA_DIR=str(tmp_path / "data"), **more),
        )

    return call


def test_a_stopped_connection_is_shown_and_released(run: Run, tmp_path: Path) -> None:
    policies = ("--deprovision", "disable", "--guard-limit", "7")
    assert run("connection", "add", "okta", "--tenant", "tnt_1", *policies).returncode == 0

    async def stop() -> Connection | None:
        store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/data/bridge.db")
        found = await store.connections.by_name("okta")
        assert found is not None
        limits = GuardLimits(number=2, share=0.0, window_s=60)
        for user_id in ("a", "b", "c"):
            await store.deprovisionings.count(found.id, user_id, limits, removes=True, size=None)
        await store.close()
        return found

    found = asyncio.run(stop())
    assert found is not None and found.policies == Policies(deprovision="disable", guard_limit=7)
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    assert run("connection", "list").stdout.count(today) == 2
    assert "2 users were counted" in run("connection", "release", "okta").stdout
    assert run("connection", "list").stdout.count(today) == 1
    one_line(run("connection", "release", "nobody"), "nobody")


def test_connections_and_tokens(run: Run) -> None:
    added = run(
        "connection", "add", "okta", "--tenant", "tnt_1", "--domain", "okta", "--refuse", "boolean-words"
    )
    assert added.returncode == 0, added.stderr
    assert "scim-bridge token create okta" in added.stdout
    listed = run("connection", "list").stdout
    assert all(text in listed for text in ("okta", "tnt_1", "default", "-boolean-words"))

    made = run("token", "create", "okta", "--label", "first", "--expires", "90d")
    assert made.returncode == 0, made.stderr
    secret = made.stdout.strip()
    assert SECRET.fullmatch(secret)
    assert secret not in made.stderr
    tokens = run("token", "list").stdout
    assert secret not in tokens
    assert "valid" in tokens
    token_id = re.search(r"tok_[a-z0-9]+", tokens)
    assert token_id
    assert run("token", "revoke", token_id[0]).returncode == 0
    assert "revoked" in run("token", "list", "okta").stdout

    assert run("connection", "remove", "okta").returncode == 0
    assert "okta" not in run("connection", "list").stdout


def test_a_rate_of_its_own(run: Run, tmp_path: Path) -> None:
    options = ["--requests-per-second", "0.5", "--request-burst", "7"]
    assert run("connection", "add", "slow", "--tenant", "tnt_1", *options).returncode == 0

    async def read() -> Connection | None:
        store = await Store.open(f"sqlite+aiosqlite:///{tmp_path / 'data' / 'bridge.db'}")
        try:
            return await store.connections.by_name("slow")
        finally:
            await store.close()

    found = asyncio.run(read())
    assert found is not None
    assert (found.policies.requests_per_second, found.policies.request_burst) == (0.5, 7)


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["connection", "add", "x", "--tenant", "../x"], ["tenant"]),
        (["connection", "add", "x", "--tenant", "t", "--mapping", "nobody"], ["nobody.toml"]),
        (["connection", "add", "x", "--tenant", "t", "--allow", "nobody"], ["nobody", "boolean-words"]),
        (["connection", "add", "x", "--tenant", "t", "--domain", "a b"], ["domain"]),
        (["connection", "remove", "nobody"], ["nobody"]),
        (["connection", "remove", "[b]nobody[/b]"], ["[b]nobody[/b]"]),
        (["token", "create", "[/nobody]"], ["[/nobody]"]),
        (["token", "create", "nobody"], ["nobody"]),
        (["token", "create", "nobody", "--expires", "soon"], ["--expires", "soon"]),
        (["token", "create", "nobody", "--expires", "2020-01-01"], ["past"]),
        (["token", "list", "nobody"], ["nobody"]),
        (["token", "revoke", "tok_nobody"], ["tok_nobody"]),
        (["mapping", "check", "nobody.toml"], ["nobody.toml"]),
        (["mapping", "check", "[odd].toml"], ["[odd].toml"]),
        (["serve", "--host", "0.0.0.0"], ["--demo", "0.0.0.0"]),  # noqa: S104 - refused
        (["platform", "--host", "0.0.0.0"], ["--demo"]),  # noqa: S104 - refused
        (["platform", "--webhook-url", "http://127.0.0.1:9/"], ["SCIM_BRIDGE_PLATFORM_WEBHOOK_SECRET"]),
    ],
    ids=lambda v: " ".join(v) if isinstance(v, list) else v,
)
def test_failures_are_one_line(run: Run, arguments: list[str], parts: list[str]) -> None:
    one_line(run(*arguments), *parts)


@pytest.mark.parametrize(
    ("arguments", "part"),
    [
        (["serve", "--port", "0", "--data-dir", "/dev/null/x"], "/dev/null/x"),
        (["serve", "--host", "192.0.2.1", "--demo", "--port", "0"], "192.0.2.1"),
    ],
)
def test_servers_that_cannot_start_are_one_line(run_apart: Run, arguments: list[str], part: str) -> None:
    one_line(run_apart(*arguments), part)


def test_a_wrong_variable_is_one_line(run: Run) -> None:
    one_line(run("connection", "list", SCIM_BRIDGE_PROT="1"), "SCIM_BRIDGE_PROT")


def test_a_database_of_no_kind_is_one_line(run: Run) -> None:
    done = run("connection", "list", SCIM_BRIDGE_DATABASE_URL="mysql://user:geheim@h/d")
    one_line(done)
    assert "geheim" not in done.stderr


def test_a_webhook_that_cannot_be_is_one_line(run_apart: Run) -> None:
    done = run_apart(
        "platform",
        "--port",
        "0",
        "--webhook-url",
        "127.0.0.1:9",
        SCIM_BRIDGE_PLATFORM_WEBHOOK_SECRET="geheim",
    )
    one_line(done, "--webhook-url", "http")
    assert "geheim" not in done.stderr


def test_a_port_in_use_is_one_line(run_apart: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        one_line(run_apart("serve", "--port", port), port, "in use")


def test_mapping_check(run: Run, tmp_path: Path) -> None:
    good = tmp_path / "good.toml"
    default = Path(__file__).parents[3] / "mappings" / "default.toml"
    good.write_text(default.read_text())
    done = run("mapping", "check", str(good))
    assert done.returncode == 0
    assert "userName" in done.stdout
    bad = tmp_path / "bad.toml"
    bad.write_text(default.read_text().replace('field = "phone"', 'field = "fone"'))
    one_line(run("mapping", "check", str(bad)), "bad.toml", "phoneNumbers", "fone")


def test_help_is_there(run: Run) -> None:
    for arguments in (
        [],
        ["serve"],
        ["platform"],
        ["connection", "add"],
        ["token", "create"],
        ["mapping", "check"],
    ):
        done = run(*arguments, "--help")
        assert done.returncode == 0
        assert "Usage" in done.stdout


NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("90d", NOW + timedelta(days=90)),
        ("12h", NOW + timedelta(hours=12)),
        ("2027-01-31", datetime(2027, 1, 31, tzinfo=UTC)),
        ("2027-01-31T10:00:00+02:00", datetime(2027, 1, 31, 8, tzinfo=UTC)),
    ],
)
def test_expiries(text: str, moment: datetime) -> None:
    assert read_expiry(text, NOW) == moment


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0d",
        "-1d",
        "90",
        "d",
        "1w",
        "2025-01-01",
        "2026-01-01",
        "99999999d",
        "100000d9",
        "\uff19\uff10d",
        "2027-13-01",
        "90d ",
    ],
)
def test_expiries_that_are_none(text: str) -> None:
    with pytest.raises(SettingsError, match="--expires"):
        read_expiry(text, NOW)


@pytest.mark.parametrize("amount", ["100000d", "100000h"])
def test_far_expiries_do_not_overflow(amount: str) -> None:
    assert read_expiry(amount, NOW) > NOW


def test_an_expiry_beyond_the_calendar_is_refused() -> None:
    with pytest.raises(SettingsError, match="--expires"):
        read_expiry("100000d", datetime(9900, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 - a value to judge
        ("::", False),
        ("", False),
        ("192.168.0.1", False),
        ("localhost.evil.test", False),
    ],
)
def test_loopback(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


# --- servers ---------------------------------------------------------------------------------------------


class Server:
    """A command that serves until it is told to stop."""

    def __init__(self, *arguments: str, **more: str) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "app.cli", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**more),
        )
        self.shown: list[str] = []

    def wait_for(self, start: str) -> str:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.shown.append(line.rstrip("\n"))
            if line.startswith(start):
                return line
        assert self.process.stderr is not None
        raise AssertionError(self.process.stderr.read())

    def stop(self, how: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        self.process.send_signal(how)
        _, errors = self.process.communicate(timeout=30)
        return self.process.returncode, errors


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    started: list[Server] = []

    def start(*arguments: str, **more: str) -> Server:
        started.append(Server(*arguments, **more))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.process.kill()
        one.process.communicate()


def test_a_start_without_settings(server: Callable[..., Server], tmp_path: Path) -> None:
    place = tmp_path / "my [data]"
    first = server("serve", "--port", "0", "--data-dir", str(place))
    first.wait_for("Ctrl-C")
    file = place / "quickstart.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert (place / "platform.json").stat().st_mode & 0o777 == 0o600
    assert place.stat().st_mode & 0o077 == 0
    known = json.loads(file.read_text())
    text = "\n".join(first.shown)
    assert known["base_url"] in text
    assert known["token"] in text
    assert str(file) in text
    headers = {"authorization": f"Bearer {known['token']}"}
    made = httpx.post(f"{known['base_url']}/Users", json={"userName": "a@x.org"}, headers=headers)
    assert made.status_code == 201
    assert made.json()["meta"]["location"].startswith(known["base_url"])
    assert httpx.get(f"{known['platform_url']}/openapi.json").status_code == 200
    code, errors = first.stop()
    assert (code, "Traceback" in errors) == (0, False)

    second = server("serve", "--port", "0", "--data-dir", str(place))
    second.wait_for("Ctrl-C")
    again = json.loads(file.read_text())
    assert again["token"] == known["token"]
    assert again["tenant_id"] == known["tenant_id"]
    assert httpx.get(f"{again['base_url']}/Users", headers=headers).json()["totalResults"] == 1
    code, errors = second.stop(signal.SIGTERM)
    assert (code, "Traceback" in errors) == (0, False)


def test_a_start_after_the_embedded_platform_was_thrown_away(
    server: Callable[..., Server], tmp_path: Path
) -> None:
    first = server("serve", "--port", "0", "--data-dir", str(tmp_path))
    first.wait_for("Ctrl-C")
    first.stop()
    for file in (*tmp_path.glob("platform.db*"), tmp_path / "platform.json"):
        file.unlink()
    second = server("serve", "--port", "0", "--data-dir", str(tmp_path))
    second.wait_for("Ctrl-C")
    known = json.loads((tmp_path / "quickstart.json").read_text())
    headers = {"authorization": f"Bearer {known['token']}"}
    made = httpx.post(f"{known['base_url']}/Users", json={"userName": "a@x.org"}, headers=headers)
    assert made.status_code == 201, made.text


def test_a_bridge_over_a_platform_of_its_own_port(
    server: Callable[..., Server], run: Run, tmp_path: Path
) -> None:
    platform = server("platform", "--port", "0", "--data-dir", str(tmp_path / "platform"))
    platform.wait_for("Ctrl-C")
    exports = dict(
        line.strip().removeprefix("export ").split("=", 1) for line in platform.shown if "export " in line
    )
    tenant = re.search(r"--tenant (\S+)", "\n".join(platform.shown))
    assert tenant
    data = str(tmp_path / "bridge")
    added = run("connection", "add", "demo", "--tenant", tenant[1], "--data-dir", data, **exports)
    assert added.returncode == 0, added.stderr
    token = run("token", "create", "demo", "--data-dir", data, **exports).stdout.strip()
    bridge = server("serve", "--port", "0", "--data-dir", data, **exports)
    base = bridge.wait_for("  SCIM base URL").split()[-1]
    bridge.wait_for("Connections and tokens")
    with httpx.Client(headers={"authorization": f"Bearer {token}"}) as client:
        for _ in range(100):
            try:
                made = client.post(f"{base}/Users", json={"userName": "a@x.org"})
                break
            except httpx.ConnectError:
                continue
        assert made.status_code == 201, made.text
        assert client.get(f"{base}/Users").json()["totalResults"] == 1
        root = base.removesuffix("/scim/v2")
        for path in (
            "/openapi.json",
            "/api/v1/platform/.well-known/jwks.json",
            f"/api/v1/tenants/{tenant[1]}/users",
        ):
            answer = client.get(root + path)
            assert answer.status_code == 404
            assert answer.json()["status"] == "404"
        code, errors = platform.stop()
        assert code == 0
        assert "Traceback" not in errors
        gone = client.get(f"{base}/Users")
        assert gone.status_code == 503
        assert gone.headers["retry-after"].isdigit()
    code, errors = bridge.stop()
    assert code == 0
    assert "Traceback" not in errors
    assert token not in errors
    assert exports["SCIM_BRIDGE_PLATFORM_CLIENT_SECRET"] not in errors
    assert "a@x.org" not in errors


def test_a_platform_that_sends_webhooks(server: Callable[..., Server], tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{HOOK_SECRET}\n")
    with receiving() as receiver:
        arguments = ["platform", "--port", "0", "--data-dir", str(tmp_path), "--webhook-url", receiver.url]
        platform = server(*arguments, SCIM_BRIDGE_PLATFORM_WEBHOOK_SECRET_FILE=str(secret))
        platform.wait_for("Ctrl-C")
        known = json.loads((tmp_path / "platform.json").read_text())
        with httpx.Client(base_url=known["platform_url"], timeout=20) as client:
            token = client.post(
                "/api/v1/platform/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=(known["client_id"], known["client_secret"]),
            ).json()["access_token"]
            made = client.post(
                f"/api/v1/tenants/{known['tenant_id']}/users",
                json={"email": "ada@example.com"},
                headers={"authorization": f"Bearer {token}"},
            )
            assert made.status_code == 201, made.text
        receiver.wait_until(lambda r: len(r.all) == 1)
        assert receiver.all[0].type == "user.created"
        assert receiver.all[0].is_signed(HOOK_SECRET)
        code, errors = platform.stop()
    assert code == 0
    assert errors == ""
    assert HOOK_SECRET not in "\n".join(platform.shown)
