"""OAuth clients, federation trusts and bound tokens by commands and in a file of connections."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from command_line import Run, one_line

from app.cli.declared import DeclarationError, parse_declared
from app.store.store import Store
from app.store.tokens import CLIENT_SECRET, new_secret

CLIENT_ID = re.compile(r"cli_[a-z0-9]{20}")
SECRET = re.compile(r"scs_[A-Za-z0-9_-]{43}")
ISSUER = "https://login.microsoftonline.com/tid/v2.0"
TRUST = ("--issuer", ISSUER, "--subject", "app-1", "--audience", "api://bridge")
HEAD = 'format = 1\n[[connections]]\nname = "okta"\ntenant_id = "tnt_1"\n'

Ask = Callable[[Callable[[Store], Awaitable[Any]]], Any]


@pytest.fixture
def ask(tmp_path: Path) -> Ask:
    """Ask the database that the commands work on."""

    def asked(question: Callable[[Store], Awaitable[Any]]) -> Any:
        async def go() -> Any:
            store = await Store.open(f"sqlite+aiosqlite:///{tmp_path}/data/bridge.db")
            try:
                return await question(store)
            finally:
                await store.close()

        return asyncio.run(go())

    return asked


def made(run: Run, *arguments: str) -> str:
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_client_and_its_two_secrets(run: Run, ask: Ask) -> None:
    made(run, "connection", "add", "entra", "--tenant", "tnt_1")
    added = run("client", "add", "entra", "--label", "Entra, 2027", "--expires", "90d")
    client_id, first = re.fullmatch(r"client_id=(\S+)\nclient_secret=(\S+)\n", added.stdout).groups()  # type: ignore[union-attr]
    assert CLIENT_ID.fullmatch(client_id)
    assert SECRET.fullmatch(first)
    assert "shown only now" in added.stderr
    assert first not in added.stderr
    second = made(run, "client", "secret", "add", client_id, "--label", "next").strip()
    assert SECRET.fullmatch(second)
    one_line(run("client", "secret", "add", client_id), "remove one first")
    for secret in (first, second):
        assert ask(lambda s, t=secret: s.clients.authenticate(client_id, t)).connection.name == "entra"  # type: ignore[misc]
    listed = made(run, "client", "list", "entra")
    assert client_id in listed
    assert "Entra, 2027" in listed
    ids = re.findall(r"sec_[a-z0-9]{20}", listed)
    assert len(ids) == 2
    assert first not in listed
    assert second not in listed
    assert made(run, "client", "secret", "remove", ids[0]) == f"removed {ids[0]}\n"
    assert ask(lambda s: s.clients.authenticate(client_id, first)) is None
    assert "removed" in made(run, "client", "list")
    assert client_id in made(run, "client", "remove", client_id)
    assert ask(lambda s: s.clients.authenticate(client_id, second)) is None
    one_line(run("client", "remove", client_id), client_id)
    one_line(run("client", "secret", "add", client_id), client_id)
    one_line(run("client", "secret", "remove", ids[1]), ids[1])


def test_what_cannot_be_added(run: Run) -> None:
    one_line(run("client", "add", "nobody"), "nobody")
    one_line(run("client", "list", "nobody"), "nobody")
    one_line(run("federation", "add", "nobody", *TRUST), "nobody")
    made(run, "connection", "add", "entra", "--tenant", "tnt_1")
    one_line(run("client", "add", "entra", "--expires", "1999-01-01"), "in the past")
    one_line(run("client", "add", "entra", "--label", "x" * 201), "label")
    assert "cli_" not in made(run, "client", "list")
    wrong = ("--issuer", "http://login.example", *TRUST[2:])
    one_line(run("federation", "add", "entra", *wrong), "https")


def test_federation(run: Run, ask: Ask) -> None:
    made(run, "connection", "add", "entra", "--tenant", "tnt_1")
    added = made(run, "federation", "add", "entra", *TRUST)
    trust = added.split()[1]
    one_line(run("federation", "add", "entra", *TRUST), "already")
    listed = made(run, "federation", "list", "entra")
    assert trust in listed
    assert "by discovery" in listed
    keys = "https://keys.example/jwks"
    made(run, "federation", "add", "entra", *TRUST[:-1], "api://two", "--jwks-url", keys)
    assert keys in made(run, "federation", "list")
    made(run, "federation", "remove", trust)
    assert trust not in made(run, "federation", "list")
    one_line(run("federation", "remove", trust), trust)


def test_a_token_bound_to_a_user(run: Run, ask: Ask) -> None:
    made(run, "connection", "add", "entra", "--tenant", "tnt_1")
    token = made(run, "token", "create", "entra", "--user", "usr_1").strip()
    assert ask(lambda s: s.tokens.authenticate(token)).user_id == "usr_1"
    assert "usr_1" in made(run, "token", "list")
    one_line(run("token", "create", "entra", "--user", "../x"), "id")


# --- declared -----------------------------------------------------------------------------------------------


class Place:
    """A file that declares a client with its secrets in files beside it."""

    def __init__(self, run: Run, ask: Ask, path: Path) -> None:
        self.run, self.ask, self.path = run, ask, path
        self.file = path / "connections.toml"
        self.secrets = {name: self.renew(name) for name in ("a", "b", "c")}

    def renew(self, name: str) -> str:
        secret = new_secret(kind=CLIENT_SECRET)
        (self.path / name).write_text(secret + "\n")
        return secret

    def apply(self, text: str, *options: str) -> list[str]:
        self.file.write_text(text)
        shown = made(self.run, "connection", "apply", str(self.file), *options)
        assert not SECRET.search(shown)
        return shown.splitlines()

    def refuse(self, text: str, *parts: str) -> None:
        before = self.stored()
        self.file.write_text(text)
        one_line(self.run("connection", "apply", str(self.file)), *parts)
        assert self.stored() == before

    def good(self, *names: str, client: str = "okta-prod") -> list[bool]:
        return [
            self.ask(lambda s, t=self.secrets[n]: s.clients.authenticate(client, t)) is not None  # type: ignore[misc]
            for n in names
        ]

    def stored(self) -> Any:
        async def read(store: Store) -> Any:
            return (
                await store.clients.list(),
                await store.clients.secrets(),
                await store.federations.list(),
                await store.connections.list(),
            )

        return self.ask(read)


@pytest.fixture
def place(run: Run, ask: Ask, tmp_path: Path) -> Place:
    return Place(run, ask, tmp_path)


def client(*secrets: str, label: str = "", id: str = "okta-prod") -> str:
    listed = ", ".join(
        f'{{ label = "{s.split("=")[0]}", secret_file = "{s.split("=")[-1]}" }}' for s in secrets
    )
    return f'[[connections.clients]]\nid = "{id}"\nlabel = "{label}"\nsecrets = [{listed}]\n'


def trust(subject: str = "app-1", more: str = "") -> str:
    return f'[[connections.federation]]\nissuer = "{ISSUER}"\nsubject = "{subject}"\naudience = "api://x"\n{more}\n'


def test_a_file_declares_clients_and_trusts(place: Place) -> None:
    text = HEAD + client("a", "b") + trust()
    assert place.apply(text) == [
        "+ okta: added",
        '    tenant_id = "tnt_1"',
        "    + client okta-prod",
        "        + secret a",
        "        + secret b",
        f"    + trust in {ISSUER} for app-1",
        "connections: 1 added",
    ]
    assert place.good("a", "b", "c") == [True, True, False]
    before = place.stored()
    for options in ((), ("--prune",), ("--dry-run",)):
        assert place.apply(text, *options)[-1] == "nothing to change"
    assert place.stored() == before


def test_rotation(place: Place) -> None:
    place.apply(HEAD + client("1=a", "2=b"))
    shown = place.apply(HEAD + client("1=c", "2=b", label="Okta"))
    assert "    ~ client okta-prod" in shown
    assert "        ~ it is now Okta" in shown
    assert "        + secret 1" in shown
    assert any(line.startswith("        - secret 1 as it was is removed (sec_") for line in shown)
    assert place.good("a", "b", "c") == [False, True, True]
    # What was removed is not taken again.
    place.refuse(HEAD + client("1=a", "2=b"), "clients[0].secrets[0]", "was removed")
    assert "        ~ secret 2 is now 3" in place.apply(HEAD + client("1=c", "3=b"))


def test_what_is_not_declared_goes_on_without_prune(place: Place) -> None:
    place.apply(HEAD + client("a", "b") + client("c", id="other") + trust())
    shown = place.apply(HEAD + client("a"))
    assert any("! secret b is not declared" in line for line in shown)
    assert any("! client other is not declared" in line for line in shown)
    assert any("! trust in" in line for line in shown)
    assert shown[-1] == "nothing to change"
    assert place.good("a", "b") == [True, True]
    # There can be two.
    place.secrets["d"] = place.renew("d")
    place.refuse(HEAD + client("a", "d"), "clients[0].secrets", "'b'")
    place.apply(HEAD + client("a", "d"), "--prune")
    assert place.good("a", "b", "d") == [True, False, True]
    assert place.good("c", client="other") == [False]
    assert [c.id for c in place.stored()[0]] == ["okta-prod"]
    assert place.stored()[2] == []


def test_keys_from_elsewhere(place: Place) -> None:
    place.apply(HEAD + trust())
    shown = place.apply(HEAD + trust(more='jwks_url = "https://keys.example"'))
    assert any("takes its keys from elsewhere" in line for line in shown)
    (stored,) = place.stored()[2]
    assert stored.jwks_url == "https://keys.example"


def test_what_another_connection_has(place: Place) -> None:
    place.apply(HEAD + client("a") + trust())
    second = HEAD + '[[connections]]\nname = "entra"\ntenant_id = "tnt_2"\n'
    place.refuse(second + client("b"), "connections[1] (entra).clients[0].id", "okta")
    place.refuse(second + trust(), "connections[1] (entra).federation[0]", "okta")
    place.refuse(second + client("a", id="new"), "clients[0].secrets[0]", "client okta-prod")
    # With the other connection removed, all of it is free.
    alone = second.replace(HEAD, "format = 1\n")
    place.apply(alone + client("a") + trust(), "--prune")
    assert place.good("a") == [True]
    assert [c.name for c in place.stored()[3]] == ["entra"]


FILE = Path("/etc/bridge/connections.toml")
FILES = {f"/etc/bridge/{n}": new_secret(kind=CLIENT_SECRET) for n in ("a", "b", "c")} | {
    "/etc/bridge/token": new_secret()
}


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        (client("a", "b", "c"), "clients[0].secrets", "up to 2"),
        (client("a", "a"), "clients[0].secrets[1]", "same label"),
        (client("1=a", "2=a"), "clients[0].secrets[1]", "same secret"),
        (client("a") + client("b"), "clients[1]", "same id"),
        (client("token"), "clients[0].secrets[0]", "a client's secret is scs_"),
        (client("a", id="a b"), "clients[0]", "id"),
        (client("a", id=new_secret(kind=CLIENT_SECRET)), "clients[0]", "does not belong here"),
        (client("a", label=new_secret(kind=CLIENT_SECRET)), "clients[0]", "does not belong here"),
        (client("nobody"), "clients[0].secrets[0].secret_file", "cannot be read"),
        (client("a") + "secret = 1\n", "clients[0]", "`secret`"),
        ('tokens = [{ label = "x", secret_file = "a" }]\n', "tokens[0]", "a token's secret is scb_"),
        (trust() + trust(), "federation[1]", "same issuer"),
        (trust(more='jwks_url = "http://keys.example"'), "federation[0]", "https"),
        (trust(subject=""), "federation[0]", "subject"),
        (trust(more="x = 1"), "federation[0]", "`x`"),
    ],
)
def test_files_that_are_refused(text: str, key: str, reason: str) -> None:
    def read(path: Path) -> str:
        if str(path) not in FILES:
            raise FileNotFoundError(2, "No such file or directory", str(path))
        return FILES[str(path)]

    with pytest.raises(DeclarationError) as refused:
        parse_declared(HEAD + text, FILE, {}, read)
    message = str(refused.value)
    assert f"connections[0] (okta).{key}: " in message or f"connections[0].{key}" in message
    assert reason in message
    assert not SECRET.search(message)


def test_a_secret_for_a_file(run: Run) -> None:
    assert SECRET.fullmatch(made(run, "client", "secret", "generate").strip())
