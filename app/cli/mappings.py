"""`scim-bridge mapping …`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from app.mapping.load import read_mapping

mapping_app = typer.Typer(help="Mapping files.", no_args_is_help=True)


@mapping_app.callback()
def _mapping() -> None:
    """Mapping files."""


@mapping_app.command("check")
def check_mapping(file: Annotated[Path, typer.Argument(help="The .toml file.")]) -> None:
    """Check a mapping file and show what it says; exit code 1 with key and reason where it is not right."""
    mapping = read_mapping(file)
    table = Table("SCIM attribute", "platform", "direction", "transform")
    for rule in mapping.file.user:
        place = rule.field or (f"custom_attributes.{rule.custom}" if rule.custom else rule.template) or ""
        place += f" (or {rule.fallback})" if rule.fallback else ""
        transforms = ", ".join(type(t).__name__.lower() for t in rule.transform)
        table.add_row(rule.scim, place, rule.direction, transforms)
    out = Console(highlight=False, markup=False)
    out.print(table)
    out.print(f"{file}: mapping {mapping.file.name!r} is right")
