"""The typed tree of a filter (RFC 7644 §3.4.2.2), free of the parser that made it.

The same classes serve before and after binding. Before, names stand as the client wrote them; after
`evaluate.bind`, every name is canonical and every value has the attribute's type.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

CompareOp: TypeAlias = Literal["eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"]
CompareValue: TypeAlias = str | int | float | bool | None


class AttrName(msgspec.Struct, frozen=True, kw_only=True):
    """A name in a filter: `attrPath` of the grammar."""

    urn: str | None = None
    """The schema URN that qualifies the name. After binding: an extension's URN, None for the core schema."""
    name: str
    sub: str | None = None


class Compare(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`path op value`; value None is JSON null."""

    path: AttrName
    op: CompareOp
    value: CompareValue


class Present(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`path pr`: the attribute is assigned and not empty."""

    path: AttrName


class And(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """All of two or more terms; no term is itself an And."""

    terms: tuple[Filter, ...]


class Or(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Any of two or more terms; no term is itself an Or."""

    terms: tuple[Filter, ...]


class Not(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The term does not hold."""

    term: Filter


class ValuePath(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """`path[filter]`: one value of a multi-valued attribute satisfies the whole filter.

    Names inside `filter` are sub-attributes of `path`. `emails[type eq "work"].value eq "x"`, which Entra
    sends and the grammar does not know, is `emails[type eq "work" and value eq "x"]`.
    """

    path: AttrName
    filter: Filter


Filter: TypeAlias = Compare | Present | And | Or | Not | ValuePath
