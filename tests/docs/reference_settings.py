"""The settings' tables: one for each group of neighbours in `app/config.py`."""

from __future__ import annotations

from msgspec import inspect

from app.config import PREFIX, Settings

GROUPS = {
    "host": "Listening for clients",
    "admin_host": "The console",
    "data_dir": "Files, database, addresses",
    "platform_url": "The platform",
    "scan_limit": "Searching and the index",
    "journal_settle_s": "Unfinished writes",
    "correlation_header": "Correlation and audit",
    "page_size": "Pages",
    "max_body_bytes": "Limits on requests",
    "requests_per_second": "Rates and time",
    "shutdown_delay_s": "Shutting down",
    "log_level": "Logs",
}
"""The first setting of each group, in the order of the code; a new setting belongs where it stands."""


def tables(fields: list[tuple[str, str, str]]) -> str:
    """A heading and a table for every group, of fields as name, default as written and docstring."""
    types = {field.name: field.type for field in _struct().fields}
    lines: list[str] = []
    for name, default, doc in fields:
        if name in GROUPS:
            lines += [
                "",
                f"### {GROUPS[name]}",
                "",
                "| Variable | Type | Default | Meaning |",
                "|---|---|---|---|",
            ]
        shown = "" if default in ("''", "", "None") else f"`{default.strip(chr(39))}`"
        lines.append(f"| `{PREFIX}{name.upper()}` | {type_of(types[name])} | {shown} | {doc} |")
    return "\n".join(lines).strip("\n")


def _struct() -> inspect.StructType:
    found = inspect.type_info(Settings)
    assert isinstance(found, inspect.StructType)
    return found


def type_of(kind: inspect.Type) -> str:
    """A setting's type in words, with the bounds that it is held to."""
    match kind:
        case inspect.UnionType(types=types):
            (set_one,) = (each for each in types if not isinstance(each, inspect.NoneType))
            return type_of(set_one)
        case inspect.LiteralType(values=values):
            return ", ".join(f"`{value}`" for value in values)
        case inspect.StrType():
            return "text"
        case inspect.BoolType():
            return "`true`, `false`"
        case inspect.IntType():
            return _bounded("integer", kind)
        case inspect.FloatType():
            return _bounded("number", kind)
    raise LookupError(kind)


def _bounded(word: str, kind: inspect.IntType | inspect.FloatType) -> str:
    if kind.ge is not None and kind.le is not None:
        return f"{word}, {kind.ge} to {kind.le}"
    if kind.ge is not None:
        return f"{word}, {kind.ge} or more"
    if kind.gt is not None:
        return f"{word} above {kind.gt}"
    return word
