"""Which values of attributes a record may hold: public ones, personal ones where wanted, secrets never.

Names of attributes are never masked, values are unless they are known to be harmless: what no schema knows,
what stands where it does not belong and what cannot be read is masked too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, Literal, TypeAlias

from app.mapping.model import UserRule
from app.scim.dialect import LENIENT
from app.scim.errors import ScimError
from app.scim.keys import locate
from app.scim.path import parse_attribute_path, parse_patch_path
from app.scim.schema import PLATFORM_USER, Attribute, AttributeRef, ResourceModel

Level: TypeAlias = Literal["public", "personal", "secret"]

MASK = "***"

_PUBLIC: dict[str, frozenset[str]] = {
    "User": frozenset(
        (
            *("schemas", "id", "meta", "active", "groups"),
            *("userType", "locale", "timezone", "preferredLanguage"),
            *(f"{PLATFORM_USER}:{name}" for name in ("status", "ouId", "identitySource")),
            *(f"{PLATFORM_USER}:{name}" for name in ("mfaEnabled", "emailVerified")),
        )
    ),
    "Group": frozenset(
        ("schemas", "id", "meta", "displayName", "externalId", "members.value", "members.type")
    ),
    # The mapping lists them.
    "Role": frozenset(("schemas", "id", "meta", "displayName", "description")),
    "Entitlement": frozenset(("schemas", "id", "meta", "displayName", "description", "type")),
}
"""Attributes that tell nothing of a person; of other complex ones the booleans and the canonical values."""

_LONGEST = 500
"""Characters of one value that are kept."""
_MOST = 50
"""Values of a multi-valued attribute that are kept, and operations of a PATCH."""

_NAME = re.compile(r"[A-Za-z$_][A-Za-z0-9$_.:-]{0,150}")
_ID = re.compile(r"[A-Za-z0-9_-]{1,128}")
_SECRET = re.compile(r"\bsc[abs]_[A-Za-z0-9_-]{20,}")
"""Tokens and secrets of the bridge, which by mistake may stand anywhere."""
_URN = re.compile(r"(?i:urn):[A-Za-z0-9:._-]{1,150}")
_ID_ATTRIBUTES = frozenset({"id", "members.value", "groups.value"})
_BOOLEANS = frozenset({"true", "false"})
_PATCH_OPS = frozenset({"add", "remove", "replace"})

_TOKEN = re.compile(r'\s+|"(?:[^"\\]|\\.)*"?|[()\[\]]|[^\s()\[\]"]+')
_WORDS = frozenset({"and", "or", "not"})
_BEFORE_NAMES = frozenset({"", "and", "or", "not", "(", "["})
_OPERATORS = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le", "pr"})


class Sensitivity:
    """What of the values of one resource type may be held; built once for a mapping and a policy."""

    def __init__(self, model: ResourceModel, rules: Iterable[UserRule] = (), *, personal: bool) -> None:
        """`personal`: personal data may be held, secrets still not."""
        self._model = model
        self._personal = personal
        self._public = _PUBLIC.get(model.name, frozenset())
        self._told: dict[str, Level] = {}
        for rule in rules:
            ref = parse_attribute_path(rule.scim, model) if rule.sensitivity is not None else None
            if isinstance(ref, AttributeRef) and rule.sensitivity is not None:
                self._told[ref.text] = rule.sensitivity
        self._levels: dict[tuple[str | None, str, str | None], Level] = {}

    def level(self, ref: AttributeRef) -> Level:
        """How sensitive an attribute's values are."""
        key = (ref.urn, ref.attribute.name, ref.sub.name if ref.sub else None)
        found = self._levels.get(key)
        if found is None:
            found = self._levels[key] = self._level(ref)
        return found

    def _level(self, ref: AttributeRef) -> Level:
        whole = AttributeRef(urn=ref.urn, attribute=ref.attribute).text
        levels = [self._told[name] for name in (ref.text, whole) if name in self._told]
        if "never" in (ref.attribute.returned, ref.leaf.returned) or "secret" in levels:
            return "secret"
        if levels:
            return levels[0]
        return "public" if ref.text in self._public or whole in self._public else "personal"

    def body(self, document: object, hidden: set[str]) -> object:
        """A resource with its values masked; what was masked is added to `hidden`."""
        return self._object(document, None, hidden)

    def patch(self, document: object, hidden: set[str]) -> object:
        """A PatchOp message with the values of its operations masked (RFC 7644 §3.5.2)."""
        if not isinstance(document, dict):
            return self._mask(document, hidden)
        shown: dict[str, Any] = {}
        for key, value in document.items():
            match key.lower():
                case "schemas":
                    shown["schemas"] = self._object({"schemas": value}, None, hidden).get("schemas")
                case "operations" if isinstance(value, list):
                    shown["Operations"] = _shortened(
                        [self._operation(each, hidden) for each in value][:_MOST], value
                    )
                case _:
                    shown[_name(key)] = self._mask(value, hidden)
        return shown

    def search(self, document: object, hidden: set[str]) -> object:
        """A SearchRequest with the values of its filter masked (RFC 7644 §3.4.3)."""
        if not isinstance(document, dict):
            return self._mask(document, hidden)
        shown: dict[str, Any] = {}
        for key, value in document.items():
            folded = key.lower()
            if folded == "filter" and isinstance(value, str):
                shown[key] = self.filter(value, hidden)
            elif (folded in ("startindex", "count") and isinstance(value, int)) or value is None:
                shown[key] = value
            elif folded in ("attributes", "excludedattributes", "schemas", "sortby", "sortorder"):
                names = value if isinstance(value, list) else [value]
                kept = [_name(each) if isinstance(each, str) else self._mask(each, hidden) for each in names]
                shown[key] = _shortened(kept[:_MOST], names)
            else:
                shown[_name(key)] = self._mask(value, hidden)
        return shown

    def filter(self, text: str, hidden: set[str], *, is_path: bool = False) -> str:
        """A filter, or the path of a PATCH, with its values masked; also one that cannot be read."""
        tokens: list[str] = _TOKEN.findall(text)
        shown: list[str] = []
        ref: AttributeRef | None = None
        outer: AttributeRef | None = None
        for number, part in enumerate(tokens):
            folded = part.lower()
            if part.isspace() or folded in _WORDS:
                shown.append(part)
            elif part in "()[]":
                outer = ref if part == "[" else outer
                shown.append(part)
            elif part.startswith('"'):
                shown.append(_quoted(self._scalar(ref, _unquoted(part), hidden)))
            elif folded in _OPERATORS or (folded in ("true", "false", "null") and ref is not None):
                shown.append(part)
            elif (found := self._attribute(part, outer)) is not None:
                ref = found
                shown.append(part)
            elif _NAME.fullmatch(part) and _names_something(tokens, number, is_path):
                ref = None
                shown.append(part)
            else:
                hidden.add(part)
                shown.append(MASK)
        return "".join(shown)[: _LONGEST * 2]

    def value(self, name: str, value: str) -> str:
        """One value of an attribute by name, masked unless it may be held."""
        return str(self._scalar(self._attribute(name, None), value, set()))

    def keeps(self, name: str) -> bool:
        """Whether values of this attribute are held."""
        ref = self._attribute(name, None)
        return ref is not None and self._kept(self.level(ref))

    def knows(self, name: str) -> bool:
        """Whether a text is the name of an attribute, and no value."""
        return bool(_NAME.fullmatch(name)) and self._attribute(name, None) is not None

    def _attribute(self, name: str, outer: AttributeRef | None) -> AttributeRef | None:
        if outer is not None and (sub := outer.attribute.sub(name.removeprefix("."))) is not None:
            return AttributeRef(urn=outer.urn, attribute=outer.attribute, sub=sub)
        try:
            found = parse_attribute_path(name, self._model)
        except ScimError:
            return None
        return found if isinstance(found, AttributeRef) else None

    def _operation(self, operation: object, hidden: set[str]) -> object:
        if not isinstance(operation, dict):
            return self._mask(operation, hidden)
        shown: dict[str, Any] = {}
        path = next((v for k, v in operation.items() if k.lower() == "path"), None)
        for key, value in operation.items():
            match key.lower():
                case "op" if isinstance(value, str) and value.lower() in _PATCH_OPS:
                    shown["op"] = value
                case "path" if isinstance(value, str):
                    shown["path"] = self.filter(value, hidden, is_path=True)
                case "value" if path is None:
                    shown["value"] = self._object(value, None, hidden)
                case "value":
                    shown["value"] = self._at(path, value, hidden)
                case _:
                    shown[_name(key)] = self._mask(value, hidden)
        return shown

    def _at(self, path: object, value: object, hidden: set[str]) -> object:
        """A value that is put at a path."""
        if not isinstance(path, str):
            return self._mask(value, hidden)
        try:
            found = parse_patch_path(path, self._model)
        except ScimError:
            return self._mask(value, hidden)
        if found.extension is not None:
            return self._object(value, found.extension, hidden)
        return self._mask(value, hidden) if found.ref is None else self._value(found.ref, value, hidden)

    def _object(self, document: object, urn: str | None, hidden: set[str]) -> Any:
        if not isinstance(document, dict):
            return self._mask(document, hidden)
        shown: dict[str, Any] = {}
        for key, value in document.items():
            extension = self._model.extension(key) if urn is None else None
            if extension is not None and _URN.fullmatch(key):
                shown[key] = self._object(value, extension.id, hidden)
                continue
            ref = locate(key, self._model, LENIENT, urn) if _NAME.fullmatch(key) else None
            if ref is None:
                shown[_name(key)] = self._mask(value, hidden)
            else:
                shown[key] = self._value(ref, value, hidden)
        return shown

    def _value(self, ref: AttributeRef, value: object, hidden: set[str]) -> Any:
        if isinstance(value, list):
            # All are looked at: what is hidden of those left out must not stand in an error's text either.
            return _shortened([self._value(ref, each, hidden) for each in value][:_MOST], value)
        if isinstance(value, dict):
            if ref.leaf.type != "complex" or self.level(ref) == "secret":
                return self._mask(value, hidden)
            return {_name(k): self._sub_value(ref, k, v, hidden) for k, v in value.items()}
        return self._scalar(ref, value, hidden)

    def _sub_value(self, ref: AttributeRef, key: str, value: object, hidden: set[str]) -> Any:
        sub = ref.attribute.sub(key) if ref.sub is None else None
        if sub is None:
            return self._mask(value, hidden)
        return self._value(AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=sub), value, hidden)

    def _scalar(self, ref: AttributeRef | None, value: object, hidden: set[str]) -> Any:
        if value is None or value == "":
            return value
        if ref is None or (isinstance(value, str) and _SECRET.search(value)):
            return self._mask(value, hidden)
        level = self.level(ref)
        if not self._kept(level) and (level == "secret" or not _harmless(ref.leaf, value)):
            return self._mask(value, hidden)
        if level == "public" and not self._personal and not _fits(ref, value):
            return self._mask(value, hidden)
        return value if not isinstance(value, str) or len(value) <= _LONGEST else value[:_LONGEST] + "…"

    def _kept(self, level: Level) -> bool:
        return level == "public" or (level == "personal" and self._personal)

    def _mask(self, value: object, hidden: set[str]) -> Any:
        """What takes the value's place; every text and number in it is hidden."""
        if value is None:
            return None
        within: list[object] = [value]
        while within:
            each = within.pop()
            if isinstance(each, dict):
                within += [*each.keys(), *each.values()]
            elif isinstance(each, list):
                within += each
            elif each is not None and not isinstance(each, bool):
                hidden.add(str(each))
        return MASK


