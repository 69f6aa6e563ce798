"""What of a filter the platform's own list can answer, exactly or as a superset, by the mapping's word."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping
from typing import Literal

import msgspec

from app.mapping.model import Capabilities
from app.mapping.rules import ElementRule, FieldRule
from app.mapping.transforms import TEXT_WITHIN
from app.mapping.users import UserMapping
from app.planning.plan import Listing, Nothing
from app.planning.terms import conjuncts, flattened
from app.scim.expression import And, Compare, Filter, ValuePath
from app.scim.filter import print_name
from app.scim.schema import PLATFORM_USER

SEARCH = "search"
"""The list's parameter for a text within certain fields."""

_STATUS = f"{PLATFORM_USER}:status"


class Push(msgspec.Struct, frozen=True, kw_only=True):
    """One query parameter that narrows the list to the users that a term can match."""

    parameter: str
    value: str
    exact: bool
    """Whether the list then yields nobody else."""
    single: bool = True
    """Whether a user has one value only, so that no user can match two."""


def push(term: Filter, mapping: UserMapping, filters: Mapping[str, str]) -> tuple[Push, ...]:
    """The parameters for one term that is no conjunction; none where the list cannot narrow it."""
    term = flattened(term)
    if isinstance(term, ValuePath) and isinstance(term.filter, And):
        # Each part holds of some value, though not of the same one.
        parts = (ValuePath(path=term.path, filter=part) for part in term.filter.terms)
        found = (p for part in parts for p in push(part, mapping, filters))
        return tuple(msgspec.structs.replace(p, exact=False) for p in found)
    if not isinstance(term, Compare):
        return ()
    one = _filtered(term, mapping, filters) or _searched(term, mapping)
    return () if one is None else (one,)


def listing(f: Filter, mapping: UserMapping, filters: Mapping[str, str]) -> tuple[Listing | Nothing, bool]:
    """The narrowest single list for a bound filter, and whether it yields exactly what matches."""
    found = [push(term, mapping, filters) for term in conjuncts(f)]
    exact = all(any(p.exact for p in pushes) for pushes in found)
    query: dict[str, Push] = {}
    for each in sorted((p for pushes in found for p in pushes), key=lambda p: not p.exact):
        before = query.setdefault(each.parameter, each)
        if before.value == each.value:
            continue
        if each.parameter == SEARCH and not before.exact:
            # One text a list: the longest tells the most.
            query[SEARCH] = max(before, each, key=lambda p: len(p.value))
        elif before.exact and each.exact and each.single:
            return Nothing(), True
        exact = False
    return Listing(query=tuple((p.parameter, p.value) for p in query.values())), exact


def _filtered(term: Compare, mapping: UserMapping, filters: Mapping[str, str]) -> Push | None:
    name, value = print_name(term.path), term.value
    if term.op != "eq" or value == "":
        return None
    status = filters.get(_STATUS)
    if name == "active" and value is False and len(mapping.status.inactive) == 1 and status is not None:
        return Push(parameter=status, value=mapping.status.inactive[0], exact=True)
    ref = mapping.model.resolve(term.path.name, term.path.sub, urn=term.path.urn)
    parameter = filters.get(name) or mapping.platform.narrows.get(name)
    if parameter is None or ref is None:
        return None
    known = ref.leaf.canonical_values if ref.leaf.case_exact else ()
    if known and value not in known:
        # A value that the platform learnt later may be in its answers and yet be refused as a parameter.
        return None
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return Push(parameter=parameter, value=text, exact=name in filters, single=not ref.attribute.multi_valued)


def _searched(term: Compare, mapping: UserMapping) -> Push | None:
    """`search` for a text that every matching user has in a field that `search` covers.

    Only attributes whose value is read from such fields alone. Elements (emails) are not among them: the
    platform has a field for one address, further ones are in custom_attributes.
    """
    ref = mapping.model.resolve(term.path.name, term.path.sub, urn=term.path.urn)
    if term.op not in ("eq", "co", "sw", "ew") or not isinstance(term.value, str) or ref is None:
        return None
    rule = mapping.rule_for(ref.text)
    if ref.leaf.type != "string" or not isinstance(rule, FieldRule):
        return None
    if not is_searchable(rule, mapping.platform):
        return None
    needle = exact_needle(term.value) if term.op == "eq" else part_needle(term.value, at_end=term.op == "ew")
    return None if needle is None else Push(parameter=SEARCH, value=needle, exact=False)


def is_searchable(rule: FieldRule | ElementRule, capabilities: Capabilities) -> bool:
    """Whether `search` for a value as SCIM shows it finds the users that the rule reads it from."""
    covered = set(rule.fields) <= set(capabilities.search)
    return covered and all(isinstance(t, TEXT_WITHIN) for t in rule.transform)


_Role = Literal["split", "joins", "open", "closed"]
_IOTA = "\u03b9"
"""What an iota subscript, an accent, becomes by case folding; its place among accents decides where."""


def exact_needle(text: str) -> str | None:
    """What to search for to find the users that have this whole value, in any case; None where nothing can.

    The text itself, but for what a list may not take as it is.
    """
    if text.isascii() and "\\" not in text:
        return text.strip() or None
    if _IOTA in text.casefold():
        return part_needle(text, at_end=True)
    return _longest("".join("\0" if _role(c) == "split" else c for c in text).split("\0"))


def part_needle(text: str, *, at_end: bool = False) -> str | None:
    """The longest part of a text that is sure to be found in every value that holds the text, in any case.

    A platform may compose letters and accents (Unicode NFC) before it compares, SCIM does not: in "Rene" with
    an accent of its own behind it, such a platform finds no "e". So accents of their own are left out, and a
    letter only counts where something follows it that cannot change it, or where the value ends (`at_end`).
    At least one character; None where none is sure.
    """
    parts, current = [], ""
    for c in text:
        if _role(c) in ("split", "joins"):
            parts.append(_closed(current))
            current = ""
        else:
            current += c
    parts.append(current if at_end else _closed(current))
    return _longest(parts)


def _longest(parts: list[str]) -> str | None:
    return max((part.strip() for part in parts), key=len, default="") or None


def _closed(text: str) -> str:
    """The text without a last letter that an accent behind it could change."""
    return text[:-1] if text and _role(text[-1]) == "open" else text


def _role(c: str) -> _Role:
    """How a character behaves in a text that is searched for.

    `split`: not searched for at all, as some lists read a backslash as an escape and U+FFFD stands for other
    characters; `joins`: may become one with what is before it; `open`: with what is behind it; else `closed`.
    """
    if c in "\\\ufffd":
        return "split"
    kind = unicodedata.category(c)[0]
    jamo = "\u1160" <= c <= "\u11ff"
    if kind in "MC" or jamo or _IOTA in c.casefold() or unicodedata.normalize("NFC", c) != c:
        return "joins"
    return "open" if kind in "LS" else "closed"
