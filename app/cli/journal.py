"""`scim-bridge journal …`: writes that are not finished."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
import typer
from rich.console import Console
from rich.table import Table

from app.bridge.told import told
from app.cli.servers import DataOption
from app.cli.stored import settings_for, with_store
from app.config import SettingsError
from app.store.journal_records import Entry
from app.store.store import Store

journal_app = typer.Typer(
    help="Writes that are not finished: a running bridge finishes or undoes them.", no_args_is_help=True
)

T = TypeVar("T")

EntryArgument = Annotated[str, typer.Argument(help="The entry's id, jrn_….")]


@journal_app.command("list")
def list_entries(data_dir: DataOption = None) -> None:
    """List writes that are not finished, the oldest first."""
    entries = _run(data_dir, lambda store: store.journal.list())
    table = Table("id", "kind", "state", "resource", "since (UTC)", "refused", "last trouble")
    for entry in entries:
        table.add_row(
            entry.id,
            entry.kind,
            entry.state,
            entry.resource_id or "not known",
            f"{entry.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S}",
            str(entry.attempts),
            entry.error or "",
        )
    _console().print(table if entries else "every write is finished")


@journal_app.command("show")
def show_entry(entry_id: EntryArgument, data_dir: DataOption = None) -> None:
    """Show one with its steps; of people, only ids and the names of attributes."""
    entry = _run(data_dir, lambda store: _found(store, entry_id))
    table = Table(show_header=False)
    for name, value in (
        ("id", entry.id),
        ("kind", entry.kind),
        ("state", entry.state),
        ("tenant", entry.tenant_id),
        ("connection", entry.connection_id),
        ("resource", entry.resource_id or "not known"),
        ("since", f"{entry.created_at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"),
        ("next try", _next_try(entry)),
        ("refused", f"{entry.attempts} times"),
        ("last trouble", entry.error or ""),
    ):
        table.add_row(name, value)
    _console().print(table)
    _print_steps(entry)


@journal_app.command("retry")
def retry_entry(entry_id: EntryArgument, data_dir: DataOption = None) -> None:
    """Let the running bridge try again at once, also where it had given up."""

    async def retried(store: Store) -> bool:
        await _found(store, entry_id)
        return await store.journal.retry(entry_id)

    if not _run(data_dir, retried):
        raise SettingsError(f"{entry_id} is being worked on, or has nothing left to do")
    _console().print("due: a running bridge takes it up within seconds, else the next one that starts")


@journal_app.command("abandon")
def abandon_entry(
    entry_id: EntryArgument,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    data_dir: DataOption = None,
) -> None:
    """Forget one: what is done at the platform stays done, the rest is not done any more."""
    entry = _run(data_dir, lambda store: _found(store, entry_id))
    resource = entry.resource_id or "not known to the bridge"
    _console().print(f"{entry.kind} in tenant {entry.tenant_id}; the resource at the platform: {resource}")
    _print_steps(entry)
    _console().print("This is how it stays at the platform; see to what is in doubt there.")
    if not yes and not typer.confirm("Forget it?"):
        raise typer.Exit(1)
    _run(data_dir, lambda store: store.journal.end([entry_id]))


def _print_steps(entry: Entry) -> None:
    try:
        steps = told(entry)
    except msgspec.MsgspecError as exc:
        raise SettingsError(f"the steps of {entry.id} are of another release") from exc
    table = Table("step", "outcome")
    for step in steps:
        table.add_row(step.what, step.outcome)
    _console().print(table)


def _next_try(entry: Entry) -> str:
    if not entry.blocks:
        return "none"
    return f"in {entry.wait_s:.0f} s" if entry.wait_s else "now"


async def _found(store: Store, entry_id: str) -> Entry:
    entry = await store.journal.get(entry_id)
    if entry is None:
        raise SettingsError(f"there is no entry {entry_id!r}: see scim-bridge journal list")
    return entry


def _run(data_dir: Path | None, work: Callable[[Store], Awaitable[T]]) -> T:
    return with_store(settings_for(data_dir), work)


def _console() -> Console:
    return Console(highlight=False, soft_wrap=True, markup=False)
