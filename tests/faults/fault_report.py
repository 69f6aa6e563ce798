"""Cases and what came of them: a table to read, and the comparison with what is known to fail."""

from __future__ import annotations

from collections import defaultdict
from fnmatch import fnmatchcase
from typing import NamedTuple

from fault_proxy import FAULTS


class Case(NamedTuple):
    """One fault at one call of one kind of write."""

    kind: str
    fault: str
    number: int
    call: str

    @property
    def boundary(self) -> str:
        """The call by number and name: `2 PUT status`."""
        return f"{self.number} {self.call}"


class Open(NamedTuple):
    """Cases that are known to fail, by patterns: kind, fault, boundary."""

    kind: str
    fault: str
    boundary: str

    def covers(self, case: Case) -> bool:
        """Whether the case is one of these."""
        found = (case.kind, case.fault, case.boundary)
        return all(
            any(fnmatchcase(value, p) for p in pattern.split("|"))
            for value, pattern in zip(found, self, strict=True)
        )


def disagreements(found: dict[Case, list[str]], known: dict[Open, str], *, whole: bool) -> list[str]:
    """What fails and is not known to, what is known to and does not; where all was run, idle entries."""
    wrong = [
        f"{c.kind}, {c.fault} at {c.boundary}: {'; '.join(broken)}"
        for c, broken in found.items()
        if broken and not any(entry.covers(c) for entry in known)
    ]
    for entry in known:
        covered = [c for c in found if entry.covers(c)]
        wrong += [f"{c} passes: narrow or remove {tuple(entry)}" for c in covered if not found[c]]
        if whole and not covered:
            wrong.append(f"no such case: remove {tuple(entry)}")
    return wrong


def table(found: dict[Case, list[str]]) -> str:
    """Kinds down, faults across: cases, and those that broke the promise."""
    counts: dict[tuple[str, str], list[int]] = defaultdict(lambda: [0, 0])
    for case, broken in found.items():
        counts[case.kind, case.fault][0] += 1
        counts[case.kind, case.fault][1] += bool(broken)
    kinds = list(dict.fromkeys(c.kind for c in found))
    faults = [f for f in FAULTS if any(c.fault == f for c in found)]
    width = max(map(len, kinds)) + 1
    lines = [" " * width + " ".join(f"{f:>8.8}" for f in (f.replace("outage", "out") for f in faults))]
    for kind in kinds:
        cells = []
        for fault in faults:
            cases, broken = counts[kind, fault]
            cells.append(f"{broken}/{cases}" if broken else (f"ok {cases}" if cases else "-"))
        lines.append(f"{kind:{width}}" + " ".join(f"{cell:>8}" for cell in cells))
    bad = sum(bool(broken) for broken in found.values())
    return "\n".join([*lines, f"{len(found)} cases, {bad} with violations"])
