"""Every tolerance is used, has a documented client, and can be switched alone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from app.scim import dialect as dialect_module
from app.scim.dialect import LENIENT, STRICT, Dialect, Tolerance

KNOWN_CLIENTS = (
    *("Microsoft Entra ID", "Okta", "OneLogin", "JumpCloud", "authentik", "Ping", "Google"),
    # Kinds of clients, where no product is known by name.
    *("Java clients", "Scripts", "Test tools", "Clients that read groups"),
)


@pytest.mark.parametrize("tolerance", list(Tolerance))
def test_a_tolerance_names_its_client_and_its_rfc_point(tolerance: Tolerance) -> None:
    assert re.fullmatch(r"[a-z]+(-[a-z]+)*", tolerance)
    assert any(client in tolerance.clients for client in KNOWN_CLIENTS)
    assert re.match(r"RFC 764[34] §\d", tolerance.departs_from)
    assert tolerance.accepts.endswith(".")


def test_every_tolerance_is_asked_for_in_code() -> None:
    own = Path(dialect_module.__file__)
    code = "\n".join(p.read_text() for p in sorted(own.parent.parent.rglob("*.py")) if p != own)
    unused = [t for t in Tolerance if f"Tolerance.{t.name}" not in code]
    assert unused == []


def test_lenient_has_all_and_strict_none() -> None:
    assert Dialect.of() == LENIENT
    assert Dialect.of("strict") == STRICT
    assert all(LENIENT.allows(t) and not STRICT.allows(t) for t in Tolerance)


def test_single_tolerances_are_switched_by_name() -> None:
    without = Dialect.of("lenient", off=["op-case"])
    assert not without.allows(Tolerance.OP_CASE)
    assert without.allows(Tolerance.FLAT_KEYS)
    with_one = Dialect.of("strict", on=["boolean-words"])
    assert with_one.tolerances == {Tolerance.BOOLEAN_WORDS}
    assert Dialect.of("lenient", off=["op-case"], on=["op-case"]) == LENIENT


@pytest.mark.parametrize("where", ["off", "on"])
def test_an_unknown_name_is_refused_with_the_valid_ones(where: str) -> None:
    with pytest.raises(ValueError, match=r"unknown tolerance bool-words; valid are .*boolean-words"):
        Dialect.of("lenient", **{where: ["bool-words"]})


def test_an_unknown_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="lenient and strict"):
        Dialect.of("loose")
