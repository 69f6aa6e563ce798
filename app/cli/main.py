"""The commands and how their failures are shown."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from app.cli.admin import admin_app
from app.cli.apply import apply_command, generate_command
from app.cli.audit import audit_command
from app.cli.bench.command import bench_app
from app.cli.clients import client_app
from app.cli.connections import connection_app, token_app
from app.cli.doctor import doctor_command
from app.cli.dry_running import dry_run_command
from app.cli.explaining import explain_command
from app.cli.federation import federation_app
from app.cli.indexing import reindex_command
from app.cli.journal import journal_app
from app.cli.mappings import mapping_app
from app.cli.servers import platform_command, serve_command
from app.config import SettingsError
from app.mapping.errors import MappingError
from app.store.errors import StoreError

app = typer.Typer(
    name="scim-bridge",
    help="SCIM 2.0 for a platform that only has its own Users API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("serve")(serve_command)
app.command("platform")(platform_command)
app.command("explain")(explain_command)
app.command("dry-run")(dry_run_command)
app.command("doctor")(doctor_command)
app.command("audit")(audit_command)
app.command("reindex")(reindex_command)
connection_app.command("apply")(apply_command)
token_app.command("generate")(generate_command)
app.add_typer(connection_app, name="connection")
app.add_typer(token_app, name="token")
app.add_typer(client_app, name="client")
app.add_typer(federation_app, name="federation")
app.add_typer(mapping_app, name="mapping")
app.add_typer(journal_app, name="journal")
app.add_typer(admin_app, name="admin")
app.add_typer(bench_app, name="bench")


def main() -> None:
    """Run a command; expected failures are one line on standard error and exit code 1."""
    try:
        app()
    except (SettingsError, MappingError, StoreError) as exc:
        Console(stderr=True, highlight=False, soft_wrap=True, markup=False).print(f"error: {exc}")
        sys.exit(1)
