"""Runs cases (kind of write, fault, call) side by side."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import TypeVar

import httpx
from fault_kinds import KINDS, Kind
from fault_lanes import Request, Rig, World
from fault_oracle import Run, Undisturbed, is_final, look, violations
from fault_proxy import FAULTS
from fault_report import Case

T = TypeVar("T")

LANES = 12
"""Cases under way at a time."""
SILENT_LANES = 32
"""Of those that mostly wait."""
HASHES_AT_ONCE = 1
"""More would wait for each other until the bridge gives up on them."""
SILENT_HASHES_AT_ONCE = 6
HALTED_AT_ONCE = 40
"""Cases that one kill ends; each is a tenant of its own."""
ANSWER_S = 60.0
"""How long a client waits for an answer, as Okta does."""
UNTIL_KILLED_S = 60.0
RECOVERY_S = 20.0
"""How long unfinished writes may take to be finished or undone."""
_BACKOFF_S = 1.0
_TRIES = 3
"""How often a case is begun anew where the machine was too busy for it."""


@dataclass
class _Under:
    """A case whose client waits for its answer."""

    case: Case
    world: World
    request: Request
    answer: asyncio.Task[tuple[int | None, str]]


async def undisturbed(rig: Rig, kinds: Collection[str] = tuple(KINDS)) -> dict[str, Undisturbed]:
    """These kinds without fault; fails where the write does not do what it means."""

    async def one(name: str) -> tuple[str, Undisturbed]:
        for _ in range(_TRIES):
            run, disturbed = await _undisturbed(rig, KINDS[name])
            if not disturbed:
                return name, run
        raise AssertionError(f"{name}: this machine is too busy")

    return dict(await _gathered([lambda n=name: one(n) for name in kinds]))


async def _undisturbed(rig: Rig, kind: Kind) -> tuple[Undisturbed, bool]:
    before = await _started(rig, kind)
    world = await _started(rig, kind)
    world.lane.mark()
    status, text = await world.send(kind.write(world))
    calls = tuple(world.lane.calls)
    wanted = await look(world, kind)
    run = Undisturbed(calls, await look(before, kind), wanted)
    if not world.lane.disturbed:
        assert status is not None, kind.name
        assert status < 300, f"{kind.name}: {status} {text}"
        assert kind.done(wanted), f"{kind.name}: {wanted}"
        assert calls, f"{kind.name} calls nobody"
    return run, world.lane.disturbed


def all_cases(dry: dict[str, Undisturbed], faults: Collection[str] = tuple(FAULTS)) -> list[Case]:
    """Every fault at every call of every kind; neighbours differ in kind, so that no kind waits in line."""
    found = [
        Case(kind, fault, number, call)
        for fault in faults
        for kind, run in dry.items()
        for number, call in enumerate(run.calls)
    ]
    return sorted(found, key=lambda c: (c.number, c.fault))


def some_cases(dry: dict[str, Undisturbed]) -> list[Case]:
    """For every kind and fault one call, another one for the next kind and fault."""
    found = []
    for k, (kind, run) in enumerate(dry.items()):
        for f, fault in enumerate(FAULTS):
            # The reads before the first write fail alike everywhere.
            writes = [n for n, call in enumerate(run.calls) if not call.startswith("GET")] or [0]
            number = writes[(k + f) % len(writes)]
            if (k + f) % 4 == 0:
                found.append(Case(kind, fault, number, run.calls[number]))
    return found


async def run_cases(
    rig: Rig,
    dry: dict[str, Undisturbed],
    cases: Sequence[Case],
    *,
    retry_at: int = 0,
    patience_s: float = 0.0,
) -> dict[Case, list[str]]:
    """The violations of every case. The bridge 0 is killed, the client's retry goes to `retry_at`."""
    found: dict[Case, list[str]] = {}
    left = list(cases)
    for _ in range(_TRIES):
        judged = await _run_once(rig, dry, left, retry_at, patience_s)
        found |= {case: broken for case, broken in judged.items() if broken is not None}
        left = [case for case in left if case not in found]
        if not left:
            return {case: found[case] for case in cases}
    raise AssertionError(f"this machine is too busy for {left}")


