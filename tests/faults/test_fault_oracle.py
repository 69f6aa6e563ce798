"""What judges the runs, judged: histories, states and the table of what is known to fail."""

from __future__ import annotations

from typing import Any

import pytest
from fault_histories import Operation, Values, explained, values
from fault_oracle import Run, Undisturbed, violations
from fault_report import Case, Open, disagreements


def op(asked: float, answered: float, sets: str = "", saw: str | None = None) -> Operation:
    """`sets` and `saw` name attributes and values: `a1b2`."""

    def pairs(text: str) -> Values:
        return values({text[i]: text[i + 1] for i in range(0, len(text), 2)})

    return Operation(
        asked_s=asked,
        answered_s=answered,
        sets=pairs(sets),
        seen=None if saw is None else pairs(saw),
        looks_at=frozenset("ab"),
    )


NEVER = float("inf")


@pytest.mark.parametrize(
    ("history", "is_explained"),
    [
        pytest.param([op(0, 1, "a1"), op(2, 3, saw="a1")], True, id="a read after a write"),
        pytest.param([op(0, 1, "a1"), op(2, 3, saw="")], False, id="a stale read"),
        pytest.param([op(0, 5, "a1"), op(1, 2, saw=""), op(3, 4, saw="a1")], True, id="reads within a write"),
        pytest.param([op(0, 5, "a1"), op(1, 2, saw="a1"), op(3, 4, saw="")], False, id="there and gone"),
        pytest.param([op(0, 3, "a1"), op(0, 3, "b1"), op(4, 5, saw="b1")], False, id="a lost update"),
        pytest.param([op(0, 3, "a1b1"), op(0, 3, "a2b2"), op(4, 5, saw="a1b2")], False, id="a mixture"),
        pytest.param([op(0, 3, "a1b1"), op(0, 3, "a2b2"), op(4, 5, saw="a1b1")], True, id="either order"),
        pytest.param(
            [op(0, 3, "a1", "a1"), op(0, 3, "b2", "b2")], False, id="answers that exclude each other"
        ),
        pytest.param([op(0, NEVER, "a1"), op(4, 5, saw="a1")], True, id="a lost write that happened"),
        pytest.param([op(0, NEVER, "a1"), op(4, 5, saw="")], True, id="a lost write that did not"),
        pytest.param([op(0, NEVER, "a1b1"), op(4, 5, saw="a1")], False, id="half of a lost write"),
        pytest.param(
            [op(4, NEVER, "a1"), op(0, 1, saw="a1")], False, id="a write seen before it was asked for"
        ),
        pytest.param(
            [op(0, NEVER, "a1"), op(2, 3, saw="a1"), op(4, 5, saw="")],
            False,
            id="a lost write that came and went",
        ),
        pytest.param(
            [op(0, NEVER, "a1"), op(1, 2, saw="a1"), op(3, 4, "a2", "a2"), op(5, 6, saw="a1")],
            False,
            id="a lost write that happened twice",
        ),
        pytest.param(
            [*[op(0, NEVER, "a1")] * 2, op(1, 2, saw="a1"), op(3, 4, "a2", "a2"), op(5, 6, saw="a1")],
            True,
            id="two lost writes alike",
        ),
        pytest.param(
            [*[op(0, NEVER, "a1"), op(0, NEVER, "a2b2")] * 20, op(4, 5, saw="a3")],
            False,
            id="many lost writes alike",
        ),
        pytest.param(
            [*(op(0, NEVER, f"a{mark}") for mark in "23456789"), op(4, 5, saw="a1")],
            False,
            id="many lost writes that nobody saw",
        ),
    ],
)
def test_a_history(history: list[Operation], is_explained: bool) -> None:
    assert explained((), history) is is_explained


def state(**users: dict[str, Any]) -> dict[str, Any]:
    return {"groups": {}, "users": users}


BEFORE = state(ada={"title": "Countess", "status": "ACTIVE", "password": None})
WANTED = state(ada={"title": "Lady", "status": "DISABLED", "password": "set"})
HALF = state(ada={"title": "Lady", "status": "ACTIVE", "password": None})
ALL_BUT_PASSWORD = state(ada={"title": "Lady", "status": "DISABLED", "password": None})
TWICE = state(**WANTED["users"], **{"ada #2": WANTED["users"]["ada"]})
DRY = Undisturbed(("PATCH user", "PUT status"), BEFORE, WANTED)


def run(
    first: int | None, last: dict[str, Any], *, method: str = "PATCH", pending: int = 0, **more: Any
) -> Run:
    retry = more.pop("retry", None)
    return Run(
        method=method,
        first=(first, ""),
        pending=pending,
        last=last,
        retry=None if retry is None else (retry, ""),
        **more,
    )


@pytest.mark.parametrize(
    ("seen", "broken"),
    [
        (run(200, WANTED), []),
        (run(400, BEFORE), []),
        (run(503, WANTED, middle=BEFORE, retry=200), []),
        (run(None, WANTED, middle=WANTED, retry=200), []),
        (run(None, WANTED, middle=ALL_BUT_PASSWORD, retry=200), []),
        (run(None, WANTED, middle=BEFORE, retry=409, method="POST"), []),
        (run(None, WANTED, middle=BEFORE, retry=404, method="DELETE"), []),
        (run(200, BEFORE), ["after 200 not as wanted"]),
        (run(200, ALL_BUT_PASSWORD), ["after 200 not as wanted"]),
        (run(409, WANTED), ["after 409 not as before"]),
        (run(200, TWICE), ["after 200 not as wanted: users/ada #2 should not be there"]),
        (run(200, WANTED, pending=2), ["2 unfinished"]),
        (run(503, WANTED, middle=HALF, retry=200), ["half-done"]),
        (run(503, WANTED, middle=BEFORE, retry=409), ["the retry is answered 409"]),
        (run(429, HALF, middle=BEFORE, retry=200), ["after the retry not as wanted"]),
        (run(503, BEFORE, middle=BEFORE, retry=503), ["the retry is answered 503", "after the retry not as"]),
    ],
)
def test_a_verdict(seen: Run, broken: list[str]) -> None:
    found = violations(DRY, seen)
    assert len(found) == len(broken), found
    assert all(line.startswith(start) for line, start in zip(found, broken, strict=True)), found


def test_the_table_of_what_is_known_to_fail_is_held_from_both_sides() -> None:
    cases = [
        Case("put", fault, n, call) for fault in ("a-1", "b-2") for n, call in ((0, "GET user"), (1, "PUT x"))
    ]
    fails: dict[Case, list[str]] = {case: ["broken"] for case in cases[1:]} | {cases[0]: []}
    known = {Open("put", "a-*", "1 *"): "", Open("put|patch", "b-2", "*"): ""}
    assert disagreements(fails, known, whole=True) == []
    assert len(disagreements(fails, {Open("*", "b-2", "*"): ""}, whole=True)) == 1
    assert len(disagreements(fails, {Open("*", "*", "*"): ""}, whole=True)) == 1
    nothing = {**known, Open("patch", "*", "*"): ""}
    assert len(disagreements(fails, nothing, whole=True)) == 1
    assert disagreements(fails, nothing, whole=False) == []
