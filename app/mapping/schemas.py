"""The extension schemas of a mapping file, checked before anything is built on them (RFC 7643 §2 and §7)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from app.mapping.errors import MappingError
from app.scim.schema import Attribute, Schema

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9$_-]*")
_URN = re.compile(r"urn:[A-Za-z0-9][A-Za-z0-9-]{0,31}:[A-Za-z0-9()+,\-.:=@;$_!*']+")
# Microsoft Entra ID proposes names in this branch for extensions of one's own.
_FREE_BRANCH = "urn:ietf:params:scim:schemas:extension:"


def check_schemas(own: Sequence[Schema], known: Sequence[Schema], file: str) -> None:
    """Raise `MappingError` for the first fault; `known` are the schemas that users have anyway."""
    seen = {schema.id.lower() for schema in known}
    for number, schema in enumerate(own):
        place = f"schemas[{number}]"
        reason = _bad_id(schema.id.lower(), seen)
        if reason is not None:
            raise MappingError(file, f"{place}.id", reason)
        seen.add(schema.id.lower())
        for key, fault in _faults(schema.attributes, f"{place}.attributes", within=False):
            raise MappingError(file, key, fault)


def _bad_id(urn: str, seen: set[str]) -> str | None:
    if urn in seen:
        return "there is a schema of this id already"
    reserved = urn.startswith("urn:ietf:") and not urn.startswith(_FREE_BRANCH)
    if _URN.fullmatch(urn) is None or reserved:
        return "an extension's id is a URN of one's own"
    return None


def _faults(attributes: Sequence[Attribute], place: str, *, within: bool) -> Iterator[tuple[str, str]]:
    names: set[str] = set()
    for number, attribute in enumerate(attributes):
        key = f"{place}[{number}] ({attribute.name})"
        if _NAME.fullmatch(attribute.name) is None and not (within and attribute.name == "$ref"):
            yield key, "a name is a letter, then letters, digits, $, - and _ (RFC 7643 §2.1)"
        if attribute.name.lower() in names:
            yield key, "there is an attribute of this name already"
        names.add(attribute.name.lower())
        if reason := _fault(attribute, within):
            yield key, reason
        yield from _faults(attribute.sub_attributes, f"{key}.subAttributes", within=True)


def _fault(attribute: Attribute, within: bool) -> str | None:
    """What is wrong with one attribute's characteristics, if anything."""
    if (attribute.type == "complex") is not bool(attribute.sub_attributes):
        return "subAttributes belong to type complex, which needs them"
    if within and attribute.type == "complex":
        return "a sub-attribute cannot be complex (RFC 7643 §2.3.8)"
    if attribute.mutability == "writeOnly" and attribute.returned != "never":
        return 'what is writeOnly has returned = "never" (RFC 7643 §7)'
    if attribute.uniqueness == "none":
        return None
    if within or attribute.multi_valued or attribute.type == "complex":
        return "uniqueness is kept for single values only, not for lists, complex values and their parts"
    if attribute.returned == "never":
        return "what is never returned cannot be searched, and so not be kept unique"
    return None
