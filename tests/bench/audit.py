"""What the audit trail and the metrics cost, run by hand: `uv run python tests/bench/audit.py`.

Three bridges over the stub platform take turns at the cases of `run.py`: as it is, without metrics, and one
that tells no stories at all. The ratio of each round compares runs next to each other, on a machine that may
be busy with other things.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from statistics import median

import msgspec
import servers
from cases import CASES, KnownUser, at_bridge
from load import Generator, LoadError, check, generator_for
from rich.console import Console
from rich.table import Table
from servers import Server, ServerFailed

_TENANT = "tnt_bench"
_BESIDE = Path(__file__).parent
_PROGRAMS = (("-m", "app.cli"), (str(_BESIDE / "uncounted.py"),), (str(_BESIDE / "untold.py"),))
"""All of it; the trail alone; nothing."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """Of one case; medians of the rounds."""

    all_us: float
    """CPU time of a request with trail and metrics, in microseconds."""
    trail_us: float
    """With the trail alone."""
    nothing_us: float
    throughput: float
    """With both, as a share of that with nothing."""
    trail_throughput: float
    """With the trail alone, likewise."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    seconds: float
    rounds: int
    connections: int
    users: int
    generator: Generator


def main() -> int:
    """Measure and show; 1 where something failed."""
    parser = argparse.ArgumentParser(description="What the audit trail and the metrics cost.")
    parser.add_argument("--seconds", type=float, default=2)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--connections", type=int, default=8)
    parser.add_argument("--users", type=int, default=200)
    parser.add_argument("--cases", default=",".join(CASES))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    err = Console(stderr=True, highlight=False)
    try:
        name, generator = generator_for("auto", given.seconds)
        options = Options(
            seconds=given.seconds,
            rounds=given.rounds,
            connections=given.connections,
            users=given.users,
            generator=generator,
        )
        costs = measure(options, [case for case in CASES if case in given.cases.split(",")])
    except (LoadError, ServerFailed) as exc:
        err.print(f"error: the benchmark does not count: {exc}", soft_wrap=True)
        return 1
    table = Table(
        *("case", "CPU, us", "without both, us", "the trail, us", "the metrics, us", "throughput"),
        "trail only",
        title=name,
    )
    for case, cost in costs.items():
        table.add_row(
            case,
            f"{cost.all_us:.0f}",
            f"{cost.nothing_us:.0f}",
            f"{cost.trail_us - cost.nothing_us:.0f}",
            f"{cost.all_us - cost.trail_us:.0f}",
            f"{cost.throughput:.2f}",
            f"{cost.trail_throughput:.2f}",
        )
    Console(width=110).print(table)
    if given.json is not None:
        given.json.write_bytes(msgspec.json.encode(costs))
    return 0


def measure(options: Options, cases: list[str]) -> dict[str, Cost]:
    """Rounds in which the bridges take turns, who is first in turn too."""
    users = [KnownUser(id=f"usr_{n:06d}", user_name=f"usr_{n:06d}@example.com") for n in range(options.users)]
    with ExitStack() as stack:
        stub = stack.enter_context(servers.stub())
        sides: list[tuple[Server, str]] = []
        for program in _PROGRAMS:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix="scim-bench-bridge-"))
            app = {"client_id": "bench", "client_secret": "bench-secret"}
            settings = servers.bridge_settings(Path(place), stub.port, app)
            token = servers.add_connection(settings, _TENANT)
            sides.append((stack.enter_context(servers.serving(settings, program)), token))
        return {case: _cost(case, sides, users, options) for case in cases}


def _cost(case: str, sides: list[tuple[Server, str]], users: list[KnownUser], options: Options) -> Cost:
    cpu: list[list[float]] = [[] for _ in sides]
    rates: list[list[float]] = [[] for _ in sides]
    for number in range(options.rounds):
        for turn in range(len(sides)):
            side = (number + turn) % len(sides)
            server, token = sides[side]
            target = at_bridge(case, users, port=server.port, token=token, toggle=False)
            if number == 0:
                check(target)
            before_s = server.cpu_s()
            outcome = options.generator(target, options.seconds, options.connections)
            if outcome.refused or outcome.broken or not outcome.requests:
                raise LoadError(f"{case}: {outcome}\n{server.log_tail()}")
            cpu[side].append((server.cpu_s() - before_s) / outcome.requests * 1e6)
            rates[side].append(outcome.per_second)
    return Cost(
        all_us=median(cpu[0]),
        trail_us=median(cpu[1]),
        nothing_us=median(cpu[2]),
        throughput=median(told / untold for told, untold in zip(rates[0], rates[2], strict=True)),
        trail_throughput=median(told / untold for told, untold in zip(rates[1], rates[2], strict=True)),
    )


if __name__ == "__main__":
    sys.exit(main())
