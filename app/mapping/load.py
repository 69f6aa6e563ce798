"""Mapping files: found, read, checked against schemas and platform fields, and compiled."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec

from app.mapping.errors import MappingError
from app.mapping.model import MappingFile, UserRule
from app.mapping.rules import CustomRule, ElementRule, FieldRule, Rule, TemplateRule
from app.mapping.schemas import check_schemas
from app.mapping.transforms import Constant, Split
from app.mapping.users import UserMapping
from app.scim.schema import (
    Attribute,
    AttributeRef,
    ResourceModel,
    Schema,
    user_model,
)
from app.wire.users import LISTED_FIELDS, READABLE_FIELDS, WRITABLE_FIELDS

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")
_ID = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]{1,128}")
_NOT_MAPPABLE = frozenset({"schemas", "id", "meta", "groups", "active", "password"})


@cache
def load_mapping(name: str, directory: Path | None = None) -> UserMapping:
    """The mapping of this name, from `directory` or from those that ship with the bridge.

    A name that ends in `.toml` is a path. Raises `MappingError` where it cannot be used. Files are read once.
    """
    if name.endswith(".toml"):
        return read_mapping(Path(name))
    if not _NAME.fullmatch(name):
        raise MappingError(
            name, "", "a mapping's name is letters, digits, _ and -, or the path of a .toml file"
        )
    for place in (directory, *shipped_directories()):
        if place is not None and (file := place / f"{name}.toml").is_file():
            return read_mapping(file)
    raise MappingError(f"{name}.toml", "", "no such mapping file")


def shipped_directories() -> tuple[Path, ...]:
    """Where the shipped mappings are: in the installed package, or beside `app` in a checkout."""
    package = Path(str(files("app")))
    return (package / "mappings", package.parent / "mappings")


def read_mapping(file: Path) -> UserMapping:
    """Read, check and compile one file; `MappingError` names file, key and reason."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise MappingError(str(file), "", f"cannot be read: {exc}") from exc
    return parse_mapping(text, str(file))


def parse_mapping(text: str, file: str) -> UserMapping:
    """Check and compile the text of a mapping file; `file` is only for messages."""
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise MappingError(file, "", f"not TOML: {exc}") from exc
    try:
        mapping = msgspec.convert(data, type=MappingFile)
    except msgspec.ValidationError as exc:
        reason, _, where = str(exc).partition(" - at ")
        raise MappingError(file, where.strip("`").removeprefix("$").lstrip("."), reason) from exc
    return _Compiler(mapping, file).compile()


