"""What operators meet is in the guides: pages of the console, causes of failures, reasons of readiness."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import Any, get_args

import pytest
import reference

from app.config import Settings
from app.console.app import create_console
from app.console.navigation import PLACES
from app.store.audit_records import CAUSES
from app.store.journal_records import State

OUTSIDE = ("/console/sign-in", "/console/sign-out", "/console/static/", "/console/status", "/console/charts")
"""Pages of no place: signing in and out, what pages are made of, and the parts of one that are read again."""


def chapter(document: str, heading: str) -> str:
    """What stands under a heading of a guide."""
    text = reference.document(document)
    return text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The first column of all tables."""
    rows = re.findall(r"^\| (.*?) \|", text, re.M)
    return [cell for cell in rows if not set(cell) <= set("-|")]


def test_every_place_of_the_console_has_a_row() -> None:
    assert first_cells(chapter("operations", "Console"))[1:] == [place.label for place in PLACES]


def test_every_page_of_the_console_belongs_to_a_place() -> None:
    services: Any = SimpleNamespace(settings=Settings())
    pages = [route.path for route in create_console(services).routes if route.path.startswith("/console")]
    assert len(pages) > 20
    homeless = [
        page
        for page in pages
        if not page.startswith(OUTSIDE) and not any(place.holds(page) for place in PLACES)
    ]
    assert homeless == []


def test_every_cause_has_a_row() -> None:
    rows = first_cells(chapter("operations", "Audit"))
    listed = [name for cell in rows for name in re.findall(r"`([a-z-]+)`", cell) if name != "cause"]
    assert sorted(listed) == sorted(CAUSES)


def test_every_reason_of_readiness_has_a_row() -> None:
    source = (reference.ROOT / "app" / "asgi.py").read_text("utf-8")
    checks = re.findall(r'health\.add\(\s*"(\w+)"', source)
    assert "journal" in checks
    rows = first_cells(chapter("incidents", "What readiness says"))
    listed = {name for cell in rows for name in re.findall(r"`(\w+)`", cell)}
    assert set(checks) <= listed


@pytest.mark.parametrize("state", get_args(State))
def test_every_state_of_an_unfinished_write_has_a_row(state: str) -> None:
    assert any(f"`{state}`" in cell for cell in first_cells(chapter("incidents", "Unfinished writes")))
