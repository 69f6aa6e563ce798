"""The table of examples/conformance.md: every rule of the RFCs for servers, and the tests that hold it.

`uv run python tests/docs/reference.py` writes it there; `test_conformance_table.py` holds it to that.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

import rows_rfc7643_resources
import rows_rfc7643_schemas
import rows_rfc7644_queries
import rows_rfc7644_rest
import rows_rfc7644_writes
from exchanges import DATA
from requirements import BUGS, REQUIREMENTS, exchanges_with, holders, tests_named
from rows import Row

TESTS = Path(__file__).parents[1]

RFCS: dict[str, list[Row]] = {
    "RFC 7643": [*rows_rfc7643_resources.ROWS, *rows_rfc7643_schemas.ROWS],
    "RFC 7644": [*rows_rfc7644_queries.ROWS, *rows_rfc7644_writes.ROWS, *rows_rfc7644_rest.ROWS],
}
ALL: list[Row] = [row for rows in RFCS.values() for row in rows]

_STRONG = ("MUST", "MUST NOT", "REQUIRED", "SHALL", "SHALL NOT")
_FILES = {path.stem: path for path in sorted(TESTS.rglob("test_*.py"))}


def node_ids(name: str) -> list[str]:
    """The tests behind a name of the table, as pytest calls them, from the repository's root.

    Raises KeyError for a file or a requirement that does not exist.
    """
    stem, dot, function = name.partition(".")
    if not dot:
        return holders(name)
    place = _FILES[f"test_{stem}"].relative_to(TESTS.parent)
    return [f"{place}::test_{function}"]


def markdown() -> str:
    """The whole table: a summary, then every chapter with its rows folded away."""
    parts = [_summary()]
    for rfc, rows in RFCS.items():
        for chapter, own in groupby(rows, key=_chapter):
            parts.append(
                _folded(
                    f"{rfc} §{chapter}", ["| § | | Rule | Held by |", "|---|---|---|---|", *map(line, own)]
                )
            )
    parts.append(_names("What clients need", REQUIREMENTS))
    parts.append(_bugs())
    return "\n\n".join(parts)


def _summary() -> str:
    lines = [
        "| | MUST, SHALL, REQUIRED held | SHOULD, RECOMMENDED held | apart, with a reason |",
        "|---|---|---|---|",
    ]
    total = [0, 0, 0]
    for rfc, rows in RFCS.items():
        for chapter, own in groupby(rows, key=_chapter):
            counts = _counts(list(own))
            total = [a + b for a, b in zip(total, counts, strict=True)]
            lines.append(f"| {rfc} §{chapter} | " + " | ".join(str(n or "") for n in counts) + " |")
    lines.append("| together | " + " | ".join(str(n) for n in total) + " |")
    return "\n".join(lines)


def _chapter(row: Row) -> str:
    """`3.5` for what stands in §3.5.2.1."""
    return ".".join(row.section.split(".")[:2])


def _counts(rows: list[Row]) -> list[int]:
    held = [row for row in rows if row.tests]
    strong = sum(row.level in _STRONG for row in held)
    return [strong, len(held) - strong, sum(bool(r.reason) for r in rows)]


def line(row: Row) -> str:
    """A row of the table in Markdown. A name of `requirements.py` stands as such: its tests have a table."""
    held_by = row.reason
    if row.tests:
        held_by = "<br>".join(
            f"`{name}`" if "." not in name else _short(node_ids(name)) for name in row.tests
        )
    return f"| {row.section} | {row.level} | {row.says} | {held_by} |"


def _names(title: str, names: dict[str, str]) -> str:
    """Exchanges stand by their file in `tests/data/exchanges`; `test_exchanges.py` replays them."""
    lines = ["| Name | What | Held by |", "|---|---|---|"]
    for name, says in names.items():
        held_by = [_short(tests_named(name))] if tests_named(name) else []
        held_by += [f"`{path.relative_to(DATA)}`" for path in exchanges_with(name)]
        lines.append(f"| `{name}` | {says} | {'<br>'.join(held_by)} |")
    return _folded(title, lines)


def _bugs() -> str:
    lines = ["| Server | Kept from breaking here by |", "|---|---|"]
    lines += [f"| {bug} | {'<br>'.join(f'`{name}`' for name in names)} |" for bug, names in BUGS.items()]
    return _folded("Bugs that other servers had", lines)


def _short(ids: Iterable[str]) -> str:
    return "<br>".join(f"`{node.rpartition('/')[2]}`" for node in ids)


def _folded(title: str, lines: list[str]) -> str:
    return "\n".join(["<details>", f"<summary>{title}</summary>", "", *lines, "", "</details>"])
