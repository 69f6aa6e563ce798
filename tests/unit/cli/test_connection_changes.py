"""What a file of connections changes: worked out from the file and from what is stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from app.cli.changes import ConnectionChange, FieldChange, Stored, TokenChange, plan
from app.cli.declared import DeclarationError, DeclaredConnection, DeclaredToken
from app.store.connections import Connection, DialectSettings, Policies
from app.store.tokens import Token

NOW = datetime(2026, 3, 1, tzinfo=UTC)
FILE = Path("connections.toml")


def declared(name: str, *tokens: tuple[str, bytes], **given: object) -> DeclaredConnection:
    values = {
        "tenant_id": "t",
        "mapping": "default",
        "domain": "default",
        "dialect": DialectSettings(),
        "policies": Policies(),
        **given,
    }
    made = tuple(DeclaredToken(key=f"{name}.{label}", label=label, digest=d) for label, d in tokens)
    return DeclaredConnection(key=name, name=name, tokens=made, **values)  # type: ignore[arg-type]


def connection(name: str, **given: object) -> Connection:
    made = Connection(id=f"con_{name}", name=name, tenant_id="t", created_at=NOW)
    return msgspec.structs.replace(made, **given)


def token(holder: str, label: str, **given: object) -> Token:
    made = Token(
        id=f"tok_{label}",
        connection_id=f"con_{holder}",
        label=label,
        created_at=NOW,
        expires_at=None,
        last_used_at=None,
        revoked_at=None,
    )
    return msgspec.structs.replace(made, **given)


def changes(
    wanted: list[DeclaredConnection],
    connections: list[Connection],
    tokens: dict[bytes, Token] | None = None,
    *,
    prune: bool = False,
) -> tuple[ConnectionChange, ...]:
    tokens = tokens or {}
    stored = Stored(connections=connections, tokens=list(tokens.values()), by_digest=tokens)
    return plan(FILE, wanted, stored, prune=prune, now=NOW)


def test_a_new_connection_shows_what_is_not_as_by_default() -> None:
    (found,) = changes([declared("a", ("x", b"1"), policies=Policies(password="set"))], [])
    assert found.kind == "added"
    assert [(f.name, f.after) for f in found.fields] == [("tenant_id", "t"), ("policies.password", "set")]
    assert found.tokens == (TokenChange(kind="added", label="x", digest=b"1"),)


def test_what_is_as_declared_is_unchanged() -> None:
    (found,) = changes([declared("a", ("x", b"1"))], [connection("a")], {b"1": token("a", "x")})
    assert (found.kind, found.fields, found.tokens) == ("unchanged", (), ())


def test_every_setting_but_name_and_tenant_changes() -> None:
    wanted = declared(
        "a",
        mapping="hr",
        domain="d",
        dialect=DialectSettings(mode="strict"),
        policies=Policies(terminate_sessions=False),
    )
    (found,) = changes([wanted], [connection("a", policies=Policies(password="set"))])
    assert found.kind == "changed"
    assert found.fields == (
        FieldChange(name="mapping", before="default", after="hr"),
        FieldChange(name="domain", before="default", after="d"),
        FieldChange(name="dialect.mode", before="lenient", after="strict"),
        FieldChange(name="policies.password", before="set", after="ignore"),
        FieldChange(name="policies.terminate_sessions", before=True, after=False),
    )


def test_another_tenant_is_refused() -> None:
    with pytest.raises(DeclarationError, match=r"a\.tenant_id: .* bound to tenant t, .* another one"):
        changes([declared("a", tenant_id="u")], [connection("a")])


@pytest.mark.parametrize(("prune", "kind"), [(False, "undeclared"), (True, "removed")])
def test_connections_that_are_not_declared(prune: bool, kind: str) -> None:
    tokens = {b"1": token("b", "x"), b"2": token("b", "y", revoked_at=NOW), b"3": token("a", "z")}
    wanted = [declared("a", ("z", b"3"))]
    first, second = changes(wanted, [connection("b"), connection("a")], tokens, prune=prune)
    assert (first.name, first.kind) == ("a", "unchanged")
    assert (second.name, second.kind, second.connection_id, second.living) == ("b", kind, "con_b", 1)


@pytest.mark.parametrize(
    ("prune", "kind", "of_connection"), [(False, "undeclared", "unchanged"), (True, "revoked", "changed")]
)
def test_tokens_that_are_not_declared(prune: bool, kind: str, of_connection: str) -> None:
    tokens = {
        b"1": token("a", "kept"),
        b"2": token("a", "other"),
        b"3": token("a", "gone", revoked_at=NOW),
        b"4": token("a", "late", expires_at=NOW - timedelta(seconds=1)),
    }
    (found,) = changes([declared("a", ("kept", b"1"))], [connection("a")], tokens, prune=prune)
    assert found.tokens == (TokenChange(kind=kind, label="other", token_id="tok_other"),)  # type: ignore[arg-type]
    assert found.kind == of_connection


def test_another_secret_under_a_label_ends_the_former_one() -> None:
    tokens = {b"1": token("a", "x"), b"2": token("a", "y")}
    (found,) = changes([declared("a", ("x", b"3"), ("y", b"2"))], [connection("a")], tokens)
    assert found.kind == "changed"
    assert found.tokens == (
        TokenChange(kind="added", label="x", digest=b"3"),
        TokenChange(kind="replaced", label="x", token_id="tok_x"),
    )


def test_a_secret_under_another_label_stays_alive() -> None:
    tokens = {b"1": token("a", "x")}
    (found,) = changes([declared("a", ("y", b"1"), ("x", b"2"))], [connection("a")], tokens)
    assert found.tokens == (
        TokenChange(kind="relabelled", label="y", former="x", token_id="tok_x"),
        TokenChange(kind="added", label="x", digest=b"2"),
    )


@pytest.mark.parametrize(
    ("given", "how"),
    [({"revoked_at": NOW}, "was revoked"), ({"expires_at": NOW}, "has expired")],
)
@pytest.mark.parametrize("prune", [False, True])
def test_a_dead_secret_is_not_brought_back(given: dict[str, datetime], how: str, prune: bool) -> None:
    tokens = {b"1": token("a", "x", **given)}
    with pytest.raises(DeclarationError, match=rf"a\.x: .*{how} \(tok_x\)"):
        changes([declared("a", ("x", b"1"))], [connection("a")], tokens, prune=prune)


@pytest.mark.parametrize("prune", [False, True])
def test_a_secret_of_another_declared_connection_is_refused(prune: bool) -> None:
    wanted = [declared("a", ("x", b"1")), declared("b")]
    with pytest.raises(DeclarationError, match="token of connection b"):
        changes(wanted, [connection("a"), connection("b")], {b"1": token("b", "x")}, prune=prune)


def test_a_renamed_connection_takes_its_secrets_along_only_with_prune() -> None:
    wanted = [declared("new", ("x", b"1"))]
    with pytest.raises(DeclarationError, match="token of connection old"):
        changes(wanted, [connection("old")], {b"1": token("old", "x")})
    added, removed = changes(wanted, [connection("old")], {b"1": token("old", "x")}, prune=True)
    assert added.tokens == (TokenChange(kind="added", label="x", digest=b"1"),)
    assert removed.kind == "removed"
