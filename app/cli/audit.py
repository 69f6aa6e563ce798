"""`scim-bridge audit`: what happened, as JSON lines."""

from __future__ import annotations

import asyncio
import re
import sys
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec
import typer

from app.cli.servers import DataOption
from app.cli.stored import settings_for, with_store
from app.config import SettingsError
from app.store.audit_records import AuditFilter, AuditRecord, id_of, number_at, number_of, record_time
from app.store.store import Store

_SPAN = re.compile(r"([0-9]{1,6})([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_PAGE = 500
_LOOK_EVERY_S = 1.0
_OVERLAP = timedelta(seconds=15)
"""Replicas record side by side, and a busy one a little later: so far back is looked again."""


def audit_command(
    user: Annotated[
        str | None, typer.Option(help="What happened to this user: an id, a userName or an externalId.")
    ] = None,
    connection: Annotated[str | None, typer.Option(help="Name or id of a connection.")] = None,
    since: Annotated[
        str | None, typer.Option(help="Not before: 30m, 2h, 7d ago, or a date such as 2026-03-01.")
    ] = None,
    until: Annotated[str | None, typer.Option(help="Before, in the same form.")] = None,
    failures: Annotated[bool, typer.Option("--failures", help="Only what failed.")] = False,
    correlation_id: Annotated[str | None, typer.Option(help="The requests of this correlation id.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="Records at most, the latest.")] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", help="Go on with what is recorded from now on.")
    ] = False,
    data_dir: DataOption = None,
) -> None:
    """Print records of the audit trail as JSON lines, the earliest first."""
    if user is not None and correlation_id is not None:
        raise SettingsError("name a user or a correlation id, not both")
    now = datetime.now(UTC)
    wanted = AuditFilter(
        failures=failures,
        text=correlation_id if user is None else user,
        since=None if since is None else moment(since, now),
        until=None if until is None else moment(until, now),
    )
    try:
        with_store(settings_for(data_dir), lambda store: _print(store, wanted, connection, limit, follow))
    except (KeyboardInterrupt, BrokenPipeError):
        # How one ends --follow, or `| head` the list.
        sys.stderr.close()


async def _print(store: Store, wanted: AuditFilter, connection: str | None, limit: int, follow: bool) -> None:
    if connection is not None:
        wanted = msgspec.structs.replace(wanted, connection_id=await _connection_id(store, connection))
    begun = datetime.now(UTC)
    records: list[AuditRecord] = []
    before: str | None = None
    while len(records) < limit:
        page = await store.audit.page(wanted, before=before, limit=min(_PAGE, limit - len(records)))
        records += page.records
        before = page.next
        if before is None:
            break
    for record in reversed(records):
        _line(record)
    if follow:
        await _follow(store, wanted, begun, {record.id for record in records})


async def _follow(store: Store, wanted: AuditFilter, begun: datetime, shown: set[str]) -> None:
    """Print what is new, for ever; what is older than the start is none of it."""
    start = number_at(begun)
    while True:
        newest = max((number_of(i) or 0 for i in shown), default=start)
        first = after = id_of(max(start, number_at(record_time(newest) - _OVERLAP)))
        while found := await store.audit.after(after, wanted, limit=_PAGE):
            for record in found:
                if record.id not in shown:
                    _line(record)
            after = found[-1].id
            shown.update(record.id for record in found)
        # What lies further back is not met again.
        shown = {i for i in shown if i > first}
        await asyncio.sleep(_LOOK_EVERY_S)


async def _connection_id(store: Store, name_or_id: str) -> str:
    for connection in await store.connections.list():
        if name_or_id in (connection.name, connection.id):
            return connection.id
    # One that was removed has its records still.
    return name_or_id


def _line(record: AuditRecord) -> None:
    sys.stdout.write(msgspec.json.encode(record).decode() + "\n")
    sys.stdout.flush()


def moment(text: str, now: datetime) -> datetime:
    """A time, from how long ago it was or from a date, UTC unless it names an offset."""
    span = _SPAN.fullmatch(text)
    if span is not None:
        return now - timedelta(seconds=int(span[1]) * _SECONDS[span[2]])
    try:
        at = datetime.fromisoformat(text)
    except ValueError as exc:
        raise SettingsError(f"{text!r} is neither a span such as 2h or 7d nor a date") from exc
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at
