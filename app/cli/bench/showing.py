"""Progress bars, and the report as tables."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    SpinnerColumn,
    Task,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from app.cli.bench.figures import Report, Tally

_LEFT_SHOWN = 10
_DIFFERENCES_SHOWN = 20


class Bars:
    """One bar for each phase, with the counts of the whole run beside the last."""

    def __init__(self, tally: Tally, out: Console) -> None:
        self._tally = tally
        self._task: TaskID | None = None
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(tally),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=out,
        )

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def begin(self, name: str, total: int) -> None:
        """A phase begins."""
        self._task = self._progress.add_task(name, total=total, requests=self._tally.requests)

    def advance(self) -> None:
        """One user or group is done."""
        if self._task is not None:
            self._progress.advance(self._task)

    def say(self, text: str) -> None:
        """A line above the bars."""
        self._progress.console.print(text, markup=False, highlight=False)


class _Rate(ProgressColumn):
    """Requests a second of a phase, with what has failed in the run."""

    def __init__(self, tally: Tally) -> None:
        super().__init__()
        self._tally = tally

    def render(self, task: Task) -> Text:
        if task.finished:
            return Text("")
        elapsed = task.elapsed or 0.0
        sent = self._tally.requests - int(task.fields["requests"])
        text = f"{sent / elapsed if elapsed else 0:,.0f} requests/s"
        if self._tally.throttled:
            text += f", {self._tally.throttled} times 429"
        if self._tally.failures_in_all:
            text += f", {self._tally.failures_in_all} failed"
        return Text(text)


def show(report: Report, out: Console) -> None:
    """The report as tables and lines."""
    out.print(
        f"{report.client} at {report.url}: {report.users} users, {report.groups} groups of {report.members}, "
        f"{report.cycles} cycles, {report.connections} connections"
    )
    out.print(
        f"{report.requests:,} requests in {report.seconds:,.1f} s, {report.per_second:,.1f} a second; "
        f"p50 {report.latency.p50_ms:,.1f} ms, p95 {report.latency.p95_ms:,.1f} ms, "
        f"p99 {report.latency.p99_ms:,.1f} ms"
    )
    out.print(_phases(report))
    out.print(_kinds(report))
    throttling = report.throttling
    if throttling.answers:
        out.print(
            f"429: {throttling.answers} answers, {throttling.repeated} requests sent again, "
            f"{throttling.waited_s:,.1f} s waited for them"
        )
    if report.failures:
        out.print(_failures(report))
    if report.differences:
        out.print(_differences(report))
    _end(report, out)


def _phases(report: Report) -> Table:
    table = Table("phase")
    for column in ("seconds", "requests", "requests/s"):
        table.add_column(column, justify="right")
    for phase in report.phases:
        table.add_row(phase.name, f"{phase.seconds:,.1f}", f"{phase.requests:,}", f"{phase.per_second:,.1f}")
    return table


def _kinds(report: Report) -> Table:
    table = Table("request")
    for column in ("sent", "p50 ms", "p95 ms", "p99 ms"):
        table.add_column(column, justify="right")
    table.add_column("answers by status")
    for kind, figures in report.kinds.items():
        times = figures.latency
        table.add_row(
            kind,
            f"{figures.requests:,}",
            *(f"{ms:,.1f}" for ms in (times.p50_ms, times.p95_ms, times.p99_ms)),
            ", ".join(f"{status}: {count:,}" for status, count in figures.statuses.items()),
        )
    return table


def _failures(report: Report) -> Table:
    table = Table(
        "request",
        "status",
        "scimType",
        "times",
        "detail",
        title="Not answered as expected",
        title_justify="left",
    )
    for failure in report.failures:
        details = "\n".join(failure.details)
        table.add_row(
            failure.kind,
            failure.status,
            failure.scim_type,
            f"{failure.count:,}",
            Text(details, overflow="fold"),
        )
    return table


def _differences(report: Report) -> Table:
    title = f"Not as it was written: {report.differences_in_all:,}"
    table = Table("name", "seen in", "attribute", "written", "found", title=title, title_justify="left")
    for each in report.differences[:_DIFFERENCES_SHOWN]:
        table.add_row(*(Text(t) for t in (each.name, each.seen_in, each.attribute, each.written, each.found)))
    return table


def _end(report: Report, out: Console) -> None:
    if report.interrupted:
        out.print("It was interrupted: not everything was played.")
    if report.left:
        names = ", ".join(report.left[:_LEFT_SHOWN]) + (", …" if len(report.left) > _LEFT_SHOWN else "")
        why = "as --keep asks for" if report.kept else "which could not be deleted"
        out.print(f"Still there, {why}: {len(report.left)} ({names})")
    else:
        out.print(f"Everything named {report.prefix}-… was deleted again.")
    if report.is_good:
        out.print("Every answer was as expected, and everything read back as it was written.")