class _Compiler:
    def __init__(self, mapping: MappingFile, file: str) -> None:
        self._mapping = mapping
        self._file = file
        self._model = self._build_model()

    def compile(self) -> UserMapping:
        rules: list[Rule] = []
        seen: set[str] = set()
        places: dict[str, str] = {}
        for number, rule in enumerate(self._mapping.user):
            key = f"user[{number}] ({rule.scim})"
            compiled = self._rule(rule, key)
            if compiled.ref.text in seen:
                raise self._error(key, "this attribute already has a rule")
            seen.add(compiled.ref.text)
            place = rule.field or rule.custom
            if place is not None and rule.direction != "read":
                for other, attribute in places.items():
                    if f"{place}.".startswith(f"{other}.") or f"{other}.".startswith(f"{place}."):
                        raise self._error(key, f"{place} is already written by {attribute}")
                places[place] = rule.scim
            rules.append(compiled)
        for needed in ("userName", "emails"):
            if needed not in seen:
                raise self._error("user", f"a rule for {needed} is needed")
        self._check_capabilities()
        self._check_catalogs()
        return UserMapping(self._mapping, self._model, tuple(rules))

    def _build_model(self) -> ResourceModel:
        own = self._mapping.schemas
        shipped = user_model()
        check_schemas(own, (shipped.core, *shipped.extensions), self._file)
        model = user_model(own)
        written = {r.scim.lower() for r in self._mapping.user if r.direction != "read"}
        extensions = [_made_writable(e, written) if e in shipped.extensions else e for e in model.extensions]
        if extensions == list(model.extensions):
            return model
        return ResourceModel(
            name=model.name,
            endpoint=model.endpoint,
            core=model.core,
            extensions=extensions,
            description=model.description,
        )

    def _resolve(self, name: str, key: str) -> AttributeRef:
        urn, rest = self._model.split_urn(name) or (None, name)
        attribute, _, sub = rest.partition(".")
        ref = self._model.resolve(attribute, sub or None, urn=urn)
        if ref is None:
            raise self._error(key, f"{name} is in no schema")
        return ref

    def _rule(self, rule: UserRule, key: str) -> Rule:
        ref = self._resolve(rule.scim, key)
        if ref.attribute.name in _NOT_MAPPABLE and ref.urn is None:
            raise self._error(key, "this attribute has a meaning of its own and takes no rule")
        if rule.direction != "read" and "readOnly" in (ref.attribute.mutability, ref.leaf.mutability):
            raise self._error(key, "this attribute is readOnly: direction must be read")
        places = [p for p in (rule.field, rule.custom, rule.template) if p is not None]
        if len(places) != 1:
            raise self._error(key, "name exactly one of field, custom and template")
        if rule.custom is not None:
            if not all(rule.custom.split(".")) or rule.custom.split(".")[0] == "scim":
                raise self._error(
                    key, "custom is a key, or keys with dots between; `scim` is the bridge's own"
                )
            return CustomRule(rule, ref)
        if rule.template is not None:
            unknown = set(_PLACEHOLDER.findall(rule.template)) - READABLE_FIELDS
            if unknown:
                raise self._error(key, f"template names no platform field: {', '.join(sorted(unknown))}")
            return TemplateRule(rule, ref)
        self._check_field(rule.field or "", rule.direction, key)
        if rule.fallback is not None:
            self._check_field(rule.fallback, "read", key)
        for transform in rule.transform if rule.direction != "read" else ():
            if isinstance(transform, Constant) and not isinstance(transform.value, str):
                raise self._error(key, "a field holds text: the constant must be text")
        if rule.transform and isinstance(rule.transform[-1], Split):
            raise self._error(key, "a field holds text, not the list that split makes")
        if ref.leaf.multi_valued and not rule.transform:
            source = self._resolve(rule.derive_from, key) if rule.derive_from else None
            return ElementRule(rule, ref, source)
        if ref.leaf.type == "complex":
            raise self._error(key, "a complex attribute needs a rule for each sub-attribute, or custom")
        return FieldRule(rule, ref)

    def _check_field(self, field: str, direction: str, key: str) -> None:
        if field not in READABLE_FIELDS:
            raise self._error(key, f"the platform has no field {field}")
        if direction != "read" and field not in WRITABLE_FIELDS:
            raise self._error(key, f"the platform's field {field} cannot be written: direction must be read")

    def _check_capabilities(self) -> None:
        platform = self._mapping.platform
        for table in ("sort", "filters", "narrows"):
            for name in getattr(platform, table):
                self._resolve(name, f"platform.{table}")
        twice = platform.filters.keys() & platform.narrows.keys()
        if twice:
            raise self._error("platform.narrows", f"already among filters: {', '.join(sorted(twice))}")
        for key, fields, known in (
            ("search", platform.search, READABLE_FIELDS),
            ("list_fields", platform.list_fields, LISTED_FIELDS),
        ):
            unknown = set(fields) - known
            if unknown:
                raise self._error(f"platform.{key}", f"no such field: {', '.join(sorted(unknown))}")
        status = self._mapping.status
        if status.disable_to not in status.inactive or status.enable_to in status.inactive:
            raise self._error("status", "disable_to must be among inactive, enable_to must not")

    def _check_catalogs(self) -> None:
        for table in ("roles", "entitlements"):
            ids = [entry.id for entry in getattr(self._mapping, table)]
            for number, each in enumerate(ids):
                if _ID.fullmatch(each) is None:
                    raise self._error(f"{table}[{number}].id", "an id is letters, digits, . _ ~ and -")
                if each in ids[:number]:
                    raise self._error(f"{table}[{number}].id", f"{each} is listed already")
            if table in self._mapping.closed and not ids:
                raise self._error("closed", f"there is no list of {table} to hold users to")

    def _error(self, key: str, reason: str) -> MappingError:
        return MappingError(self._file, key, reason)


def _made_writable(schema: Schema, names: set[str]) -> Schema:
    """A shipped extension in which the attributes that a rule writes are not readOnly.

    `ouId` of the platform's is one, where a mapping wants it so; the manager's `displayName` is readOnly in
    RFC 7643 §4.3, and yet Okta sends it.
    """

    def made(attribute: Attribute, prefix: str) -> Attribute:
        name = f"{prefix}{attribute.name}".lower()
        subs = tuple(made(sub, f"{name}.") for sub in attribute.sub_attributes)
        lifted = attribute.mutability == "readOnly" and name in names
        mutability = "readWrite" if lifted else attribute.mutability
        return msgspec.structs.replace(attribute, mutability=mutability, sub_attributes=subs)

    return msgspec.structs.replace(
        schema, attributes=tuple(made(a, f"{schema.id}:") for a in schema.attributes)
    )


def editor_schema() -> dict[str, Any]:
    """The JSON Schema of mapping files, for editors."""
    return msgspec.json.schema(MappingFile)
