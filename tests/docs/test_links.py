"""Every link of the README and the guides leads somewhere: to a file, and to a heading where it names one."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import reference

LINK = re.compile(r"\]\(([^)\s]+)\)")


def prose(file: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", file.read_text("utf-8"), flags=re.M | re.S)


def anchors(file: Path) -> set[str]:
    """The headings of a document, as GitHub names them."""
    headings = re.findall(r"^#+ (.*)$", prose(file), re.M)
    return {re.sub(r"[^\w -]", "", heading).lower().replace(" ", "-") for heading in headings}


def links(file: Path) -> list[str]:
    """The targets of all links that stay in the repository."""
    return [link for link in LINK.findall(prose(file)) if not link.startswith(("http:", "https:"))]


@pytest.mark.parametrize("file", reference.DOCUMENTS, ids=lambda f: f.name)
def test_every_link_leads_somewhere(file: Path) -> None:
    broken = []
    for link in links(file):
        path, _, anchor = link.partition("#")
        target = (file.parent / path).resolve() if path else file
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


def test_every_guide_can_be_found() -> None:
    """From the list of guides, and from the README."""
    listed = reference.ROOT / "examples" / "README.md"
    for start in (reference.README, listed):
        reached = {(start.parent / link.partition("#")[0]).resolve() for link in links(start)}
        missing = [f.name for f in reference.DOCUMENTS if f not in {*reached, reference.README, listed}]
        assert missing == []
