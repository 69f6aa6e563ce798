"""The form of the conformance table: one row for each sentence that binds a service provider."""

from __future__ import annotations

from typing import Literal, NamedTuple

Level = Literal["MUST", "MUST NOT", "REQUIRED", "SHALL", "SHALL NOT", "SHOULD", "SHOULD NOT", "RECOMMENDED"]


class Row(NamedTuple):
    """A sentence in own words, and the tests that hold it, or else why there are none."""

    section: str
    level: Level
    says: str
    tests: tuple[str, ...] = ()
    """`rfc_writes.created_answer` is `test_created_answer` in `test_rfc_writes.py`.

    A name without a dot is one of `requirements.py`, and stands for the tests that hold that.
    """
    reason: str = ""
    """Why no test holds it: it does not apply, or the bridge departs from it."""


def held(section: str, level: Level, says: str, *tests: str) -> Row:
    """A row that tests hold."""
    return Row(section, level, says, tests)


def apart(section: str, level: Level, says: str, reason: str) -> Row:
    """A row that no test holds, and why."""
    return Row(section, level, says, reason=reason)
