"""In which order the operations of a bulk request are carried out, and which of them wait for which."""

from __future__ import annotations

import heapq
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

import msgspec

from app.scim.bulk import BulkOperation
from app.scim.bulk_references import PREFIX, references_in, strings_in

_NAMED = ("username", "emails", "displayname")
"""Attributes whose values are unique in a tenant."""


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One operation, or several that refer to each other in a circle and succeed or fail together."""

    operations: tuple[int, ...]
    """Their indexes; in a circle, in the order in which they can be created."""
    after: tuple[int, ...] = ()
    """The positions of the units that have to be over before, all of them earlier ones."""
    circular: bool = False
    resolvable: bool = True
    """Whether a circle can be opened: what is created first gets its references afterwards."""


def order(operations: Sequence[BulkOperation], *, nested_groups: bool = False) -> tuple[Unit, ...]:
    """The units in an order in which they can be carried out one by one, as near to the request's as can be.

    Every operation comes after those whose resource it refers to. Those that concern the same resource, or
    ask for the same name, keep the order of the request, unless references turn it. `nested_groups` says
    whether groups can be members of groups, also in a circle.
    """
    needs = _needs(operations)
    circles = _circles(needs)
    unit_of = {index: number for number, circle in enumerate(circles) for index in circle}
    waits: dict[int, set[int]] = {
        number: {unit_of[n] for index in circle for n in needs[index]} - {number}
        for number, circle in enumerate(circles)
    }
    deleted = frozenset(_target(o) for o in operations if o.method == "DELETE" and o.error is None)
    keys = {o.index: _keys(o, deleted) for o in operations}
    _keep_order(waits, unit_of, keys)
    numbers = _sorted(waits, {number: circle[0] for number, circle in enumerate(circles)})
    position = {number: place for place, number in enumerate(numbers)}
    units: list[Unit] = []
    last: dict[tuple[str, ...], int] = {}
    for place, number in enumerate(numbers):
        circle = circles[number]
        after = {position[n] for n in waits[number]}
        for key in {key for index in circle for key in keys[index]}:
            # Where references have turned the order, it is still one after the other.
            if key in last:
                after.add(last[key])
            last[key] = place
        units.append(_unit(circle, needs, operations, tuple(sorted(after)), nested_groups))
    return tuple(units)


def _keep_order(
    waits: Mapping[int, set[int]],
    unit_of: Mapping[int, int],
    keys: Mapping[int, Set[tuple[str, ...]]],
) -> None:
    """Let operations with a key in common wait for each other as the request has them.

    Not where references have it the other way round: that would be a circle.
    """
    referred = {number for needed in waits.values() for number in needed}
    last: dict[tuple[str, ...], int] = {}
    for index in sorted(keys):
        number = unit_of[index]
        for key in keys[index]:
            earlier = last.get(key, number)
            last[key] = number
            if earlier != number and not (number in referred and _waits_for(earlier, number, waits)):
                waits[number].add(earlier)


def _waits_for(number: int, other: int, waits: Mapping[int, Set[int]]) -> bool:
    return other in _postorder(number, waits, set())


def _needs(operations: Sequence[BulkOperation]) -> dict[int, frozenset[int]]:
    """For each operation those that create what it refers to."""
    makers: dict[str, int] = {}
    for operation in operations:
        if operation.creates and operation.bulk_id is not None:
            # Where a bulkId is given twice both are refused, and whoever refers to it fails by either.
            makers.setdefault(operation.bulk_id, operation.index)
    return {o.index: frozenset(makers[bulk_id] for bulk_id in o.references) for o in operations}


def _circles(needs: Mapping[int, frozenset[int]]) -> list[tuple[int, ...]]:
    """The strongly connected components (Kosaraju's algorithm, without recursion); most have one member."""
    needed_by: dict[int, set[int]] = {index: set() for index in needs}
    for index, needed in needs.items():
        for each in needed:
            needed_by[each].add(index)
    seen: set[int] = set()
    finished = [each for start in needs if start not in seen for each in _postorder(start, needs, seen)]
    seen = set()
    return [
        tuple(sorted(_postorder(start, needed_by, seen))) for start in reversed(finished) if start not in seen
    ]


def _postorder(start: int, edges: Mapping[int, Set[int]], seen: set[int]) -> Iterator[int]:
    """What can be reached and is not seen yet, each after all that it leads to."""
    seen.add(start)
    stack = [(start, iter(sorted(edges[start])))]
    while stack:
        node, onward = stack[-1]
        following = next((each for each in onward if each not in seen), None)
        if following is None:
            stack.pop()
            yield node
        else:
            seen.add(following)
            stack.append((following, iter(sorted(edges[following]))))


def _sorted(waits: Mapping[int, Set[int]], rank: Mapping[int, int]) -> list[int]:
    """All keys, each after those that it waits for, and otherwise by rank; keys in a circle are left out."""
    open_waits = {key: len(needed) for key, needed in waits.items()}
    followers: dict[int, list[int]] = {key: [] for key in waits}
    for key, needed in waits.items():
        for each in needed:
            followers[each].append(key)
    ready = [(rank[key], key) for key, count in open_waits.items() if count == 0]
    heapq.heapify(ready)
    found: list[int] = []
    while ready:
        _, key = heapq.heappop(ready)
        found.append(key)
        for each in followers[key]:
            open_waits[each] -= 1
            if open_waits[each] == 0:
                heapq.heappush(ready, (rank[each], each))
    return found


def _unit(
    circle: tuple[int, ...],
    needs: Mapping[int, frozenset[int]],
    operations: Sequence[BulkOperation],
    after: tuple[int, ...],
    nested_groups: bool,
) -> Unit:
    if len(circle) == 1 and circle[0] not in needs[circle[0]]:
        return Unit(operations=circle, after=after)
    # What a user refers to, its manager, can be written later, and so can the members of groups that may
    # hold groups. None is a member of itself alone.
    deferred = nested_groups and len(circle) > 1
    firm = {
        i: needs[i] & set(circle) if operations[i].endpoint == "Groups" and not deferred else frozenset()
        for i in circle
    }
    created = _sorted(firm, {i: i for i in circle})
    if len(created) < len(circle):
        return Unit(operations=circle, after=after, circular=True, resolvable=False)
    return Unit(operations=tuple(created), after=after, circular=True)


def _keys(operation: BulkOperation, deleted: Set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """What operations have in common that must keep their order."""
    if operation.error is not None:
        return set()
    keys: set[tuple[str, ...]] = {(operation.endpoint, "name", name) for name in _names(operation.data)}
    if not operation.creates:
        keys.add(_target(operation))
    if deleted:
        # Who is to be deleted leaves a group before, and joins none after.
        keys |= {("id", text) for text in strings_in(operation.data)} & deleted
        keys |= {("id", PREFIX + bulk_id) for bulk_id in references_in(operation.data)} & deleted
    return keys


def _target(operation: BulkOperation) -> tuple[str, ...]:
    """The resource that an operation concerns."""
    reference = operation.target_reference
    return "id", PREFIX + reference if reference is not None else operation.target or ""


def _names(data: Any) -> Iterator[str]:
    """The names that must be unique and that `data` may ask for, folded: userName, addresses, displayName."""
    level: list[tuple[object, bool]] = [(data, False)]
    while level:
        item, within = level.pop()
        if isinstance(item, str) and within:
            yield item.casefold()
        elif isinstance(item, list):
            level.extend((each, within) for each in item)
        elif isinstance(item, dict):
            path = next((v for k, v in item.items() if str(k).lower() == "path" and isinstance(v, str)), "")
            level.extend(
                (each, within or _asks_for_name(path if str(key).lower() == "value" else str(key)))
                for key, each in item.items()
            )


def _asks_for_name(path: str) -> bool:
    """Whether a key or a PATCH path leads to one of these, with or without URN, filter or sub-attribute."""
    return path.partition("[")[0].rpartition(":")[2].lower().startswith(_NAMED)
