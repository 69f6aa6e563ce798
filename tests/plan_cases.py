"""Filters with the plans they shall get, from `tests/data/plans/*.txt`; the files say how they are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec

from app.scim.expression import And, Compare, Filter, Not, Or, Present, ValuePath
from app.scim.schema import AttributeRef

DIRECTORY = Path(__file__).parent / "data" / "plans"


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One query and its plan with a complete index (`index`) and without (`live`)."""

    place: str
    """File and line."""
    filter: str | None
    sort: str | None = None
    descending: bool = False
    local_groups: bool = False
    live: str
    index: str


def cases() -> Iterator[Case]:
    """Every case of every file."""
    for file in sorted(DIRECTORY.glob("*.txt")):
        number = 1
        for block in file.read_text("utf-8").split("\n\n"):
            lines = [line for line in block.splitlines() if line and not line.startswith("#")]
            if lines:
                yield _case(f"{file.stem}:{number}", lines)
            number += block.count("\n") + 2


def _case(place: str, lines: list[str]) -> Case:
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines[1:])}
    if unknown := told.keys() - {"sort", "groups", "both", "live", "index"}:
        raise ValueError(f"{place}: {unknown}")
    sort, _, way = told.get("sort", "").partition(" ")
    return Case(
        place=place,
        filter=None if lines[0] == "*" else lines[0],
        sort=sort or None,
        descending=way == "desc",
        local_groups=told.get("groups") == "local",
        live=told.get("live") or told["both"],
        index=told.get("index") or told["both"],
    )


def is_known(f: Filter) -> bool:
    """What the index answers: all but the groups, the location and the version."""
    match f:
        case And(terms=terms) | Or(terms=terms):
            return all(map(is_known, terms))
        case Not(term=term):
            return is_known(term)
        case Compare(path=path) | Present(path=path) | ValuePath(path=path):
            return path.name != "groups" and not (path.name == "meta" and path.sub in ("location", "version"))


def is_sortable(ref: AttributeRef) -> bool:
    """The same for orders."""
    return ref.attribute.name != "groups" and ref.text not in ("meta.location", "meta.version")
