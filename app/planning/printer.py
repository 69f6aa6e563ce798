"""A plan as one line of text, stable enough to be compared in tests and found again in logs."""

from __future__ import annotations

import msgspec

from app.planning.plan import ById, IndexQuery, Listing, Match, Nothing, Plan, Source, Union
from app.scim.filter import print_filter


def print_plan(plan: Plan) -> str:
    """`source [& residual] [by attribute asc|desc in place] [window of …]`.

    As in `list status="DISABLED" & title pr` or `index title sw "A" by title asc in index, window of index`.
    """
    text = _source(plan.source)
    if plan.residual is not None:
        text += f" & {print_filter(plan.residual)}"
    if plan.order is not None:
        way = "desc" if plan.order.descending else "asc"
        text += f" by {plan.order.ref.text} {way} in {plan.order.made}"
    return text if plan.window is None else f"{text}, window of {plan.window}"


def _source(source: Source) -> str:
    match source:
        case Nothing():
            return "nothing"
        case ById():
            return f"get {_quoted(source.id)}"
        case Match():
            searched = "" if source.search is None else f" search={_quoted(source.search)}"
            return f"match {source.kind}={_quoted(source.value)}{searched}"
        case Listing():
            return "list" + "".join(f" {name}={_quoted(value)}" for name, value in source.query)
        case IndexQuery():
            return "index" if source.filter is None else f"index {print_filter(source.filter)}"
        case Union():
            return " | ".join(_source(s) for s in source.sources)


def _quoted(text: str) -> str:
    return msgspec.json.encode(text).decode()
