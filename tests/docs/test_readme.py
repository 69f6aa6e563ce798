"""What the README and the guides say of settings, keys, commands and tolerances is what there is."""

from __future__ import annotations

import json
import re

import pytest
import reference
from reference_commands import commands

from app.mapping.load import editor_schema
from app.scim.dialect import Tolerance

TEXT = reference.documents_text()


MADE = reference.made()


@pytest.mark.parametrize("name", MADE)
def test_tables_are_those_of_the_code(name: str) -> None:
    """`uv run python tests/docs/reference.py` brings them up to date."""
    assert reference.section(name, TEXT) == MADE[name]


def test_every_table_stands_in_one_document() -> None:
    assert sorted(reference.sections(TEXT)) == sorted([*MADE, "conformance"])


def test_every_setting_and_key_has_a_meaning() -> None:
    empty = [
        line for made in MADE.values() for line in made.splitlines() if re.fullmatch(r"\|.*\|\s*\|", line)
    ]
    assert empty == []


def test_editors_get_the_present_form_of_mapping_files() -> None:
    assert json.loads(reference.EDITOR_SCHEMA.read_text("utf-8")) == json.loads(json.dumps(editor_schema()))


def test_every_command_has_a_line_in_the_overview() -> None:
    overview = reference.document("configuration").partition("## Commands\n")[2].partition("\n### ")[0]
    listed = re.findall(r"^\| `([a-z -]+?)(?: [A-Z-].*?)?` \|", overview, re.M)
    assert sorted(listed) == sorted(path for path, _ in commands())


def test_every_tolerance_is_listed_with_its_client() -> None:
    for tolerance in Tolerance:
        assert f"| `{tolerance.value}` | {tolerance.accepts} | {tolerance.clients} |" in TEXT