async def _run_once(
    rig: Rig, dry: dict[str, Undisturbed], cases: Sequence[Case], retry_at: int, patience_s: float
) -> dict[Case, list[str] | None]:
    """The violations, None where the machine was too busy to tell."""
    busy = {False: asyncio.Semaphore(HASHES_AT_ONCE), True: asyncio.Semaphore(SILENT_HASHES_AT_ONCE)}

    async def one(case: Case) -> tuple[Case, list[str] | None]:
        async with busy[FAULTS[case.fault].silent] if KINDS[case.kind].hashes else nullcontext():
            under = await _begin(rig, case)
            return await _end(rig, dry, under, retry_at, patience_s)

    await rig.stock(KINDS[case.kind].policies for case in cases)
    fatal = [c for c in cases if FAULTS[c.fault].kills]
    silent = [c for c in cases if FAULTS[c.fault].silent]
    pausing = [c for c in cases if FAULTS[c.fault].pauses_s]
    others = {*fatal, *silent, *pausing}
    prompt = [c for c in cases if c not in others]
    # One pause stops all: no other case may be under way.
    found = await _gathered([lambda c=case: one(c) for case in pausing], at_once=1)
    found += await _gathered([lambda c=case: one(c) for case in prompt])
    found += await _gathered([lambda c=case: one(c) for case in silent], at_once=SILENT_LANES)
    if not fatal:
        return dict(found)
    doomed = rig.bridges[0]
    # Whoever is halted must still wait when the last one is.
    await doomed.stop()
    await doomed.start(timeout_s=UNTIL_KILLED_S)
    for start in range(0, len(fatal), HALTED_AT_ONCE):
        batch = fatal[start : start + HALTED_AT_ONCE]
        halted = await _gathered([lambda c=case: _begin(rig, c) for case in batch])
        await doomed.kill()
        if retry_at == 0:
            await doomed.start(timeout_s=UNTIL_KILLED_S)
        ends = [lambda u=under: _end(rig, dry, u, retry_at, patience_s) for under in halted]
        # Who waits for another to give up waits beside all others.
        found += await _gathered(ends, at_once=HALTED_AT_ONCE if patience_s else LANES)
        if retry_at != 0:
            await doomed.start(timeout_s=UNTIL_KILLED_S)
    await doomed.stop()
    await doomed.start()
    return dict(found)


async def _begin(rig: Rig, case: Case) -> _Under:
    """Send the write; where the fault stops the world, return when it stands still."""
    kind = KINDS[case.kind]
    world = await _started(rig, kind)
    request = kind.write(world)
    world.lane.mark(FAULTS[case.fault], case.number)
    answer = asyncio.create_task(world.send(request))
    if not FAULTS[case.fault].kills:
        await answer
        return _Under(case, world, request, answer)
    halted = asyncio.create_task(world.lane.halted.wait())
    await asyncio.wait({answer, halted}, return_when=asyncio.FIRST_COMPLETED)
    halted.cancel()
    return _Under(case, world, request, answer)


async def _started(rig: Rig, kind: Kind) -> World:
    """What is there before the write; a machine that is busy with other tests may need a second try."""
    for _ in range(_TRIES):
        world = await rig.world(kind.policies)
        try:
            await kind.start(world)
        except AssertionError as exc:
            failed = exc
        else:
            return world
    raise failed


async def _end(
    rig: Rig, dry: dict[str, Undisturbed], under: _Under, retry_at: int, patience_s: float
) -> tuple[Case, list[str] | None]:
    """Recovery, the client's retry, and the verdict."""
    case, world = under.case, under.world
    kind, lane = KINDS[case.kind], world.lane
    killed, early = FAULTS[case.fault].kills, lane.disturbed
    first = await under.answer
    calls = list(lane.calls)
    lane.release()
    if pauses_s := FAULTS[case.fault].pauses_s:
        # Where the bridge has tried again itself, its pause is over by now.
        await asyncio.sleep(max(0.0, lane.broken_s + pauses_s - time.monotonic()))
    await lane.quiet()
    # Whoever is killed gives up its calls.
    lane.disturbed = early if killed else lane.disturbed
    pending = await rig.drained(world, RECOVERY_S)
    middle = retry = None
    if not is_final(first[0]):
        middle = await look(world, kind, over_scim=False, at=retry_at)
        retry = await _again(world, under.request, retry_at, patience_s)
        pending = await rig.drained(world, RECOVERY_S)
    try:
        last = await look(world, kind, at=retry_at)
    except httpx.HTTPStatusError:
        if lane.disturbed:
            return case, None
        raise
    if lane.disturbed:
        return case, None
    assert len(calls) > case.number, f"{case}: {first} after {calls}"
    assert not killed or first[0] is None, f"{case}: {first} before the bridge was killed, after {calls}"
    run = Run(
        method=under.request.method, first=first, pending=pending, middle=middle, retry=retry, last=last
    )
    return case, violations(dry[kind.name], run)


async def _again(world: World, request: Request, at: int, patience_s: float) -> tuple[int | None, str]:
    """The same request again; while it is answered 429 or 503, for as long as patience lasts."""
    patience_ends = time.monotonic() + patience_s
    while True:
        try:
            async with asyncio.timeout(ANSWER_S):
                answer = await world.send(request, at=at)
        except TimeoutError:
            return None, "no answer in time"
        if answer[0] not in (429, 503) or time.monotonic() > patience_ends:
            return answer
        await asyncio.sleep(_BACKOFF_S)


async def _gathered(work: Sequence[Callable[[], Awaitable[T]]], *, at_once: int = LANES) -> list[T]:
    """The results in order; the first failure ends all."""
    slots = asyncio.Semaphore(at_once)

    async def one(job: Callable[[], Awaitable[T]]) -> T:
        async with slots:
            return await job()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(one(job)) for job in work]
    return [task.result() for task in tasks]
