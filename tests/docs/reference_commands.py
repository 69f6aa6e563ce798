"""The commands' tables: every argument and option, as the commands' own help has them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import typer

from app.cli.main import app

COMMON = "--data-dir"
"""The option of all commands that use the database; said once above the tables."""


@cache
def commands() -> tuple[tuple[str, Any], ...]:
    """Every command that can be run, by its words."""
    return tuple(_below(typer.main.get_command(app), "scim-bridge"))


def _below(command: Any, path: str) -> Iterator[tuple[str, Any]]:
    if hasattr(command, "commands"):
        for name, sub in command.commands.items():
            yield from _below(sub, f"{path} {name}")
    else:
        yield path, command


def tables() -> str:
    """A line of usage, the help and a table of options for each command."""
    parts = []
    for path, command in commands():
        usage = [path, *(_argument(p) for p in command.params if not _is_option(p))]
        rows = [_row(p) for p in command.params if COMMON not in p.opts]
        parts.append(f"**`{' '.join(usage)}`** {_first_sentence(command.help)}")
        if rows:
            parts.append("\n".join(["| | Default | Meaning |", "|---|---|---|", *rows]))
    return "\n\n".join(parts)


def _is_option(parameter: Any) -> bool:
    return bool(parameter.opts[0].startswith("--"))


def _argument(parameter: Any) -> str:
    name = parameter.name.upper()
    return name if parameter.required else f"[{name}]"


def _row(parameter: Any) -> str:
    if not _is_option(parameter):
        return f"| `{parameter.name.upper()}` | | {parameter.help} |"
    default = getattr(parameter.default, "value", parameter.default)
    shown = "needed" if parameter.required else "" if default in (None, False, "") else f"`{default}`"
    return f"| `{parameter.opts[0]}` | {shown} | {parameter.help} |"


def _first_sentence(text: str) -> str:
    return " ".join(text.partition("\n\n")[0].split())
