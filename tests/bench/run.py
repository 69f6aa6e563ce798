"""The benchmark, run by hand on a quiet machine: `uv run python tests/bench/run.py`.

Measures what the bridge adds to a platform call, beside a bare pass-through proxy and the call itself; see
`report.py` for what the tables show. Any answer that is not a success makes it fail.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import platform as machine
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import msgspec
import servers
from cases import CASES, KnownUser, at_bridge, at_platform
from load import Generator, LoadError, Target, check, generator_for
from report import CaseReport, Memory, Report, Round, case_report, show
from rich.console import Console
from rich.markup import escape
from servers import Server, ServerFailed
from tenant import known_users, platform_token, seed

_TENANT = "tnt_bench"
_WIDTH = 120
"""Columns of the tables where the output is no terminal."""

_err = Console(stderr=True, highlight=False)


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How much is measured."""

    seconds: float
    connections: int
    rounds: int
    users: int
    generator: Generator


MakeTarget = Callable[[str], Target]
"""A case's requests for one server; made anew for every run, so that created names differ."""


def main() -> int:
    """Run everything; 1 where something failed."""
    arguments = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        name, generator = generator_for(arguments.generator, arguments.seconds)
        options = Options(
            seconds=arguments.seconds,
            connections=arguments.connections,
            rounds=arguments.rounds,
            users=arguments.users,
            generator=generator,
        )
        stub, memory = run_stub(options)
        report = Report(
            generator=name,
            connections=options.connections,
            seconds=options.seconds,
            rounds=options.rounds,
            users=options.users,
            python=machine.python_version(),
            cores=os.cpu_count() or 0,
            stub=stub,
            embedded=run_embedded(options),
            memory=memory,
        )
    except (LoadError, ServerFailed) as exc:
        _err.print(f"[red]error:[/red] the benchmark does not count: {escape(str(exc))}", soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        _err.print("stopped")
        return 130
    out = Console()
    show(report, out if out.is_terminal else Console(width=_WIDTH))
    if arguments.json is not None:
        arguments.json.write_bytes(msgspec.json.format(msgspec.json.encode(report)) + b"\n")
    return 0


def run_stub(options: Options) -> tuple[dict[str, CaseReport], Memory]:
    """All cases over the stub platform, at bridge, proxy and platform; and the bridge's memory."""
    users = [KnownUser(id=f"usr_{n:06d}", user_name=f"usr_{n:06d}@example.com") for n in range(options.users)]
    with (
        servers.stub() as stub,
        servers.proxy(stub.port) as proxy,
        servers.bridge(stub.port, _TENANT, "bench", "bench-secret") as (bridge, token),
    ):
        check(at_bridge("get", users[:1], port=bridge.port, token=token, toggle=False))
        idle_mb = bridge.rss_mb()
        targets: list[tuple[Server, MakeTarget]] = [
            (bridge, lambda case: at_bridge(case, users, port=bridge.port, token=token, toggle=False)),
            (proxy, lambda case: _at_stub(case, users, proxy.port, search=False)),
            (stub, lambda case: _at_stub(case, users, stub.port, search=True)),
        ]
        cases = {case: _run_case(case, targets, options) for case in CASES}
        after_mb = bridge.rss_mb()
    return cases, Memory(idle_mb=idle_mb, after_mb=after_mb, growth_mb=after_mb - idle_mb)


def run_embedded(options: Options) -> dict[str, CaseReport]:
    """All cases over the embedded platform, at bridge and platform."""
    with tempfile.TemporaryDirectory(prefix="scim-bench-platform-") as place:
        data_dir = Path(place)
        with servers.embedded(data_dir) as platform:
            app = msgspec.json.decode((data_dir / "platform.json").read_bytes())
            tenant_id, client_id, secret = app["tenant_id"], app["client_id"], app["client_secret"]
            asyncio.run(seed(data_dir, tenant_id, options.users))
            token_there = platform_token(platform.port, client_id, secret)
            users = known_users(platform.port, token_there, tenant_id)
            with servers.bridge(platform.port, tenant_id, client_id, secret) as (bridge, token):
                targets: list[tuple[Server, MakeTarget]] = [
                    (bridge, lambda case: at_bridge(case, users, port=bridge.port, token=token, toggle=True)),
                    (
                        platform,
                        lambda case: at_platform(
                            case,
                            users,
                            port=platform.port,
                            token=token_there,
                            tenant_id=tenant_id,
                            toggle=True,
                        ),
                    ),
                ]
                return {case: _run_case(case, targets, options) for case in CASES}


def _at_stub(case: str, users: list[KnownUser], port: int, *, search: bool) -> Target:
    return at_platform(case, users, port=port, token="stub-token", tenant_id=_TENANT, search=search)


def _run_case(case: str, targets: list[tuple[Server, MakeTarget]], options: Options) -> CaseReport:
    """Rounds that visit the servers in turn, after one answer to each request was looked at."""
    for server, make in targets:
        try:
            check(make(case))
        except LoadError as exc:
            raise LoadError(f"{case} at {server.name}: {exc}\n{server.log_tail()}") from exc
    rounds: dict[str, list[Round]] = {_column(server): [] for server, _ in targets}
    for number in range(options.rounds):
        for server, make in targets:
            _err.print(f"{case}: {server.name}, round {number + 1} of {options.rounds}", style="dim")
            rounds[_column(server)].append(_run_once(case, server, make(case), options))
    return case_report(rounds)


def _column(server: Server) -> str:
    return server.name if server.name in ("bridge", "proxy") else "direct"


def _run_once(case: str, server: Server, target: Target, options: Options) -> Round:
    before_s = server.cpu_s()
    outcome = options.generator(target, options.seconds, options.connections)
    used_s = server.cpu_s() - before_s
    if outcome.refused or outcome.broken or not outcome.requests:
        raise LoadError(
            f"{case} at {server.name}: {outcome.requests} answers, {outcome.refused} of them refused, "
            f"{outcome.broken} connections broken or timed out\n{server.log_tail()}"
        )
    return Round(outcome=outcome, cpu_ms=used_s / outcome.requests * 1e3)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Benchmark of the bridge; takes some minutes.")
    parser.add_argument("--seconds", type=float, default=3, help="length of one run (default 3)")
    parser.add_argument("--connections", type=int, default=8, help="connections kept busy (default 8)")
    parser.add_argument("--rounds", type=int, default=5, help="runs of each case at each server (default 5)")
    parser.add_argument("--users", type=int, default=200, help="users asked for in turn (default 200)")
    parser.add_argument(
        "--generator", choices=("auto", "wrk", "python"), default="auto", help="what makes the load"
    )
    parser.add_argument("--json", type=Path, help="write the figures to this file")
    arguments = parser.parse_args()
    if min(arguments.seconds, arguments.connections, arguments.rounds, arguments.users) <= 0:
        parser.error("seconds, connections, rounds and users must be above 0")
    return arguments


if __name__ == "__main__":
    sys.exit(main())
