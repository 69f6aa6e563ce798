"""`connection apply`: what it writes, and that it writes nothing where it refuses."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from command_line import Run, one_line

from app.cli.apply import apply
from app.cli.declared import read_declared
from app.config import Settings
from app.store.connections import Connection, DialectSettings, Policies
from app.store.store import Store
from app.store.tokens import Authenticated, Token, new_secret
from app.web.contexts import Contexts

HEAD = 'format = 1\n[[connections]]\nname = "okta"\ntenant_id = "tnt_1"\n'
FULL = (
    HEAD
    + """
policies = { password = "set", activate_locked = true }
dialect = { off = ["flat-keys"] }
tokens = [{ label = "a", secret_file = "a" }, { label = "b", secret_env = "TOKEN_B" }]

[[connections]]
name = "entra"
tenant_id = "tnt_2"
"""
)


class Place:
    """A file of connections with its secrets, and the database that it is applied to."""

    def __init__(self, run: Run, path: Path) -> None:
        self._run = run
        self._url = f"sqlite+aiosqlite:///{path}/data/bridge.db"
        self.file = path / "connections.toml"
        self.secrets = {"a": path / "a"}
        self.a = self.renew()
        self.b = new_secret()

    def renew(self) -> str:
        """Put another secret into the file of token a."""
        self.a = new_secret()
        self.secrets["a"].write_text(self.a + "\n")
        return self.a

    def apply(self, text: str, *options: str) -> list[str]:
        """Apply a text; the lines that are shown."""
        self.file.write_text(text)
        done = self._run("connection", "apply", str(self.file), *options, TOKEN_B=self.b)
        assert done.returncode == 0, done.stderr
        assert self.a not in done.stdout
        assert self.b not in done.stdout
        return done.stdout.splitlines()

    def refuse(self, text: str, *parts: str) -> None:
        """Apply a text that must be refused, with nothing written."""
        before = self.stored()
        self.file.write_text(text)
        one_line(self._run("connection", "apply", str(self.file), "--prune", TOKEN_B=self.b), *parts)
        assert self.stored() == before

    def stored(self) -> tuple[dict[str, Connection], list[Token]]:
        async def read(store: Store) -> tuple[dict[str, Connection], list[Token]]:
            return {c.name: c for c in await store.connections.list()}, list(await store.tokens.list())

        return self.ask(read)

    def holder(self, secret: str) -> Authenticated | None:
        """Whom the bridge takes the bearer of a secret for."""
        return self.ask(lambda store: store.tokens.authenticate(secret))

    def ask(self, question: Callable[[Store], object]):  # type: ignore[no-untyped-def]
        async def go() -> object:
            store = await Store.open(self._url)
            try:
                return await question(store)  # type: ignore[misc]
            finally:
                await store.close()

        return asyncio.run(go())


@pytest.fixture
def place(run: Run, tmp_path: Path) -> Place:
    return Place(run, tmp_path)


def test_a_file_makes_connections_and_tokens(place: Place) -> None:
    shown = place.apply(FULL)
    assert shown == [
        "+ okta: added",
        '    tenant_id = "tnt_1"',
        '    dialect.off = ["flat-keys"]',
        '    policies.password = "set"',
        "    policies.activate_locked = true",
        "    + token a",
        "    + token b",
        "+ entra: added",
        '    tenant_id = "tnt_2"',
        "connections: 2 added",
    ]
    connections, tokens = place.stored()
    assert connections["okta"].dialect == DialectSettings(off=("flat-keys",))
    assert connections["okta"].policies == Policies(password="set", activate_locked=True)
    assert connections["entra"].policies == Policies()
    assert {token.label for token in tokens} == {"a", "b"}
    for secret in (place.a, place.b):
        assert place.holder(secret).connection == connections["okta"]


def test_a_second_run_changes_nothing_and_says_so(place: Place) -> None:
    place.apply(FULL)
    before = place.stored()
    for options in ((), ("--prune",), ("--dry-run",)):
        assert place.apply(FULL, *options) == [
            "= okta: unchanged",
            "= entra: unchanged",
            "connections: 2 unchanged",
            "nothing to change",
        ]
    assert place.stored() == before


def test_a_change_of_settings(place: Place) -> None:
    place.apply(FULL)
    shown = place.apply(FULL.replace('password = "set", ', ""))
    assert shown[:2] == ["~ okta: changed", '    policies.password: "set" -> "ignore"']
    assert place.holder(place.a).connection.policies == Policies(activate_locked=True)


def test_a_dry_run_shows_the_same_and_writes_nothing(place: Place) -> None:
    (*would, last) = place.apply(FULL, "--dry-run")
    assert last == "nothing was written: --dry-run"
    assert place.stored() == ({}, [])
    assert place.apply(FULL) == would


def test_a_secret_is_changed_while_another_lives_on(place: Place) -> None:
    place.apply(FULL)
    former = place.a
    assert place.holder(former)
    place.renew()
    shown = place.apply(FULL)
    assert shown[:2] == ["~ okta: changed", "    + token a"]
    assert re.fullmatch(r"    - token a with the former secret is revoked \(tok_\w+\)", shown[2])
    assert place.holder(former) is None
    assert place.holder(place.a).token.label == "a"
    assert place.holder(place.b).token.label == "b"
    place.secrets["a"].write_text(former)
    place.refuse(FULL, "okta", "tokens[0]", "revoked", "make a new one")


def test_what_is_not_declared_ends_only_with_prune(place: Place, run: Run) -> None:
    place.apply(FULL)
    by_hand = run("token", "create", "okta", "--label", "by hand").stdout.strip()
    run("connection", "add", "legacy", "--tenant", "tnt_3")
    legacy = run("token", "create", "legacy").stdout.strip()

    shown = "\n".join(place.apply(FULL))
    assert "! token by hand is not declared, goes on working" in shown
    assert "! legacy: not declared, goes on working with 1 live token; --prune would remove it" in shown
    assert "connections: 2 unchanged, 1 not declared\nnothing to change" in shown
    assert place.holder(by_hand)
    assert place.holder(legacy)

    shown = "\n".join(place.apply(FULL, "--prune"))
    assert "- token by hand is revoked" in shown
    assert "- legacy: removed, with 1 live token" in shown
    assert place.holder(by_hand) is None
    assert place.holder(legacy) is None
    assert set(place.stored()[0]) == {"okta", "entra"}
    assert place.holder(place.a)


def test_a_connection_is_renamed_with_prune(place: Place) -> None:
    place.apply(FULL)
    renamed = FULL.replace('"okta"', '"okta-prod"')
    place.apply(renamed, "--prune")
    assert place.holder(place.a).connection.name == "okta-prod"


@pytest.mark.parametrize(
    ("spoil", "parts"),
    [
        (("tnt_1", "tnt_9"), ["connections[0] (okta).tenant_id", "tnt_1", "another one"]),
        (('off = ["flat-keys"]', 'off = ["nobody"]'), ["(okta).dialect", "nobody", "boolean-words"]),
        (('"tnt_2"', '"tnt_2"\nmapping = "nobody"'), ["(entra).mapping", "nobody.toml"]),
        (('"tnt_2"', '"tnt_2"\nmapping = "bad.toml"'), ["(entra).mapping", "bad.toml", "format"]),
        (('"tnt_2"', '"tnt_2"\nmapping_file = "x"'), ["connections[1]", "mapping_file"]),
        (('secret_env = "TOKEN_B"', 'secret_file = "none"'), ["(okta).tokens[1].secret_file", "none"]),
        (('"set"', '"geheim"'), ["(okta).policies.password"]),
    ],
)
def test_a_refused_file_writes_nothing(
    place: Place, tmp_path: Path, spoil: tuple[str, str], parts: list[str]
) -> None:
    (tmp_path / "bad.toml").write_text("")
    place.apply(FULL)
    # With a change that is right, before what is wrong.
    text = FULL.replace("activate_locked = true", "activate_locked = false")
    place.refuse(text.replace(*spoil), str(place.file), *parts)


def test_a_refused_file_makes_no_database(place: Place, run: Run, tmp_path: Path) -> None:
    place.file.write_text(HEAD + 'mapping = "nobody"')
    one_line(run("connection", "apply", str(place.file)), "nobody.toml")
    assert not (tmp_path / "data").exists()


def test_a_mapping_of_ones_own_beside_the_file(place: Place, tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text((Path(__file__).parents[3] / "mappings" / "default.toml").read_text())
    place.apply(HEAD + 'mapping = "own.toml"')
    assert place.stored()[0]["okta"].mapping == str(own)


def test_a_made_secret_is_one_that_may_be_declared(place: Place, run: Run) -> None:
    made = run("token", "generate").stdout
    place.secrets["a"].write_text(made)
    place.apply(FULL)
    assert place.holder(made.strip()).token.label == "a"


def test_a_server_that_runs_serves_by_the_new_policies(place: Place) -> None:
    contexts = Contexts(Settings())
    place.apply(FULL)
    assert contexts.of(place.holder(place.a).connection, "https://x").sets_passwords
    place.apply(FULL.replace('password = "set", ', ""))
    assert not contexts.of(place.holder(place.a).connection, "https://x").sets_passwords


async def test_two_at_once_write_once(postgres_url: Callable[[], str], tmp_path: Path) -> None:
    file = tmp_path / "connections.toml"
    file.write_text(HEAD + 'tokens = [{ label = "a", secret_env = "A" }]')
    declared = read_declared(file, {"A": new_secret()})
    settings = Settings(database_url=postgres_url())
    await (await Store.open(settings.bridge_database_url)).close()
    runs = await asyncio.gather(
        *(apply(settings, file, declared, prune=False, dry_run=False) for _ in range(4))
    )
    assert sorted(change.kind for (change,) in runs) == ["added", "unchanged", "unchanged", "unchanged"]
