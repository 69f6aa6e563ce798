"""Whether some order of writes explains everything that was seen of one resource (linearizability).

After Wing and Gong: take the operations one by one, each no later than its answer and no earlier than its
request, and go back where what was seen does not fit. Exact for small histories.

An operation that was not acknowledged may be left out, which doubles the orders. What keeps them few: values
that nobody saw count as one, and of operations that do the same the first is taken first.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

Values = tuple[tuple[str, object], ...]
"""A resource's attributes in the order of their names."""


def values(attributes: Mapping[str, object]) -> Values:
    """Attributes as a value that can be compared and kept in sets; None is the same as absent."""
    return tuple(sorted((k, v) for k, v in attributes.items() if v is not None))


@dataclass(frozen=True, kw_only=True)
class Operation:
    """One request of a client; a read changes nothing."""

    asked_s: float
    answered_s: float = math.inf
    """Infinite where it was not acknowledged: then it happened at any time since, or never."""
    sets: Values = ()
    clears: frozenset[str] = frozenset()
    """Attributes that a replacement takes away."""
    seen: Values | None = None
    """What the answer showed, right after the operation; None where it showed nothing."""
    looks_at: frozenset[str] = frozenset()
    """The attributes that `seen` speaks of."""

    def after(self, state: Values) -> Values:
        """The resource after the operation."""
        kept = {k: v for k, v in state if k not in self.clears}
        return values({**kept, **dict(self.sets)})

    def fits(self, state: Values) -> bool:
        """Whether what was seen is this state."""
        return self.seen is None or self.seen == tuple((k, v) for k, v in state if k in self.looks_at)


def explained(before: Values, history: Sequence[Operation]) -> bool:
    """Whether an order of all acknowledged operations and some others fits everything that was seen."""
    ops = _that_matter(_known_to_be_done(history))
    acknowledged = sum(1 << i for i, op in enumerate(ops) if op.answered_s < math.inf)
    alike = _earlier_and_alike(ops)
    tried: dict[tuple[int, Values], list[int]] = defaultdict(list)
    stack: list[tuple[int, Values]] = [(0, _only_seen(before, ops))]
    while stack:
        done, state = stack.pop()
        if not acknowledged & ~done:
            return True
        others = done & ~acknowledged
        # Who was here with fewer of those that may be left out can go on in every way that is open now.
        known = tried[done & acknowledged, state]
        if any(not fewer & ~others for fewer in known):
            continue
        known.append(others)
        left = [i for i in range(len(ops)) if not done >> i & 1]
        # Nothing can come before an operation that was answered before it was asked for.
        limit = min(ops[i].answered_s for i in left)
        open_now = [i for i in left if ops[i].asked_s <= limit and not alike[i] & ~done]
        steps = [(i, ops[i].after(state)) for i in open_now]
        steps = [(i, after) for i, after in steps if ops[i].fits(after)]
        for i, after in steps:
            if not ops[i].sets and not ops[i].clears:
                # A read that fits: no order is lost by taking it now.
                steps = [(i, after)]
                break
        # The last is tried first: what was acknowledged must come, the rest may.
        steps.sort(key=lambda step: acknowledged >> step[0] & 1)
        stack += [(done | 1 << i, after) for i, after in steps]
    return False


class _Unseen(Enum):
    """A value that nobody saw: whichever it was, it fits nobody."""

    VALUE = "unseen"


def _only_seen(state: Values, history: Sequence[Operation]) -> Values:
    """The attributes, with one value in place of all that nobody saw."""
    shown = {value for op in history for value in op.seen or ()}
    return tuple((k, v if (k, v) in shown else _Unseen.VALUE) for k, v in state)


def _that_matter(history: Sequence[Operation]) -> list[Operation]:
    """The history in the order of its requests, without what may be left out and explains nothing."""
    ops = [replace(op, sets=_only_seen(op.sets, history)) for op in history]
    return sorted(
        (
            op
            for op in ops
            if op.answered_s < math.inf or op.clears or any(v is not _Unseen.VALUE for _, v in op.sets)
        ),
        key=lambda op: op.asked_s,
    )


def _earlier_and_alike(ops: Sequence[Operation]) -> list[int]:
    """For each operation that may be left out, the last one before it that does the same, as a bit.

    Each can stand in for a later one, so that no order is lost by taking the first one first.
    """
    last: dict[Operation, int] = {}
    found = []
    for i, op in enumerate(ops):
        if op.answered_s < math.inf:
            found.append(0)
            continue
        does = replace(op, asked_s=0)
        found.append(1 << last[does] if does in last else 0)
        last[does] = i
    return found


def _known_to_be_done(history: Sequence[Operation]) -> list[Operation]:
    """The history, where what nobody else wrote and somebody saw is acknowledged by whoever saw it first.

    Without it, each operation that was not acknowledged doubles the orders to be tried.
    """
    writers = Counter(value for op in history for value in op.sets)
    seen_s: dict[tuple[str, object], float] = {}
    for op in history:
        for value in op.seen or ():
            seen_s[value] = min(op.answered_s, seen_s.get(value, math.inf))
    return [
        replace(
            op,
            answered_s=min(
                [op.answered_s, *(seen_s.get(value, math.inf) for value in op.sets if writers[value] == 1)]
            ),
        )
        for op in history
    ]