def _name(key: str) -> str:
    """The name of an attribute, known or not; what cannot be one is masked."""
    return key if _NAME.fullmatch(key) else MASK


def _harmless(attribute: Attribute, value: object) -> bool:
    """Whether a value of an attribute that is not public is one of a few that everybody may have."""
    if attribute.type == "boolean":
        return isinstance(value, bool) or str(value).lower() in _BOOLEANS
    return isinstance(value, str) and value.lower() in (v.lower() for v in attribute.canonical_values)


def _fits(ref: AttributeRef, value: object) -> bool:
    """Whether a value of a public attribute can be one: by mistake, anything may stand there."""
    leaf = ref.leaf
    if leaf.type == "complex":
        return False
    if leaf.type == "boolean":
        return _harmless(leaf, value)
    if ref.text == "schemas":
        return isinstance(value, str) and _URN.fullmatch(value) is not None
    if ref.text in _ID_ATTRIBUTES:
        return isinstance(value, str) and _ID.fullmatch(value) is not None
    return True


def _quoted(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)


def _unquoted(token: str) -> str:
    """The text of a literal; of one that is not whole, what there is of it."""
    try:
        return str(json.loads(token, strict=False))
    except ValueError:
        return token.strip('"')


def _names_something(tokens: list[str], number: int, is_path: bool) -> bool:
    """Whether a word that no schema knows stands where the name of an attribute does, not a value."""
    before = next((t.lower() for t in reversed(tokens[:number]) if not t.isspace()), "")
    after = next((t.lower() for t in tokens[number + 1 :] if not t.isspace()), "")
    if is_path and before == "":
        return True
    return before in _BEFORE_NAMES and after in _OPERATORS


def _shortened(shown: list[Any], whole: list[Any]) -> list[Any]:
    """Values with a note of how many were left out."""
    more = len(whole) - len(shown)
    return [*shown, f"… {more} more"] if more > 0 else shown
