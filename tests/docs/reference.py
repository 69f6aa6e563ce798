"""The README's tables: settings, policies and mapping keys, made from the docs in the code, and conformance.

`uv run python tests/docs/reference.py` writes them into the README; test_readme.py and
test_conformance_table.py hold them to it.
"""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

from app.mapping import model as mapping_model
from app.mapping import transforms
from app.mapping.load import editor_schema

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
EDITOR_SCHEMA = ROOT / "mappings" / "mapping.schema.json"


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
    """Every environment variable with its default and meaning."""
    lines = ["| Variable | Default | Meaning |", "|---|---|---|"]
    for name, default, doc in documented_fields(ROOT / "app" / "config.py", "Settings"):
        shown = "" if default in ("''", "", "None") else f"`{default.strip(chr(39))}`"
        lines.append(f"| `SCIM_BRIDGE_{name.upper()}` | {shown} | {doc} |")
    return "\n".join(lines)


def policies_table() -> str:
    """Every policy of a connection with its default and meaning."""
    lines = ["| Policy | Default | Meaning |", "|---|---|---|"]
    for name, default, doc in documented_fields(ROOT / "app" / "store" / "connections.py", "Policies"):
        shown = {"None": "", "()": "", "True": "true", "False": "false"}.get(default, default.strip(chr(39)))
        lines.append(f"| `{name}` | {f'`{shown}`' if shown else ''} | {doc} |")
    return "\n".join(lines)


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


def camel_case(name: str) -> str:
    """A field's key in a file whose keys are SCIM's."""
    first, *rest = name.split("_")
    return first + "".join(word.title() for word in rest)


def section(name: str, text: str) -> str:
    """What stands between a section's two markers."""
    begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
    return text[text.index(begin) + len(begin) : text.index(end)].strip("\n")


def rewrite() -> None:
    """Bring the README and the editors' JSON Schema up to date."""
    sys.path.append(str(ROOT / "tests" / "conformance"))
    import table

    text = README.read_text("utf-8")
    tables = {
        "settings": settings_table(),
        "policies": policies_table(),
        "mapping": mapping_tables(),
        "conformance": table.markdown(),
    }
    for name, made in tables.items():
        begin, end = f"<!-- {name}: begin -->\n", f"<!-- {name}: end -->"
        before, rest = text.split(begin)
        text = before + begin + "\n" + made + "\n\n" + end + rest.split(end)[1]
    README.write_text(text, "utf-8")
    EDITOR_SCHEMA.write_text(json.dumps(editor_schema(), indent=2) + "\n", "utf-8")


if __name__ == "__main__":
    rewrite()
