"""Where a key of a JSON body belongs: the attribute behind the name that a client used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from app.scim.dialect import Dialect, Tolerance
from app.scim.errors import InvalidSyntax
from app.scim.schema import ENTERPRISE_USER, AttributeRef, ResourceModel
from app.scim.values import printable, shape


def locate(key: str, model: ResourceModel, dialect: Dialect, urn: str | None = None) -> AttributeRef | None:
    """The attribute that a key stands for, or None; `urn` is that of the extension object it was found in.

    With the tolerances, the key may be a path (`name.givenName`, `urn:…:User:manager.value`) or an
    enterprise attribute without its URN.
    """
    attribute = model.attribute(key, urn)
    if attribute is not None:
        return AttributeRef(urn=urn, attribute=attribute)
    schema, rest = urn, key
    if dialect.allows(Tolerance.FLAT_KEYS):
        split = model.split_urn(key) if urn is None else None
        if split is not None:
            schema, rest = split
        name, dot, sub = rest.partition(".")
        if found := model.resolve(name, sub if dot else None, urn=schema):
            return found
    if schema is None and dialect.allows(Tolerance.UNQUALIFIED_EXTENSION_ATTRIBUTES):
        # Only the enterprise extension: a stray `status` must not become the platform's account status.
        name, dot, sub = rest.partition(".")
        return model.resolve(name, sub if dot else None, urn=ENTERPRISE_USER)
    return None


def each_once(body: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """The items of a JSON object; InvalidSyntax for keys that differ only in case (RFC 7643 §2.1)."""
    seen: set[str] = set()
    for key, value in body.items():
        folded = key.lower()
        if folded in seen:
            within = f" in {path}" if path else ""
            raise InvalidSyntax(f"{printable(key)} is given twice{within}, in different case.")
        seen.add(folded)
        yield key, value


def refuse_unknown(key: str, dialect: Dialect, path: str = "") -> None:
    """InvalidSyntax for a key that no schema knows, unless such keys are left out."""
    if not dialect.allows(Tolerance.UNKNOWN_ATTRIBUTES_IGNORED):
        name = f"{path}:{printable(key)}" if path else printable(key)
        raise InvalidSyntax(f"{name} is not an attribute of this resource; /Schemas lists those that are.")


def message_members(item: object, names: tuple[str, ...], dialect: Dialect, where: str) -> dict[str, Any]:
    """The members of a message, or of an operation in it, by their proper names.

    Others are dropped, or refused as InvalidSyntax.
    """
    if not isinstance(item, dict):
        raise InvalidSyntax(f"{where} must be a JSON object, not {shape(item)}.")
    any_case = dialect.allows(Tolerance.MESSAGE_KEY_CASE)
    proper = {name.lower() if any_case else name: name for name in names}
    found: dict[str, Any] = {}
    for key, value in item.items():
        name = proper.get(key.lower() if any_case else key)
        if name is None:
            if not dialect.allows(Tolerance.STRAY_OP_KEYS):
                raise InvalidSyntax(f"{where} must not have a member {printable(key)}.")
        elif name in found:
            raise InvalidSyntax(f"{where} has {name} twice, in different case.")
        else:
            found[name] = value
    return found
