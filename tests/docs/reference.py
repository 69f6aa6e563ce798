"""The tables of the README and of the guides that are made from the code.

A table stands between two comments, `<!-- name: begin -->` and `<!-- name: end -->`, in whichever document
has them. `uv run python tests/docs/reference.py` writes all of them; test_readme.py and
test_conformance_table.py hold the documents to it.
"""

from __future__ import annotations

import ast
import json
import re
import sys
from collections.abc import Iterable
from pathlib import Path

import reference_commands
import reference_settings

from app.mapping import model as mapping_model
from app.mapping import transforms
from app.mapping.load import editor_schema
from app.observing.catalogue import METRICS, PROCESS

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
DOCUMENTS = [README, *sorted((ROOT / "examples").glob("*.md"))]
EDITOR_SCHEMA = ROOT / "mappings" / "mapping.schema.json"


def documents_text() -> str:
    """All documents, one after the other."""
    return "\n".join(file.read_text("utf-8") for file in DOCUMENTS)


def document(name: str) -> str:
    """The text of one of the guides in `examples`."""
    return (ROOT / "examples" / f"{name}.md").read_text("utf-8")


def documented_fields(source: Path, struct: str) -> list[tuple[str, str, str]]:
    """Name, default as written and docstring of every field of a struct."""
    for node in ast.parse(source.read_text("utf-8")).body:
        if isinstance(node, ast.ClassDef) and node.name == struct:
            return _fields(node)
    raise LookupError(struct)


def _fields(node: ast.ClassDef) -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = []
    for statement, following in zip(node.body, [*node.body[1:], None], strict=True):
        if not isinstance(statement, ast.AnnAssign) or not isinstance(statement.target, ast.Name):
            continue
        default = "" if statement.value is None else ast.unparse(statement.value)
        doc = ""
        if isinstance(following, ast.Expr) and isinstance(following.value, ast.Constant):
            doc = " ".join(str(following.value.value).split())
        found.append((statement.target.id, default, doc))
    return found


def settings_table() -> str:
    """Every environment variable by group, with its type, default and meaning."""
    return reference_settings.tables(documented_fields(ROOT / "app" / "config.py", "Settings"))


def policies_table() -> str:
    """Every policy of a connection with its default and meaning."""
    lines = ["| Policy | Default | Meaning |", "|---|---|---|"]
    for name, default, doc in documented_fields(ROOT / "app" / "store" / "connections.py", "Policies"):
        shown = {"None": "", "()": "", "True": "true", "False": "false"}.get(default, default.strip(chr(39)))
        lines.append(f"| `{name}` | {f'`{shown}`' if shown else ''} | {doc} |")
    return "\n".join(lines)


def declared_tables() -> str:
    """Every key of a file of connections."""
    parts = []
    for source, struct, place in (
        ("cli/declared.py", "_File", "At the top"),
        ("cli/declared.py", "_Connection", "`[[connections]]`"),
        ("cli/declared.py", "_Token", "`tokens`, and `secrets` of a client"),
        ("cli/declared.py", "_Client", "`clients`"),
        ("cli/declared.py", "_Trust", "`federation`"),
        ("store/connections.py", "DialectSettings", "`dialect`"),
    ):
        lines = [f"{place}:", "", "| Key | Default | Meaning |", "|---|---|---|"]
        for name, default, doc in documented_fields(ROOT / "app" / source, struct):
            shown = "needed" if not default else "" if default in ("{}", "()", "None", "''") else default
            value = shown if shown in ("", "needed") else f"`{shown.strip(chr(39))}`"
            lines.append(f"| `{name}` | {value} | {doc} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def mapping_tables() -> str:
    """Every key of a mapping file, and the transforms."""
    source = Path(mapping_model.__file__)
    parts = []
    for struct, place in (
        ("MappingFile", "At the top"),
        ("Capabilities", "`[platform]`: what the platform can do"),
        ("StatusRules", "`[status]`"),
        ("UserRule", "`[[user]]`: one rule an attribute"),
        ("RoleEntry", "`[[roles]]`, and `[[entitlements]]` likewise"),
        ("EntitlementEntry", "`[[entitlements]]` only"),
    ):
        camel = struct.endswith("Entry")
        lines = [f"{place}:", "", "| Key | Meaning |", "|---|---|"]
        lines += [
            f"| `{camel_case(name) if camel else name}` | {doc} |"
            for name, _, doc in documented_fields(source, struct)
        ]
        parts.append("\n".join(lines))
    lines = [
        'Transforms, as in `transform = [{ kind = "lower" }]`:',
        "",
        "| kind | Keys | Meaning |",
        "|---|---|---|",
    ]
    for transform in transforms.Transform.__args__:
        keys = ", ".join(f"`{key}`" for key in transform.__struct_fields__)
        doc = " ".join((transform.__doc__ or "").split())
        lines.append(f"| `{transform.__struct_config__.tag}` | {keys} | {doc} |")
    return "\n\n".join([*parts, "\n".join(lines)])


def metrics_table() -> str:
    """Every metric with its type, labels and meaning."""
    lines = ["| Metric | Type | Labels | Meaning |", "|---|---|---|---|"]
    for metric in (*METRICS, *PROCESS):
        labels = ", ".join(f"`{label}`" for label in metric.labels)
        lines.append(f"| `{metric.name}` | {metric.kind} | {labels} | {metric.meaning} |")
    return "\n".join(lines)


def camel_case(name: str) -> str:
    """A field's key in a file whose keys are SCIM's."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def section(name: str, text: str) -> str:
    """What stands between a section's two markers."""
    begin, end = _markers(name)
    return text[text.index(begin) + len(begin) : text.index(end)].strip("\n")


def sections(text: str) -> list[str]:
    """The names of all sections that a text has."""
    return re.findall(r"^<!-- (\w+): begin -->$", text, re.M)


def _markers(name: str) -> tuple[str, str]:
    return f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"


def made() -> dict[str, str]:
    """Every section by name, but for the conformance table, which the conformance tests make."""
    return {
        "settings": settings_table(),
        "commands": reference_commands.tables(),
        "declared": declared_tables(),
        "policies": policies_table(),
        "mapping": mapping_tables(),
        "metrics": metrics_table(),
    }


def rewrite(files: Iterable[Path] = tuple(DOCUMENTS)) -> None:
    """Bring the documents and the editors' JSON Schema up to date."""
    sys.path.append(str(ROOT / "tests" / "conformance"))
    import table

    tables = {**made(), "conformance": table.markdown()}
    for file in files:
        text = file.read_text("utf-8")
        for name in sections(text):
            begin, end = _markers(name)
            before, rest = text.split(begin)
            text = before + begin + "\n" + tables[name] + "\n\n" + end + rest.split(end)[1]
        file.write_text(text, "utf-8")
    EDITOR_SCHEMA.write_text(json.dumps(editor_schema(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    rewrite()
