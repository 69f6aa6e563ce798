"""What the README says of settings, mapping keys, commands and tolerances is what there is."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
import reference
import typer

from app.cli.main import app
from app.mapping.load import editor_schema
from app.scim.dialect import Tolerance

TEXT = reference.README.read_text("utf-8")


@pytest.mark.parametrize(
    ("name", "made"),
    [
        ("settings", reference.settings_table()),
        ("policies", reference.policies_table()),
        ("mapping", reference.mapping_tables()),
    ],
)
def test_tables_are_those_of_the_code(name: str, made: str) -> None:
    assert reference.section(name, TEXT) == made


def test_every_setting_and_key_has_a_meaning() -> None:
    empty = [
        line
        for made in (reference.settings_table, reference.policies_table, reference.mapping_tables)
        for line in made().splitlines()
        if re.fullmatch(r"\|.*\|\s*\|", line)
    ]
    assert empty == []


def test_editors_get_the_present_form_of_mapping_files() -> None:
    assert json.loads(reference.EDITOR_SCHEMA.read_text("utf-8")) == json.loads(json.dumps(editor_schema()))


def test_every_command_and_option_is_described() -> None:
    words = _words(typer.main.get_command(app), "scim-bridge")
    assert "scim-bridge token revoke" in words
    assert [each for each in words if each not in TEXT] == []


def test_every_tolerance_is_listed_with_its_client() -> None:
    for tolerance in Tolerance:
        assert f"| `{tolerance.value}` | {tolerance.accepts} | {tolerance.clients} |" in TEXT


def _words(command: Any, path: str) -> list[str]:
    """Every command, and every option as the README writes it."""
    if hasattr(command, "commands"):
        return [w for name, sub in command.commands.items() for w in _words(sub, f"{path} {name}")]
    options = [o for p in command.params for o in p.opts if o.startswith("--") and o != "--help"]
    return [path, *(f"`{o}" for o in options)]
