"""Figures of the runs, and how they are shown: medians with the least and the greatest."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

import msgspec
from load import Outcome
from rich.console import Console
from rich.table import Table

MEMORY_TARGET_MB = 40


class Spread(msgspec.Struct, frozen=True, kw_only=True):
    """A figure over the rounds."""

    median: float
    least: float
    greatest: float


class Round(msgspec.Struct, frozen=True, kw_only=True):
    """One run at one server."""

    outcome: Outcome
    cpu_ms: float
    """Processor time of the server for each request, in milliseconds."""


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """What one server did in one case."""

    requests: int
    per_second: Spread
    p50_ms: Spread
    p99_ms: Spread
    cpu_ms: Spread


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """The bridge beside the proxy, round by round."""

    throughput: Spread
    cpu: Spread


class CaseReport(msgspec.Struct, frozen=True, kw_only=True):
    """One case at all its servers."""

    servers: dict[str, Figures]
    ratios: Ratios | None = None


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """Resident memory of the bridge, in MB."""

    idle_mb: float
    after_mb: float
    growth_mb: float


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """A whole run."""

    generator: str
    connections: int
    seconds: float
    rounds: int
    users: int
    python: str
    cores: int
    stub: dict[str, CaseReport]
    embedded: dict[str, CaseReport]
    memory: Memory


def case_report(rounds: dict[str, list[Round]]) -> CaseReport:
    """The figures of a case from its rounds by server; ratios where there is a proxy."""
    return CaseReport(
        servers={name: _figures(of_server) for name, of_server in rounds.items()},
        ratios=_ratios(rounds["bridge"], rounds["proxy"]) if "proxy" in rounds else None,
    )


def show(report: Report, out: Console) -> None:
    """The tables, with what they stand for."""
    out.print(
        f"{report.generator}, {report.connections} connections, {report.rounds} rounds of "
        f"{report.seconds:g} s for each server, {report.users} users in turn; "
        f"Python {report.python}, {report.cores} cores. "
        "Figures are medians of the rounds, least to greatest in brackets.",
        highlight=False,
    )
    out.print(_table("Stub platform", report.stub))
    out.print(_ratio_table(report.stub))
    out.print(
        "direct: the load generator at the platform. proxy: a bare ASGI app that makes one platform call "
        "with the bridge's HTTP client and hands back the bytes.\n"
        "Platform calls a request, bridge / proxy: get 1/1; userName eq 1/1 (the bridge knows the id and "
        "confirms it; direct is a search); create 2/1 (the bridge first looks whether the name is free); "
        "patch active 2/1 (GET, then PUT status; the stub's users stay active, so each request "
        "disables one).\n"
        "The same users come again and again, so lookups by userName mostly find the bridge's hints warm; "
        "with many users (--users 5000) more of them read the link table.",
        highlight=False,
    )
    out.print(_table("Embedded platform in a process of its own (SQLite)", report.embedded))
    memory = report.memory
    out.print(
        f"Bridge memory: {memory.idle_mb:.1f} MB after one request, {memory.after_mb:.1f} MB after the stub "
        f"runs: {memory.growth_mb:+.1f} MB (target: at most {MEMORY_TARGET_MB} MB more)",
        highlight=False,
    )


def _figures(rounds: Sequence[Round]) -> Figures:
    return Figures(
        requests=sum(r.outcome.requests for r in rounds),
        per_second=_spread([r.outcome.per_second for r in rounds]),
        p50_ms=_spread([r.outcome.p50_ms for r in rounds]),
        p99_ms=_spread([r.outcome.p99_ms for r in rounds]),
        cpu_ms=_spread([r.cpu_ms for r in rounds]),
    )


def _ratios(bridge: Sequence[Round], proxy: Sequence[Round]) -> Ratios:
    pairs = list(zip(bridge, proxy, strict=True))
    return Ratios(
        throughput=_spread([b.outcome.per_second / p.outcome.per_second for b, p in pairs]),
        cpu=_spread([b.cpu_ms / p.cpu_ms if p.cpu_ms else 0.0 for b, p in pairs]),
    )


def _spread(values: Sequence[float]) -> Spread:
    return Spread(median=median(values), least=min(values), greatest=max(values))


def _table(title: str, cases: dict[str, CaseReport]) -> Table:
    table = Table("request", "server", title=title, title_justify="left")
    for column in ("requests/s", "p50 ms", "p99 ms", "CPU ms a request"):
        table.add_column(column, justify="right")
    for case, report in cases.items():
        for name, figures in report.servers.items():
            table.add_row(
                case,
                name,
                _shown(figures.per_second, 0),
                _shown(figures.p50_ms, 2),
                _shown(figures.p99_ms, 2),
                _shown(figures.cpu_ms, 3),
            )
        table.add_section()
    return table


def _ratio_table(cases: dict[str, CaseReport]) -> Table:
    table = Table("request", title="Bridge / proxy, round by round", title_justify="left")
    table.add_column("throughput", justify="right")
    table.add_column("CPU for a request", justify="right")
    for case, report in cases.items():
        if report.ratios is not None:
            table.add_row(case, _shown(report.ratios.throughput, 2), _shown(report.ratios.cpu, 2))
    return table


def _shown(spread: Spread, digits: int) -> str:
    return f"{spread.median:,.{digits}f} ({spread.least:,.{digits}f}-{spread.greatest:,.{digits}f})"
