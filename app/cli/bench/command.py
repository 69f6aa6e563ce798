"""`scim-bridge bench sync`."""

from __future__ import annotations

import asyncio
import os
import re
import secrets
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
import typer
from rich.console import Console

from app.cli.bench.figures import Report, Tally
from app.cli.bench.forms import FORMS
from app.cli.bench.messages import Refused
from app.cli.bench.population import Plan
from app.cli.bench.session import Session, Stopped
from app.cli.bench.showing import Bars, show
from app.cli.bench.steps import Findings
from app.cli.bench.sync import Sync
from app.config import SettingsError
from app.platform.transport import Transport, network_transport

TOKEN_VARIABLE = "SCIM_BENCH_TOKEN"  # noqa: S105 - the name of a variable

_MAX_ANSWER_BYTES = 64 * 1024 * 1024
"""Large enough for a group of some hundred thousand members."""
_PREFIX = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,31}")
_INTERRUPTED = 130
_MEMBERS = 10

bench_app = typer.Typer(help="Plays an identity provider's work against a SCIM server.", no_args_is_help=True)


class Client(StrEnum):
    """Whose requests are sent."""

    OKTA = "okta"
    ENTRA = "entra"


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What a run is asked for."""

    url: str
    token: str
    client: str
    plan: Plan
    connections: int
    rate: float | None = None
    keep: bool = False


@bench_app.callback()
def bench() -> None:
    """Plays an identity provider's work against a SCIM server."""


@bench_app.command("sync")
def sync_command(
    url: Annotated[str, typer.Argument(help="SCIM base URL, of whatever server.")],
    client: Annotated[Client, typer.Option("--client", help="Whose requests to send.")] = Client.OKTA,
    users: Annotated[int, typer.Option("--users", min=1, help="Users to make.")] = 100,
    groups: Annotated[int, typer.Option("--groups", min=0, help="Groups to make.")] = 5,
    members: Annotated[
        int | None,
        typer.Option("--members", min=0, help="Members of each group; 10 where there are as many."),
    ] = None,
    cycles: Annotated[int, typer.Option("--cycles", min=0, help="Steady cycles after the first sync.")] = 1,
    connections: Annotated[
        int, typer.Option("--connections", min=1, max=1000, help="Requests at a time.")
    ] = 8,
    rate: Annotated[float | None, typer.Option("--rate", help="Requests a second at most.")] = None,
    prefix: Annotated[
        str, typer.Option("--prefix", help="What names begin with; a random part follows.")
    ] = "scim-bench",
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help=f"File of the token, instead of {TOKEN_VARIABLE}.")
    ] = None,
    keep: Annotated[bool, typer.Option("--keep", help="Leave what was made.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the report as JSON.")] = False,
) -> None:
    """Play an identity provider's first sync and steady cycles, and read back what was written.

    Changes and deletes nothing but what it makes itself, also after Ctrl-C (a second one leaves it there).
    Ends with 1 where an answer is not as expected, or what was written is not what is read.
    """
    if not _PREFIX.fullmatch(prefix):
        raise SettingsError("--prefix: up to 32 letters, digits and hyphens, of which the first is no hyphen")
    if members is None:
        members = min(_MEMBERS, users)
    if members > users:
        raise SettingsError(f"--members {members} is more than --users {users}")
    if rate is not None and rate <= 0:
        raise SettingsError("--rate has to be more than 0")
    options = Options(
        url=_base_url(url),
        token=_token(token_file),
        client=client.value,
        plan=Plan(
            prefix=f"{prefix}-{secrets.token_hex(4)}",
            users=users,
            groups=groups,
            members=members if groups else 0,
            cycles=cycles,
        ),
        connections=connections,
        rate=rate,
        keep=keep,
    )
    transport = network_transport(connections, max_answer_bytes=_MAX_ANSWER_BYTES)
    # Progress goes to standard error: standard output is the report alone.
    report = asyncio.run(play(options, transport, Console(stderr=True, highlight=False)))
    out = Console(highlight=False, soft_wrap=json, markup=False, emoji=False)
    if json:
        out.print(msgspec.json.format(msgspec.json.encode(report)).decode())
    else:
        show(report, out)
    if report.interrupted:
        raise typer.Exit(_INTERRUPTED)
    if not report.is_good:
        raise typer.Exit(1)


