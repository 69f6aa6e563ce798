"""Files of connections: what they may say, and how a wrong one is refused."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import pytest

from app.cli.declared import DeclarationError, DeclaredConnection, parse_declared, read_declared
from app.store.connections import DialectSettings, Policies

FILE = Path("/etc/bridge/connections.toml")
ONE = "scb_Zk3vX9qLr7TnB2yHs5WdJ8mPc4UaG6eF1oQiR0tVxNw"
TWO = "scb_q8Wz5Rk1Yt7Mb3Xc9Lv2Jn6Hg4Fd0Sa-PoIuYtReWq_"
FILES = {
    "/run/secrets/okta": f"{ONE}\n",
    "/etc/bridge/near": TWO,
    "/etc/bridge/okta": ONE,
    "/poor": "scb_" + "A" * 43,
}
ENVIRON = {"TOKEN": f" {TWO} ", "POOR": "geheim", "EMPTY": ""}


def read(path: Path) -> str:
    if str(path) == "/bytes":
        return b"\xff-geheim".decode()
    if str(path) not in FILES:
        raise FileNotFoundError(2, "No such file or directory", str(path))
    return FILES[str(path)]


def parse(text: str, file: Path = FILE) -> tuple[DeclaredConnection, ...]:
    return parse_declared(text, file, ENVIRON, read)


def one(more: str, head: str = 'name = "okta"\ntenant_id = "tnt_1"') -> str:
    return f"format = 1\n[[connections]]\n{head}\n{more}\n"


def digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode()).digest()


def test_what_is_left_out_is_as_by_default() -> None:
    (found,) = parse(one(""))
    assert (found.name, found.tenant_id, found.mapping, found.domain) == (
        "okta",
        "tnt_1",
        "default",
        "default",
    )
    assert (found.dialect, found.policies, found.tokens) == (DialectSettings(), Policies(), ())


def test_everything() -> None:
    text = one(
        """
        mapping = "hr"
        domain = "okta"
        dialect = { mode = "strict", on = ["flat-keys"], off = [] }
        policies = { password = "set", terminate_sessions = false }
        tokens = [
            { label = "from file", secret_file = "/run/secrets/okta" },
            { label = "from variable", secret_env = "TOKEN" },
        ]
        """
    )
    (found,) = parse(text)
    assert (found.mapping, found.domain) == ("hr", "okta")
    assert found.dialect == DialectSettings(mode="strict", on=("flat-keys",))
    assert found.policies == Policies(password="set", terminate_sessions=False)
    assert [(t.label, t.digest) for t in found.tokens] == [
        ("from file", digest(ONE)),
        ("from variable", digest(TWO)),
    ]


def other_value(kind: Any, default: Any) -> Any:
    """A value that a field of this type takes and that is not its default."""
    kinds = [get_args(k)[0] if get_origin(k) is Annotated else k for k in (kind, *get_args(kind))]
    kind = kinds[0]
    if get_origin(kind) is Literal:
        return next(value for value in get_args(kind) if value != default)
    if get_origin(kind) is tuple:
        return ["id:flat-keys"]
    values = {bool: not default, int: 7, float: 0.5, str: "other"}
    return next(values[each] for each in kinds if isinstance(each, type) and each in values)


@pytest.mark.parametrize(("table", "form"), [("policies", Policies), ("dialect", DialectSettings)])
def test_every_field_is_set_by_its_own_name(table: str, form: type[msgspec.Struct]) -> None:
    for field in msgspec.structs.fields(form):
        value = other_value(field.type, field.default)
        connection = {"name": "okta", "tenant_id": "t", table: {field.encode_name: value}}
        text = json.dumps({"format": 1, "connections": [connection]})
        (found,) = parse(text, FILE.with_suffix(".json"))
        assert getattr(found, table) == msgspec.convert({field.encode_name: value}, type=form)
        assert getattr(found, table) != form()


def test_relative_paths_start_at_the_file() -> None:
    text = one('mapping = "maps/own.toml"\ntokens = [{ label = "x", secret_file = "near" }]')
    (found,) = parse(text)
    assert found.mapping == "/etc/bridge/maps/own.toml"
    assert found.tokens[0].digest == digest(TWO)


def test_links_on_the_way_are_kept(tmp_path: Path) -> None:
    # A mounted ConfigMap: the directory behind the link has another name after each change.
    (tmp_path / "..2026_01_01").mkdir()
    (tmp_path / "..data").symlink_to("..2026_01_01")
    (tmp_path / "..data" / "connections.toml").write_text(one('mapping = "own.toml"'))
    (tmp_path / "connections.toml").symlink_to("..data/connections.toml")
    (found,) = read_declared(tmp_path / "connections.toml", {})
    assert found.mapping == str(tmp_path / "own.toml")


TOKEN = 'tokens = [{{ label = "x", {} }}]'


@pytest.mark.parametrize(
    ("text", "key", "reason"),
    [
        ("format = ", "", "not TOML"),
        ("connections = []", "", "`format`"),
        ("format = 2", "format", "2"),
        ("format = 1", "connections", "declares no connection"),
        ("format = 1\n[[connection]]", "", "`connection`"),
        (one("", 'name = "okta"'), "connections[0]", "tenant_id"),
        (one("", 'name = ""\ntenant_id = "t"'), "connections[0]", "name"),
        (one("", 'name = "okta"\ntenant_id = "../t"'), "connections[0] (okta)", "tenant"),
        (one('domain = "a b"'), "connections[0] (okta)", "domain"),
        (one('mapping = ""'), "connections[0] (okta)", "mapping"),
        (one('tenant = "t"'), "connections[0]", "`tenant`"),
        (one("[connections.policies]\ncolour = 1"), "(okta).policies.colour", "terminate_sessions"),
        (one('policies.password = "maybe"'), "(okta).policies.password", "maybe"),
        (one('policies.terminate_sessions = "no"'), "(okta).policies.terminate_sessions", "bool"),
        (one("policies = 1"), "connections[0].policies", "object"),
        (one('dialect.modes = "strict"'), "(okta).dialect.modes", "mode, off, on"),
        (one('dialect.mode = "lax"'), "(okta).dialect.mode", "lax"),
        (one('dialect.off = "flat-keys"'), "(okta).dialect.off", "array"),
        (
            one("") + one("").removeprefix("format = 1"),
            "connections[1] (okta)",
            "same name as connections[0]",
        ),
        (one('tokens = [{ label = "x" }]'), "(okta).tokens[0]", "exactly one"),
        (one(TOKEN.format('secret_env = "TOKEN", secret_file = "near"')), "(okta).tokens[0]", "exactly one"),
        (one(TOKEN.format('secret = "geheim"')), "connections[0].tokens[0]", "`secret`"),
        (one('tokens = [{ label = " ", secret_env = "TOKEN" }]'), "(okta).tokens[0]", "label"),
        (one('tokens = [{ label = "a\\nb", secret_env = "TOKEN" }]'), "(okta).tokens[0]", "label"),
        (one(TOKEN.format('secret_env = "NOBODY"')), "(okta).tokens[0].secret_env", "NOBODY is not set"),
        (one(TOKEN.format('secret_env = "EMPTY"')), "(okta).tokens[0].secret_env", "EMPTY is not set"),
        (one(TOKEN.format('secret_env = "POOR"')), "(okta).tokens[0]", "POOR: a token's secret is scb_"),
        (one(TOKEN.format('secret_file = "/none"')), "(okta).tokens[0].secret_file", "/none cannot be read"),
        (one(TOKEN.format('secret_file = "/bytes"')), "(okta).tokens[0].secret_file", "not text"),
        (one(TOKEN.format('secret_file = "/poor"')), "(okta).tokens[0]", "not random"),
        (one(TOKEN.format(f'secret_env = "{ONE}"')), "(okta).tokens[0]", "does not belong here"),
        (one(TOKEN.format(f'secret_file = "{ONE}"')), "(okta).tokens[0]", "does not belong here"),
        (
            one('tokens = [{label = "x", secret_env = "TOKEN"}, {label = "y", secret_file = "near"}]'),
            "(okta).tokens[1]",
            "same secret as connections[0] (okta).tokens[0]",
        ),
        (
            one('tokens = [{label = "x", secret_env = "TOKEN"}, {label = "x", secret_file = "okta"}]'),
            "(okta).tokens[1]",
            "same label as connections[0] (okta).tokens[0]",
        ),
    ],
)
def test_a_wrong_file_is_refused_by_key_and_reason(text: str, key: str, reason: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith(f"{FILE}: ")
    assert key in message
    assert reason in message.partition(key)[2] if key else reason in message
    assert "\n" not in message
    assert not any(secret in message for secret in (ONE, TWO, "geheim"))


def test_a_file_that_is_not_json() -> None:
    with pytest.raises(DeclarationError, match="not JSON"):
        parse("format = 1", Path("c.json"))


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(DeclarationError, match=r"nobody\.toml: cannot be read"):
        read_declared(tmp_path / "nobody.toml", {})
