"""The report of `bench sync` as an operator sees it, and runs that end before they begin."""

from __future__ import annotations

import io
import signal

import httpx
import msgspec
from rich.console import Console
from sync_report import GOOD

from app.cli.bench.command import Options, play
from app.cli.bench.figures import Report, Tally, Throttling
from app.cli.bench.population import Plan
from app.cli.bench.showing import show
from app.cli.bench.steps import Difference


def text(report: Report) -> str:
    out = io.StringIO()
    show(report, Console(file=out, width=200, highlight=False, markup=False, emoji=False))
    return out.getvalue()


def test_a_good_run() -> None:
    told = text(msgspec.structs.replace(GOOD, throttling=Throttling(answers=0, repeated=0, waited_s=0)))
    assert "okta at https://scim.example.com: 1 users" in told
    assert "Everything named p-… was deleted again." in told
    assert "Every answer was as expected" in told
    assert "429" not in told


def test_a_run_with_everything_wrong() -> None:
    tally = Tally()
    tally.answered("create user", 409, 0.25)
    tally.failed("create user", 409, "uniqueness", "[bold]taken[/bold] :boom:", "POST /Users")
    differs = Difference(
        name="p-1", seen_in="read back", attribute="active", written="false", found="[link]true"
    )
    report = msgspec.structs.replace(
        GOOD,
        kinds=tally.kinds(),
        failures_in_all=1,
        failures=tally.failures(),
        differences_in_all=101,
        differences=[differs] * 100,
        left=[f"p-{n}" for n in range(12)],
        interrupted=True,
    )
    told = text(report)
    for part in ("409: 1", "250.0", "uniqueness", "[bold]taken[/bold] :boom:", "[link]true"):
        assert part in told
    assert "429: 3 answers, 3 requests sent again, 9.0 s waited" in told
    assert "Not as it was written: 101" in told
    assert "It was interrupted" in told
    assert "Still there, which could not be deleted: 12 (p-0, p-1," in told
    assert "p-9, …)" in told
    assert "Every answer was as expected" not in told


def test_what_is_kept_is_named() -> None:
    told = text(msgspec.structs.replace(GOOD, left=["p-1"], kept=True))
    assert "Still there, as --keep asks for: 1 (p-1)" in told
    assert "Every answer was as expected" in told


async def test_an_interruption_before_the_first_answer() -> None:
    sent: list[str] = []

    def busy(request: httpx.Request) -> httpx.Response:
        sent.append(request.method)
        signal.raise_signal(signal.SIGTERM)
        return httpx.Response(429, headers={"Retry-After": "200"})

    options = Options(
        url="https://scim.example.com",
        token="t",
        client="okta",
        plan=Plan(prefix="p", users=1),
        connections=1,
    )
    report = await play(options, httpx.MockTransport(busy), Console(file=io.StringIO()))
    assert report.interrupted
    assert (sent, report.left, report.failures) == (["GET"], [], [])