async def play(options: Options, transport: Transport, progress: Console, **session_options: Any) -> Report:
    """A whole run; raises `SettingsError` where the test of the connection fails."""
    forms, tally, findings = FORMS[options.client], Tally(), Findings()
    headers = {"Authorization": f"Bearer {options.token}", **forms.headers}
    session = Session(
        options.url, headers, transport, tally, findings.guard, rate=options.rate, **session_options
    )
    ended, leave = False, options.keep
    with Bars(tally, progress) as bars, _stopping(session, bars, options.keep):
        sync = Sync(options.plan, forms, session, tally, findings, bars, connections=options.connections)
        try:
            await sync.connect()
            ended = await sync.sync()
        except Refused as exc:
            why = f"{exc.status or 'no answer'}: {exc.detail}"
            raise SettingsError(f"{options.url}: the test of the connection failed: {why}") from exc
        except Stopped:
            pass  # in `connect`, before anything was made
        except asyncio.CancelledError:
            leave = True
        finally:
            if not leave:
                session.go_on()
                ended = await _cleaned(sync) and ended
            await session.close()
    return _report(options, sync, tally, findings, interrupted=not ended)


async def _cleaned(sync: Sync) -> bool:
    """False where the clean-up was cancelled: what is left is in the report."""
    try:
        await sync.clean()
    except asyncio.CancelledError:
        return False
    return True


@contextmanager
def _stopping(session: Session, bars: Bars, keep: bool) -> Iterator[None]:
    """Let the first signal end the sending in good order, so that no answer to a POST is lost."""
    loop, task = asyncio.get_running_loop(), asyncio.current_task()
    signals = (signal.SIGINT, signal.SIGTERM)
    received = 0

    def stop() -> None:
        nonlocal received
        received += 1
        if received == 1:
            bars.say(
                "stopping" if keep else "stopping, and deleting what was made; once more: leave it there"
            )
            session.stop()
        elif received == 2 and task is not None:
            task.cancel()

    def handle(*_: object) -> None:
        loop.call_soon_threadsafe(stop)

    before = {each: signal.signal(each, handle) for each in signals}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


def _report(options: Options, sync: Sync, tally: Tally, findings: Findings, *, interrupted: bool) -> Report:
    plan = options.plan
    return Report(
        url=options.url,
        client=options.client,
        prefix=plan.prefix,
        users=plan.users,
        groups=plan.groups,
        members=plan.members,
        cycles=plan.cycles,
        connections=options.connections,
        seconds=tally.seconds(),
        requests=tally.requests,
        per_second=tally.per_second(),
        latency=tally.latency(),
        phases=tally.phases,
        kinds=tally.kinds(),
        throttling=tally.throttling(),
        failures_in_all=tally.failures_in_all,
        failures=tally.failures(),
        differences_in_all=findings.differences_in_all,
        differences=findings.differences,
        left=sync.left(),
        kept=options.keep,
        interrupted=interrupted,
    )


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise SettingsError(f"{url} is not an http or https URL")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise SettingsError("the base URL has neither user nor query: the token comes by file or variable")
    return url.rstrip("/")


def _token(file: Path | None) -> str:
    if file is None:
        token = os.environ.get(TOKEN_VARIABLE, "").strip()
        if not token:
            raise SettingsError(f"a token is missing: set {TOKEN_VARIABLE}, or give --token-file")
    else:
        try:
            token = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError) as exc:
            raise SettingsError(f"--token-file {file} cannot be read: {exc}") from exc
    if not token.isascii() or not token.isprintable() or not token:
        raise SettingsError("the token is empty, or has characters that no header can hold")
    return token
