"""Attribute paths outside filters: in `attributes`, `sortBy` and PATCH (RFC 7644 §3.5.2, §3.10).

Names compare without case and may be qualified by a schema URN. The model is at hand here, so known URNs are
told from attribute names exactly, however many dots and colons they hold.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

import msgspec

from app.scim.errors import InvalidPath
from app.scim.evaluate import bind_element
from app.scim.expression import Filter
from app.scim.filter import DEFAULT_LIMITS, parse_filter
from app.scim.schema import AttributeRef, ResourceModel


class ExtensionRef(msgspec.Struct, frozen=True, kw_only=True):
    """A whole extension, named by its URN alone."""

    urn: str
    """In canonical spelling."""

    @property
    def text(self) -> str:
        """The canonical spelling: the URN."""
        return self.urn


class PatchPath(msgspec.Struct, frozen=True, kw_only=True):
    """The `path` of a PATCH operation, resolved."""

    ref: AttributeRef | None
    """The attribute, with `sub` for `name.givenName` and `emails[…].value`; None where `extension` is set."""
    extension: str | None = None
    """The URN, where the path is a whole extension."""
    filter: Filter | None = None
    """What stands in brackets, bound to the sub-attributes of `ref.attribute` (`evaluate.bind_element`)."""
    text: str
    """As the client wrote it, for messages."""


_CACHED_LENGTH: Final = 512
_BRACKETS = re.compile(r"(?P<name>[^\[\]\"\s]+)\s*\[(?P<filter>.*)\](?:\.(?P<sub>[^.\[\]\"\s]+))?", re.DOTALL)


def parse_attribute_path(
    text: str, model: ResourceModel, *, anywhere: bool = False
) -> AttributeRef | ExtensionRef | None:
    """The attribute of this name, in any case and with or without URN; None when there is no such one.

    With `anywhere`, an extension's attribute is found without its URN too.
    """
    text = text.strip()
    split = model.split_urn(text) if ":" in text else None
    if split is None:
        urn, rest = None, text
    else:
        urn, rest = split
        if not rest:
            return ExtensionRef(urn=urn) if model.extension(text) else None
    name, dot, sub = rest.partition(".")
    return model.resolve(name, sub if dot else None, urn=urn, anywhere=anywhere)


def parse_patch_path(
    text: str, model: ResourceModel, *, anywhere: bool = True, boolean_words: bool = True
) -> PatchPath:
    """Read the `path` of a PATCH operation: `attr`, `attr.sub`, `attr[filter]`, `attr[filter].sub`, or a URN.

    Names may be qualified by a schema URN and are in any case (Entra: `emails[type eq "other"].Value`);
    `anywhere` and `boolean_words` are those of `evaluate.bind`. Raises InvalidPath for a path that is
    malformed or names no attribute, InvalidFilter for what is wrong inside the brackets.
    """
    if len(text) > _CACHED_LENGTH:
        return _parse(text, model, anywhere, boolean_words)
    return _parse_cached(text, model, anywhere, boolean_words)


def _parse(text: str, model: ResourceModel, anywhere: bool, boolean_words: bool) -> PatchPath:
    if len(text) > DEFAULT_LIMITS.max_length:
        raise InvalidPath(f"the path is longer than {DEFAULT_LIMITS.max_length} characters")
    trimmed = text.strip()
    if not trimmed:
        raise InvalidPath("the path is empty")
    if "[" not in trimmed:
        found = parse_attribute_path(trimmed, model, anywhere=anywhere)
        match found:
            case None:
                raise _unknown(trimmed, model)
            case ExtensionRef(urn=urn):
                return PatchPath(ref=None, extension=urn, text=text)
            case _:
                return PatchPath(ref=found, text=text)
    parts = _BRACKETS.fullmatch(trimmed)
    if parts is None:
        raise InvalidPath(
            f"{_shown(trimmed)} is not a path: write attribute[filter] or attribute[filter].sub"
        )
    ref = parse_attribute_path(parts["name"], model, anywhere=anywhere)
    if ref is None:
        raise _unknown(parts["name"], model)
    if isinstance(ref, ExtensionRef) or ref.sub is not None or not ref.attribute.multi_valued:
        raise InvalidPath(f"{ref.text} has no values to choose from, so no filter can follow it")
    filter_ = bind_element(parse_filter(parts["filter"]), ref.attribute, boolean_words=boolean_words)
    if parts["sub"] is not None:
        sub = ref.attribute.sub(parts["sub"])
        if sub is None:
            raise InvalidPath(f"{_shown(parts['sub'])} is not a sub-attribute of {ref.text}")
        ref = AttributeRef(urn=ref.urn, attribute=ref.attribute, sub=sub)
    return PatchPath(ref=ref, filter=filter_, text=text)


_parse_cached = lru_cache(maxsize=4096)(_parse)


def _unknown(name: str, model: ResourceModel) -> InvalidPath:
    return InvalidPath(f"{_shown(name)} is not an attribute of {model.name}")


def _shown(text: str) -> str:
    return repr(text if len(text) <= 100 else text[:100] + "…")
