"""The conformance table: every row has a test that is there or a reason, and the guide has the table."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import reference
import table
from requirements import REQUIREMENTS, holders
from rows import Row


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """The tests that a run would make in all the files that the table names."""
    named = [i for row in table.ALL for name in row.tests for i in table.node_ids(name)]
    named += [i for name in REQUIREMENTS for i in holders(name)]
    files = sorted({node.partition("::")[0] for node in named})
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "--collect-only", "-p", "no:cacheprovider", *files],
        cwd=reference.ROOT,
        env={k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = {line for line in done.stdout.splitlines() if "::" in line}
    return found | {node.partition("[")[0] for node in found}


def test_every_row_has_tests_or_a_reason() -> None:
    for row in table.ALL:
        assert bool(row.tests) != bool(row.reason), row
        assert row.says.endswith("."), row
        assert "|" not in row.says + row.reason, row
    said = [(row.section, row.level, row.says) for row in table.ALL]
    assert len(said) == len(set(said))


def test_rows_stand_in_the_order_of_their_sections() -> None:
    for rows in table.RFCS.values():
        sections = [tuple(int(part) for part in row.section.split(".")) for row in rows]
        assert sections == sorted(sections)


def test_every_test_of_the_table_is_there(collected: set[str]) -> None:
    missing = [(row.section, name) for row in table.ALL for name in row.tests if not there(name, collected)]
    assert missing == []
    assert [name for name in REQUIREMENTS if not {*holders(name)} <= collected] == []


def there(name: str, collected: set[str]) -> bool:
    return bool(table.node_ids(name)) and {*table.node_ids(name)} <= collected


def test_what_is_not_there_is_noticed(collected: set[str]) -> None:
    assert there("rfc_writes.created_answer", collected)
    assert not there("rfc_writes.something_else", collected)
    for nothing in ("rfc_nothing.created_answer", "no-such-requirement"):
        with pytest.raises(KeyError):
            table.node_ids(nothing)


def test_the_guide_has_the_table() -> None:
    """`uv run python tests/docs/reference.py` brings it up to date."""
    assert reference.section("conformance", reference.document("conformance")) == table.markdown()


def test_a_row_tells_what_it_is() -> None:
    row = Row("3.3", "SHALL", "A creation answers 201.", ("rfc_writes.created_answer",))
    assert (
        table.line(row)
        == "| 3.3 | SHALL | A creation answers 201. | `test_rfc_writes.py::test_created_answer` |"
    )
