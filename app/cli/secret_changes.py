"""What becomes of secrets, of tokens and of clients alike, whose names are their labels; pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Literal, Protocol, TypeVar

import msgspec

from app.cli.declared import DeclaredToken


class TokenChange(msgspec.Struct, frozen=True, kw_only=True):
    """A token or client secret that differs from what is declared."""

    kind: Literal["added", "relabelled", "replaced", "revoked", "undeclared"]
    """`replaced`: revoked, for another secret has its label now; `undeclared`: left alone without prune."""
    label: str
    former: str = ""
    """The label so far of a relabelled token."""
    token_id: str = ""
    """Of the token that is stored; empty for an added one."""
    digest: bytes = b""
    """Of an added one."""


class _Stored(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def label(self) -> str: ...


_S = TypeVar("_S", bound=_Stored)


def secret_changes(
    declared: Sequence[DeclaredToken],
    living: Sequence[_S],
    holder: Callable[[DeclaredToken], _S | None],
    *,
    prune: bool,
) -> Iterator[TokenChange]:
    """Compare what is declared of one owner with what lives of it.

    `holder` finds the stored one that has a declared secret, and raises where it may not have it.
    """
    kept: set[str] = set()
    for each in declared:
        found = holder(each)
        if found is None:
            yield TokenChange(kind="added", label=each.label, digest=each.digest)
            continue
        kept.add(found.id)
        if found.label != each.label:
            yield TokenChange(kind="relabelled", label=each.label, former=found.label, token_id=found.id)
    labels = {each.label for each in declared}
    for stored in living:
        if stored.id in kept:
            continue
        # A label is a name: with another secret it is another token, and the former one ends.
        kind: Literal["replaced", "revoked", "undeclared"] = "revoked" if prune else "undeclared"
        yield TokenChange(
            kind="replaced" if stored.label in labels else kind, label=stored.label, token_id=stored.id
        )
