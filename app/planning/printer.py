"""A plan as one line of text, stable enough to be compared in tests and found again in logs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from app.planning.plan import ById, IndexQuery, Listing, Match, Nothing, Plan, Source, Union
from app.scim.expression import Filter
from app.scim.filter import print_filter


def print_plan(
    plan: Plan,
    *,
    filters: Callable[[Filter], str] = print_filter,
    values: Callable[[str, str], str] | None = None,
) -> str:
    """`source [& residual] [by attribute asc|desc in place] [window of …]`.

    As in `list status="DISABLED" & title pr` or `index title sw "A" by title asc in index, window of index`.
    `filters` and `values` (name, value) say how filters and single values are shown.
    """
    shown = _Shown(filters, values or (lambda _name, value: _quoted(value)))
    text = shown.source(plan.source)
    if plan.residual is not None:
        text += f" & {filters(plan.residual)}"
    if plan.order is not None:
        way = "desc" if plan.order.descending else "asc"
        text += f" by {plan.order.ref.text} {way} in {plan.order.made}"
    return text if plan.window is None else f"{text}, window of {plan.window}"


class _Shown:
    def __init__(self, filters: Callable[[Filter], str], values: Callable[[str, str], str]) -> None:
        self._filters = filters
        self._values = values

    def source(self, source: Source) -> str:
        match source:
            case Nothing():
                return "nothing"
            case ById():
                return f"get {self._values('id', source.id)}"
            case Match():
                searched = "" if source.search is None else f" search={self._values('search', source.search)}"
                return f"match {source.kind}={self._values(source.kind, source.value)}{searched}"
            case Listing():
                return "list" + "".join(f" {n}={self._values(n, value)}" for n, value in source.query)
            case IndexQuery():
                return "index" if source.filter is None else f"index {self._filters(source.filter)}"
            case Union():
                return " | ".join(self.source(s) for s in source.sources)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
